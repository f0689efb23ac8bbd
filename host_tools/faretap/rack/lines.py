"""Parts that the bench plays on a validator's UART: over an adapter, or an emulator's socket."""

from __future__ import annotations

import contextlib
import heapq
import queue
import socket
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import serial

from faretap.link.port import open_port
from faretap.rack.file import RackError
from faretap.sim import cards
from faretap.sim.chips.gm65 import Gm65
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.part import SerialPart

_DO_S = 5.0


class WireError(RackError):
    """A part cannot be played."""


class PartLine:
    """A simulated part at the other end of `port`. One thread owns the part, another reads."""

    def __init__(self, part: SerialPart, port: str, what: str) -> None:
        self.part = part
        self.what = what
        self.broken = ""
        self._device = open_port(port, getattr(part, "baud", 115200))
        at_once(self._device)
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._closed = False
        part.attach(self._send, self._call_later)
        self._follow()
        self._threads = [
            threading.Thread(target=work, name=f"{what} {port}", daemon=True)
            for work in (self._run, self._read)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closed = True
        self._jobs.put(None)
        with contextlib.suppress(Exception):
            self._device.cancel_read()
        for thread in self._threads:
            thread.join(2)
        with contextlib.suppress(Exception):
            self._device.close()

    def do(self, function: Callable[[], Any]) -> Any:
        """Its result, made in the part's own thread. Raises what it raises, or WireError."""
        if self.broken:
            raise WireError(f"The line of the {self.what} broke: {self.broken}.")
        done: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()

        def job() -> None:
            try:
                done.put((function(), None))
            except Exception as e:
                done.put((None, e))

        self._jobs.put(job)
        try:
            result, error = done.get(timeout=_DO_S)
        except queue.Empty:
            raise WireError(f"The {self.what} does not react.") from None
        if error is not None:
            raise error
        return result

    # -- the part's thread -------------------------------------------------------------------

    def _call_later(self, delay: float, function: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), function))

    def _run(self) -> None:
        while True:
            wait = None
            if self._due:
                wait = max(0.0, self._due[0][0] - time.monotonic())
            try:
                job = self._jobs.get(timeout=wait)
                if job is None:
                    return
                job()
                self._follow()
            except queue.Empty:
                pass
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
                self._follow()

    def _follow(self) -> None:
        """The adapter runs at the part's rate; at another one both ends read garbage, as they
        should."""
        baud = getattr(self.part, "baud", self.part.line_baud)
        if baud != self.part.line_baud:
            self.part.set_line_baud(baud)
        if baud != self._device.baudrate:
            with contextlib.suppress(OSError, ValueError, serial.SerialException):
                self._device.flush()  # what is on its way leaves at the rate before
                self._device.baudrate = baud

    def _send(self, data: bytes) -> None:
        try:
            self._device.write(bytes(data))
        except (OSError, serial.SerialException) as e:
            self._broke(e)

    # -- the reader's thread -----------------------------------------------------------------

    def _read(self) -> None:
        device = self._device
        try:
            while not self._closed:
                data = device.read(1)
                if data:
                    data += _more(device)
                    self._jobs.put(lambda data=data: self.part.receive(data))  # type: ignore[misc]
        except (OSError, serial.SerialException, TypeError, AttributeError) as e:
            if not self._closed:
                self._broke(e)

    def _broke(self, e: Exception) -> None:
        if not self.broken:
            self.broken = str(e) or type(e).__name__


def _socket_of(device: Any) -> socket.socket | None:
    raw = getattr(device, "_socket", None)
    return raw if isinstance(raw, socket.socket) else None


def at_once(device: Any) -> None:
    """Small writes on a socket are not to wait for the answer to the one before."""
    raw = _socket_of(device)
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _more(device: Any) -> bytes:
    """What has come besides; pyserial counts at most one byte in a socket."""
    raw = _socket_of(device)
    if raw is None:
        waiting = device.in_waiting
        return bytes(device.read(waiting)) if waiting else b""
    with contextlib.suppress(BlockingIOError):
        return raw.recv(4096, socket.MSG_DONTWAIT)
    return b""


Opened = Callable[[str, Callable[[], PartLine]], PartLine]


class WireBench:
    """The hands of a bench for a validator whose parts are played from here; what
    `faretap.virtual.BenchClient` is for a virtual board, as far as taps need it.

    `reader`, `scanner`: their ports. `opened(part, make)` makes the line of a part.
    """

    def __init__(
        self, reader: str | None, scanner: str | None, opened: Opened = lambda part, make: make()
    ) -> None:
        self.lines: list[PartLine] = []
        self._reader = self._scanner = None
        try:
            if reader:
                self._reader = opened(
                    "reader", lambda: PartLine(Pn532(paced=False), reader, "reader chip")
                )
                self.lines.append(self._reader)
            if scanner:
                self._scanner = opened(
                    "scanner", lambda: PartLine(Gm65(paced=False), scanner, "scan engine")
                )
                self.lines.append(self._scanner)
        except BaseException:
            self.close()
            raise

    def present(self, card: str, **options: Any) -> None:
        line = self._needed(self._reader, "reader chip")
        moves = {key: options.pop(key) for key in ("lose_at_apdu", "lose") if key in options}
        try:
            made = cards.make(card, **options)
        except ValueError as e:
            raise WireError(f"This card cannot be presented: {e}.") from e
        part: Any = line.part
        line.do(lambda: part.field_present(made, **moves))

    def withdraw(self) -> None:
        line = self._needed(self._reader, "reader chip")
        part: Any = line.part
        line.do(part.field_remove)

    def scan(self, code: bytes | str, hold: float = 0.0) -> bool:
        line = self._needed(self._scanner, "scan engine")
        if isinstance(code, str):
            from faretap.sim import codes

            code = codes.make(code)
        part: Any = line.part
        shown = code
        return bool(line.do(lambda: part.scan(shown, hold)))

    def fault(self, name: str, **settings: Any) -> None:
        """Arm the fault of that id; with `clear=True` disarm it."""
        clear = settings.pop("clear", False)
        known = False
        for line in self.lines:
            faults: Any = getattr(line.part, "faults", None)
            if faults is None or name not in faults.known:
                continue
            known = True
            if clear:
                line.do(lambda faults=faults: faults.disarm(name))  # type: ignore[misc]
            else:
                line.do(lambda faults=faults: faults.arm(name, **settings))  # type: ignore[misc]
        if not known:
            raise WireError(f"No part that is played here has a fault {name!r}.")

    def clear_faults(self) -> None:
        for line in self.lines:
            faults = getattr(line.part, "faults", None)
            if faults is not None:
                line.do(faults.disarm)

    def power(self, on: bool) -> None:
        """The parts' supply."""
        for line in self.lines:
            line.do(lambda part=line.part: part.power(on))  # type: ignore[misc]

    def close(self) -> None:
        for line in self.lines:
            line.close()

    @staticmethod
    def _needed(line: PartLine | None, what: str) -> PartLine:
        if line is None:
            raise WireError(f"No {what} is played for this slot.", "See its table wire.")
        return line
