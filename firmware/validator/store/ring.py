"""The sectors under the journal: which are in use, erasing them, walking over what they hold.

They are used in the order of their addresses, around and around: so each is erased as often as any
other, and the order of the log is the order of the sectors from `tail` to `head`.
"""

import struct
from array import array

from validator.store import journal_format as fmt
from validator.store.record import MAX_SIZE

PAGE = 256  # NOR flash programs this much at a time


class JournalError(Exception):
    """The flash does not do what the journal needs."""


class Ring:
    """`flash` as in flash.py.

    first  the first record's number of each sector in use, 0 of one that holds nothing
    head   the sector that is being written, up to the offset `pos`; `tail` the oldest in use
    tx     what is to be programmed is laid out here; rx what was read. Both are for everybody, and
           good until the next call
    """

    def __init__(self, flash):
        self._flash = flash
        self.size = flash.sector
        self.count = flash.size // flash.sector
        if self.count < 3 or self.size % PAGE:
            raise JournalError("a journal needs three sectors of whole pages")
        self.room = self.size - fmt.HEADER_SIZE
        self.max_body = min(MAX_SIZE, self.room - fmt.entry_size(0))
        self.first = array("I", bytearray(4 * self.count))
        self.tx = bytearray(fmt.OPEN_SIZE + fmt.entry_size(self.max_body))
        self.txv = memoryview(self.tx)
        self.rx = bytearray(len(self.tx))
        self.rxv = memoryview(self.rx)
        self.head = self.tail = self.count - 1  # so that the first record goes to sector 0
        self.pos = self.size
        self.faults = 0  # program operations that did not read back

    def recycle(self, i):
        """Erase sector i, and write how often that was done."""
        addr = i * self.size
        try:
            erased = fmt.unpack_erased(self.header(i))
            # A count that was lost to a cut after the erase is about that of the neighbours.
            times = erased[1] if erased else self._neighbours_erased(i)
            header = self.header(i)
            self.first[i] = 0
            if i == self.tail:
                self.tail = self.used_after(i)
            if not fmt.is_erased(header[fmt.OPEN_AT :]):
                # An erase that is cut leaves anything. Nobody shall take it for records.
                self._flash.program(addr + fmt.OPEN_AT, fmt.RETIRED)
            self._flash.erase(addr)
            self._flash.program(addr, fmt.pack_erased(times + 1))
        except OSError as e:
            raise JournalError("sector %d cannot be erased: %r" % (i, e))

    def _neighbours_erased(self, i):
        times = 0
        for j in ((i - 1) % self.count, (i + 1) % self.count):
            erased = fmt.unpack_erased(self.header(j))
            if erased:
                # In each round those before i come first.
                times = max(times, erased[1] - (j < i))
        return times

    def ahead(self, n):
        """The sector that follows n sectors after the head."""
        return (self.head + 1 + n) % self.count

    def take(self, first_seq):
        """The next sector, erased before, becomes the head, and begins with `first_seq`."""
        i = self.ahead(0)
        if not self.first[self.tail]:
            self.tail = i
        self.first[i] = first_seq
        self.head = i
        self.pos = fmt.HEADER_SIZE

    def used_after(self, i):
        """The first sector after i, around the ring, that holds records; the head if none does."""
        for _ in range(self.count):
            i = (i + 1) % self.count
            if self.first[i]:
                return i
        return self.head

    def count_usable(self, acked):
        """Sectors after the head that can take new records, if those up to `acked` may go."""
        first = self.first
        count = self.count
        i = (self.head + 1) % count
        n = 0
        while n < count and (i != self.head or not first[i]):
            if first[i]:
                j = (i + 1) % count
                while not first[j]:
                    j = (j + 1) % count
                if first[j] - 1 > acked:
                    break
            n += 1
            i = (i + 1) % count
        return n

    def start(self, from_seq):
        """The sector to begin reading in."""
        i = best = self.tail
        while i != self.head:
            i = (i + 1) % self.count
            if self.first[i]:
                if self.first[i] > from_seq:
                    break
                best = i
        return best

    # -- entries -----------------------------------------------------------------------------

    def walk(self, i, seed):
        """Yield (offset, kind, seq, body length) of each entry of sector i, which stands in `rx`
        meanwhile. A stretch that is none comes as kind DAMAGE, with its length as far as known
        (else 0). The log may grow while this is suspended."""
        pos = fmt.HEADER_SIZE
        fixed = None if i == self.head else self.programmed(i)
        astray = False
        while True:
            end = self.pos if i == self.head else fixed
            if end is None:  # the head has moved on
                end = fixed = self.programmed(i)
            if pos >= end:
                return
            data = self.entry(pos)
            self._flash.read(i * self.size + pos, data)
            head = fmt.entry_head(data)
            if head is None:
                if not astray:
                    astray = True
                    yield pos, fmt.DAMAGE, 0, 0
                pos += 4
                continue
            kind, n = head
            size = fmt.entry_size(n)
            if fmt.entry_intact(data, n, seed):
                yield pos, kind, struct.unpack("<I", bytes(data[4:8]))[0], n
                astray = False
            else:
                # Its sound head says where the next one is.
                yield pos, fmt.DAMAGE, 0, size
                astray = True
            pos += size

    def entry(self, pos):
        """What `rx` holds of the entry at `pos` that `walk` has just yielded."""
        return self.rxv[: min(self.size - pos, len(self.rx))]

    def header(self, i):
        """The 64 bytes of sector i's header; a part of `rx`."""
        header = self.rxv[: fmt.HEADER_SIZE]
        self._flash.read(i * self.size, header)
        return header

    def programmed(self, i):
        """Offset just past the last byte of sector i that is not erased, a multiple of 4."""
        chunk = self.rxv[:PAGE]
        pos = self.size
        while pos > fmt.HEADER_SIZE:
            pos -= PAGE
            self._flash.read(i * self.size + pos, chunk)
            n = len(bytes(chunk).rstrip(b"\xff"))
            if n:
                return max((pos + n + 3) & ~3, fmt.HEADER_SIZE)
        return fmt.HEADER_SIZE

    def program(self, addr, length):
        """Program the first bytes of `tx`, and say whether they are there."""
        data = self.txv[:length]
        back = self.rxv[:length]
        try:
            self._flash.program(addr, data)
            self._flash.read(addr, back)
            if back == data:
                return True
        except OSError:
            pass
        self.faults += 1
        return False
