"""The serial client's end: RFC 2217 over one TCP connection, as a USB adapter at the board.

pyserial's PortManager does the protocol; this is the "serial port" it drives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from serial import rfc2217

_IAC = 0xFF


class SerialLines:
    """What PortManager sees as a serial port; `on_*` tell the board what the client changed."""

    def __init__(
        self,
        on_baud: Callable[[int], None],
        on_lines: Callable[[bool | None, bool | None], None],
        on_purge_output: Callable[[], None],
        on_break: Callable[[], None],
    ) -> None:
        self._on_baud, self._on_lines = on_baud, on_lines
        self._on_purge_output, self._on_break = on_purge_output, on_break
        self._baud = 115200
        self._dtr = self._rts = self._break = False
        self.bytesize = 8
        self.parity = "N"
        self.stopbits = 1
        self.xonxoff = self.rtscts = False
        # A three-wire board: nobody drives these.
        self.cts = self.dsr = self.ri = self.cd = False

    @property
    def baudrate(self) -> int:
        return self._baud

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        if not 50 <= baud <= 5_000_000:
            raise ValueError(f"no adapter runs at {baud} baud")
        self._baud = baud
        self._on_baud(baud)

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self._dtr = on
        self._on_lines(on, None)

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, on: bool) -> None:
        self._rts = on
        self._on_lines(None, on)

    @property
    def break_condition(self) -> bool:
        return self._break

    @break_condition.setter
    def break_condition(self, on: bool) -> None:
        if self._break and not on:
            self._on_break()
        self._break = on

    def reset_input_buffer(self) -> None:
        """Nothing waits here for the client: it is sent as soon as it leaves the chip."""

    def reset_output_buffer(self) -> None:
        self._on_purge_output()


class Telnet:
    """Takes the client's bytes, gives data and does the rest; `write` sends to the client."""

    def __init__(self, lines: SerialLines, write: Callable[[bytes], None]) -> None:
        self.write = write
        self._manager: Any = rfc2217.PortManager(lines, self)

    def data_of(self, received: bytes) -> Iterator[bytes]:
        """Serial data in `received`, in order with the commands between: one piece is given out
        before the command behind it takes effect."""
        manager = self._manager
        at = 0
        while at < len(received):
            if manager.mode == rfc2217.M_NORMAL and manager.suboption is None:
                # Whole runs at once; pyserial's filter goes byte by byte.
                command = received.find(_IAC, at)
                if command < 0:
                    command = len(received)
                if command > at:
                    yield received[at:command]
                    at = command
                    continue
            escaped = b"".join(manager.filter(received[at : at + 1]))
            at += 1
            if escaped:
                yield escaped

    @staticmethod
    def escape(data: bytes) -> bytes:
        return data.replace(b"\xff", b"\xff\xff")
