"""A deny list from tokens: laid out for the room that there is, packed, signed."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from faretap.lists.errors import ListFileError
from validator.store import list_format as fmt

TOKEN_SIZE = 8
MAX_FALSE = 1e-5  # probability that a rider who is not listed is taken for one who is

_SECTOR = 4096
_WIDEST = 0xFFFFFF
_NEXT_TO_NONE = 1e-8
_FULLEST = 128  # values of a block on average: a lookup has to go through them
_CHANCE = 0.0015  # of the space, by which a list may be larger than is to be expected


@dataclass(frozen=True)
class Layout:
    """How values are spread: `buckets`, values below `width` in each, `cell` bytes a
    difference."""

    buckets: int
    width: int
    cell: int

    def false_positive(self, entries: int) -> float:
        """Probability that a token that is not listed is found."""
        return entries / (self.buckets * self.width)

    def size(self, entries: int) -> float:
        """Bytes of index and blocks that are to be expected."""
        one = 256**self.cell
        share = one * entries / (self.buckets * self.width)  # of a cell, for each value
        bits = 8 * self.cell + 1 + (1 / math.expm1(share) if 0 < share < 100 else 0)
        return entries * bits / 8 + self.buckets * 2.5 + 2


def room(partition: int) -> int:
    """Bytes that a list's body may have on a partition of so many bytes, which has two banks."""
    sectors = partition // _SECTOR // 2
    return sectors * _SECTOR - ((208 + sectors + 15) & ~15) - 4


def plan(entries: int, space: int) -> Layout:
    """The smallest layout with next to no false positives, or the one with the fewest that `space`
    bytes hold.

    A tenth of the space is left for the list to grow in, if that costs no more than allowed.
    """
    for share in (0.9, 1 - _CHANCE):
        found = [
            layout
            for power in range(4, 17)
            for cell in (2, 3)
            if (layout := _widest(entries, 1 << power, cell, space * share))
        ]
        ample = [it for it in found if it.false_positive(entries) <= _NEXT_TO_NONE]
        if ample:
            return min(ample, key=lambda it: it.size(entries))
        best = min(found, key=lambda it: it.false_positive(entries), default=None)
        if best and best.false_positive(entries) <= MAX_FALSE:
            return best
    raise ListFileError(
        f"{entries} tokens do not fit into the {space} bytes that the validator has for them.",
        "Leave out cards that have expired, or name boards with more flash by --board.",
    )


def _widest(entries: int, buckets: int, cell: int, space: float) -> Layout | None:
    if entries > buckets * _FULLEST:
        return None
    low, high = 0, _WIDEST
    while low < high:
        middle = (low + high + 1) // 2
        if Layout(buckets, middle, cell).size(entries) <= space:
            low = middle
        else:
            high = middle - 1
    return Layout(buckets, low, cell) if low else None


def build(
    tokens: Iterable[bytes],
    *,
    version: int,
    sign: Callable[[bytes], bytes],
    space: int,
    issued: int,
    exempt: Iterable[bytes] = (),
    key_check: bytes = bytes(4),
    layout: Layout | None = None,
) -> bytes:
    """A signed list of `tokens` (8 bytes each) whose body has at most `space` bytes.

    `exempt` tokens are let through even where they look like a listed one; `sign` gives r and s,
    64 bytes, for what is to be signed (`signer`); `key_check` as in tokens.py; `layout` that of an
    older list, where changes to it are to be made.
    """
    listed = _checked(tokens)
    spared = sorted(_checked(exempt))
    both = listed.intersection(spared)
    if both:
        raise ListFileError(
            f"{min(both).hex()} is both listed and exempt.", "Take it out of one of the two."
        )
    if len(spared) > fmt.MAX_EXEMPT:
        raise ListFileError(f"{len(spared)} tokens are exempt; {fmt.MAX_EXEMPT} may be.")
    if not 0 < version < 1 << 32:
        raise ListFileError(f"Version {version} is not between 1 and 4294967295.")
    left = space - 8 * len(spared)
    if layout is None:
        layout = plan(len(listed), left)
    elif layout.false_positive(len(listed)) > MAX_FALSE:
        raise ListFileError(
            f"{len(listed)} tokens are too many for the layout of the older list.",
            "Build it anew, and send the full list.",
        )
    values = spread(listed, layout)
    blocks = [pack_block(values.get(bucket, []), layout.cell) for bucket in range(layout.buckets)]
    body, slope = _body(blocks, spared)
    longest = max(1, *map(len, blocks))
    if len(body) > space or longest > fmt.MAX_BLOCK:
        raise ListFileError(
            f"The list would have {len(body)} bytes and blocks of {longest}; "
            f"{space} and {fmt.MAX_BLOCK} are possible.",
            "Build it with another layout, or leave out cards that have expired.",
        )
    head = struct.pack(
        fmt.LAYOUT,
        b"FTLI",
        1,
        layout.cell,
        0,
        version,
        sum(map(len, values.values())),
        layout.buckets,
        layout.width,
        slope,
        longest,
        len(spared),
        len(body),
        hashlib.sha256(body).digest(),
        issued,
        key_check,
    ).ljust(fmt.SIGNED_SIZE, b"\0")
    return head + sign(head) + body


def signer(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """Signs with the operator's key: r and s, 32 bytes each."""

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def _checked(tokens: Iterable[bytes]) -> set[bytes]:
    found = set(tokens)
    for token in found:
        if len(token) != TOKEN_SIZE:
            raise ListFileError(f"{token.hex()} is no token: those have {TOKEN_SIZE} bytes.")
    return found


def spread(tokens: Iterable[bytes], layout: Layout) -> dict[int, list[int]]:
    """The values of each bucket that has any, ascending, each once."""
    values: dict[int, set[int]] = {}
    for token in tokens:
        bucket = int.from_bytes(token[:3], "big") * layout.buckets >> 24
        value = (int.from_bytes(token[4:], "big") & 0x3FFFFFFF) % layout.width
        values.setdefault(bucket, set()).add(value)
    return {bucket: sorted(found) for bucket, found in values.items()}


def pack_block(values: list[int], cell: int) -> bytes:
    """Ascending values as a block: low bytes of the differences, then, from the end on, how often
    256**cell goes into each, in unary."""
    one = 8 * cell
    low = bytearray()
    unary = 0
    bits = 0
    before = 0
    for value in values:
        gap = value - before
        before = value
        low += (gap & (1 << one) - 1).to_bytes(cell, "big")
        zeros = gap >> one
        unary = unary << zeros + 1 | 1
        bits += zeros + 1
    size = (bits + 7) // 8
    return bytes(low) + (unary << size * 8 - bits).to_bytes(size, "big")[::-1]


def _body(blocks: list[bytes], spared: list[bytes]) -> tuple[bytes, int]:
    """Index, blocks and exempt tokens; and the slope of the index."""
    total = sum(map(len, blocks))
    slope = round(total * 256 / len(blocks))
    index = bytearray()
    at = 0
    for bucket, block in enumerate([*blocks, b""]):
        away = at - (bucket * slope >> 8)
        if not -0x8000 <= away <= 0x7FFF:
            raise ListFileError("These tokens are not spread as those of a keyed hash are.")
        index += struct.pack("<h", away)
        at += len(block)
    return bytes(index) + b"".join(blocks) + b"".join(spared), slope
