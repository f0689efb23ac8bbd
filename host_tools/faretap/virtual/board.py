"""The virtual validator: a chip, what is soldered to it, and the port it is reached by.

A board in everything but silicon. From outside it is a serial port (RFC 2217) with a reset line,
and for the bench a second door on the same TCP port.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from faretap.address import bracketed
from faretap.errors import FaretapError
from faretap.reading import STATE, read_json
from faretap.sim.chips.uart import resample
from faretap.sim.part import SerialPart
from faretap.writing import write_text

from . import parts as parts_module
from .bench_server import BenchSession
from .chip import HEAP, Chip
from .connection import Connection, SerialClient
from .flash import SIZE, Flash, FlashError
from .kept import Kept
from .parts import Refused
from .reset_circuit import ResetCircuit
from .ssd1306 import ADDRESS as DISPLAY_ADDRESS
from .ssd1306 import Ssd1306


class BoardError(Exception):
    """Why a virtual validator cannot start: one sentence with the next step."""


class VirtualBoard:
    """`state` is the board's folder: its flash, and what makes it this board and no other.

    `heap`: what MicroPython has left on the chip, in the chip's bytes.
    `unpaced`: bytes do not take the time that the baud rate says; buffers overflow all the same.
    `parts`: what hangs on which UART.
    Raises BoardError if the folder is in use or is no board's.
    """

    i2c_addresses = [DISPLAY_ADDRESS]

    def __init__(
        self,
        state: Path,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        heap: int = HEAP,
        unpaced: bool = False,
        flash_size: int = SIZE,
        parts: Mapping[int, SerialPart] | None = None,
    ) -> None:
        # The interpreter is started elsewhere, and has to find its files there.
        self._state = state = state.resolve()
        self._kept = Kept(state / "card")
        self._listen = listen
        self._heap = heap
        self._unpaced = unpaced
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(state)
        except OSError as e:
            raise BoardError(
                f"The board's folder {state} cannot be used ({e.strerror}): name another one."
            ) from None
        try:
            self.flash = Flash(state / "flash.bin", flash_size)
            self.mac = _identity(state / "board.json")
        except ValueError as e:
            self._lock.close()
            raise BoardError(f"The board in {state} is damaged: {e}.") from None
        except FaretapError as e:
            self._lock.close()
            raise BoardError(str(e)) from None
        except OSError as e:
            self._lock.close()
            raise BoardError(
                f"The board's folder {state} cannot be used ({e.strerror}): name another one."
            ) from None
        self._parts = dict(parts) if parts is not None else parts_module.default_parts()
        self._reset_low = False
        self.display = Ssd1306()
        self.connections: set[asyncio.Transport] = set()
        self.benches: set[BenchSession] = set()
        self.client: SerialClient | None = None
        self.port = 0

    async def run(self, ready: Callable[[str], None] | None = None) -> None:
        """Serve until cancelled. `ready(url)` is called once the port is open and power is on.

        Raises BoardError if the TCP port is taken.
        """
        loop = self.loop = asyncio.get_running_loop()
        self.circuit = ResetCircuit(loop, lambda level: self.chip.enable(level))
        self.chip = Chip(
            loop,
            self.flash,
            self.mac,
            self._state / "run",
            self._heap,
            self._unpaced,
            self._parts,
            self,
        )
        for uart in self.chip.uarts[1:]:
            self._parts[uart.number].attach(uart.receive, loop.call_later)
        host, port = self._listen
        try:
            server = await loop.create_server(
                lambda: Connection(self, lambda transport: BenchSession(self, transport)),
                host,
                port,
            )
        except OSError as e:
            self._close()
            raise BoardError(
                f"Cannot listen on {host}:{port} ({os.strerror(e.errno or 0)}): "
                "take another port, or port 0 for any free one."
            ) from None
        sock: socket.socket = server.sockets[0]
        self.port = sock.getsockname()[1]
        try:
            self.power(True)
            if ready is not None:
                ready(f"rfc2217://{bracketed(host)}:{self.port}")
            await loop.create_future()
        finally:
            server.close()
            for transport in list(self.connections):
                transport.close()
            self.chip.power(False)
            self._close()

    def _close(self) -> None:
        shutil.rmtree(self._state / "run", ignore_errors=True)
        shutil.rmtree(self._state / "card", ignore_errors=True)
        self.flash.close()
        self._lock.close()

    # The chip's surroundings (see chip.Surroundings)

    def strap_low(self) -> bool:
        return self.circuit.strap_low

    def console_out(self, data: bytes) -> None:
        self.event("console", hex=data.hex())
        client = self.client
        if client is not None:
            client.send(resample(data, self.chip.console.baud, client.baud))

    def uart_out(self, number: int, data: bytes) -> None:
        self._parts[number].receive(data)

    def uart_baud(self, number: int, baud: int) -> None:
        self._parts[number].set_line_baud(baud)

    def i2c_write(self, address: int, data: bytes) -> None:
        if address == DISPLAY_ADDRESS:
            self.display.write(data)

    def event(self, name: str, **what: Any) -> None:
        if name == "pin" and what["pin"] == parts_module.READER_RESET_PIN:
            self._reader_reset(what["level"])
        elif name == "pin" and what["pin"] == parts_module.PSAM_RESET_PIN:
            slot = self._parts.get(parts_module.PSAM_UART)
            if slot is not None and hasattr(slot, "reset"):
                slot.reset(what["level"])
        for bench in self.benches:
            bench.event(name, **what)

    def _reader_reset(self, level: int) -> None:
        """The reader's RSTPD_N follows its pin; letting it go starts the chip anew."""
        if level and self._reset_low:
            for part in self._parts.values():
                if hasattr(part, "field_present") and hasattr(part, "reset"):
                    part.reset()
        self._reset_low = not level

    # The serial client

    def from_client(self, data: bytes) -> None:
        if self.chip.powered and self.circuit.enabled:
            self.chip.console.receive(data)

    def client_baud(self, baud: int) -> None:
        self.chip.console.rx.baud = baud

    # What the bench does

    def power(self, on: bool) -> None:
        if on == self.chip.powered:
            return
        if not on:
            self.chip.power(False)
            self.display.reset()
        for part in self._parts.values():
            part.power(on)
        if on:
            self.chip.power(True)

    def reset(self) -> None:
        """A pulse on EN."""
        if not self.chip.powered:
            raise Refused("The board is switched off.")
        if not self.circuit.enabled:
            raise Refused("The serial client holds the board in reset (RTS).")
        self.chip.enable(False)
        self.chip.enable(True)

    def status(self) -> dict[str, Any]:
        chip, client = self.chip, self.client
        return {
            "power": chip.powered,
            "state": chip.mode,
            "boot": "download" if chip.in_rom else "run",
            "mac": self.mac.hex(":"),
            "flash_size": self.flash.size,
            "uptime_ms": int(chip.uptime_s * 1000),
            "pid": chip.pid,
            "serial_client": client.name if client else None,
            "serial_baud": client.baud if client else None,
            "serial_lost": client.lost if client else 0,
            "dtr": self.circuit.dtr,
            "rts": self.circuit.rts,
            "parts": {str(n): type(p).__name__ for n, p in self._parts.items()},
            "uarts": {str(uart.number): uart.status() for uart in chip.uarts},
            **chip.counters,
        }

    def present(self, name: str, options: dict[str, Any], keep: dict[str, Any]) -> None:
        """Put a card on the reader. `lose_at_apdu` and `lose` go to the field, the rest makes
        the card. `keep`, see kept.py: whether its APDUs are written down, what a purse has in
        it."""
        reader = parts_module.with_method(self._parts, "field_present", "card reader")
        moves = _moves(options)
        files = self._kept.begin(keep)
        reader.field_present(parts_module.card(name, options, **files), **moves)

    def kept(self) -> dict[str, Any]:
        """Of the card that was presented last: its APDUs, what the purse has in it."""
        return self._kept.read()

    def withdraw(self) -> None:
        parts_module.with_method(self._parts, "field_remove", "card reader").field_remove()

    def scan(self, code: bytes, hold: float) -> bool:
        """Show a code to the scan engine, for `hold` seconds; whether it read it at once."""
        engine = parts_module.with_method(self._parts, "scan", "scan engine")
        return bool(engine.scan(code, hold))

    def fault(self, settings: dict[str, Any]) -> None:
        """Arm a part's fault, {"q": "Q20", options...}, or disarm it, {"q": "Q20", "clear": true};
        {"clear": true} alone disarms all."""
        name = settings.pop("q", None)
        clear = settings.pop("clear", False)
        suffering = [p.faults for p in self._parts.values() if hasattr(p, "faults")]
        if clear and name is None:
            for faults in suffering:
                faults.disarm()
            return
        if not isinstance(name, str):
            raise Refused('A fault needs "q", its id in the fault catalogue.')
        known = [faults for faults in suffering if name in faults.known]
        if not known:
            names = sorted(name for faults in suffering for name in faults.known)
            raise Refused(
                f"No part of this board has a fault {name!r}; known: {', '.join(names)}."
            )
        for faults in known:
            try:
                faults.disarm(name) if clear else faults.arm(name, **settings)
            except ValueError as e:
                raise Refused(f"{e}.") from None

    def drive_pin(self, pin: int, level: int) -> None:
        self.chip.drive_pin(pin, level)

    def read_flash(self, address: int, length: int) -> dict[str, Any]:
        """Up to 64 KB of flash, as hex."""
        try:
            return {"hex": self.flash.read(address, min(length, 65536)).hex()}
        except FlashError as e:
            raise Refused(f"{e}.") from None


def _moves(options: dict[str, Any]) -> dict[str, Any]:
    """What a rider does with the card, out of `options`."""
    moves: dict[str, Any] = {}
    if "lose_at_apdu" in options:
        at = moves["lose_at_apdu"] = options.pop("lose_at_apdu")
        if type(at) is not int or not 1 <= at <= 1000:
            raise Refused("lose_at_apdu has to be a number from 1 to 1000.")
    if "lose" in options:
        moves["lose"] = options.pop("lose")
        if moves["lose"] not in ("before", "after"):
            raise Refused("lose has to be before or after.")
    return moves


def _lock(state: Path) -> IO[str]:
    """Hold the folder for this process. Raises BoardError if another has it."""
    file = (state / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise BoardError(
            f"The board in {state} is running already ({holder}): "
            "stop that one, or give this one a folder of its own."
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
    return file


def _identity(path: Path) -> bytes:
    """The MAC address burnt into this board; made when the board is."""
    if not path.exists():
        # Locally administered, unicast: no manufacturer's number is used up.
        mac = b"\x02\xfa" + os.urandom(4)
        write_text(path, json.dumps({"mac": mac.hex(":")}) + "\n")
        return mac
    try:
        mac = bytes.fromhex(read_json(path, STATE)["mac"].replace(":", ""))
        if len(mac) != 6:
            raise ValueError
        return mac
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BoardError(f"{path} is damaged: it has to hold the board's MAC address.") from None
