"""The sectors under the journal: which are in use, erasing them, walking over what they hold.

They are used in the order of their addresses, around and around: so each is erased as often as any
other, and the order of the log is the order of the sectors from `tail` to `head`. The sector at
index i has the numbers i + 1, i + 1 + count, …, one each time around: so its number says whether
what it holds is in use, and the newest is found without reading all.
"""

import struct

from validator.store import journal_format as fmt
from validator.store.record import MAX_SIZE

PAGE = 256  # NOR flash programs this much at a time
_NEAR = 8  # sectors without a header in a row, at most, between two that have one


class JournalError(Exception):
    """The flash does not do what the journal needs."""


class Ring:
    """`flash` as in flash.py.

    head    the sector that is being written, up to the offset `pos`; `number` its number, 0 if
            nothing was ever written
    tail    the oldest sector in use, which begins with record `oldest`, 0 if there is none
    bad     sectors that cannot be erased any more: passed over
    erases  counts sectors that were taken out of use, so that a reader sees that one was
    tx      what is to be programmed is laid out here; rx what was read. Both are for everybody,
            and good until the next call
    """

    def __init__(self, flash):
        self._flash = flash
        self.size = flash.sector
        self.count = flash.size // flash.sector
        if self.count < 3 or self.size % PAGE:
            raise JournalError("a journal needs three sectors of whole pages")
        self.room = self.size - fmt.HEADER_SIZE
        self.max_body = min(MAX_SIZE, self.room - fmt.entry_size(0))
        self.tx = bytearray(fmt.OPEN_SIZE + fmt.entry_size(self.max_body))
        self.txv = memoryview(self.tx)
        self.rx = bytearray(len(self.tx))
        self.rxv = memoryview(self.rx)
        self.head = self.tail = self.count - 1  # so that the first record goes to sector 0
        self.number = self.oldest = 0
        self.pos = self.size
        self.bad = []
        self.erases = 0
        self.faults = 0  # operations whose result is not in flash

    # -- which sectors are in use ------------------------------------------------------------

    def mount(self):
        """Find head and tail. Returns the open header of the head, or None if there is none.

        JournalError if a sector holds a later format.
        """
        i = self._newest()
        if i is None:
            return None
        opened = self._opened(i)
        self.head = i
        self.number = opened[0]
        # The sector after the head has the oldest number that can be; before the first time around
        # is over, it is the very first one.
        self.tail = (i + 1) % self.count if self.number > self.count else 0
        self.oldest = self.first(self.tail)
        if not self.oldest:
            self._retreat(self.tail)
        return opened

    def _newest(self):
        count = self.count
        low, time = self._latest(0, _NEAR)
        if low is None:
            # Nothing was ever written, or much is damaged.
            return self._latest(0, count)[0]
        high = count
        while low + 1 < high:
            middle = (low + high) // 2
            i = self._near(middle, high, time)
            if i is None:
                high = middle
            else:
                low = i
        i = low
        while i is not None:
            low = i
            i = self._near(low + 1, count, time)
        return low

    def _latest(self, i, end):
        """(sector, time) of the last one opened among sectors i to `end`; (None, -1) if none is.

        A time is how often the ring had been gone around when a sector was opened.
        """
        low = None
        time = -1
        for i in range(i, min(end, self.count)):
            opened = self._opened(i)
            if opened and (opened[0] - 1) // self.count >= time:
                time = (opened[0] - 1) // self.count
                low = i
        return low, time

    def _near(self, i, end, time):
        """The first sector from i on, within a few and before `end`, opened at `time` or later."""
        for i in range(i, min(i + _NEAR, end)):
            opened = self._opened(i)
            if opened and (opened[0] - 1) // self.count >= time:
                return i
        return None

    def _opened(self, i):
        """The open header of sector i, if it has one that belongs there."""
        header = self.header(i)
        erased = fmt.unpack_erased(header)
        if erased and erased[0] > fmt.VERSION:
            raise JournalError("journal format %d is of a later firmware" % erased[0])
        opened = fmt.unpack_open(header)
        return opened if opened and (opened[0] - 1) % self.count == i else None

    def first(self, i):
        """The first record's number of sector i, 0 if it is not in use."""
        if i in self.bad:
            return 0
        opened = fmt.unpack_open(self.header(i))
        if not opened or opened[0] != self.number - (self.head - i) % self.count:
            return 0
        return opened[1]

    def next_used(self, i):
        """The first sector after i, around the ring, that holds records; at last the head."""
        i = (i + 1) % self.count
        while i != self.head and not self.first(i):
            i = (i + 1) % self.count
        return i

    def usable(self, acked, most):
        """Sectors after the head that can take new records, if those up to `acked` may go; no more
        than `most` are looked for."""
        if not self.number:
            return min(self.count - len(self.bad), most)
        n = held = 0  # held: a sector in use and those behind it, which go if it may
        i = self.head
        while n < most:
            i = (i + 1) % self.count
            if i in self.bad:
                continue
            first = self.first(i)
            if first:
                if first - 1 > acked:
                    break
                n += held
                held = 0
            if i == self.head:
                break
            if first or held:
                held += 1
            else:
                n += 1
        return min(n, most)

    def start(self, from_seq):
        """The sector to begin reading in: the last that begins at or before `from_seq`."""
        low = 0
        high = (self.head - self.tail) % self.count + 1
        while low + 1 < high:
            middle = (low + high) // 2
            i = (self.tail + middle) % self.count
            first = self.first(i)
            if not first and i != self.head:
                first = self.first(self.next_used(i))
            if first and first <= from_seq:
                low = middle
            else:
                high = middle
        i = (self.tail + low) % self.count
        return i if self.first(i) or i == self.head else self.next_used(i)

    # -- erasing -----------------------------------------------------------------------------

    def ahead(self, n):
        """The sector that follows n sectors after the head, without those that are worn out."""
        i = self.head
        for _ in range(2 * self.count):
            i = (i + 1) % self.count
            if i not in self.bad:
                if not n:
                    return i
                n -= 1
        raise JournalError("no sector can be erased any more")

    def is_clean(self, i):
        """Sector i was erased and not used since."""
        header = self.header(i)
        erased = fmt.unpack_erased(header)
        # One of an earlier format is erased again: whoever knows only that finds his own.
        return bool(erased) and erased[0] == fmt.VERSION and fmt.is_erased(header[fmt.OPEN_AT :])

    def recycle(self, i):
        """Erase sector i, and write how often that was done. Returns whether it can be used; if
        not, it will be passed over."""
        addr = i * self.size
        try:
            erased = fmt.unpack_erased(self.header(i))
            # A count that was lost to a cut after the erase is about that of the neighbours.
            times = erased[1] if erased else self._neighbours_erased(i)
            header = self.header(i)
            self.erases += 1
            if not fmt.is_erased(header[fmt.OPEN_AT :]):
                # An erase that is cut leaves anything. Nobody shall take it for records.
                self._flash.program(addr + fmt.OPEN_AT, fmt.RETIRED)
            self._flash.erase(addr)
            if self._is_blank(addr):
                self._flash.program(addr, fmt.pack_erased(times + 1))
                if self.is_clean(i):
                    self._retreat(i)
                    return True
        except OSError:
            pass
        self.faults += 1
        self.bad.append(i)
        self._retreat(i)
        return False

    def _is_blank(self, addr):
        page = self.rxv[:PAGE]
        for addr in range(addr, addr + self.size, PAGE):
            self._flash.read(addr, page)
            if not fmt.is_erased(page):
                return False
        return True

    def _retreat(self, i):
        """Sector i is not in use any more: if it was the oldest, another one is."""
        if i == self.tail:
            self.tail = self.next_used(i)
            self.oldest = self.first(self.tail)

    def _neighbours_erased(self, i):
        times = 0
        for j in ((i - 1) % self.count, (i + 1) % self.count):
            erased = fmt.unpack_erased(self.header(j))
            if erased:
                # In each round those before i come first.
                times = max(times, erased[1] - (j < i))
        return times

    def take(self, first_seq):
        """The next sector, erased before, becomes the head, and begins with `first_seq`."""
        i = self.ahead(0)
        self.number += (i - self.head) % self.count or self.count
        self.head = i
        self.pos = fmt.HEADER_SIZE
        if not self.oldest:
            self.tail = i
            self.oldest = first_seq

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
            size = fmt.entry_size(n, kind)
            intact = fmt.entry_intact(data, n, seed)
            if astray and not intact:
                # What looks like a head may be anything, and what it says of a next one as well.
                yield pos, fmt.DAMAGE, 0, 0
                pos += 4
                continue
            # Whoever uses a key sees from its hash whether it is whole, and may mend it.
            if intact or kind == fmt.KEY:
                yield pos, kind, struct.unpack("<I", bytes(data[4:8]))[0], n
            else:
                # Its sound head says where the next one is.
                yield pos, fmt.DAMAGE, 0, size
            astray = False
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
