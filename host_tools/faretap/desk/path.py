"""Paths of readers: a device's own name with the driver behind it, or nfcpy's.

`/dev/ttyUSB0`, `/dev/ttyUSB0:arygon`, `COM7:pn532`; names of devices may have colons in them, as
udev's names by place have.
"""

from __future__ import annotations

import re
from pathlib import Path

DRIVERS = ("pn532", "arygon")

_DEVICE = re.compile(r"(/.*?|COM[0-9]+)(?::([A-Za-z][A-Za-z0-9]*))?", re.IGNORECASE)


def device_of(path: str) -> tuple[str, str]:
    """(device, driver) of a path that names a device; ("", "") for a path of nfcpy's. ValueError
    for a driver that there is not."""
    match = _DEVICE.fullmatch(path)
    if not match:
        return "", ""
    device, driver = match[1], (match[2] or DRIVERS[0]).lower()
    if driver not in DRIVERS:
        if not Path(path).exists():
            raise ValueError(f"no driver {driver}")
        device, driver = path, DRIVERS[0]
    return device, driver


def serial_port(path: str) -> str:
    """The serial port at which a reader is; the path itself if it is at none."""
    try:
        device = device_of(path)[0]
    except ValueError:
        return path
    if device:
        return device
    # nfcpy's: tty:USB1:pn532, com:COM7:pn532, com:7
    kind, _, rest = path.partition(":")
    name = rest.partition(":")[0]
    if kind == "tty" and name:
        return name if "/" in name else f"/dev/tty{name}"
    if kind == "com" and name:
        return f"COM{name}" if name.isdigit() else name
    return path
