"""What of an image is not in a flash yet, found with checksums that the chip computes itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

SECTOR = 4096
_FAN = 4

Md5 = Callable[[int, int], str]
Run = tuple[int, bytes]  # address, what belongs there


def differences(offset: int, data: bytes, md5: Md5) -> list[Run]:
    """The runs of sectors in which the flash at `offset` is not `data`.

    `offset` is a multiple of 4096. `md5(address, size)` asks the chip, in lower-case hex. An
    equal image costs one question. A different one is cut in four, and again, down to sectors, as
    long as some part is equal; where all parts differ, asking on would take longer than writing.
    """
    runs: list[Run] = []
    for start, end in _changed(0, len(data), offset, data, md5):
        if runs and runs[-1][0] + len(runs[-1][1]) == offset + start:
            runs[-1] = (runs[-1][0], runs[-1][1] + data[start:end])
        else:
            runs.append((offset + start, data[start:end]))
    return runs


def _changed(
    start: int, end: int, offset: int, data: bytes, md5: Md5
) -> Iterator[tuple[int, int]]:
    if end > start and md5(offset + start, end - start) != _hash(data[start:end]):
        yield from _narrowed(start, end, offset, data, md5)


def _narrowed(
    start: int, end: int, offset: int, data: bytes, md5: Md5
) -> Iterator[tuple[int, int]]:
    """The changed ranges of one that is known to differ."""
    sectors = -(-(end - start) // SECTOR)
    if sectors == 1:
        yield start, end
        return
    step = -(-sectors // _FAN) * SECTOR
    parts = [(at, min(at + step, end)) for at in range(start, end, step)]
    differ = [md5(offset + a, b - a) != _hash(data[a:b]) for a, b in parts]
    if all(differ):
        yield start, end
        return
    for (a, b), different in zip(parts, differ, strict=True):
        if different:
            yield from _narrowed(a, b, offset, data, md5)


def unwritten(offset: int, data: bytes) -> list[Run]:
    """The runs of sectors of `data` that are not blank: what an erased flash still needs."""
    runs: list[Run] = []
    for at in range(0, len(data), SECTOR):
        sector = data[at : at + SECTOR]
        if sector.count(0xFF) == len(sector):
            continue
        if runs and runs[-1][0] + len(runs[-1][1]) == offset + at:
            runs[-1] = (runs[-1][0], runs[-1][1] + sector)
        else:
            runs.append((offset + at, sector))
    return runs


def _hash(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
