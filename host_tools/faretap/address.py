"""Port strings taken apart: what kind of port it is, and where it leads.

A port string is a device's name (`/dev/ttyUSB0`, `COM7`), `virtual`, `virtual:DIR`, or a URL of
pyserial's. Schemes are taken in any case, as pyserial takes them. Names of devices have colons in
them (`/dev/serial/by-path/pci-0000:00:14.0-usb-0:1.3:1.0-port0`): nobody but this module splits a
port string.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from faretap.errors import PortError

REMOTE = ("rfc2217", "socket")  # what leads to a host and a TCP port
DEVICE = "serial"
VIRTUAL = "virtual"


def kind(port: str) -> str:
    """`serial` for a device of this machine, `virtual`, or a URL's scheme in small letters."""
    scheme, found, _ = port.partition("://")
    if found:
        return scheme.lower()
    return VIRTUAL if port.partition(":")[0].lower() == VIRTUAL else DEVICE


def normal(port: str) -> str:
    """The port string with its scheme in small letters, which is how others compare it."""
    if kind(port) == DEVICE:
        return port
    scheme, colon, rest = port.partition(":")
    return scheme.lower() + colon + rest


def folder(port: str) -> str:
    """DIR of `virtual:DIR`, "" without."""
    return port.partition(":")[2]


def host_and_number(port: str) -> tuple[str, int]:
    """Where an RFC 2217 or socket port is. Raises PortError."""
    scheme = kind(port)
    try:
        parts = urlsplit(port)
        host, number = parts.hostname, parts.port
    except ValueError as e:
        raise PortError(f"The port {port} is not host:port.", _how(port, scheme)) from e
    if not host or not number:
        raise PortError(f"The port {port} lacks a host or a port number.", _how(port, scheme))
    return host, number


def host_port(text: str) -> tuple[str, int] | None:
    """HOST:PORT or [IPV6]:PORT, with port 0 for any; None if it is neither."""
    host, colon, number = text.rpartition(":")
    if not (colon and number.isascii() and number.isdigit() and int(number) < 65536):
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None  # an IPv6 address without its brackets: nobody knows where it ends
    return host, int(number)


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _how(port: str, scheme: str) -> str:
    if port.count(":") > 2 and "[" not in port:
        return f"An IPv6 address stands in brackets: {scheme}://[::1]:4000."
    return f"Write {scheme}://HOST:PORT."
