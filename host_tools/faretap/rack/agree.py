"""What has to fit together within a slot of a rack file.

Looked up in what the file says and not in the checked tables, so that a mistake elsewhere in the
slot does not hide one of these.
"""

from __future__ import annotations

from typing import Any

from faretap import address
from faretap.rack.schema import PLAYED

_OWN_SUPPLY = "no table power: a virtual or emulated one has its own"
_PLAYED = "no table wire: the parts of a virtual or emulated one are played anyway"


def disagreements(slot: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """(path within the slot, what would be right) of each."""
    found: list[tuple[tuple[str, ...], str]] = []

    def wrong(right: str, *where: str) -> None:
        found.append((where, right))

    places = [key for key in ("port", "match", "emulator") if key in slot]
    if len(places) != 1:
        wrong("exactly one of port, match, emulator")
    port = str(slot.get("port", ""))
    kind = address.kind(port)
    is_virtual = kind == address.VIRTUAL
    emulated = "emulator" in slot
    remote = kind == "rfc2217"
    if len(places) == 1 and isinstance(slot.get("board"), str):
        board_is_virtual = slot["board"] == "VIRTUAL"
        if is_virtual and not board_is_virtual:
            wrong("VIRTUAL, which is what a port virtual has", "board")
        elif board_is_virtual and not (is_virtual or remote or emulated):
            wrong("a board with pins: VIRTUAL has a port virtual or rfc2217://", "board")
    if "virtual" in slot and not is_virtual:
        wrong('no table virtual without port = "virtual"', "virtual")
    own = is_virtual or emulated or slot.get("board") == "VIRTUAL"
    if own and "power" in slot:
        wrong(_OWN_SUPPLY, "power")
    if own and "wire" in slot:
        wrong(_PLAYED, "wire")
    ways = slot.get("present")
    ways = ways if isinstance(ways, list) else []
    if "radio" in ways and "radio" not in slot:
        wrong("radio = READER beside it, or no radio in it", "present")
    if "wire" in ways and not own and "wire" not in slot:
        wrong("a table wire beside it, or no wire in it", "present")
    if "wire" in ways and emulated and PLAYED["reader"] not in _of(slot, "emulator", "command"):
        wrong("{uart1} in the emulator's command, or no wire in it", "present")
    _within(slot, wrong)
    return found


def _within(slot: dict[str, Any], wrong: Any) -> None:
    match = slot.get("match")
    if match == {}:
        wrong("at least one of usb_serial, location, mac", "match")
    wire = slot.get("wire")
    if wire == {}:
        wrong("reader, scanner or both", "wire")
    emulator = slot.get("emulator")
    if isinstance(emulator, dict) and "flash" in emulator and "micropython" in emulator:
        wrong("either flash or micropython", "emulator")
    power = slot.get("power")
    if isinstance(power, dict):
        commands = {"on", "off"} & set(power)
        hub = {"hub", "port"} & set(power)
        if bool(commands) == bool(hub) or len(commands or hub) != 2:
            wrong("either on and off, or hub and port", "power")


def _of(slot: dict[str, Any], table: str, key: str) -> str:
    inner = slot.get(table)
    return str(inner.get(key, "")) if isinstance(inner, dict) else ""
