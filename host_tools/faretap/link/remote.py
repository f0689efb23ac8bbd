"""pyserial's RFC 2217 port without its waits."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import serial
import serial.rfc2217
from serial.rfc2217 import DO, DONT, IAC, SB, SE, WILL, WONT

_CONFIRM_S = 3.0


class _Inbox:
    """What came and was not read yet, in pyserial's place for a queue of single bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._changed = threading.Condition()
        self._ended = False

    def put(self, data: bytearray) -> None:
        with self._changed:
            self._data += data
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def qsize(self) -> int:
        return len(self._data)

    def get(self, block: bool) -> None:
        """Throw away what is there, as pyserial does byte by byte."""
        with self._changed:
            self._data.clear()

    def take(self, size: int, timeout: float | None) -> bytes:
        """`size` bytes, or what came within `timeout` seconds. Raises SerialException once
        everything was taken that came before the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._data) >= size, timeout)
            if self._ended and size and not self._data:
                raise serial.SerialException("connection failed (it was closed)")
            taken = bytes(self._data[:size])
            del self._data[:size]
            return taken


class RemotePort(serial.rfc2217.Serial):  # type: ignore[misc]
    """An RFC 2217 port that asks the far end only for what the far end has to do.

    pyserial has every setting confirmed again, which takes 0.1 s, when a time-out changes or a
    rate is set that stands already; esptool does the one around many commands and the other with
    each of its objects. And it takes what comes byte by byte through a queue, which is most of the
    work of a call.
    """

    @property
    def _read_buffer(self) -> _Inbox:
        return self._inbox

    @_read_buffer.setter
    def _read_buffer(self, queue: object) -> None:
        self._inbox = _Inbox()

    def read(self, size: int = 1) -> bytes:
        if not self.is_open:
            raise serial.PortNotOpenError
        return self._inbox.take(size, self._timeout)

    def _telnet_read_loop(self) -> None:
        """What the reader thread does: data into the inbox, commands to pyserial."""
        line: socket.socket = self.__dict__["_socket"]
        came = b""
        try:
            while self.is_open:
                try:
                    data = line.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                came += data
                came = came[self._telnet(came) :]
        except OSError:
            pass  # closed, by this end or the other
        finally:
            self._inbox.end()

    def _telnet(self, came: bytes) -> int:
        """How many bytes of `came` were used; an unfinished command is left."""
        data = bytearray()
        at = 0
        while at < len(came):
            command = came.find(IAC, at)
            if command < 0:
                data += came[at:]
                at = len(came)
                break
            data += came[at:command]
            at = command
            verb = came[at + 1 : at + 2]
            if verb == IAC:
                data += IAC
                at += 2
                continue
            self._inbox.put(data)
            data = bytearray()
            if verb == SB:
                end = came.find(IAC + SE, at)
                while end >= 0 and (end - _first_of_run(came, end)) % 2:
                    end = came.find(IAC + SE, end + 2)  # a doubled byte of the option before it
                if end < 0:
                    break
                self._telnet_process_subnegotiation(came[at + 2 : end].replace(IAC + IAC, IAC))
                at = end + 2
            elif verb and verb in DO + DONT + WILL + WONT:
                if at + 2 >= len(came):
                    break
                self._telnet_negotiate_option(verb, came[at + 2 : at + 3])
                at += 3
            elif verb:
                self._telnet_process_command(verb)
                at += 2
            else:
                break
        if data:
            self._inbox.put(data)
        return at

    @property
    def timeout(self) -> float | None:
        return self._timeout  # type: ignore[no-any-return]

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    @property
    def write_timeout(self) -> None:
        """RFC 2217 has none."""
        return

    @write_timeout.setter
    def write_timeout(self, seconds: float | None) -> None:
        self._write_timeout = None

    @property
    def baudrate(self) -> int:
        return self._baudrate  # type: ignore[no-any-return]

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        if not (self.is_open and baud == self._baudrate):
            serial.rfc2217.Serial.baudrate.fset(self, baud)

    def rfc2217_set_control(self, value: bytes) -> None:
        self._confirmed("control", value)

    def rfc2217_send_purge(self, value: bytes) -> None:
        self._confirmed("purge", value)

    def _confirmed(self, name: str, value: bytes) -> None:
        """Ask and wait until the far end confirms it; pyserial looks every 50 ms."""
        item = self._rfc2217_options[name]
        item.set(value)
        deadline = time.monotonic() + _CONFIRM_S
        while not item.is_ready():
            if time.monotonic() > deadline:
                raise serial.SerialException(f"no answer for {name}")
            time.sleep(0.001)

    def close(self) -> None:
        """Close at once; pyserial waits 0.3 s for slow servers, `open_port` tries again."""
        self.is_open = False
        line: socket.socket | None = self.__dict__.get("_socket")
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                line.close()
        reader: threading.Thread | None = self.__dict__.get("_thread")
        if reader is not None and reader is not threading.current_thread():
            reader.join(7)
        self._socket = self._thread = None


def _first_of_run(data: bytes, at: int) -> int:
    """Where the run of IAC begins that reaches `at`."""
    while at and data[at - 1 : at] == IAC:
        at -= 1
    return at
