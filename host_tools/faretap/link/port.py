"""Opening a port, whatever kind it is, without resetting what is behind it.

A port string is `/dev/ttyUSB0` or `COM7` (a cable), `rfc2217://host:port` (a remote rack, or a
virtual validator), `socket://host:port` (an emulator's UART); `hwgrep://` and `spy://` are
pyserial's names for a cable.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import time

import serial
import serial.tools.list_ports

from faretap import address
from faretap.devices import group_of, stolen_adapter
from faretap.errors import PortError
from faretap.link.native import NativePort
from faretap.link.remote import RemotePort
from faretap.link.tcp import SocketPort

DEFAULT_BAUD = 115200
FAST_BAUD = 460800  # for flashing; where the line is dead at it, lower ones are tried
_BUSY_S = 0.5
_ESPRESSIF = 0x303A  # USB of the chip's own: 1001 the USB-Serial-JTAG, 4001 MicroPython's TinyUSB
_NOWHERE = (ConnectionRefusedError, socket.gaierror, TimeoutError)


def open_port(
    port: str, baud: int = DEFAULT_BAUD, *, returning: bool = False
) -> serial.SerialBase:
    """An open pyserial port with reads that return after 20 ms.

    DTR and RTS are released, as a reset circuit has to see them; on the USB of a chip's own they
    are asserted, both together, which resets nothing: there DTR says that somebody listens. With
    `returning`, such a port outlives the chip's restarts (`NativePort`).

    Raises PortError with the cause: absent, busy, no permission, nobody listening.
    """
    port = address.normal(port)
    kind = address.kind(port)
    if kind in address.REMOTE:
        address.host_and_number(port)
    elif kind in ("virtual", "loop"):
        raise PortError(
            f"There is no validator behind {port} that this command could open.",
            "Start one (faretap virtual) and take the port that it names.",
        )
    try:
        if kind == "rfc2217":
            return _open_remote(port, baud)
        native = False
        if kind == "socket":
            device = SocketPort(None, timeout=0.02)
            device.port = port
        else:
            device = serial.serial_for_url(port, do_not_open=True, timeout=0.02)
            native = native_usb(str(device.port or ""))
        if native and returning:
            name, device = device.port, NativePort(timeout=0.02)
            device.port = name
        device.baudrate = baud
        device.write_timeout = 5
        if kind != "socket":
            device.exclusive = True
        device.open()
        if kind == "socket":
            # pyserial leaves it on, and each call would wait for the acknowledgement of the last.
            device._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif not native:
            # The driver asserted both lines. RTS first: DTR alone pulls IO0, which only matters
            # at a reset, while RTS alone is the reset itself.
            with contextlib.suppress(OSError):  # a pseudo-terminal has no such lines
                device.rts = False
                device.dtr = False
    except (OSError, ValueError, re.error, serial.SerialException) as e:
        raise _port_error(port, e) from e
    return device


def native_usb(device: str) -> bool:
    """Is this device the USB of an ESP32 chip's own, without an adapter between?

    Where the system does not say whose it is (a container without /sys), a CDC device is taken
    for one: lines that are both asserted hold no chip, while a chip's own USB loses bytes
    without DTR.
    """
    real = os.path.realpath(device)
    vendors = [
        port.vid
        for port in serial.tools.list_ports.comports()
        if os.path.realpath(port.device) == real
    ]
    known = [vendor for vendor in vendors if vendor is not None]
    return _ESPRESSIF in known or (not known and real.startswith("/dev/ttyACM"))


def _open_remote(port: str, baud: int) -> serial.SerialBase:
    deadline = time.monotonic() + _BUSY_S
    while True:
        device = RemotePort()
        device.port = port
        device.timeout = 0.02
        device.baudrate = baud
        device.dtr = False
        device.rts = False
        try:
            device.open()
        except serial.SerialException as e:
            # Whoever had it may just have closed it, and the server not yet noticed.
            if isinstance(e.__context__, _NOWHERE) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return device


def _port_error(port: str, e: Exception) -> PortError:
    text = str(e)
    remote = address.kind(port) == "rfc2217"
    if isinstance(e, serial.SerialException) and isinstance(e.__context__, OSError):
        e = e.__context__  # pyserial says only that something failed
    number = getattr(e, "errno", None)
    if isinstance(e, ConnectionRefusedError) or "refused" in text.lower():
        return PortError(
            f"Nobody listens at {port}.",
            "Start it (faretap virtual --listen HOST:PORT) or check the port number.",
        )
    if isinstance(e, (socket.gaierror, TimeoutError)):
        why = e.strerror or text
        return PortError(f"{port} cannot be reached: {why}.", "Check the host name.")
    if remote and (found := _remote_error(port, text)):
        return found
    if number == errno.ENOENT or re.search("No such file|FileNotFound|no ports", text):
        have = ", ".join(p.device for p in serial.tools.list_ports.comports()) or "none"
        return PortError(
            f"There is no port {port}.",
            f"{_meant(port)}{stolen_adapter()}Plug the validator in; ports here: {have}.",
        )
    if number == errno.EACCES or "ermission" in text:
        return PortError(
            f"No permission to open {port}.",
            f"Add yourself to the group that owns it ({group_of(port)}) and log in again.",
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "in use" in text:
        return PortError(
            f"{port} is in use by another program.",
            "Close that program and try again. (ModemManager lets go of a port that was just "
            "plugged in after some seconds.)",
        )
    hung_up = remote and re.search("roken pipe|reset by peer|closed", text)
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


def _remote_error(port: str, text: str) -> PortError | None:
    """Of a server that answers, but not as RFC 2217 has it."""
    if "'control'" in text:
        mark = "&" if "?" in port else "?"
        return PortError(
            f"The server of {port} does not confirm DTR and RTS.",
            f"Take the port {port}{mark}ign_set_control, as for Espressif's esp_rfc2217_server.",
        )
    if "parameter change" in text or "remote rejected" in text:
        return PortError(
            f"The server of {port} does not take the line's settings (rate, 8N1).",
            "Does it keep a fixed rate? If it is only slow, add ?timeout=10 to the port.",
        )
    if "expected a string in the form" in text:
        why = text.rpartition(']]": ')[2]
        return PortError(
            f"The port {port} is written wrongly: {why}.",
            "Options behind ? are ign_set_control, timeout=SECONDS, poll_modem, logging=LEVEL.",
        )
    return None


def _meant(port: str) -> str:
    """A hint for an address without a scheme, or with one slash."""
    found = re.fullmatch(r"(?:(rfc2217|socket):/?)?([^/]+:[0-9]+)", port, re.IGNORECASE)
    return f"If it is an address, write {found[1] or 'rfc2217'}://{found[2]}. " if found else ""
