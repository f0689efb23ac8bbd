"""What is the same at each start of an image: made once, kept in flash behind its packed part.

MicroPython numbers all names, and each module has a table of the numbers of its names, which
depend on the names that were there before. Together with the table of all names these would take
30 KB of the heap. At the first start of an image they are written into what is left of its slot;
from then on they are used there. Nothing else is ever written to a slot that runs.

    mark      SHA-256 of the content, and its size (u32): 40 bytes, written last
    content   key, 16 bytes: of which packed part and which MicroPython this is
              u32 each: how many names it brings; places of the next three, from here
    loader    names that were there before the application's, a table as MicroPython's own
    names     the application's: a table of its own, which continues that one
    modules   for each file of the packed part: place of its table (u32), how many numbers, and how
              many objects the module's other table has (u16 each)
    numbers   u16 each

A power cut while this is written leaves no mark, and the next start writes it anew.
"""

import hashlib
import struct
import sys

_MARK = 40
_HEAD = 32
_HEADER = 6  # words of a table of names, see inplace_names.py
_LATER = 24
_SECTOR_BITS = 12
_CHUNK = 2048
_ENTRY = 16
_MODULE = 8


class Kept:
    """`slot` is the partition, `at` where in it the packed part begins, `area`, `base`, `words`,
    `word`, `start`, `end` as `inplace.Code` has them; `pointer` where MicroPython's pointer to its
    newest table of names is."""

    def __init__(self, slot, at, packed, area, base, words, word, pointer, start, end):
        self._slot = slot
        self._packed = packed
        self._area = area
        self._base = base
        self._words = words
        self._word = word
        self._pointer = pointer
        self._bounds = (start, end)
        self._old = words[pointer]
        sector = 1 << _SECTOR_BITS
        self._at = (at + packed["size"] + sector - 1) >> _SECTOR_BITS << _SECTOR_BITS
        self._room = slot.info()[3] - self._at
        self._content = base + self._at - at + _MARK
        key = packed["sha256"] + sys.version
        self._key = hashlib.sha256(key.encode()).digest()[:16]
        # The pieces of memory that names were in must stay, and the collector knows them by this
        # only: MicroPython adds to the last one, and mount points are names in the others.
        self.pieces = b""

    def take(self):
        """Use what is kept. Returns how many names are in flash now, and where the tables of
        modules are: (bytes, address of the content); (0, (b"", 0)) if nothing is kept that fits.
        """
        import uctypes

        nothing = 0, (b"", 0)
        if self._room < _MARK:
            return nothing
        mark = bytearray(_MARK)
        self._slot.readblocks(self._at >> _SECTOR_BITS, mark, 0)
        size = struct.unpack_from("<I", mark, 32)[0]
        if not _HEAD < size <= self._room - _MARK:
            return nothing
        view = memoryview(uctypes.bytearray_at(self._content, size))
        if view[:16] != self._key or _digest(view) != mark[:32]:
            return nothing
        names, loader, table, modules = struct.unpack_from("<IIII", view, 16)
        same = self._loader_names(self._content + loader)
        if view[loader : loader + len(same)] != same:
            return nothing
        self._words[self._pointer] = self._content + table
        count = self._packed["files"]
        return names, (
            uctypes.bytearray_at(self._content + modules, _MODULE * count),
            self._content,
        )

    def make(self, names):
        """Write it, with `names` names installed by inplace_names.py. Returns whether there was
        room; OSError if flash cannot be written."""
        words = self._words
        word = self._word
        table = words[self._pointer]
        count = words[table + 3 * word]
        area = self._area
        loader = self._loader_names(self._content + _HEAD)
        at = _HEAD + len(loader)
        place = at + word * (_HEADER + count)
        size = place + _MODULE * self._packed["files"]
        modules = b""
        begins = []
        for i in range(self._packed["files"]):
            begin, _, functions = struct.unpack_from("<III", area, _ENTRY * i + 4)
            n = objects = 0
            if functions:  # else it is no module
                n, objects, _ = _counts(area, begin)
                begins.append(begin)
            modules += struct.pack("<IHH", size, n, objects)
            size += 2 * n
        if count != self._packed["names"][0] or _MARK + size > self._room:
            return False
        for block in range(self._at >> _SECTOR_BITS, (self._at + _MARK + size - 1 >> 12) + 1):
            if self._slot.ioctl(6, block):
                raise OSError(5)
        self._hash = hashlib.sha256()
        self._next = self._at + _MARK
        self._write(self._key + struct.pack("<IIII", names, _HEAD, at, place))
        self._write(loader)
        form = "<QQQQQQ" if word == 8 else "<IIIIII"
        total = words[table + word]
        hashes, lengths = words[table + 4 * word], words[table + 5 * word]
        previous = self._content + _HEAD
        self._write(struct.pack(form, previous, total, _LATER, count, hashes, lengths))
        import uctypes

        self._write(uctypes.bytearray_at(table + _HEADER * word, word * count))
        self._write(modules)
        for begin in begins:
            self._write(_numbers(area, begin))
        mark = self._hash.digest() + struct.pack("<II", size, 0)
        self._slot.writeblocks(self._at >> _SECTOR_BITS, mark, 0)
        return True

    def _write(self, data):
        view = memoryview(data)
        for i in range(0, len(view), _CHUNK):
            part = view[i : i + _CHUNK]
            at = self._next
            # The form with an offset does not erase.
            self._slot.writeblocks(at >> _SECTOR_BITS, part, at & (1 << _SECTOR_BITS) - 1)
            self._hash.update(part)
            self._next = at + len(part)

    def _loader_names(self, address):
        """A table of the names before the application's, as it has to be at `address`."""
        import uctypes

        words = self._words
        word = self._word
        tables = []
        table = self._old
        while self._bounds[0] <= table < self._bounds[1]:
            tables.insert(0, table)
            table = words[table]
        first = words[tables[0] + word] & (1 << 8 * word - 1) - 1
        texts = []
        hashes = lengths = b""
        pieces = []
        for part in tables:
            n = words[part + 3 * word]
            size = uctypes.bytearray_at(words[part + 5 * word], n)
            hashes += bytes(uctypes.bytearray_at(words[part + 4 * word], 2 * n))
            lengths += bytes(size)
            for i in range(n):
                at = words[part + word * (_HEADER + i)]
                if not at % (4 * word):
                    pieces.append(at)
                texts.append(bytes(uctypes.bytearray_at(at, size[i] + 1)))
        form = "<Q" if word == 8 else "<I"
        self.pieces = b"".join([struct.pack(form, at) for at in pieces])
        count = len(texts)
        at = address + word * (_HEADER + count)
        out = [table, first, count, count, at, at + 2 * count]
        at += 3 * count
        for text in texts:
            out.append(at)
            at += len(text)
        data = b"".join([struct.pack(form, n) for n in out]) + hashes + lengths + b"".join(texts)
        return data + bytes(-len(data) % 8)


def _digest(view):
    digest = hashlib.sha256()
    for at in range(0, len(view), _CHUNK):
        digest.update(view[at : at + _CHUNK])
    return digest.digest()


def _counts(area, at):
    """(how many names the .mpy at `at` of the area has, how many objects, where the names are)."""
    flags = area[at + 2] & 0x40  # of the architecture follow
    at += 4
    for _ in range(2 if flags else 1):
        n, at = _number(area, at)
    objects, at = _number(area, at)
    return n, objects, at


def _number(area, at):
    n = 0
    while True:
        byte = area[at]
        at += 1
        n = n << 7 | byte & 0x7F
        if byte < 0x80:
            return n, at


def _numbers(area, at):
    """A module's table: the numbers of the names that its .mpy lists (py/persistentcode.c)."""
    view = memoryview(area)
    count, _, at = _counts(area, at)
    out = bytearray(2 * count)
    for i in range(count):
        size, at = _number(area, at)
        n = size >> 1
        if not size & 1:
            size = n
            # A name is no object but its number, marked by its low bits (py/obj.h, REPR_A).
            n = id(str(view[at : at + size], "utf8")) >> 3
            at += size + 1
        out[2 * i] = n & 0xFF
        out[2 * i + 1] = n >> 8 & 0xFF
    return out
