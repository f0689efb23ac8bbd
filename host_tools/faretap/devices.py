"""What the system knows of the devices that are plugged in: who may open them, and who has them.

Linux says it in /sys; elsewhere nothing is known, and the answers are empty.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

USB = Path("/sys/bus/usb/devices")
_BRAILLE = ((0x1A86, 0x7523), (0x10C4, 0xEA60), (0x0403, 0x6001))  # brltty takes them for displays
_MAC = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class UsbDevice:
    """A device on USB. `driver` has its first interface ("" for nobody), `module` is that
    driver's kernel module; `serial` says whether it has a serial port."""

    vendor: int
    product: int
    bus: int
    number: int
    driver: str = ""
    module: str = ""
    serial: bool = False

    @property
    def node(self) -> str:
        return f"/dev/bus/usb/{self.bus:03}/{self.number:03}"


def usb_devices() -> list[UsbDevice]:
    """What hangs on USB."""
    return list(_usb_devices())


def _usb_devices() -> Iterator[UsbDevice]:
    with contextlib.suppress(OSError):
        for place in sorted(USB.iterdir()):
            if ":" in place.name:
                continue  # an interface
            with contextlib.suppress(OSError, ValueError):
                vendor, product = (_number(place / name, 16) for name in ("idVendor", "idProduct"))
                bus, number = (_number(place / name, 10) for name in ("busnum", "devnum"))
                driver = module = ""
                tty = False
                for interface in sorted(place.glob(f"{place.name}:*")):
                    link = interface / "driver"
                    if not driver and link.exists():
                        driver = link.resolve().name
                        module = (link / "module").resolve().name if driver != "usbfs" else ""
                        if module == "module":
                            module = driver  # built in
                    tty = tty or any(interface.glob("tty*"))
                yield UsbDevice(vendor, product, bus, number, driver, module, tty)


def _number(file: Path, base: int) -> int:
    return int(file.read_text(), base)


def group_of(device: str, usual: str = "dialout") -> str:
    """The group that owns a device, in words for an error."""
    try:
        import grp

        name = grp.getgrgid(Path(device).stat().st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return f"often {usual}"
    return name if name != "root" else f"root, until a udev rule gives it to {usual}"


def stolen_adapter() -> str:
    """A next step if a USB-serial adapter is plugged in whose port another program took away."""
    for device in usb_devices():
        if (device.vendor, device.product) in _BRAILLE and not device.serial:
            return (
                f"The adapter {device.vendor:04x}:{device.product:04x} is plugged in, but has no "
                "port: where brltty is installed, it takes such adapters for Braille displays "
                "(sudo apt remove brltty). "
            )
    return ""


def same_serial(serial: str) -> str:
    """A USB serial number for comparison. A chip's own USB has its MAC address there, which the
    USB-Serial-JTAG spells with colons in capitals, and TinyUSB without in small letters."""
    plain = serial.replace(":", "").replace("-", "").lower()
    return plain if _MAC.fullmatch(plain) else serial
