"""The port as esptool uses it: opened without moving a line, quick where it is remote."""

from __future__ import annotations

from typing import Any

from faretap.link.port import open_port


def open_for_flashing(port: str, baud: int) -> Any:
    """An open pyserial port as `open_port` gives it. Raises PortError."""
    device = open_port(port, baud)
    device.timeout = 3  # as esptool finds it where it opens a port itself
    return device
