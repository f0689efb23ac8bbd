"""ESP-IDF partition tables: the CSV that people write and the binary at flash address 0x8000.

The binary is what ESP-IDF's `gen_esp32part.py` makes: 32-byte entries, an entry with the MD5 of
those before it, and 0xFF up to 0xC00 bytes.
Source: ESP-IDF Programming Guide, "Partition Tables".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faretap.image.errors import ImageError
from faretap.reading import SETTINGS, read_text

TABLE_OFFSET = 0x8000
TABLE_SIZE = 0xC00
SECTOR = 0x1000
APP_ALIGN = 0x10000

_ENTRY = struct.Struct("<2sBBLL16sL")
_MAGIC = b"\xaa\x50"
_MD5_HEAD = b"\xeb\xeb" + b"\xff" * 14

TYPES = {"app": 0x00, "data": 0x01}
SUBTYPES: dict[int, dict[str, int]] = {
    0x00: {"factory": 0x00, "test": 0x20} | {f"ota_{n}": 0x10 + n for n in range(16)},
    0x01: {
        "ota": 0x00,
        "phy": 0x01,
        "nvs": 0x02,
        "coredump": 0x03,
        "nvs_keys": 0x04,
        "efuse": 0x05,
        "undefined": 0x06,
        "esphttpd": 0x80,
        "fat": 0x81,
        "spiffs": 0x82,
        "littlefs": 0x83,
    },
}
_FLAGS = {"encrypted": 1, "readonly": 2}


@dataclass(frozen=True)
class Partition:
    """One entry; `offset` and `size` in bytes."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.size


class PartitionTable:
    """The partitions of one flash, in the order of the table."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self.partitions = tuple(partitions)

    def __iter__(self) -> Iterator[Partition]:
        return iter(self.partitions)

    def __len__(self) -> int:
        return len(self.partitions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartitionTable) and self.partitions == other.partitions

    def __hash__(self) -> int:
        return hash(self.partitions)

    def get(self, name: str) -> Partition | None:
        return next((p for p in self.partitions if p.name == name), None)

    def __getitem__(self, name: str) -> Partition:
        found = self.get(name)
        if found is None:
            names = ", ".join(p.name for p in self.partitions)
            raise ImageError(f"The partition table has no {name!r}; it has {names}.")
        return found

    @property
    def end(self) -> int:
        """The first address behind the last partition."""
        return max((p.end for p in self.partitions), default=0)

    def check(self, flash_size: int) -> None:
        """Raise ImageError unless the table is one that the bootloader accepts."""
        seen: set[str] = set()
        behind = TABLE_OFFSET + SECTOR
        last = "the partition table"
        for p in sorted(self.partitions, key=lambda p: p.offset):
            align = APP_ALIGN if p.type == TYPES["app"] else SECTOR
            if p.name in seen:
                raise ImageError(f"Partition {p.name} is in the table twice.")
            seen.add(p.name)
            if p.offset % align:
                raise ImageError(
                    f"Partition {p.name} is at 0x{p.offset:x}: that has to be a multiple of "
                    f"0x{align:x}."
                )
            if p.size <= 0 or p.size % SECTOR:
                raise ImageError(
                    f"Partition {p.name} has 0x{p.size:x} bytes: that has to be a multiple of "
                    f"0x{SECTOR:x}, and not 0."
                )
            if p.offset < behind:
                raise ImageError(
                    f"Partition {p.name} at 0x{p.offset:x} overlaps {last}, which ends at "
                    f"0x{behind:x}."
                )
            behind, last = p.end, p.name
            if p.end > flash_size:
                raise ImageError(
                    f"Partition {p.name} ends at 0x{p.end:x}, behind the flash of "
                    f"0x{flash_size:x} bytes."
                )

    def to_binary(self) -> bytes:
        """The 0xC00 bytes that stand at flash address 0x8000."""
        entries = b"".join(
            _ENTRY.pack(_MAGIC, p.type, p.subtype, p.offset, p.size, p.name.encode(), p.flags)
            for p in self.partitions
        )
        table = entries + _MD5_HEAD + hashlib.md5(entries).digest()
        if len(table) > TABLE_SIZE:
            raise ImageError(f"The partition table has {len(self)} entries: too many.")
        return table.ljust(TABLE_SIZE, b"\xff")


def parse_csv(text: str, where: str = "partitions.csv") -> PartitionTable:
    """The table that `text` (the ESP-IDF CSV format) describes.

    Offsets may be left out: then a partition follows the one before it, aligned as its type needs.
    Raises ImageError that names the line.
    """
    partitions: list[Partition] = []
    behind = TABLE_OFFSET + SECTOR
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        cells = [cell.strip() for cell in line.split(",")]
        at = f"{where}:{number}"
        if len(cells) < 5 or not cells[0]:
            raise ImageError(f"{at}: a partition is name, type, subtype, offset, size.")
        name = cells[0]
        if len(name.encode()) > 15:
            raise ImageError(f"{at}: the name {name!r} is longer than 15 bytes.")
        type_ = _named(cells[1], TYPES, at, "type")
        subtype = _named(cells[2], SUBTYPES.get(type_, {}), at, "subtype")
        align = APP_ALIGN if type_ == TYPES["app"] else SECTOR
        offset = _number(cells[3], at, "offset") if cells[3] else -(-behind // align) * align
        size = _number(cells[4], at, "size")
        flags = 0
        for flag in (cells[5] if len(cells) > 5 else "").split(":"):
            if flag:
                flags |= _named(flag, _FLAGS, at, "flag")
        partitions.append(Partition(name, type_, subtype, offset, size, flags))
        behind = offset + size
    return PartitionTable(partitions)


def load_csv(path: Path) -> PartitionTable:
    return parse_csv(read_text(path, SETTINGS, ImageError), str(path))


def from_binary(data: bytes) -> PartitionTable:
    """Read a table as it stands in flash. Raises ImageError for one that a chip would refuse."""
    partitions: list[Partition] = []
    for at in range(0, min(len(data), TABLE_SIZE), _ENTRY.size):
        entry = data[at : at + _ENTRY.size]
        if entry == b"\xff" * _ENTRY.size:
            return PartitionTable(partitions)
        if entry.startswith(_MD5_HEAD):
            if entry[16:] != hashlib.md5(data[:at]).digest():
                raise ImageError("The partition table is damaged: its MD5 does not match.")
            continue
        if len(entry) < _ENTRY.size or not entry.startswith(_MAGIC):
            raise ImageError(f"There is no partition table entry at +0x{at:x}.")
        _, type_, subtype, offset, size, raw, flags = _ENTRY.unpack(entry)
        name = raw.rstrip(b"\0").decode("utf-8", "replace")
        partitions.append(Partition(name, type_, subtype, offset, size, flags))
    raise ImageError("The partition table has no end.")


def _named(text: str, names: dict[str, int], at: str, what: str) -> int:
    if text in names:
        return names[text]
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 0xFF:
        right = ", ".join(names) or "a number from 0 to 0xFF"
        raise ImageError(f"{at}: {text!r} is not a {what}; right would be {right}.")
    return value


def _number(text: str, at: str, what: str) -> int:
    scale = {"K": 1024, "M": 1024 * 1024}.get(text[-1:].upper(), 1)
    try:
        return int(text[:-1] if scale > 1 else text, 0) * scale
    except ValueError:
        raise ImageError(
            f"{at}: the {what} {text!r} is not a number; right would be 0x10000 or 64K."
        ) from None
