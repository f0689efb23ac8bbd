"""A card's APDUs as JSON lines, for a file that can be looked at, sent, and replayed.

Line 1 says what this is: {"trace": 1, "tool", "reader", "at", "numbers": "masked" or "clear"}.
Then, in order: {"activated": {"uid", "atqa", "sak", "ats"}} at each activation,
{"command", "response", "ms"} for each APDU (response null when none came), and last
{"end": "complete", "card_lost" or "failed"}. Bytes are hex; atqa and sak are hex too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from faretap import __version__
from faretap.writing import write_text

from . import masking
from .errors import DeskError
from .report import Radio

VERSION = 1
End = Literal["complete", "card_lost", "failed"]


@dataclass(frozen=True)
class Exchange:
    """One APDU; `response` is None when the card did not answer, `ms` the time it took."""

    command: bytes
    response: bytes | None
    ms: float


class Trace:
    """What went to and fro, in order."""

    def __init__(self, reader: str, at: datetime) -> None:
        self.reader = reader
        self.at = at
        self.events: list[Radio | Exchange] = []
        self.end: End = "failed"

    @property
    def exchanges(self) -> list[Exchange]:
        return [e for e in self.events if isinstance(e, Exchange)]

    @property
    def answers(self) -> int:
        return sum(e.response is not None for e in self.exchanges)

    def lines(self, *, with_numbers: bool = False) -> Iterator[dict[str, Any]]:
        yield {
            "trace": VERSION,
            "tool": f"faretap {__version__}",
            "reader": self.reader,
            "at": self.at.isoformat(timespec="seconds"),
            "numbers": "clear" if with_numbers else "masked",
        }
        for event in self.events:
            if isinstance(event, Radio):
                yield {"activated": _activated(event, with_numbers)}
                continue
            answer = event.response
            if answer is not None and not with_numbers:
                answer = masking.response(event.command, answer)
            yield {
                "command": event.command.hex(),
                "response": None if answer is None else answer.hex(),
                "ms": round(event.ms, 2),
            }
        yield {"end": self.end}

    def write(self, path: Path, *, with_numbers: bool = False) -> None:
        """Write the file anew, for its owner's eyes only. DeskError if that cannot be done."""
        text = "".join(json.dumps(x) + "\n" for x in self.lines(with_numbers=with_numbers))
        write_text(path, text, DeskError, secret=True)


def _activated(radio: Radio, with_numbers: bool) -> dict[str, str]:
    uid, ats = radio.uid, radio.ats
    if not with_numbers:
        uid, ats = masking.uid(uid), masking.ats(ats, radio.interface_bytes)
    return {
        "uid": uid.hex(),
        "atqa": f"{radio.atqa:04x}",
        "sak": f"{radio.sak:02x}",
        "ats": ats.hex(),
    }


class Recorder:
    """A channel that keeps a trace of what passes."""

    def __init__(
        self,
        transceive: Callable[[bytes], bytes],
        reset: Callable[[], Radio | None],
        trace: Trace,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._transceive = transceive
        self._reset = reset
        self._clock = clock
        self.trace = trace

    def transceive(self, command: bytes) -> bytes:
        started = self._clock()
        response: bytes | None = None
        try:
            response = self._transceive(command)
        finally:
            ms = (self._clock() - started) * 1000
            self.trace.events.append(Exchange(command, response, ms))
        return response

    def reset(self) -> bool:
        radio = self._reset()
        if radio is None:
            return False
        self.trace.events.append(radio)
        return True
