"""A chip's own USB, which leaves the bus at each restart of the chip and comes back."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import serial
import serial.tools.list_ports

from faretap.devices import same_serial

BACK_S = 8.0  # a chip that restarts is back within two; the rest is for a busy host
_LOOK_S = 0.05
_GONE = (OSError, serial.SerialException, TypeError)  # TypeError: pyserial, closed under a read


class NativePort(serial.Serial):  # type: ignore[misc]
    """A serial port that outlives its device's absence, for up to `BACK_S` seconds.

    It comes back under whatever name the same USB serial number has then. While it is away a read
    gives nothing and a write waits. One thread reads, and looks for it; others may write.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._number = self._name = ""
        self._gone_at: float | None = None
        super().__init__(*args, **settings)

    def open(self) -> None:
        super().open()
        self._name = str(self.port)
        self._number = number_of(self._name) or self._number

    def read(self, size: int = 1) -> bytes:
        if self._gone_at is None:
            try:
                return bytes(super().read(size))
            except _GONE:
                self._left()
        self._look()
        return b""

    @property
    def in_waiting(self) -> int:
        if self._gone_at is None:
            with contextlib.suppress(*_GONE):
                return int(super().in_waiting)
        return 0

    def write(self, data: bytes) -> int:
        began = time.monotonic()
        while True:
            if self._gone_at is None:
                try:
                    return int(super().write(data))
                except _GONE:
                    pass  # who reads will notice too
            if time.monotonic() - began > BACK_S:
                raise serial.SerialException("it did not come back")
            time.sleep(_LOOK_S)

    def _left(self) -> None:
        self._gone_at = time.monotonic()
        with contextlib.suppress(*_GONE):
            self.close()

    def _look(self) -> None:
        """Open it again if it is back. SerialException if it stays away."""
        assert self._gone_at is not None
        name: str = port_of(self._number) if self._number else self._name
        if name:
            try:
                self.port = name
                self.open()
            except (OSError, ValueError, serial.SerialException):
                pass  # udev has not given it to us yet
            else:
                self._gone_at = None
                return
        if time.monotonic() - self._gone_at > BACK_S:
            raise serial.SerialException("it did not come back")
        time.sleep(_LOOK_S)


def number_of(device: str) -> str:
    """The USB serial number of a device, for `port_of`; "" if it has none."""
    real = os.path.realpath(device)
    for port in serial.tools.list_ports.comports():
        if os.path.realpath(port.device) == real:
            return same_serial(port.serial_number or "")
    return ""


def port_of(number: str) -> str:
    """The name that the device with this number has now; "" if it is not there."""
    for port in serial.tools.list_ports.comports():
        if same_serial(port.serial_number or "") == number:
            return str(port.device)
    return ""
