"""A rack file from what is plugged in, merged into the one that there is.

What people wrote stays: names, comments, tables, order. Only what says where a validator is
follows it when it was moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from faretap import address, boards
from faretap.desk.path import serial_port
from faretap.devices import same_serial
from faretap.errors import FaretapError
from faretap.rack.file import RackFileError, check, read
from faretap.rack.locks import Held, device_of
from faretap.rack.ports import Ask, Plugged, ask, plugged
from faretap.reading import SETTINGS, read_text
from faretap.writing import write_text

_AT_ONCE = 16

_HEAD = """\
Validators of this rack. `faretap rack scan` adds what is plugged in and keeps what is written
here; docs/rack.md says what a slot may have besides.
"""


@dataclass(frozen=True)
class Seen:
    """A port, who is there (`info`), or why that is not known."""

    port: Plugged
    info: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    busy: bool = False

    @property
    def mac(self) -> str:
        return str(self.info.get("serial", ""))


@dataclass
class Scan:
    """What a scan made of the file: slot names, and a sentence for each port left out."""

    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look(ports: Sequence[Plugged], who: Ask = ask) -> list[Seen]:
    """Ask all of them at once who they are."""

    def asked(port: Plugged) -> Seen:
        try:
            return Seen(port, who(port.device))
        except Held as e:
            return Seen(port, trouble=str(e), busy=True)
        except FaretapError as e:
            return Seen(port, trouble=str(e))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(asked, ports))


def scan(
    path: Path,
    *,
    board: str | None = None,
    ports: Callable[[], list[Plugged]] = plugged,
    who: Ask = ask,
) -> Scan:
    """Bring the file at `path` up to date, or make it. `board`: what those are taken for that do
    not say, because nothing runs on them yet. Raises RackFileError for a file with mistakes."""
    before = ""
    if path.exists():
        raw = read(path)
        found, _ = check(raw) if raw.get("slot") else ([], None)
        if found:
            raise RackFileError(f"{path} cannot be merged into:", problems=tuple(found))
        before = read_text(path, SETTINGS, RackFileError)
        document = tomlkit.parse(before)
    else:
        document = tomlkit.document()
        for line in _HEAD.splitlines():
            document.add(tomlkit.comment(line))
        document.add("format", tomlkit.item(1))
    slots = document.get("slot")
    if slots is None:
        slots = tomlkit.aot()
        document.add("slot", slots)
    taken = {device_of(port) for port in _adapters(slots)}
    here = [port for port in ports() if device_of(port.device) not in taken]
    result = _merge(slots, look(here, who), board)
    text = tomlkit.dumps(document)
    if len(slots) and text != before:
        write_text(path, text, RackFileError)
    return result


def _merge(slots: AoT, seen: list[Seen], board: str | None) -> Scan:
    result = Scan()
    left = list(seen)
    ports = [one.port for one in seen]
    for slot in slots:
        one = _belongs(slot, left, ports)
        name = str(slot["name"])
        if one is None:
            if "port" not in slot or _is_local(str(slot["port"])):
                result.missing.append(name)
            continue
        left.remove(one)
        other = _other_validator(slot, one)
        if other:
            result.kept.append(name)
            result.notes.append(f"{one.port.device}: {other}")
            continue
        (result.moved if _follow(slot, one, ports) else result.kept).append(name)
    for one in left:
        kind = one.info.get("board", board)
        if one.busy or kind is None:
            hint = "" if one.busy else " Taken in with --board BOARD."
            result.notes.append(f"{one.port.device}: {one.trouble or 'it says no board.'}{hint}")
            continue
        if kind not in boards.names():
            # A device said it: the file would be none any more.
            result.notes.append(f"{one.port.device}: it says that it is a board {kind}.")
            continue
        slot = _slot(one, str(kind), ports, [str(s["name"]) for s in slots])
        slots.append(slot)
        result.added.append(str(slot["name"]))
    return result


def _belongs(slot: Any, seen: list[Seen], ports: list[Plugged]) -> Seen | None:
    """The port that is this slot's: by the chip, by the USB device, by the place, by name."""
    match = slot.get("match", {})
    mac = str(slot.get("mac", match.get("mac", ""))).replace(":", "").replace("-", "").lower()
    if mac:
        for one in seen:
            if mac in (one.mac, one.port.serial_as_mac):
                return one
    for key in ("usb_serial", "location"):
        if key in match:
            number = same_serial(str(match[key]))
            fitting = [one for one in seen if same_serial(getattr(one.port, key)) == number]
            if len(fitting) == 1:
                return fitting[0]
    if "port" in slot:
        for one in seen:
            if device_of(one.port.device) == device_of(str(slot["port"])):
                return one
    return None


def _other_validator(slot: Any, one: Seen) -> str:
    mac = str(slot.get("mac", slot.get("match", {}).get("mac", "")))
    plain = mac.replace(":", "").replace("-", "").lower()
    if plain and one.mac and plain != one.mac:
        return (
            f"the slot {slot['name']} is for the chip {mac}, but {one.mac} is there; "
            "if that is right, correct mac in the file."
        )
    if one.info.get("board", slot["board"]) != slot["board"]:
        return (
            f"the slot {slot['name']} is for a board {slot['board']}, but "
            f"{one.info['board']} is there; if that is right, correct board in the file."
        )
    return ""


def _follow(slot: Any, one: Seen, ports: list[Plugged]) -> bool:
    """Where it is now; whether it was elsewhere."""
    moved = False
    match = slot.get("match")
    if "port" in slot and device_of(str(slot["port"])) != device_of(one.port.device):
        slot["port"] = one.port.device
        moved = True
    if match is not None:
        for key in ("usb_serial", "location"):
            here = getattr(one.port, key)
            if key in match and here and same_serial(str(match[key])) != same_serial(here):
                match[key] = here
                moved = True
    if one.mac and "mac" not in slot and not (match and "mac" in match):
        slot["mac"] = one.mac
    return moved


def _slot(one: Seen, board: str, ports: list[Plugged], names: list[str]) -> Table:
    slot = tomlkit.table()
    stem = board.lower().replace("_", "-")
    number = 1
    while f"{stem}-{number}" in names:
        number += 1
    slot.add("name", f"{stem}-{number}")
    slot.add("board", board)
    port = one.port
    match = tomlkit.inline_table()
    usb = same_serial(port.usb_serial)
    if usb and sum(same_serial(p.usb_serial) == usb for p in ports) == 1:
        match.append("usb_serial", port.usb_serial)
    elif port.location:
        match.append("location", port.location)
    if len(match):
        slot.add("match", match)
    else:
        slot.add("port", port.device)
    if one.mac:
        slot.add("mac", one.mac)
    slot.add(tomlkit.nl())
    return slot


def _adapters(slots: Any) -> list[str]:
    """Ports at which the bench plays parts and cards: nobody to be asked is there."""
    wires = [str(port) for slot in slots for port in slot.get("wire", {}).values()]
    return wires + [serial_port(str(slot["radio"])) for slot in slots if "radio" in slot]


def _is_local(port: str) -> bool:
    return address.kind(port) == address.DEVICE
