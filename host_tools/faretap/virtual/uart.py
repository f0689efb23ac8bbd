"""A UART of the chip: wires outside, pipes to the interpreter inside, and a real buffer limit.

What the firmware has not read yet stands in a pipe whose fill the kernel tells (FIONREAD), so
that the receive buffer overflows at exactly the byte at which the chip's does. What overflows is
dropped and counted, never delayed: a host has to respect the window.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import Callable

from .wire import Wire

# stdin_ringbuf_array[260] in ports/esp32/mphalport.c; py/ringbuf.h keeps one slot free.
CONSOLE_BUFFER = 259
# uart_driver_install() wants more than the FIFO (128); machine.UART defaults to 256.
DEFAULT_BUFFER = 256
FIFO = 128


def unread(fd: int) -> int:
    """Bytes in a pipe that nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


class Uart:
    """One UART. `peer` gets what the chip sends; `receive` is for what the peer sends.

    `installed` is false while no driver listens: received bytes are lost then, as on a chip.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        unpaced: bool,
        peer: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self.number = number
        self.peer = peer
        self.baud = 115200
        self.buffer = CONSOLE_BUFFER if number == 0 else DEFAULT_BUFFER
        self.installed = number == 0
        self.interrupt_byte: int | None = None
        self.on_interrupt: Callable[[], None] = lambda: None
        # What the line's bytes are to the firmware; None if somebody else has taken them.
        self.arrive: Callable[[bytes], bytes | None] = lambda data: data
        self.sent = self.received = self.dropped = 0
        self.rx = Wire(loop, self._to_chip, unpaced=unpaced)
        self.tx = Wire(loop, self._from_chip, unpaced=unpaced)
        self.tx.on_idle = self._listen
        self._rx_write = self._rx_probe = -1
        self._tx_read: list[int] = []
        self._listening = False

    def receive(self, data: bytes) -> None:
        """Bytes from the peer, which pass the wire at the line's rate."""
        self.rx.write(data)

    def set_baud(self, baud: int) -> None:
        """The chip's rate; a part on the wire follows, a host on UART0 has its own."""
        self.baud = self.tx.baud = baud
        if self.number:
            self.rx.baud = baud

    def status(self) -> dict[str, int]:
        """Rate, size of the receive buffer, and bytes counted since power came first."""
        return {
            "baud": self.baud,
            "buffer": self.buffer,
            "sent": self.sent,
            "received": self.received,
            "dropped": self.dropped,
        }

    # Pipes

    def connect(self, rx_write: int, rx_probe: int, tx_read: list[int]) -> None:
        """Take over the board's ends of the pipes to a fresh interpreter."""
        self._rx_write, self._rx_probe, self._tx_read = rx_write, rx_probe, tx_read
        for fd in [rx_write, *tx_read]:
            os.set_blocking(fd, False)
        self._listen()

    def disconnect(self) -> None:
        """Close them. What is on the wires stays there; see `reset`."""
        self._deaf()
        for fd in [self._rx_write, self._rx_probe, *self._tx_read]:
            if fd >= 0:
                os.close(fd)
        self._rx_write = self._rx_probe = -1
        self._tx_read = []

    def reset(self) -> None:
        """Power or EN went: both shift registers lose their content, settings are defaults."""
        self.rx.clear()
        self.tx.clear()
        self.defaults()

    def defaults(self) -> None:
        self.set_baud(115200)
        self.installed = self.number == 0
        self.interrupt_byte = 3 if self.number == 0 else None
        self.buffer = CONSOLE_BUFFER if self.number == 0 else DEFAULT_BUFFER

    def collect(self) -> None:
        """Put all that the interpreter has written on the wire (before a reset that waits)."""
        for fd in self._tx_read:
            while data := _read(fd, 65536):
                self.tx.write(data)

    def flush_input(self) -> None:
        """Discard what was received and not read (machine.UART does so on every init)."""
        if self._rx_probe >= 0:
            waiting = unread(self._rx_probe)
            if waiting:
                os.read(self._rx_probe, waiting)

    def _listen(self) -> None:
        # Only while the wire has nothing to carry: otherwise the pipe fills up, and the firmware
        # waits for the line as it would on a chip.
        if not self._listening and self._tx_read:
            self._listening = True
            for fd in self._tx_read:
                self._loop.add_reader(fd, self._readable, fd)

    def _deaf(self) -> None:
        if self._listening:
            self._listening = False
            for fd in self._tx_read:
                self._loop.remove_reader(fd)

    def _readable(self, fd: int) -> None:
        data = _read(fd, self.tx.slice_bytes)
        self._deaf()
        if data:
            self.tx.write(data)
        elif data is None:
            self._listen()
        else:
            # The interpreter is gone; the board hears of that by itself.
            self._tx_read.remove(fd)
            os.close(fd)
            self._listen()

    def _from_chip(self, data: bytes) -> None:
        self.sent += len(data)
        self.peer(data)

    def _to_chip(self, data: bytes) -> None:
        arrived = self.arrive(data)
        if arrived is None:
            return
        data = arrived
        if self.interrupt_byte is not None:
            count = data.count(self.interrupt_byte)
            if count:
                data = data.replace(bytes([self.interrupt_byte]), b"")
                self.on_interrupt()
        if self._rx_write < 0 or not self.installed:
            self.dropped += len(data)
            return
        room = max(0, self.buffer - unread(self._rx_probe))
        if room < len(data):
            self.dropped += len(data) - room
            data = data[:room]
        if data:
            try:
                taken = os.write(self._rx_write, data)
            except (BlockingIOError, BrokenPipeError):
                taken = 0
            self.received += taken
            self.dropped += len(data) - taken


def _read(fd: int, limit: int) -> bytes | None:
    """None if there is nothing now, b"" at the end of the stream."""
    try:
        return os.read(fd, limit)
    except BlockingIOError:
        return None
    except OSError:
        return b""
