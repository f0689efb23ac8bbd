"""What the sectors of the partition `riders` hold, byte by byte. No flash access here.

A sector has slots of 32 bytes. Slot 0 is its header; a spare has the first 4 bytes of it only, as
a sign that it was erased to the end:

    0   magic "FTRM"
    4   format version u8, class u8, bucket u8, buckets of that class u8
    8   generation u32: how often this bucket was written anew
    12  dropped u32: no later `until` has been dropped from this bucket
    16  latest u32: guarded time of the writing
    20  key check 4: of the key that made the tokens
    24  4 spare, FF
    28  CRC-32

Every other slot is an entry, or erased:

    0   key 8: a token, or a digest
    8   80, and flags (70) and kind (0F); without bit 80: the entry is void
    9   extra 1, by kind
    10  seq u32 of the record that it comes from
    14  until u32, unix seconds, by kind
    18  12 bytes by kind
    30  CRC-32 of the 30 bytes before, with bit 80 set, cut to 16 bits

A later entry of the same key and kind stands in the place of an earlier one.
"""

import struct
from binascii import crc32

VERSION = 1
SLOT = 32
KEY = 8
MAGIC = b"FTRM"
LIVE = 0x80
KIND = 0x0F

_HEADER = "<4sBBBBIII4s4s"
_ENTRY = "<8sBBII12s"
_CRC_AT = 30
_HEADER_CRC_AT = 28
_BLANK = b"\xff" * SLOT


class RidersError(Exception):
    """The flash holds what this firmware must not touch, or does not do what is needed."""


def pack_header(buf, room, bucket, buckets, generation, dropped, latest, check):
    """A header to the start of `buf`; `room` is the number of the class."""
    struct.pack_into(
        _HEADER,
        buf,
        0,
        MAGIC,
        VERSION,
        room,
        bucket,
        buckets,
        generation,
        dropped,
        latest,
        check,
        b"\xff\xff\xff\xff",
    )
    struct.pack_into("<I", buf, _HEADER_CRC_AT, crc32(memoryview(buf)[:_HEADER_CRC_AT]))


def unpack_header(data):
    """(version, class, bucket, buckets, generation, dropped, latest, key check) of 32 bytes, or
    None. One wrong bit is mended: a sector of entries hangs on it."""
    data = bytearray(data)
    if data[4:] == _BLANK[4:] or _differ(data, MAGIC) > 1:
        return None
    for bit in range(-1, 8 * SLOT):
        if bit >= 0:
            data[bit >> 3] ^= 1 << (bit & 7)
        crc = crc32(memoryview(data)[:_HEADER_CRC_AT])
        if data[:4] == MAGIC and crc.to_bytes(4, "little") == bytes(data[_HEADER_CRC_AT:]):
            return struct.unpack(_HEADER, bytes(data[:_HEADER_CRC_AT]))[1:9]
        if bit >= 0:
            data[bit >> 3] ^= 1 << (bit & 7)
    return None


def _differ(data, other):
    """Bits that differ in the first bytes of `data`."""
    count = 0
    for k in range(len(other)):
        x = data[k] ^ other[k]
        while x:
            x &= x - 1
            count += 1
    return count


def pack(buf, at, key, kind, extra, seq, until, data):
    """An entry at `buf[at:]`; `kind` with its flags, `data` up to 12 bytes."""
    if len(data) < 12:
        data = data + bytes(12 - len(data))
    struct.pack_into(_ENTRY, buf, at, key, LIVE | kind, extra, seq, min(until, 0xFFFFFFFF), data)
    sign(buf, at)


def sign(buf, at):
    """Make the CRC of the entry at `buf[at:]` right again."""
    crc = crc32(memoryview(buf)[at : at + _CRC_AT])
    buf[at + 30] = crc & 0xFF
    buf[at + 31] = crc >> 8 & 0xFF


def kind_of(buf, at):
    """The kind and flags of the entry at `buf[at:]`, with LIVE if it is not void; 0 if there is
    none that is whole."""
    kind = buf[at + 8]
    if kind & LIVE:
        crc = crc32(memoryview(buf)[at : at + _CRC_AT])
    else:
        data = bytearray(buf[at : at + _CRC_AT])
        data[8] |= LIVE
        crc = crc32(data)
    if buf[at + 30] != crc & 0xFF or buf[at + 31] != crc >> 8 & 0xFF:
        return 0
    return kind


def seq_of(buf, at):
    return struct.unpack_from("<I", buf, at + 10)[0]


def until_of(buf, at):
    return struct.unpack_from("<I", buf, at + 14)[0]


def is_blank(buf, at):
    """Whether the slot at `buf[at:]` was never programmed."""
    return buf[at] == 0xFF and bytes(buf[at : at + SLOT]) == _BLANK
