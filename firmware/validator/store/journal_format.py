"""What the journal's sectors hold, byte by byte. No flash access here; docs/records.md explains.

A sector starts with 64 bytes of header in two parts that are programmed at different times:

    0   erase header   magic "FTJL", format version u8, 3 spare, erase count u32, CRC-32
    16  open header    sector number u32, first seq u32, acknowledged u32, chain 8 bytes, CRC-32
    40  open header    the same again: one rotten bit must not cost a sector of records

and goes on with entries, aligned to 4 bytes:

    0   body length u16, kind u8, check u8
    4   seq u32
    8   chain 8 bytes: SHA-256(chain of the record before, body), cut off
    16  body
    n   CRC-32 over all before it
    n+4 of a record in two parts: its end, 16 bytes, and CRC-32 over that, started from n's;
        both erased until they are known
    …   after word, 5 bytes, erased until it is known; then padding, never programmed

The CRC of an entry starts from the CRC of its sector's open header. So whatever stands in a body
(a rider can show any bytes as a code), or was left by an earlier life of the sector, never passes
for an entry.
"""

import hashlib
import struct
from binascii import crc32

VERSION = 2
HEADER_SIZE = 64
OPEN_AT = 16
OPEN_SIZE = 48  # both copies
CHAIN_SIZE = 8
AFTER_SIZE = 5
BODY_AT = 16
RECORD = 0x52
PARTED = 0x50  # a record whose end comes later
END_SIZE = 16
DAMAGE = 0
ACK = 0x41  # no body; seq says up to where records are acknowledged
KEY = 0x4B  # what the evidence of records behind it in this sector refers to; seq of the first

RECORDS = (RECORD, PARTED)
NO_CHAIN = b"\0" * CHAIN_SIZE
RETIRED = b"\0" * OPEN_SIZE

_MAGIC = b"FTJL"
_COPY = 24
_END = END_SIZE + 4
_OPEN_SEED = 0x46544A31


def entry_size(body_size, kind=RECORD):
    """Bytes that an entry occupies, after word and padding included."""
    return (after_at(body_size, kind) + AFTER_SIZE + 3) & ~3


def after_at(body_size, kind):
    """Where in an entry the after word stands."""
    return BODY_AT + body_size + (4 + _END if kind == PARTED else 4)


def link(chain, body):
    """Chain value of the record `body` that follows one with the value `chain`."""
    h = hashlib.sha256(chain)
    h.update(body)
    return h.digest()[:CHAIN_SIZE]


def pack_erased(erase_count):
    head = struct.pack("<4sBBBBI", _MAGIC, VERSION, 0xFF, 0xFF, 0xFF, erase_count)
    return head + struct.pack("<I", crc32(head))


def unpack_erased(header):
    """(format version, erase count), or None if that is not an erase header."""
    magic, version, _, _, _, count, crc = struct.unpack("<4sBBBBII", bytes(header[:OPEN_AT]))
    if magic != _MAGIC or crc32(header[:12]) != crc:
        return None
    return version, count


def pack_open(buf, number, first, acked, chain):
    """Both copies to the start of `buf`; returns the seed of the sector's entries."""
    struct.pack_into("<III8s", buf, 0, number, first, acked, chain)
    seed = crc32(memoryview(buf)[:20], _OPEN_SEED)
    struct.pack_into("<I", buf, 20, seed)
    buf[_COPY : 2 * _COPY] = buf[:_COPY]
    return seed


def unpack_open(header):
    """(sector number, first seq, acknowledged, chain, seed) of a 64-byte header, or None."""
    for at in (OPEN_AT, OPEN_AT + _COPY):
        number, first, acked, chain, seed = struct.unpack(
            "<III8sI", bytes(header[at : at + _COPY])
        )
        if crc32(header[at : at + 20], _OPEN_SEED) == seed:
            return number, first, acked, chain, seed
    return None


def is_erased(data):
    """Whether every byte is 0xFF."""
    return not bytes(data).rstrip(b"\xff")


def pack_entry(buf, at, kind, seq, chain, body, seed):
    """An entry at `buf[at:]`; returns how many bytes to program (no after word, no padding)."""
    n = len(body)
    check = _check(n, kind)
    struct.pack_into("<HBBI8s", buf, at, n, kind, check, seq, chain)
    end = at + BODY_AT + n
    buf[at + BODY_AT : end] = body
    struct.pack_into("<I", buf, end, crc32(memoryview(buf)[at:end], seed))
    return BODY_AT + n + 4


def entry_head(data):
    """(kind, body length) if `data` starts like an entry that `data` may hold whole, else None."""
    if len(data) < BODY_AT + 4 + AFTER_SIZE:
        return None
    n = data[0] | data[1] << 8
    kind = data[2]
    if kind not in (RECORD, PARTED, ACK, KEY) or data[3] != _check(n, kind):
        return None
    return (kind, n) if entry_size(n, kind) <= len(data) else None


def entry_intact(data, n, seed):
    """Whether the CRC of the entry at the start of `data`, with a body of n bytes, is right."""
    end = BODY_AT + n
    return crc32(data[:end], seed) == struct.unpack("<I", bytes(data[end : end + 4]))[0]


def pack_end(buf, end, seed):
    """The end of a record in two parts at the start of `buf`; `seed` is the CRC of the first."""
    buf[:END_SIZE] = end
    struct.pack_into("<I", buf, END_SIZE, crc32(memoryview(buf)[:END_SIZE], seed))
    return _END


def end_of(data, at):
    """The end of a record in two parts, whose first part has its CRC at `data[at:]`; b"" if the
    end was never programmed, or not whole. One wrong bit is mended."""
    seed = struct.unpack("<I", bytes(data[at : at + 4]))[0]
    end = bytearray(data[at + 4 : at + 4 + _END])
    if is_erased(end):
        return b""
    for bit in range(-1, 8 * _END):
        if bit >= 0:
            end[bit >> 3] ^= 1 << (bit & 7)
        crc = crc32(memoryview(end)[:END_SIZE], seed)
        if crc.to_bytes(4, "little") == bytes(end[END_SIZE:]):
            return bytes(end[:END_SIZE])
        if bit >= 0:
            end[bit >> 3] ^= 1 << (bit & 7)
    return b""


def was_maybe_whole(data):
    """Whether the bad entry at the start of `data`, the last of the log, may have been durable.

    A program operation that is cut leaves the end of the entry erased. Anything else there means
    that the entry may have been complete, and rotted: its number must not be given out again.
    """
    head = entry_head(data)
    if head is None:
        return not is_erased(data[4:])
    kind, n = head
    end = BODY_AT + n
    return kind in RECORDS and not is_erased(data[end : after_at(n, kind) + AFTER_SIZE])


def _check(n, kind):
    # Never 0xFF for an erased head, never 0 for one of zeros.
    return (n ^ n >> 8 ^ kind ^ 0xA5) & 0xFF
