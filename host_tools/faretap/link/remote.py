"""pyserial's RFC 2217 port without its waits."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import serial
from serial import rfc2217
from serial.rfc2217 import DO, DONT, IAC, SB, SE, WILL, WONT

_MOST_UNREAD = 1 << 20  # bytes: beyond them a far end that floods overruns, as a UART does
_MOST_COMMAND = 4096  # bytes of a subnegotiation; RFC 2217's are shorter than 10
_LINE_S = 0.1  # pyserial's pause after a line that nobody confirms


class _Inbox:
    """What came and was not read yet, in pyserial's place for a queue of single bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._changed = threading.Condition()
        self._ended = False

    def put(self, data: bytearray) -> None:
        with self._changed:
            self._data += data[: max(0, _MOST_UNREAD - len(self._data))]
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        return self._ended

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


class RemotePort(rfc2217.Serial):  # type: ignore[misc]
    """An RFC 2217 port that asks the far end only for what the far end has to do.

    pyserial has every setting confirmed again, which takes 0.1 s, when a time-out changes or a
    rate is set that stands already; esptool does the one around many commands and the other with
    each of its objects. And it takes what comes byte by byte through a queue, which is most of the
    work of a call.

    Whatever server pyserial opens, this opens, with all options of pyserial's URL
    (`ign_set_control`, `timeout`, `poll_modem`, `logging`); one that never confirms a purge is
    taken as well, at the cost of one time-out.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._opening = False
        self._purges = True  # False: the far end has left one without an answer
        super().__init__(*args, **settings)

    def open(self) -> None:
        self._opening = True
        self._purges = True
        try:
            super().open()
        finally:
            self._opening = False

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
                    if len(came) - at > _MOST_COMMAND:
                        at += 2  # that is none
                        continue
                    break
                # pyserial trusts what it takes apart: a confirmation that nobody asked for, or
                # that is too short, would end this thread with a traceback.
                with contextlib.suppress(TypeError, IndexError, ValueError, KeyError):
                    option = came[at + 2 : end].replace(IAC + IAC, IAC)
                    self._telnet_process_subnegotiation(option)
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
            rfc2217.Serial.baudrate.fset(self, baud)

    def _update_dtr_state(self) -> None:
        if not self._opening:
            super()._update_dtr_state()

    def _update_rts_state(self) -> None:
        """Of the two that pyserial calls in `open`, the later one sets both lines there.

        Servers assert both for a new client (pyserial's own, Espressif's). RTS first, then: RTS
        alone is a reset. One whose client has said `ign_set_control` may take any order for the
        beginning of a reset (Espressif's does), so that its lines stay as they are, and
        both asserted hold no chip.
        """
        if not self._opening:
            super()._update_rts_state()
        elif not self._ignore_set_control_answer:
            for state, on, off in (
                (self._rts_state, rfc2217.SET_CONTROL_RTS_ON, rfc2217.SET_CONTROL_RTS_OFF),
                (self._dtr_state, rfc2217.SET_CONTROL_DTR_ON, rfc2217.SET_CONTROL_DTR_OFF),
            ):
                self.rfc2217_set_control(on if state else off)

    def rfc2217_set_control(self, value: bytes) -> None:
        if self._ignore_set_control_answer:
            self._rfc2217_options["control"].set(value)
            time.sleep(0 if self._opening else _LINE_S)
        elif not self._confirmed("control", value):
            raise serial.SerialException("timeout while waiting for option 'control'")

    def rfc2217_send_purge(self, value: bytes) -> None:
        if self._purges:
            try:
                self._purges = self._confirmed("purge", value)
            except ValueError:  # it answered with something else
                self._purges = False
        else:
            self._rfc2217_options["purge"].set(value)

    def _confirmed(self, name: str, value: bytes) -> bool:
        """Ask and wait until the far end confirms it; pyserial looks every 50 ms. ValueError if it
        answers with another value."""
        item = self._rfc2217_options[name]
        item.set(value)
        deadline = time.monotonic() + self._network_timeout
        while not item.is_ready():
            if time.monotonic() > deadline:
                return False
            if self._inbox.ended:
                raise serial.SerialException("connection failed (it was closed)")
            time.sleep(0.001)
        return True

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
