"""The port as esptool uses it: opened without moving a line, quick where it is remote, and with an
end to all that it gives.

esptool waits for each byte, and has no limit to a packet: whoever sends one now and then, and
never the packet's end, would keep it for ever.
"""

from __future__ import annotations

import time
from typing import Any

import serial

from faretap.link.port import open_port

_END = b"\xc0"  # of a packet, in SLIP
_PACKET = 1 << 17  # bytes; the longest is a sector of flash, each byte of it escaped
_PACKET_S = 20.0
_MOST_S = 3600.0  # 16 MB take 25 minutes at 115200 baud


def open_for_flashing(port: str, baud: int) -> Any:
    """An open pyserial port as `open_port` gives it. Raises PortError; its `read` raises
    SerialException also where what comes has no end."""
    device: Any = open_port(port, baud)
    device.timeout = 3  # as esptool finds it where it opens a port itself
    device.read = _Ends(device.read).read
    return device


class _Ends:
    def __init__(self, read: Any) -> None:
        self._read = read
        self._until = time.monotonic() + _MOST_S
        self._since = time.monotonic()
        self._held = 0  # bytes since a packet's end, or a silence

    def read(self, size: int = 1) -> Any:
        data = self._read(size)
        now = time.monotonic()
        at = data.rfind(_END)
        if at >= 0 or not data:
            self._since = now
            self._held = 0
        self._held += len(data) - at - 1
        if self._held > _PACKET or (data and now - self._since > _PACKET_S):
            raise serial.SerialException("what it sends has no end")
        if now > self._until:
            raise serial.SerialException(f"it takes longer than {_MOST_S:g} s")
        return data
