"""A card whose APDUs are written down as they happen.

The file is the one of `faretap card dump`: JSON lines, a head, `activated` at each activation, a
`command` with its `response` and the milliseconds that it took. It holds the card's numbers in
clear: it is for simulated cards.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faretap.errors import FaretapError
from faretap.writing import append_line, write_text

from .card import Card


class Traced:
    """`card`, with a trace in the file `path`, which is written anew."""

    def __init__(self, card: Card, path: Path, name: str = "") -> None:
        self._card = card
        self._path = path
        self._activated = False
        self._mirror()
        try:
            write_text(path, "", durable=False)
        except FaretapError as e:
            raise ValueError(f"no trace can be written: {e}") from None
        self._write(
            {
                "trace": 1,
                "tool": "faretap",
                "reader": f"simulated {name}".strip(),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "numbers": "clear",
            }
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._card, name)

    def _mirror(self) -> None:
        card = self._card
        self.uid, self.atqa, self.sak = card.uid, card.atqa, card.sak
        self.ats, self.seconds = card.ats, card.seconds

    def apdu(self, command: bytes) -> bytes:
        if not self._activated:
            self._activated = True
            self._write(
                {
                    "activated": {
                        "uid": self.uid.hex(),
                        "atqa": f"{self.atqa:04x}",
                        "sak": f"{self.sak:02x}",
                        "ats": self.ats.hex(),
                    }
                }
            )
        started = time.perf_counter()
        response = self._card.apdu(command)
        ms = (time.perf_counter() - started) * 1000
        self._write(
            {
                "command": bytes(command).hex(),
                "response": response.hex() or None,
                "ms": round(ms, 2),
            }
        )
        return response

    def power_off(self) -> None:
        self._activated = False
        self._card.power_off()
        self._mirror()

    def _write(self, line: dict[str, Any]) -> None:
        append_line(self._path, json.dumps(line))
