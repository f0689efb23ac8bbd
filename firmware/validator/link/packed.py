"""Packed blocks: the pieces in which bulk data is compressed, checked and taken up again.

Data is cut into blocks of `BLOCK` bytes, the last one shorter; block n begins at n * BLOCK. Each
is packed by itself, so that a transfer can go on at any of them:

    0  2  size of the contents, 1 to BLOCK
    2  2  size of what follows the head; as large as the contents: they are stored as they are
    4  4  CRC-32 of the contents
    8     the contents, or a raw deflate stream of them (RFC 1951) with a window of `1 << WBITS`

Numbers are big-endian. Validator and host both use this file; only the host packs.
"""

import binascii
import struct

BLOCK = 2048  # half a sector of flash; a packed block and its contents fit a small heap
WBITS = 10  # the window's 1 KB is on the heap while a block is unpacked
HEAD = 8
_HEAD = ">HHI"


class Damaged(ValueError):
    """A packed block is not what it should be."""


def head(size, packed_size, crc):
    """The head of a block, as bytes."""
    return struct.pack(_HEAD, size, packed_size, crc)


def sizes(data):
    """(size of the contents, size of what follows the head) from a head's bytes; Damaged."""
    size, packed_size, _ = struct.unpack(_HEAD, data)
    if not 0 < size <= BLOCK or not 0 < packed_size <= size:
        raise Damaged("no block has such a head")
    return size, packed_size


def unpack_into(stream, out):
    """Unpack the block that `stream`, an io.BytesIO at its start, holds into `out`, a memoryview
    of BLOCK bytes; returns the size of the contents. Damaged if they are not what was packed."""
    size, packed_size, crc = struct.unpack(_HEAD, stream.read(HEAD))
    if packed_size == size:
        n = stream.readinto(out[:size])
    else:
        try:
            n = _inflate(stream, out[:size])
        except (OSError, EOFError, ValueError) as e:
            raise Damaged("not to be unpacked: %r" % e)
    if n != size or binascii.crc32(out[:size]) != crc:
        raise Damaged("the check of a block is wrong")
    return size


try:
    from deflate import RAW, DeflateIO

    def _inflate(stream, out):
        return DeflateIO(stream, RAW, WBITS).readinto(out)

except ImportError:  # CPython
    import zlib  # type: ignore[import-not-found]

    def _inflate(stream, out):
        try:
            data = zlib.decompressobj(-WBITS).decompress(stream.read(), len(out))
        except zlib.error as e:
            raise ValueError(str(e))
        out[: len(data)] = data
        return len(data)
