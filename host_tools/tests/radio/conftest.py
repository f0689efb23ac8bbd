"""A PN532 at a serial port that plays cards, before the antenna of another one: of a bare chip, or
of a virtual validator."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nfc.clf.transport
import pytest

from faretap.config import samples
from faretap.image.whole import whole_flash
from faretap.radio import Emulator, open_emulator
from faretap.session import Session, connect
from faretap.sim.chips.field import Air
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.pty_line import PtyLine
from faretap.virtual.board import VirtualBoard
from faretap.virtual.parts import default_parts


@contextlib.contextmanager
def nfcpy_waits_for(line: PtyLine) -> Iterator[None]:
    """A terminal drops what was written but not read when its port is closed, as nfcpy does to
    change the rate. A UART's FIFO does not: each write waits until the chip has it."""

    class Transport(nfc.clf.transport.TTY):  # type: ignore[misc]
        def __init__(self, port: str) -> None:
            self._total = line.taken
            super().__init__(port)

        def write(self, frame: bytes) -> None:
            super().write(frame)
            self._total += len(frame)
            line.wait_taken(self._total)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nfc.clf.transport, "TTY", Transport)
        yield


class Reader:
    """A bare reader chip in the thread of the card chip's line, and its host."""

    def __init__(self, line: PtyLine, chip: Pn532) -> None:
        self.line = line
        self.chip = chip
        self._sent = bytearray()
        self._came = threading.Condition()
        chip.attach(self._take, line.part.call_later)
        self.ask("14010000", wake=True)
        self.ask("3205FF01FF")

    def _take(self, data: bytes) -> None:
        with self._came:
            self._sent += data
            self._came.notify_all()

    def tell(self, command: str, wake: bool = False) -> None:
        body = bytes([0xD4]) + bytes.fromhex(command)
        wire = b"\x00\x00\xff" + bytes([len(body), -len(body) & 255]) + body
        wire += bytes([-sum(body) & 255, 0])
        self._sent.clear()
        start = bytes.fromhex("5555") + bytes(14) if wake else b""
        self.line.run(lambda: self.chip.receive(start + wire))

    def answer(self, seconds: float = 5.0) -> bytes:
        """The chip's response, from the response code on."""
        ack = bytes.fromhex("0000FF00FF00")

        def whole() -> bool:
            at = self._sent.find(b"\x00\x00\xff", len(ack))
            if at < 0 or len(self._sent) < at + 5:
                return False
            long = self._sent[at + 3 : at + 5] == b"\xff\xff"
            head = 8 if long else 5
            if len(self._sent) < at + head:
                return False
            size = self._sent[at + 5] << 8 | self._sent[at + 6] if long else self._sent[at + 3]
            self._body = bytes(self._sent[at + head + 1 : at + head + size])
            return len(self._sent) >= at + head + size + 2

        with self._came:
            assert self._came.wait_for(whole, seconds), bytes(self._sent).hex()
        return self._body

    def ask(self, command: str, seconds: float = 5.0, wake: bool = False) -> bytes:
        self.tell(command, wake)
        return self.answer(seconds)


@dataclass
class Bench:
    line: PtyLine
    reader: Reader
    emulator: Emulator


@pytest.fixture
def line() -> Iterator[PtyLine]:
    """The serial port of a card chip that nobody has opened yet."""
    line = PtyLine(Pn532(time_scale=0.1))
    with nfcpy_waits_for(line):
        yield line
    line.close()


@pytest.fixture
def bench(line: PtyLine) -> Iterator[Bench]:
    """A reader with a host in the test, and a card chip opened for cards."""
    assert isinstance(line.part, Pn532)
    chip = Pn532(time_scale=0.1)
    reader = Reader(line, chip)
    Air(chip, line.part)
    with open_emulator(line.path) as emulator:
        yield Bench(line, reader, emulator)


@dataclass
class Validator:
    """A virtual validator with the bench configuration, and the port of the PN532 on its
    antenna."""

    session: Session
    radio: str


class BoardThread:
    """A virtual board that runs in this process, with a card chip at a terminal before its
    reader."""

    def __init__(self, state: Path) -> None:
        reader, card = Pn532(paced=False), Pn532()
        self.line = PtyLine(card)
        board = VirtualBoard(state, unpaced=True, parts={**default_parts(), 1: reader})
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        ready = threading.Event()
        self.url = ""

        def is_ready(url: str) -> None:
            self.url = url
            ready.set()

        Air(reader, card, self._to_reader, self.line.run)
        self._thread = threading.Thread(target=self._run, args=(board, is_ready), daemon=True)
        self._thread.start()
        assert ready.wait(20), "the board does not start"

    def _to_reader(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the board is gone
            self._loop.call_soon_threadsafe(function)

    def _run(self, board: VirtualBoard, is_ready: Any) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(board.run(is_ready))
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        self._loop.close()
        self.line.close()


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validator]:
    state = tmp_path_factory.mktemp("radio")
    (state / "flash.bin").write_bytes(whole_flash("VIRTUAL"))
    board = BoardThread(state)
    try:
        with nfcpy_waits_for(board.line), connect(board.url, wait=15.0) as session:
            session.tell_time(always=True)
            session.forget_notifications()
            samples.provision(session.link)
            assert session.wait_for("hello", 15.0)
            session.await_running(10.0)
            session.tell_time(always=True)
            yield Validator(session, board.line.path)
    finally:
        board.close()
