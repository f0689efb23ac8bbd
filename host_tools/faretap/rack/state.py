"""What a rack remembers between runs: which slots are in quarantine, what was flashed last.

It stands in a JSON file beside the rack file, written by a rename under a lock, so that several
processes can use one rack.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faretap.errors import FaretapError
from faretap.reading import STATE, read_json
from faretap.writing import locked, write_text

Slots = dict[str, dict[str, Any]]


class State:
    """`path` None: remembered by this object only."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._memory: Slots = {}

    def slots(self) -> Slots:
        """{slot: {"quarantine": {"reason", "since"}, "flashed": {"hash", "version", "when"}}}"""
        if self.path is None:
            return {name: dict(entry) for name, entry in self._memory.items()}
        try:
            read = read_json(self.path, STATE)["slots"]
        except (FaretapError, KeyError, TypeError):
            return {}  # none yet; a damaged one holds nothing that cannot be found again
        if not isinstance(read, dict):
            return {}
        return {name: entry for name, entry in read.items() if isinstance(entry, dict)}

    def quarantined(self) -> dict[str, str]:
        """{slot: reason}"""
        return {
            name: str(entry["quarantine"].get("reason", ""))
            for name, entry in self.slots().items()
            if isinstance(entry.get("quarantine"), dict)
        }

    def quarantine(self, slot: str, reason: str) -> None:
        with self._change() as slots:
            slots.setdefault(slot, {})["quarantine"] = {"reason": reason, "since": _now()}

    def release(self, slot: str) -> bool:
        """Whether it was in quarantine."""
        with self._change() as slots:
            return slots.get(slot, {}).pop("quarantine", None) is not None

    def flashed(self, slot: str) -> dict[str, Any]:
        """{"hash", "version", "when"} of what was flashed last; {} if that is not known."""
        entry = self.slots().get(slot, {}).get("flashed")
        return entry if isinstance(entry, dict) else {}

    def set_flashed(self, slot: str, hash: str, version: str) -> None:
        with self._change() as slots:
            slots.setdefault(slot, {})["flashed"] = {
                "hash": hash,
                "version": version,
                "when": _now(),
            }

    @contextlib.contextmanager
    def _change(self) -> Iterator[Slots]:
        if self.path is None:
            yield self._memory
            return
        with locked(self.path.with_suffix(".lock")):
            slots = self.slots()
            yield slots
            text = json.dumps({"format": 1, "slots": slots}, indent=1, ensure_ascii=False) + "\n"
            write_text(self.path, text)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
