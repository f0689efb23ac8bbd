"""RFC 2217 servers to open: pyserial's own, Espressif's, and ones that leave things unanswered."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import serial
from serial.rfc2217 import PortManager

IAC, SE, SB, WILL, WONT, DO, DONT = b"\xff", b"\xf0", b"\xfa", b"\xfb", b"\xfc", b"\xfd", b"\xfe"
BINARY, ECHO, SGA, COM_PORT = 0, 1, 3, 44
SET_BAUD, SET_SIZE, SET_PARITY, SET_STOP, SET_CONTROL, PURGE = 1, 2, 3, 4, 5, 12
RTS_OFF, DTR_OFF, RTS_ON, DTR_ON = 12, 9, 11, 8


class Server:
    """Listens until closed; each connection is served by `serve(connection)` in its thread."""

    def __init__(self, host: str = "127.0.0.1", most: int | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self.port = int(self._socket.getsockname()[1])
        self.accepted = 0
        self._most = most
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, options: str = "") -> str:
        return f"rfc2217://127.0.0.1:{self.port}{options}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while self._most is None or self.accepted < self._most:
                connection, _ = self._socket.accept()
                self.accepted += 1
                self._open.append(connection)
                threading.Thread(target=self._served, args=(connection,), daemon=True).start()
            self._socket.close()

    def _served(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for one in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Scripted(Server):
    """Answers as told. `mute` are options of RFC 2217 that get no answer, `other` those that are
    answered with another value, `refuse` telnet options that are refused, `silent` ones to which
    nothing is said. `asked` collects (option, value)."""

    def __init__(
        self,
        mute: tuple[int, ...] = (),
        other: tuple[int, ...] = (),
        refuse: tuple[int, ...] = (),
        silent: tuple[int, ...] = (),
        **settings: Any,
    ) -> None:
        self.mute, self.other, self.refuse, self.silent = mute, other, refuse, silent
        self.asked: list[tuple[int, bytes]] = []
        super().__init__(**settings)

    def serve(self, connection: socket.socket) -> None:
        data = b""
        while got := connection.recv(999):
            data += got
            while data:
                used = self._one(connection, data)
                if not used:
                    break
                data = data[used:]

    def _one(self, connection: socket.socket, data: bytes) -> int:
        if data[:1] != IAC:
            return 1
        verb, option = data[1:2], data[2:3]
        if verb == SB:
            end = data.find(IAC + SE)
            if end < 0:
                return 0
            self._command(connection, data[3], data[4:end].replace(IAC + IAC, IAC))
            return end + 2
        if not option:
            return 0
        number = option[0]
        if number not in self.silent and verb in (WILL, DO):
            no = number in self.refuse
            yes = {WILL: DO, DO: WILL}[verb]
            connection.sendall(IAC + ({WILL: DONT, DO: WONT}[verb] if no else yes) + option)
        return 3

    def _command(self, connection: socket.socket, option: int, value: bytes) -> None:
        self.asked.append((option, value))
        if option in self.mute:
            return
        if option in self.other:
            value = bytes(b ^ 0x55 for b in value)
        answer = bytes((COM_PORT, option + 100)) + value.replace(IAC, IAC + IAC)
        connection.sendall(IAC + SB + answer + IAC + SE)

    def lines(self) -> list[int]:
        """What was told of DTR and RTS, in order."""
        told = [value[0] for option, value in self.asked if option == SET_CONTROL]
        return [one for one in told if one in (RTS_OFF, DTR_OFF, RTS_ON, DTR_ON)]


class Lines:
    """pyserial's loop:// as a cable that notes what happens to its lines."""

    def __init__(self) -> None:
        self.device = serial.serial_for_url("loop://", timeout=0.05)
        self.moves: list[Any] = []  # (DTR, RTS)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.device, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("device", "moves"):
            super().__setattr__(name, value)
            return
        setattr(self.device, name, value)
        if name in ("dtr", "rts"):
            self.moves.append((self.device.dtr, self.device.rts))


class Managed(Server):
    """pyserial's PortManager, or a subclass, before a looped cable: what is sent comes back.

    A new client finds both lines asserted, as in pyserial's example and in Espressif's server.
    """

    def __init__(self, make: Callable[..., Any] = PortManager) -> None:
        self._make = make
        self.cable = Lines()
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        lock = threading.Lock()

        class Out:
            def write(self, data: bytes) -> None:
                with lock:
                    connection.sendall(data)

        self.cable.rts = True
        self.cable.dtr = True
        self.cable.moves.clear()
        manager = self._make(self.cable, Out())
        while got := connection.recv(1024):
            data = b"".join(manager.filter(got))
            if data:
                self.cable.write(data)
                Out().write(b"".join(manager.escape(self.cable.read(len(data)))))
