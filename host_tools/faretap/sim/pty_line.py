"""A simulated part at the end of a pseudo terminal, for programs that open a serial port."""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable
from itertools import count

from .part import SerialPart

_RATES = {
    getattr(termios, f"B{rate}"): rate
    for rate in (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
    if hasattr(termios, f"B{rate}")
}


class PtyLine:
    """A part at the master end of a pseudo terminal; `path` is the serial port to open.

    One thread carries the bytes and makes the part's later calls, in real time. The part learns
    the line's rate from the terminal's settings, as a wire would tell it.
    """

    def __init__(self, part: SerialPart) -> None:
        self.part = part
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._moved = threading.Condition()
        self.taken = 0  # bytes that the part has got since the beginning
        self._wake_read, self._wake_write = os.pipe()
        self._stopping = False
        part.attach(lambda data: _write_all(self._master, data), self._call_later)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join(5)
        for fd in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(fd)

    def run(self, function: Callable[[], None]) -> None:
        """Call `function` in the part's own thread (a card comes, a card goes), and wait."""
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        self._call_later(0.0, call)
        os.write(self._wake_write, b"x")
        if not done.wait(5):
            raise TimeoutError("the line is closed or its part hangs")

    def wait_taken(self, total: int) -> None:
        """Until the part has got `total` bytes: a real line is drained in its own time."""
        with self._moved:
            if not self._moved.wait_for(lambda: self.taken >= total, 5):
                raise TimeoutError(f"the part took {self.taken} of {total} bytes")

    def _call_later(self, delay: float, function: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (time.monotonic() + delay, next(self._order), function))

    def _run(self) -> None:
        while not self._stopping:
            wait = 1.0
            if self._calls:
                wait = max(0.0, self._calls[0][0] - time.monotonic())
            ready, _, _ = select.select([self._master, self._wake_read], [], [], wait)
            if self._wake_read in ready:
                os.read(self._wake_read, 64)
            if self._master in ready:
                self._take()
            while self._calls and self._calls[0][0] <= time.monotonic():
                heapq.heappop(self._calls)[2]()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            data = os.read(self._master, 4096)
            speed = termios.tcgetattr(self._slave)[5]
            self.part.set_line_baud(_RATES.get(speed, 115200))
            self.part.receive(data)
            with self._moved:
                self.taken += len(data)
                self._moved.notify_all()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
