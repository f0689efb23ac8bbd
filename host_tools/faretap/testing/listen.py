"""The traffic of a slot's link, message by message, whichever session carries it."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

from faretap.link.client import Link
from faretap.rack.slot import Slot
from faretap.writing import write_text
from validator.link import frame

_KEPT = 20000  # messages


class Ears:
    """Listens to each session of the slot, the ones after a reopening too."""

    def __init__(self, slot: Slot) -> None:
        self.began = time.monotonic()
        self.heard: deque[tuple[float, str, Any]] = deque(maxlen=_KEPT)
        self._slot = slot
        self._links: list[Link] = []
        self.follow()

    def follow(self) -> None:
        """Listen to the session that the slot has now, too."""
        link = self._slot.session.link
        if any(link is known for known in self._links):
            return
        self._links.append(link)
        self._hear(link)

    def close(self) -> None:
        self._links.clear()

    def write(self, path: Path) -> None:
        """JSON lines: seconds, direction, message."""
        lines = [
            json.dumps({"at": round(at - self.began, 4), way: message}, ensure_ascii=False)
            for at, way, message in list(self.heard)
        ]
        write_text(path, "".join(line + "\n" for line in lines), durable=False)

    def _note(self, direction: str, message: Any) -> None:
        self.heard.append((time.monotonic(), direction, message))

    def _hear(self, link: Link) -> None:
        write, take, block = link._write, link._message, link.send_block
        decoder = frame.Decoder(1 << 20, 8192)

        def said(data: bytes) -> None:
            for kind, value in decoder.feed(data):
                if kind == frame.MESSAGE:
                    self._note("to", value)
            write(data)

        def heard(message: Any) -> None:
            self._note("from", message)
            take(message)

        def sent(channel: int, sequence: int, payload: bytes) -> None:
            self._note("to", {"block": [channel, sequence, len(payload)]})
            block(channel, sequence, payload)

        link._write = said  # type: ignore[method-assign]
        link._message = heard  # type: ignore[method-assign]
        link.send_block = sent  # type: ignore[method-assign]
