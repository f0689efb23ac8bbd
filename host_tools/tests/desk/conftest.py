"""A simulated PN532, opened as a technician's reader is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nfc.clf.transport
import pytest

from faretap.sim.chips.pn532 import Pn532
from faretap.sim.pty_line import PtyLine
from tests.desk.bench_reader import NFCPY_PATH, Bench


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    line = PtyLine(Pn532(time_scale=0.02))

    class Transport(nfc.clf.transport.TTY):  # type: ignore[misc]
        """nfcpy's own transport. A terminal drops what was written but not read when its port is
        closed, so each write waits until the chip has it; a UART's FIFO does the same."""

        @classmethod
        def find(cls, path: str) -> Any:
            # nfcpy looks for names in /dev only; a pseudo terminal lies one folder deeper.
            if path == NFCPY_PATH:
                return [line.path], "pn532", False
            return super().find(path)

        def __init__(self, port: str) -> None:
            self._total = line.taken
            super().__init__(port)

        def write(self, frame: bytes) -> None:
            super().write(frame)
            self._total += len(frame)
            line.wait_taken(self._total)

    monkeypatch.setattr(nfc.clf.transport, "TTY", Transport)
    yield Bench(line)
    line.close()
