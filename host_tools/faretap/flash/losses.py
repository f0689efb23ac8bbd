"""What a flash would lose, and whether it may.

A partition that another map has elsewhere loses what it held: nothing of ours can be read at
another place, and what stands at the new one is not ours. So a flash over an older map, and
`--erase`, are refused while records are unread, and a newer version is not replaced by an older
one. `force` says yes to all of that.

While a map is being replaced the chip has none: the sector of the partition table holds a mark and
a copy of the old table. So nothing runs on half of two maps, and whoever comes back with the same
command goes on where it was broken off, without asking again.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faretap import address, boards
from faretap.boards import Board
from faretap.errors import FaretapError
from faretap.flash.errors import FlashError
from faretap.flash.unread import JournalUnreadable, Reader, is_blank, sectors, unread
from faretap.image.errors import ImageError
from faretap.image.partitions import (
    SECTOR,
    TABLE_OFFSET,
    TABLE_SIZE,
    TYPES,
    Partition,
    PartitionTable,
    from_binary,
)
from faretap.shown import shown

_MOVING = b"faretap: the map is moving".ljust(31, b"\xff")
_LOST, _KEPT = b"L", b"K"  # what was agreed to for the journal of the old map
_COPY_AT = TABLE_SIZE + len(_MOVING) + 1
# Journals of boards' first maps, as long as validators with one may be about.
_EARLIER = (
    Partition("journal", 1, 0x44, 0x320000, 0xE0000),
    Partition("journal", 1, 0x44, 0x940000, 0x6C0000),
)
_WRITTEN = ("factory", "vfs", "app_a")  # by the images; what they leave of it holds nothing
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")
_ASK_S = 1.2  # for a validator that runs; it answers in a tenth of that


@dataclass(frozen=True)
class Running:
    """What the validator said of itself. `unread` is None where it did not say."""

    version: str
    unread: int | None


def ask(port: str) -> Running | None:
    """What the validator at `port` says, None if none runs there. Its words are not believed where
    they make no sense."""
    from faretap.link import Link, open_port

    if address.kind(port) == "socket":
        return None  # the chip is in its ROM loader by then: there is no reset line
    # Why a port does not open, the flasher says better.
    with contextlib.suppress(FaretapError), Link(open_port(port), name=port) as link:
        return read_info(link.call("info", timeout=_ASK_S, again=0.3))
    return None


def read_info(info: Any) -> Running | None:
    """`Running` of an answer to `info`, whatever it is."""
    if not isinstance(info, dict):
        return None
    version, journal = info.get("version"), info.get("journal")
    count = journal.get("unacknowledged") if isinstance(journal, dict) else None
    sound = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 1 << 32
    return Running(version if isinstance(version, str) else "", count if sound else None)


def check_version(port: str, running: Running | None, version: str, force: bool) -> None:
    """Raise FlashError if what runs is newer than `version`."""
    if running is None or force:
        return
    old, new = _numbers(running.version), _numbers(version)
    if old and new and old > new:
        raise FlashError(
            f"{_at(port)} runs version {shown(running.version, 40)}, which is newer "
            f"than the {version} to be flashed.",
            "Take a newer image, or give --force to go back.",
        )


def _numbers(version: str) -> tuple[int, ...] | None:
    found = _VERSION.match(version)
    return tuple(int(part or 0) for part in found.groups()) if found else None


def check_erase(port: str, running: Running | None, erase: bool, force: bool) -> None:
    """Raise FlashError, before the validator is disturbed, if it says itself that it has unread
    records. That it has none is asked of its flash: a rider may come at any moment."""
    if erase and not force and running is not None and running.unread:
        raise _refused(port, running.unread, "--erase")


@dataclass
class Plan:
    """What has to happen to a flash before the images of `board` are written.

    moved   partitions whose content is lost, those that hold nothing left out
    unread  records among it that nobody has read; None if nobody can say
    mark    what to write to the sector of the partition table first; b"": nothing, the map stays
    """

    moved: list[Partition] = field(default_factory=list)
    unread: int | None = 0
    mark: bytes = b""


class FlashFile:
    """A flash that lies in memory, as an emulator's file."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.size = len(data)
        self._data = data

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._data[address : address + size]).ljust(size, b"\xff")

    def md5(self, address: int, size: int) -> str:
        return hashlib.md5(self._data[address : address + size]).hexdigest()


def plan(
    port: str,
    reader: Reader,
    board: Board,
    erase: bool,
    force: bool,
    running: Running | None = None,
    say: Callable[[str, int, int], None] = lambda what, done, total: None,
    *,
    brings_map: bool = True,
) -> Plan:
    """Look at a flash, and say what flashing `board` costs. Raises FlashError if that is refused:
    nothing was written then. `port` is "" for a flash that no port leads to. `brings_map`: a new
    partition table is among what is to be written."""
    new = board.partitions
    table = new.to_binary()
    same = reader.read(TABLE_OFFSET, TABLE_SIZE) == table
    if same and not erase:
        return Plan()
    if not same and not brings_map:
        raise FlashError(
            f"{_at(port)} has another flash map than this version of {board.name}.",
            f"Flash all of it: faretap flash --board {board.name}"
            + (f" --port {port}." if port else "."),
        )
    sector = reader.read(TABLE_OFFSET, SECTOR)
    old, moving, allowed = _old(sector)
    found = Plan()
    # Only a map without our journal, as after MicroPython's own table, hides where one may be.
    journal = old.get("journal")
    kept = False
    if journal is None:
        say("looking for records", 0, 0)
        journal = _in_place(reader, new["journal"])
        kept = journal is not None and not erase
    stays = not erase and (kept or journal == new["journal"])
    if not (allowed or stays):
        why = "--erase" if erase else "another flash map"
        found.unread = _count(port, reader, old, journal, why, force, running, say)
    if erase:
        return found
    keeps = set(new if kept else old)
    found.moved = [
        part
        for part in new
        if part.name not in _WRITTEN
        and part not in keeps
        and not is_blank(reader, part.offset, part.size)
    ]
    if len(old) or found.moved:
        head = sector[_COPY_AT:] if moving else sector[: SECTOR - _COPY_AT]
        found.mark = b"\xff" * TABLE_SIZE + _MOVING + (_KEPT if stays else _LOST) + head
    return found


def _old(sector: bytes) -> tuple[PartitionTable, bool, bool]:
    """The map that a flash has; whether it is being replaced, in a run that was broken off; and
    whether the loss of its journal was agreed to then."""
    mark = sector[TABLE_SIZE:_COPY_AT]
    moving = mark[:-1] == _MOVING and not sector[:TABLE_SIZE].strip(b"\xff")
    raw = sector[_COPY_AT:] + b"\xff" * 32 if moving else sector[:TABLE_SIZE]
    try:
        old = from_binary(raw)
    except ImageError:
        old = PartitionTable([])
    return old, moving, moving and mark[-1:] == _LOST


def _in_place(reader: Reader, journal: Partition) -> Partition | None:
    """The journal where the new map has it, if there is a sound one."""
    try:
        return None if unread(reader, journal) is None else journal
    except JournalUnreadable:
        return None


def _without_map(reader: Reader, found: list[int]) -> Partition:
    """The journal that the sectors `found` belong to: one of those that a board has, or had."""
    have = {board.partitions["journal"] for board in map(boards.load, boards.names())}
    for part in sorted(have, key=lambda p: p.offset) + list(_EARLIER):
        if part.offset <= found[0] and found[-1] < part.end:
            with contextlib.suppress(JournalUnreadable):
                if unread(reader, part) is not None:
                    return part
    raise JournalUnreadable("the flash has records, and no map that says where")


def _count(
    port: str,
    reader: Reader,
    old: PartitionTable,
    journal: Partition | None,
    why: str,
    force: bool,
    running: Running | None,
    say: Callable[[str, int, int], None],
) -> int | None:
    """How many unread records are lost; FlashError if there are any and `force` is not given."""
    say("counting unread records", 0, 0)
    try:
        if journal is None:
            apps = [p for p in old if p.type == TYPES["app"]]
            spans = _outside(apps, reader.size)
            found = sectors(reader, spans, lambda at, of: say("looking for records", at, of))
            if not found:
                return 0
            journal = _without_map(reader, found)
        count: int | None = unread(reader, journal) or 0
    except JournalUnreadable as e:
        # The firmware that wrote it knows better than we.
        count = running.unread if running is not None else None
        if count is None and not force:
            raise FlashError(
                f"{_at(port)} has a journal that cannot be read ({e}), so records that nobody has "
                f"read may be in it, and {why} loses them.",
                "Read them with the firmware that wrote them, or give --force to lose them.",
            ) from e
    if count and not force:
        raise _refused(port, count, why)
    return count


def _refused(port: str, count: int, why: str) -> FlashError:
    records = f"{count:,} records" if count > 1 else "a record"
    pull = "faretap records pull --ack" + (f" --port {port}" if port else "")
    return FlashError(
        f"{_at(port)} has {records} that nobody has read, and {why} loses them.",
        f"Bring them home first: {pull}; or give --force to lose them.",
    )


def _at(port: str) -> str:
    return f"The validator at {port}" if port else "The validator"


def _outside(taken: list[Partition], size: int) -> list[tuple[int, int]]:
    """The spans of a flash of `size` bytes behind its partition table, but for `taken`."""
    spans: list[tuple[int, int]] = []
    at = TABLE_OFFSET + SECTOR
    for part in sorted(taken, key=lambda p: p.offset):
        start = min(max(part.offset, at) // SECTOR * SECTOR, size)
        if start > at:
            spans.append((at, start))
        at = max(at, min(-(-part.end // SECTOR) * SECTOR, size))
    if at < size:
        spans.append((at, size))
    return spans
