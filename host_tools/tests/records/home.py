"""A validator's journal, as the firmware keeps it on simulated flash, and a link to it."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Any

from flash_sim import FlashSim  # type: ignore[import-not-found]
from validator.calls_records import RecordCalls
from validator.link.peer import RpcError
from validator.store import record
from validator.store.journal import Journal

SERIAL = "24dcc399a2b4"


class Device:
    """`append` makes records, `link.call` and `source` are the firmware's own calls."""

    def __init__(self, serial: str = SERIAL, *, line: str = "300") -> None:
        self.serial = serial
        self.line = line
        self.lies: dict[str, Any] = {}
        """Answers that are not the firmware's."""
        self.link = self
        self.erase()

    def erase(self) -> None:
        self.flash = FlashSim(8)
        self.start()

    def start(self) -> None:
        self.journal: Any = Journal(self.flash)
        self.journal.mount()
        app = types.SimpleNamespace(journal=self.journal, journal_fault="")
        self.calls: Any = RecordCalls(app)

    def append(self, count: int, **more: Any) -> None:
        for _ in range(count):
            seq = self.journal.next_seq
            body = record.encode(
                {
                    "seq": seq,
                    "time": 1893456000 + seq,
                    "clock_trusted": True,
                    "test": True,
                    "medium": "tunion",
                    "outcome": "declined",
                    "reason": "unverified",
                    "token": bytes([seq % 256]) * 8,
                    "phases": {"detect": 1, "select": 2, "read": 3, "verify": 4, "decide": 5},
                    "boot": 3,
                    "uptime": 1000 * seq,
                    "line": self.line,
                    **more,
                }
            )
            assert self.journal.append(body) == seq

    def skip(self) -> None:
        """A power cut in the last bytes of an entry: its number is not used again."""
        self.append(1, token=bytes(8))
        last = self.journal.next_seq - 1
        self._spoil(last)
        self.start()

    def _spoil(self, seq: int) -> None:
        ring = self.journal._ring
        for at, _, number, n in ring.walk(ring.head, self.journal._seed):
            if number == seq:
                place = ring.head * ring.size + at + 16 + n
                self.flash.data[place : place + 4] = bytes(4)
                return
        raise AssertionError(seq)

    def rot(self, seq: int) -> None:
        """The flash loses a record that has others behind it."""
        self._spoil(seq)

    def call(self, method: str, params: dict[str, Any] | None = None, **_: Any) -> Any:
        if method in self.lies:
            return self.lies[method]
        if method == "info":
            return {"serial": self.serial}
        name = method.removeprefix("records.")
        answer = getattr(self.calls, name)(params or {})
        return json.loads(json.dumps(answer))

    def pull(self, session: Any, kind: str, header: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
        assert session is self and kind == "records"
        for cursor, piece in self.calls.source(header):
            yield cursor, bytes(piece)


__all__ = ["SERIAL", "Device", "RpcError"]
