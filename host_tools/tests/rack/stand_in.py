"""Stands in for an ESP32 emulator: a process with a flash file and three UARTs as TCP sockets.

    python stand_in.py FLASH UART0 UART1 UART2

Behind the sockets is a virtual validator whose pins lead there, with no parts of its own. As with
an emulator the sockets take one client each and do not wait for it, there are no reset lines, and
the flash file is all that survives.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path
from typing import Any

from faretap.sim.part import SerialPart
from faretap.virtual.board import VirtualBoard
from faretap.virtual.parts import default_parts


class Pins(SerialPart):
    """A UART's two pins, led to a TCP socket."""

    def __init__(self) -> None:
        super().__init__()
        self.writer: asyncio.StreamWriter | None = None

    def receive(self, data: bytes) -> None:
        if self.writer is not None:
            self.writer.write(data)

    async def serve(self, port: int) -> None:
        await _serve(port, self._client)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while data := await reader.read(4096):
            self.send(data)
        self.writer = None


class Console:
    """UART0 for the board: what its serial client is, without a rate."""

    name = "socket"
    lost = 0

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board
        self._writer: asyncio.StreamWriter | None = None

    @property
    def baud(self) -> int:
        return self._board.chip.console.baud

    def send(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        while data := await reader.read(4096):
            self._board.client_baud(self.baud)
            self._board.from_client(data)
        self._writer = None


async def _serve(port: int, client: Any) -> None:
    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            await client(reader, writer)
        writer.close()

    await asyncio.start_server(taken, "127.0.0.1", port)


async def main(flash: Path, ports: list[int]) -> None:
    pins = {1: Pins(), 2: Pins()}
    board = VirtualBoard(flash.parent, unpaced=True, parts={**default_parts(), **pins})
    console: Any = Console(board)
    for number, port in enumerate(ports[1:], 1):
        await pins[number].serve(port)
    await _serve(ports[0], console.client)
    print("stand-in runs", flush=True)

    def ready(url: str) -> None:
        board.client = console

    await board.run(ready)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
