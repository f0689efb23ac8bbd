"""Ports that are plugged in, and which of them a slot is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import serial.tools.list_ports

from faretap.devices import same_serial
from faretap.errors import FaretapError
from faretap.rack.file import RackError, SlotSpec
from faretap.rack.locks import LOOK, Claim, Held, device_of
from faretap.session import connect

_LOOK_S = 0.2  # between looks at what is plugged in
_ASK_S = 1.5

Ask = Callable[[str], dict[str, Any]]


class NotFound(RackError):
    """None of the ports is the slot's."""


@dataclass(frozen=True)
class Plugged:
    """A serial port that is plugged in; "" where the system does not say."""

    device: str
    usb_serial: str = ""
    location: str = ""
    text: str = ""

    @property
    def serial_as_mac(self) -> str:
        """Chips with USB of their own have their MAC address as serial number."""
        plain = same_serial(self.usb_serial)
        return plain if re.fullmatch("[0-9a-f]{12}", plain) else ""


def plugged() -> list[Plugged]:
    """What hangs on USB; a mainboard's own ports are none of a rack's."""
    return [
        Plugged(port.device, port.serial_number or "", port.location or "", port.description or "")
        for port in serial.tools.list_ports.comports()
        if port.vid is not None
    ]


def ask(port: str) -> dict[str, Any]:
    """`info` of the validator at `port`. Raises Held, PortError, NotReady, LinkError."""
    with (
        Claim({device_of(port): f"The port {port}"}, LOOK),
        connect(port, wait=_ASK_S) as session,
    ):
        info: dict[str, Any] = session.link.call("info")
        return info


def find(
    spec: SlotSpec, seen: Plugged | None, wait: float, who: Ask = ask
) -> tuple[str, Plugged | None]:
    """The slot's port, and what is known of it. NotFound if it does not come within `wait` s.

    `seen` is what stood there the last time: a device that comes back under another name is known
    by its USB serial number, or by its place.
    """
    deadline = time.monotonic() + wait
    while True:
        here = plugged()
        if spec.kind == "match":
            found, why = _matching(spec, here, seen, who)
        else:
            found, why = _named(spec.port, here, seen)
        if found is not None:
            return found.device, found
        if time.monotonic() >= deadline:
            raise NotFound(f"The slot {spec.name} is not there: {why}.", _plug(here))
        time.sleep(_LOOK_S)


def _plug(here: list[Plugged]) -> str:
    have = ", ".join(_described(port) for port in here) or "none"
    return f"Plug it in, or correct the rack file; USB ports here: {have}."


def _described(port: Plugged) -> str:
    more = ", ".join(
        f"{what} {value}"
        for what, value in (("serial", port.usb_serial), ("at", port.location))
        if value
    )
    return f"{port.device} ({more})" if more else port.device


def _named(port: str, here: list[Plugged], seen: Plugged | None) -> tuple[Plugged | None, str]:
    device = device_of(port)
    same = [p for p in here if device_of(p.device) == device]
    if seen is None:
        # Not listed: a pseudo-terminal, a mainboard's port. Opening it tells more.
        return (same or [Plugged(port)])[0], ""
    for key in ("usb_serial", "location"):
        value = getattr(seen, key)
        if value:
            back = [p for p in here if same_serial(getattr(p, key)) == same_serial(value)]
            if len(back) == 1:
                return back[0], ""
            if back:
                continue  # many adapters of one make share a serial number
            if key == "usb_serial":
                return None, f"no USB device has the serial number {value} any more"
    if seen.usb_serial or seen.location:
        return None, f"the device that was at {seen.device} is gone"
    return Plugged(port), ""


def _matching(
    spec: SlotSpec, here: list[Plugged], seen: Plugged | None, who: Ask
) -> tuple[Plugged | None, str]:
    match = spec.match
    assert match is not None
    wanted = []
    if match.usb_serial:
        wanted.append(f"USB serial number {match.usb_serial}")
        number = same_serial(match.usb_serial)
        here = [p for p in here if same_serial(p.usb_serial) == number]
    if match.location:
        wanted.append(f"place {match.location}")
        here = [p for p in here if p.location == match.location]
    if match.mac and not (len(here) == 1 and wanted):
        wanted.append(f"MAC address {match.mac}")
        if seen is not None and seen in here:
            return seen, ""  # where it was, and it need not be asked; who uses it has it open
        # Each address is there once: the likely one first, and no more are asked than need be.
        here = sorted(here, key=lambda p: p.serial_as_mac != match.mac)
        here = next(([p] for p in here if _has_mac(p, match.mac, who)), [])
    if len(here) == 1:
        return here[0], ""
    what = " and ".join(wanted)
    if not here:
        return None, f"no port has {what}"
    names = ", ".join(p.device for p in here)
    return None, f"{len(here)} ports have {what} ({names}); a location tells them apart"


def _has_mac(port: Plugged, mac: str, who: Ask) -> bool:
    if port.serial_as_mac:
        return port.serial_as_mac == mac
    try:
        return bool(who(port.device).get("serial") == mac)
    except Held:
        return False  # somebody's slot, not to be disturbed; or looked at just now
    except FaretapError:
        return False
