"""Which media a card carries: by its directory (PPSE) or the known AIDs, each one read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from . import apdu, quickpass, tunion
from .errors import CardLost
from .report import Medium, Radio, Report

PPSE = b"2PAY.SYS.DDF01"

# For cards without a directory, most of which are purses.
AIDS = tuple(
    bytes.fromhex(aid)
    for aid in (
        "A000000632010105",
        "A00000063201010510009156000014A1",
        "A00000000386980701",
        "A000000333010101",
        "A000000333010102",
        "A000000333010103",
        "A000000333010106",
        "A000000333010108",
    )
)

_MAX_LISTED = 16
_NO_PRIORITY = 16  # behind 1…15; 0 means none as well


@dataclass(frozen=True)
class Listed:
    """An entry of the directory."""

    aid: bytes
    label: str = ""
    priority: int = _NO_PRIORITY


def examine(channel: apdu.Channel, radio: Radio, now: datetime) -> Report:
    """Read an activated card. Whatever it answers ends in a report; CardLost, CardNonsense and
    ReaderError are the channel's. `now` is local time where cards expire."""
    report = Report(radio, now.date())
    if not radio.iso_dep:
        report.problems.append("takes no commands: not an ISO 14443-4 card")
        return report
    lost: CardLost | None = None
    try:
        _applications(channel, report, now)
    except CardLost as e:
        if report.media:
            raise
        lost = e
    # A phone can be in the field before its applet is: its first SELECT ends in 6985, 6A82 or
    # silence. One field reset gives it a second chance (Q31).
    if not report.media:
        back = channel.reset()
        if back:
            report.others.clear()
            report.problems.clear()
            _applications(channel, report, now)
        elif lost is not None:
            raise lost
    return report


def _applications(channel: apdu.Channel, report: Report, now: datetime) -> None:
    listed: list[Listed] = []
    try:
        answer, sw = apdu.exchange(channel, apdu.select(PPSE))
        if sw == apdu.CONDITIONS:
            return
        if sw == apdu.OK:
            listed = directory(answer)
    except ValueError as e:
        report.problems.append(f"directory (PPSE): {e}")
    known = [entry for entry in listed if _is_medium(entry.aid)]
    report.others += [(e.aid.hex(), e.label) for e in listed if not _is_medium(e.aid)]
    for entry in known:
        _application(channel, entry, report, now)
    if not known:
        for aid in AIDS:
            if _application(channel, Listed(aid), report, now):
                break


def _application(channel: apdu.Channel, entry: Listed, report: Report, now: datetime) -> bool:
    """Select and read one application; False if it is not there."""
    try:
        fci, sw = apdu.exchange(channel, apdu.select(entry.aid))
        if sw != apdu.OK:
            return False
        name = apdu.find(fci, 0x6F, 0x84)
        label = entry.label or text(apdu.find(fci, 0x6F, 0xA5, 0x50) or b"")
    except ValueError as e:
        report.problems.append(f"application {entry.aid.hex()}: {e}")
        return False
    aid = name if name and name.startswith(entry.aid) else entry.aid
    kind = tunion.MEDIUM if tunion.handles(aid) else quickpass.MEDIUM
    medium = Medium(kind, "", aid.hex(), label)
    if report.radio.random_uid:
        medium.form = "phone"
    report.media.append(medium)
    try:
        if kind == tunion.MEDIUM:
            tunion.read(channel, aid, fci, medium)
        else:
            quickpass.read(channel, aid, fci, medium, now)
    except ValueError as e:
        medium.problems.append(str(e))
    return True


def directory(fci: bytes) -> list[Listed]:
    """The applications that a PPSE lists, by priority (87), lower first. May be empty."""
    listed = apdu.find(fci, 0x6F, 0xA5, 0xBF0C)
    found: list[Listed] = []
    for tag, entry in apdu.parse(listed) if listed is not None else ():
        aid = apdu.find(bytes(entry), 0x4F) if tag == 0x61 else None
        if aid is None or not 5 <= len(aid) <= 16 or len(found) == _MAX_LISTED:
            continue
        order = apdu.find(bytes(entry), 0x87) or b"\x00"
        label = text(apdu.find(bytes(entry), 0x50) or b"")
        found.append(Listed(aid, label, order[0] & 0x0F or _NO_PRIORITY))
    return sorted(found, key=lambda e: e.priority)


def text(data: bytes) -> str:
    """A label as printable ASCII: a card is not to move a technician's cursor."""
    return "".join(chr(b) if 0x20 <= b < 0x7F else "?" for b in data[:16])


def _is_medium(aid: bytes) -> bool:
    return tunion.handles(aid) or quickpass.handles(aid)
