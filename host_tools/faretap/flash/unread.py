"""Records that nobody has read yet, counted in a flash by what stands there.

    count = unread(reader, table["journal"])     # JournalUnreadable where nobody can tell

The firmware's own modules read the journal, through a reader that cannot write: a chip in its
flasher stub, or the flash file of an emulator. Nothing that stands there is believed beyond what
they check; whatever it is, the search ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from faretap.image.partitions import Partition
from validator.store import journal_format as fmt
from validator.store.journal import Journal, JournalError

SECTOR = 4096
BLOCK = 64 * 1024


class Reader(Protocol):
    """A flash that can be looked at. Addresses and sizes in bytes."""

    size: int

    def read(self, address: int, size: int) -> bytes: ...

    def md5(self, address: int, size: int) -> str:
        """In lower-case hex, as the chip computes it itself."""


class JournalUnreadable(Exception):
    """There is a journal, or was one, and nobody can say what is in it. The text says why."""


@lru_cache(maxsize=64)
def _blank_md5(size: int) -> str:
    return hashlib.md5(b"\xff" * size).hexdigest()


def is_blank(reader: Reader, address: int, size: int) -> bool:
    return reader.md5(address, size) == _blank_md5(size)


class _Flash:
    """A partition as the journal sees it (store/flash.py), for reading only."""

    sector = SECTOR

    def __init__(self, reader: Reader, partition: Partition) -> None:
        self.size = partition.size
        self._reader = reader
        self._at = partition.offset

    def read(self, addr: int, buf: bytearray) -> None:
        buf[:] = self._reader.read(self._at + addr, len(buf))

    def program(self, addr: int, data: bytes) -> None:
        raise OSError("this flash is only read")

    def erase(self, addr: int) -> None:
        raise OSError("this flash is only read")


def unread(reader: Reader, partition: Partition) -> int | None:
    """How many records of the journal in `partition` are not acknowledged; None if there is no
    journal in it.

    Raises JournalUnreadable where that cannot be told.
    """
    place = (partition.offset % SECTOR, partition.size % SECTOR)
    if partition.end > reader.size or any(place) or partition.size < 3 * SECTOR:
        raise JournalUnreadable("its partition is not one of this flash")
    if is_blank(reader, partition.offset, partition.size):
        return None
    try:
        journal = Journal(_Flash(reader, partition))
        journal.mount()
        info = journal.info()
    except JournalError as e:
        raise JournalUnreadable(str(e)) from e
    if journal.next_seq > 1:
        return int(info["unacknowledged"])
    headers = _headers(reader, partition)
    if any(map(_spoilt, headers)):
        raise JournalUnreadable("its sectors are not in order")
    return 0 if any(map(fmt.unpack_erased, headers)) else None


def sectors(
    reader: Reader,
    spans: list[tuple[int, int]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[int]:
    """Addresses of sectors of a journal within `spans` (first address, end), wherever it was."""
    found: list[int] = []
    total = sum(end - start for start, end in spans)
    done = 0
    for start, end in spans:
        for at in range(start, end, BLOCK):
            size = min(BLOCK, end - at)
            if not is_blank(reader, at, size):
                found += [
                    sector
                    for sector in range(at, at + size, SECTOR)
                    if fmt.unpack_erased(reader.read(sector, fmt.HEADER_SIZE))
                ]
            done += size
            progress(done, total)
    return found


def _headers(reader: Reader, partition: Partition) -> list[bytes]:
    return [
        reader.read(at, fmt.HEADER_SIZE) for at in range(partition.offset, partition.end, SECTOR)
    ]


def _spoilt(header: bytes) -> bool:
    """Of a journal, and neither unused nor given up."""
    opened = header[fmt.OPEN_AT : fmt.HEADER_SIZE]
    if fmt.unpack_open(header):
        return True
    return bool(fmt.unpack_erased(header)) and not fmt.is_erased(opened) and opened != fmt.RETIRED
