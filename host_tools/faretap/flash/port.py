"""The port as esptool uses it: opened without moving a line, quick where it is remote."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import serial

from faretap.flash.errors import FlashError, on_connect
from faretap.link.port import open_port
from faretap.link.remote import RemotePort


def open_for_flashing(port: str, baud: int) -> Any:
    """An open pyserial port with DTR and RTS released. Raises PortError or FlashError."""
    if not port.startswith("rfc2217://"):
        return open_port(port, baud)
    device = RemotePort(baudrate=baud)
    try:
        device.port = port
        device.dtr = False
        device.rts = False
        device.open()
    except (serial.SerialException, OSError, ValueError) as e:
        raise _refused(port, e) from e
    return device


def _refused(port: str, e: Exception) -> FlashError:
    """Why `port` did not open; raises PortError where opening it plainly knows a better reason."""
    text = str(e)
    if re.search(r"refused|unreachable|resolve|known|timed out|expected a string", text, re.I):
        with contextlib.suppress(serial.SerialException, OSError, NotImplementedError):
            open_port(port).close()
        return on_connect(port, e)
    return FlashError(
        f"The port {port} is in use by another program, or is no RFC 2217 port.",
        "Close what uses it (a monitor, a test run) and try again.",
    )
