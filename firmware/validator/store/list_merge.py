"""Changes to a deny list: the list in force is written anew with them, into the idle bank.

Blocks that nothing changes in are copied. What comes out is, byte for byte, the list that the
operator signed: its hash says so. Imported when changes come.
"""

import struct

from validator.store import list_format as fmt
from validator.store.list_format import ListError

HEAD_SIZE = 24
CHANGE_SIZE = 5
HEAD = "<4sBBHII8s"  # "FTLD", format, 0, 0, base version, number of changes, hash of base's body

_KEPT = 32  # entries of the index that are programmed at once


def parse_head(data):
    """(base version, number of changes, 8 bytes of the hash of the base's body) from the first
    bytes of a list of changes."""
    magic, form, _, _, base, count, digest = struct.unpack(HEAD, bytes(data[:HEAD_SIZE]))
    if magic != b"FTLD":
        raise ListError("damaged", "this is no list of changes")
    if form != 1:
        raise ListError("invalid", "format %d of changes; this software knows 1" % form)
    return base, count, digest


class Merge:
    """`head` is that of the file, `header` that of the list that comes out, `size` that of the
    file. `out`, a `list_load.Writer`, is set before `begin`."""

    def __init__(self, lists, header, head, size):
        base, count, digest = parse_head(head)
        old = lists.active
        if old is None or old.version != base or old.digest[:8] != digest:
            text = "these are changes to version %d; version %d is in force: send a full list"
            raise ListError("base", text % (base, old.version if old else 0))
        if (old.buckets, old.width, old.cell) != (header.buckets, header.width, header.cell):
            raise ListError("base", "this list is laid out in another way: send a full list")
        want = HEAD_SIZE + fmt.HEADER_SIZE + CHANGE_SIZE * count + 8 * header.exempt
        if size != want:
            raise ListError("damaged", "the file and its header differ in their sizes")
        self._lists = lists
        self._old = old
        self._new = header
        self._from = lists.base(lists.bank) + lists.body_at
        self._left = count
        self._bucket = 0  # the next that is written
        self._toggled = set()  # values of it that come or go
        self._rest = b""  # of the file: a change that is not whole yet, exempt tokens
        self._index = bytearray(2 * _KEPT)
        self._kept = 0
        self._buf = memoryview(bytearray(old.block_max))
        self._done = False
        self.out = None

    async def begin(self):
        """Erase what the index will be programmed into, bit by bit."""
        out = self.out
        out.marks = False
        out.at = self._new.index_size
        size = self._lists.flash.sector
        for at in range(size, self._lists.body_at + out.at, size):
            await out.erase(at)

    async def write(self, data):
        data = self._rest + bytes(data)
        at = 0
        while self._left and at + CHANGE_SIZE <= len(data):
            bucket = data[at] << 8 | data[at + 1]
            if not self._bucket <= bucket < self._new.buckets:
                raise ListError("damaged", "changes that are out of order")
            await self._up_to(bucket)
            self._toggled.add(data[at + 2] << 16 | data[at + 3] << 8 | data[at + 4])
            self._left -= 1
            at += CHANGE_SIZE
        self._rest = data[at:]

    async def finish(self):
        if self._done:
            return
        new = self._new
        if self._left or len(self._rest) != 8 * new.exempt:
            raise ListError("damaged", "the list is not complete")
        await self._up_to(new.buckets)
        self._note()
        self._flush()
        await self.out.write(self._rest)
        self._done = True

    async def _up_to(self, bucket):
        while self._bucket < bucket:
            self._note()
            block = self._block()
            if self._toggled:
                values = set(unpack(block, self._old.cell)) ^ self._toggled
                self._toggled = set()
                block = pack(sorted(values), self._old.cell)
            if self.out.at + len(block) > self._new.size:
                raise ListError("damaged", "more than this list has room for")
            await self.out.write(block)
            self._bucket += 1
            if not self._bucket & 7:
                await self.out.pause()

    def _block(self):
        """The old block of the bucket in hand."""
        flash = self._lists.flash
        pair = bytearray(4)
        bucket = self._bucket
        flash.read(self._from + 2 * bucket, pair)
        low, high = struct.unpack("<hh", pair)
        slope = self._old.slope
        start = (bucket * slope >> 8) + low
        n = ((bucket + 1) * slope >> 8) + high - start
        if not 0 <= n <= len(self._buf) or start < 0 or start + n > self._old.size:
            raise ListError("base", "the list in force is damaged: send a full list")
        block = self._buf[:n]
        flash.read(self._from + self._old.index_size + start, block)
        return block

    def _note(self):
        """The index entry of the bucket in hand, or of the end."""
        new = self._new
        away = self.out.at - new.index_size - (self._bucket * new.slope >> 8)
        if not -32768 <= away <= 32767:
            raise ListError("damaged", "an index that this list cannot have")
        struct.pack_into("<h", self._index, 2 * (self._kept % _KEPT), away)
        self._kept += 1
        if not self._kept % _KEPT:
            self._program(_KEPT)

    def _flush(self):
        if self._kept % _KEPT:
            self._program(self._kept % _KEPT)

    def _program(self, n):
        lists = self._lists
        at = lists.base(1 - lists.bank) + lists.body_at + 2 * (self._kept - n)
        lists.flash.program(at, memoryview(self._index)[: 2 * n])


def unpack(block, cell):
    """The values of a block, ascending."""
    out = []
    end = len(block)
    bit = 0
    at = value = 0
    while at + cell <= end - (bit + 7) // 8:
        above = 0
        while not block[end - 1 - bit // 8] & 0x80 >> bit % 8:
            above += 1
            bit += 1
            if bit >= 8 * end:
                raise ListError("base", "the list in force is damaged: send a full list")
        bit += 1
        value += above << 8 * cell | int.from_bytes(block[at : at + cell], "big")
        out.append(value)
        at += cell
    return out


def pack(values, cell):
    """The block of ascending `values`."""
    low = bytearray()
    above = bytearray()
    bits = before = 0
    for value in values:
        gap = value - before
        before = value
        low += (gap & (1 << 8 * cell) - 1).to_bytes(cell, "big")
        bits += gap >> 8 * cell
        while len(above) * 8 <= bits:
            above.append(0)
        above[bits // 8] |= 0x80 >> bits % 8
        bits += 1
    return bytes(low) + bytes(reversed(above))
