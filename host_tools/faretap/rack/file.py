"""A rack: validators under test, as a TOML file names them, or virtual ones.

rack = load("rack.toml")            # RackFileError with every mistake at once
rack = load("virtual:4")            # four virtual validators, each of this process only
for spec in rack.slots:
    print(spec.name, spec.board, sorted(spec.capabilities()))
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from faretap import address
from faretap.config.problems import path as path_of
from faretap.config.problems import problems
from faretap.devices import same_serial
from faretap.errors import FaretapError
from faretap.rack.agree import disagreements
from faretap.rack.schema import (
    PLAYED,
    Emulator,
    Limits,
    Match,
    Power,
    RackTable,
    SlotTable,
    Virtual,
    Wire,
)
from faretap.rack.state import State
from faretap.reading import read_toml

_MOST_VIRTUAL = 64


class RackError(FaretapError):
    """Something about a rack."""


class RackFileError(RackError):
    """A rack file that cannot be taken. `problems` are all that was found, a sentence each:
    where, what stands there, what would be right."""

    def __init__(self, cause: str, next_step: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(" ".join((cause, *problems)), next_step)
        self.problems = problems


@dataclass(frozen=True)
class SlotSpec:
    """A slot as the rack file says it, defaults filled in. Files and folders are absolute.

    kind: "serial", "match", "rfc2217", "socket", "virtual" or "emulator". `port` is "" where it
    has to be found (match) or is made (emulator, virtual).
    `state`: folder that keeps a virtual or emulated validator's flash, None: begins anew.
    """

    name: str
    board: str
    kind: str
    port: str
    match: Match | None
    emulator: Emulator | None
    virtual: Virtual
    state: Path | None
    present: tuple[str, ...]
    wire: Wire | None
    radio: str | None
    power: Power | None
    configure: str
    mac: str | None
    firmware: str | None
    limits: Limits

    @property
    def made(self) -> bool:
        """Does it exist only while somebody has the slot open?"""
        return self.kind in ("virtual", "emulator")

    @property
    def benched(self) -> bool:
        """Is it a virtual board, with hands of its own: power, parts?"""
        return self.board == "VIRTUAL" and self.kind != "emulator"

    def plays(self, part: str) -> bool:
        """Is the "reader" or the "scanner" of this validator played by the bench?"""
        if self.emulator:
            return PLAYED[part] in self.emulator.command
        return self.benched or bool(self.wire and getattr(self.wire, part))

    def capabilities(self) -> set[str]:
        """What can be done with it: "link", "wire", "radio" (ways to present cards), "scan_wire"
        (codes before the engine), "power_cut", "faults" (the reader is played, so it can have
        them), "flash_file" (its flash is a file of this machine), "virtual"."""
        can = set(self.present)
        if not self.plays("reader"):
            can.discard("wire")
        if "wire" in self.present and self.plays("scanner"):
            can.add("scan_wire")
        if self.made or self.benched or self.power:
            can.add("power_cut")
        if self.made:
            can.add("flash_file")
        if self.plays("reader"):
            can.add("faults")
        if self.benched:
            can.add("virtual")
        return can


@dataclass(frozen=True)
class Rack:
    """`source` is what `load` was given: it makes the same rack in another process.

    `state` keeps what happened to the slots: quarantine, what was flashed.
    """

    name: str
    source: str
    path: Path | None
    slots: tuple[SlotSpec, ...]
    state: State

    def slot(self, name: str) -> SlotSpec:
        for spec in self.slots:
            if spec.name == name:
                return spec
        have = ", ".join(spec.name for spec in self.slots)
        raise RackError(f"The rack {self.name} has no slot {name}.", f"It has {have}.")

    def capabilities(self, spec: SlotSpec) -> set[str]:
        """Of a slot in this rack: the slot's own, and "two_slots" if there is another one that
        is not in quarantine."""
        can = spec.capabilities()
        held = self.state.quarantined()
        if any(other.name not in held for other in self.slots if other.name != spec.name):
            can.add("two_slots")
        return can


def load(source: str | Path) -> Rack:
    """The rack of a file, or `virtual` or `virtual:N`: N virtual validators."""
    text = str(source)
    kind, colon, count = text.partition(":")
    if kind == "virtual" and not isinstance(source, Path):
        if colon and not (count.isdigit() and 1 <= int(count) <= _MOST_VIRTUAL):
            raise RackFileError(
                f"{text} is no rack.", f"Write virtual:N, N from 1 to {_MOST_VIRTUAL}."
            )
        tables = [
            SlotTable(
                name=f"virtual-{n}", board="VIRTUAL", port="virtual", virtual=Virtual(unpaced=True)
            )
            for n in range(1, int(count or "1") + 1)
        ]
        return Rack("virtual", text, None, tuple(_spec(t, Path()) for t in tables), State(None))
    return _of_file(Path(source))


def _of_file(path: Path) -> Rack:
    raw = read(path)
    found, table = check(raw)
    if table is None:
        count = f"{len(found)} problems" if len(found) > 1 else "a problem"
        raise RackFileError(f"{path} has {count}:", problems=tuple(found))
    path = path.absolute()
    slots = tuple(_spec(slot, path.parent) for slot in table.slot)
    return Rack(
        table.name or path.stem, str(path), path, slots, State(path.with_suffix(".state.json"))
    )


def read(path: Path) -> dict[str, Any]:
    """What the file says, unchecked."""
    if not os.path.lexists(path):
        raise RackFileError(
            f"There is no rack file {path}.",
            f"`faretap rack scan --out {path}` writes one; `--rack virtual` needs none.",
        )
    return read_toml(path, RackFileError)


def check(raw: dict[str, Any]) -> tuple[list[str], RackTable | None]:
    """All mistakes, and the tables if there are none."""
    try:
        table = RackTable.model_validate(raw)
        found: list[str] = []
    except ValidationError as e:
        table = None
        found = problems(e, RackTable, "")
    slots = raw.get("slot")
    slots = slots if isinstance(slots, list) else []
    for n, slot in enumerate(slots):
        if isinstance(slot, dict):
            for where, right in disagreements(slot):
                found.append(f"{path_of(('slot', n, *where))}: right would be {right}.")
    found += _twice(slots)
    return found, None if found else table


def _twice(slots: list[Any]) -> list[str]:
    """Names and ports that stand in two slots; read from what may be wrong elsewhere."""
    found: list[str] = []
    seen: dict[tuple[str, Any], str] = {}
    for n, slot in enumerate(slots):
        if not isinstance(slot, dict):
            continue
        for keys, what in _OWN:
            value = _at(slot, keys)
            mark: Any = value
            if keys == ("power", "port"):
                mark = (_at(slot, ("power", "hub")), value)
            if isinstance(value, str):
                mark = _one_spelling(keys[-1], value)
            if not isinstance(value, str | int) or mark == "virtual":
                continue
            where = path_of(("slot", n, *keys))
            first = seen.setdefault((what, mark), where)
            if first != where:
                found.append(
                    f"{where}: {value!r}; right would be a {what} of its own: "
                    f"{first} has the same."
                )
    return found


def _one_spelling(key: str, value: str) -> str:
    """The same text for what is the same port or chip."""
    if key == "usb_serial":
        return same_serial(value)
    if key == "mac":
        return re.sub("[:-]", "", value).lower()
    return address.normal(value)


_OWN = (
    (("name",), "name"),
    (("port",), "port"),
    (("match", "usb_serial"), "port"),
    (("match", "location"), "port"),
    (("match", "mac"), "chip"),
    (("mac",), "chip"),
    (("wire", "reader"), "port"),
    (("wire", "scanner"), "port"),
    (("emulator", "state"), "folder"),
    (("radio",), "reader"),
    (("power", "port"), "port of the hub"),
)


def _at(slot: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        slot = slot.get(key) if isinstance(slot, dict) else None
    return slot


def _spec(table: SlotTable, folder: Path) -> SlotSpec:
    kind, port, state = "match", "", None
    if table.emulator:
        kind = "emulator"
        state = folder / table.emulator.state if table.emulator.state else None
    elif table.port is not None:
        kind = address.kind(table.port)
        port = table.port
        if kind == "virtual":
            port = ""
            directory = address.folder(table.port)
            state = folder / directory if directory else None
    made = kind in ("virtual", "emulator")
    emulator = table.emulator
    ways = ["link"]
    if emulator:
        played = PLAYED["reader"] in emulator.command
    else:
        played = table.board == "VIRTUAL" or table.wire is not None
    if played:
        ways.append("wire")
    if table.radio:
        ways.append("radio")
    if emulator:
        files = {
            key: str(folder / value)
            for key in ("flash", "micropython")
            if (value := getattr(emulator, key)) is not None
        }
        emulator = emulator.model_copy(update=files)
    return SlotSpec(
        name=table.name,
        board=table.board,
        kind=kind,
        port=port,
        match=table.match,
        emulator=emulator,
        virtual=table.virtual or Virtual(),
        state=state,
        present=tuple(table.present) if table.present else tuple(ways),
        wire=table.wire,
        radio=table.radio,
        power=table.power,
        configure=table.configure or ("bench" if made else "keep"),
        mac=table.mac or (table.match.mac if table.match else None),
        firmware=table.firmware,
        limits=table.limits,
    )
