"""One TCP port, two protocols: a client that greets is a bench, any other a serial port.

A bench greets with `FARETAP-BENCH 1` and a line feed. RFC 2217 clients send telnet options at
once, or wait for the server's; 300 ms of silence settle it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from . import rfc2217

if TYPE_CHECKING:
    from .bench_server import BenchSession
    from .board import VirtualBoard

GREETING = b"FARETAP-BENCH 1\n"
_SILENCE_S = 0.3
# What a USB adapter and its driver hold back before writes wait, and what they hold for a reader
# who does not read.
_HIGH, _LOW = 8192, 2048
_UNREAD = 512 * 1024


class SerialClient:
    """The one who holds the serial port: telnet outside, the board's UART0 wires inside."""

    def __init__(self, board: VirtualBoard, transport: asyncio.Transport, name: str) -> None:
        self._board = board
        self._transport = transport
        self.name = name
        self.lost = 0
        self.lines = rfc2217.SerialLines(
            board.client_baud,
            lambda dtr, rts: board.circuit.set(dtr, rts),
            lambda: board.chip.console.rx.clear(),
            lambda: None,  # a break is one framing error; the console takes no notice
        )
        self._telnet = rfc2217.Telnet(self.lines, transport.write)

    @property
    def baud(self) -> int:
        return self.lines.baudrate

    def received(self, data: bytes) -> None:
        for piece in self._telnet.data_of(data):
            self._board.from_client(piece)
        if self._board.chip.console.rx.pending > _HIGH:
            self._transport.pause_reading()
            self._resume_soon()

    def _resume_soon(self) -> None:
        self._board.loop.call_later(0.005, self._resume)

    def _resume(self) -> None:
        if self._transport.is_closing():
            return
        if self._board.chip.console.rx.pending > _LOW:
            self._resume_soon()
        else:
            self._transport.resume_reading()

    def send(self, data: bytes) -> None:
        if self._transport.get_write_buffer_size() > _UNREAD:
            self.lost += len(data)
        else:
            self._transport.write(self._telnet.escape(data))

    def close(self) -> None:
        self._transport.close()


class Connection(asyncio.Protocol):
    """Finds out who is calling, then hands all bytes to a SerialClient or a BenchSession."""

    def __init__(self, board: VirtualBoard, bench: Callable[[asyncio.Transport], BenchSession]):
        self._board = board
        self._make_bench = bench
        self._begin = b""
        self._timer: asyncio.TimerHandle | None = None
        self._handler: SerialClient | BenchSession | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer: Any = transport.get_extra_info("peername")
        self._name = f"{peer[0]}:{peer[1]}" if peer else "?"
        self._board.connections.add(self._transport)
        self._timer = self._board.loop.call_later(_SILENCE_S, self._is_serial)

    def data_received(self, data: bytes) -> None:
        if self._handler is not None:
            self._handler.received(data)
            return
        self._begin += data
        if self._begin.startswith(GREETING):
            self._settle(self._make_bench(self._transport), self._begin[len(GREETING) :])
        elif not GREETING.startswith(self._begin):
            self._is_serial()

    def _is_serial(self) -> None:
        holder = self._board.client
        if holder is not None:
            self._stop_timer()
            text = f"This virtual validator's serial port is in use by {holder.name}.\r\n"
            self._transport.write(text.encode())
            self._transport.close()
            return
        client = SerialClient(self._board, self._transport, self._name)
        self._board.client = client
        self._board.client_baud(client.baud)
        self._settle(client, self._begin)

    def _settle(self, handler: SerialClient | BenchSession, data: bytes) -> None:
        self._stop_timer()
        self._handler = handler
        if data:
            handler.received(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._board.connections.discard(self._transport)
        if isinstance(self._handler, SerialClient):
            self._board.client = None
            # The adapter lets go of both lines when its port is closed.
            self._board.circuit.set(False, False)
        elif self._handler is not None:
            self._handler.closed()
