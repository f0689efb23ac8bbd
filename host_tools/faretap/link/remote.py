"""pyserial's RFC 2217 port without its waits."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import serial
import serial.rfc2217

_CONFIRM_S = 3.0


class RemotePort(serial.rfc2217.Serial):  # type: ignore[misc]
    """An RFC 2217 port that asks the far end only for what the far end has to do.

    pyserial has every setting confirmed again, which takes 0.1 s, when a time-out changes or a
    rate is set that stands already; esptool does the one around many commands and the other with
    each of its objects.
    """

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
