"""Opening a port, whatever kind it is, without resetting what is behind it.

A port string is `/dev/ttyUSB0` or `COM7` (a cable), `rfc2217://host:port` (a remote rack, or a
virtual validator), `socket://host:port` (an emulator's UART).
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from urllib.parse import urlsplit

import serial
import serial.tools.list_ports

from faretap.errors import PortError
from faretap.link.remote import RemotePort

DEFAULT_BAUD = 115200
_BUSY_S = 0.5


def open_port(port: str, baud: int = DEFAULT_BAUD) -> serial.SerialBase:
    """An open pyserial port with DTR and RTS released, reads that return after 20 ms.

    Raises PortError with the cause: absent, busy, no permission, nobody listening.
    """
    remote = port.startswith("rfc2217://")
    if remote or port.startswith("socket://"):
        _knock(port)
    try:
        if remote:
            return _open_remote(port, baud)
        device = serial.serial_for_url(port, do_not_open=True, timeout=0.02)
        device.baudrate = baud
        if not port.startswith("socket://"):
            device.exclusive = True
            device.write_timeout = 5
        device.open()
        if port.startswith("socket://"):
            # pyserial leaves it on, and each call would wait for the acknowledgement of the last.
            device._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            # The driver asserted both lines. RTS first: DTR alone pulls IO0, which only matters
            # at a reset, while RTS alone is the reset itself.
            with contextlib.suppress(OSError):  # a pseudo-terminal has no such lines
                device.rts = False
                device.dtr = False
    except (OSError, ValueError, serial.SerialException) as e:
        raise _port_error(port, e) from e
    return device


def _open_remote(port: str, baud: int) -> serial.SerialBase:
    deadline = time.monotonic() + _BUSY_S
    while True:
        device = RemotePort()
        device.port = port
        device.timeout = 0.02
        device.baudrate = baud
        # Nothing was asserted before, so nothing moves.
        device.dtr = False
        device.rts = False
        try:
            device.open()
        except serial.SerialException:
            # Whoever had it may just have closed it, and the server not yet noticed.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return device


def _knock(port: str) -> None:
    """See at once whether somebody listens; pyserial would only say that something failed."""
    parts = urlsplit(port)
    try:
        address = (parts.hostname or "", parts.port or 0)
    except ValueError as e:
        raise PortError(f"The port {port} is not host:port.", "Write rfc2217://HOST:PORT.") from e
    if not address[0] or not address[1]:
        raise PortError(
            f"The port {port} lacks a host or a port number.", "Write it as host:port."
        )
    if port.startswith("socket://"):
        return  # an emulator's UART takes one connection: do not use it up
    try:
        socket.create_connection(address, timeout=3).close()
    except OSError as e:
        raise _port_error(port, e) from e


def _port_error(port: str, e: Exception) -> PortError:
    number = getattr(e, "errno", None)
    text = str(e)
    if isinstance(e, ConnectionRefusedError) or "refused" in text.lower():
        return PortError(
            f"Nobody listens at {port}.",
            "Start it (faretap virtual --listen HOST:PORT) or check the port number.",
        )
    if isinstance(e, (socket.gaierror, TimeoutError)):
        return PortError(f"{port} cannot be reached: {text}.", "Check the host name.")
    if number == errno.ENOENT or "No such file" in text or "FileNotFound" in text:
        have = ", ".join(p.device for p in serial.tools.list_ports.comports()) or "none"
        return PortError(
            f"There is no port {port}.", f"Plug the validator in; ports here: {have}."
        )
    if number == errno.EACCES or "ermission" in text:
        return PortError(
            f"No permission to open {port}.",
            "Add yourself to the group that owns it (often dialout) and log in again.",
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "in use" in text:
        return PortError(
            f"{port} is in use by another program.", "Close that program and try again."
        )
    hung_up = port.startswith("rfc2217://") and ("roken pipe" in text or "reset by peer" in text)
    if "RFC2217" in text or "RFC 2217" in text or hung_up:
        return PortError(
            f"{port} is in use by another program, or does not speak RFC 2217.",
            "Close the other program, or check the address.",
        )
    if "protocol" in text and "not known" in text:
        return PortError(
            f"{port} is not a port.",
            "Use /dev/ttyUSB0, COM7, rfc2217://HOST:PORT, socket://HOST:PORT or virtual.",
        )
    return PortError(f"{port} cannot be opened: {text}.", "Check the cable and the port's name.")
