"""The journal: an append-only log on raw NOR flash that no power cut can harm.

    journal = Journal(flash)
    journal.mount()
    if journal.has_room():
        seq = journal.append(body)            # durable when it returns
        journal.set_after(seq, 3, 120)        # what was known only later
    seq = journal.append(body, parted=True)   # something is about to happen …
    journal.end(seq, end)                     # … and has: 16 bytes that belong to the same record
    for seq, body, after, chain_ok, chain in journal.read(from_seq):
        ...
    journal.ack(seq)                          # the operator has them up to here
    journal.prepare()                         # when idle: erase ahead

Sectors are used in a ring, each as often as any other. Only sectors whose records are all
acknowledged are erased, and only when their room is needed. An append is one program operation
into flash erased beforehand, read back before it counts. A sector that cannot be erased is passed
over, one that does not keep what is programmed is left. journal_format.py has the layout.
"""

import struct

from validator.store import journal_format as fmt
from validator.store import journal_read
from validator.store.record import encode_after
from validator.store.ring import PAGE, JournalError, Ring

__all__ = ("Journal", "JournalError", "JournalFull")

_AHEAD = 2  # sectors that `prepare` keeps erased: one to go on in, one if that one fails
_TRIES = 4  # sectors that a record is tried in
_KEY_ROOM = 824  # the entries of the longest key block and the longest context
_MARK = 24  # bytes that tell one block from another


class JournalFull(JournalError):
    """No room that is not taken by records nobody has acknowledged yet."""


class Journal:
    """`flash` as in flash.py; `clock` (hal.Clock) only to time the mount; `first_seq` is the
    number of the very first record of a blank flash."""

    def __init__(self, flash, clock=None, first_seq=1):
        self._flash = flash
        self._clock = clock
        self._ring = Ring(flash)
        self.max_body = self._ring.max_body
        self._last = first_seq - 1
        self.damaged = 0  # numbers that are missing, as far as mount or a whole read has seen
        self.torn = 0  # entries that a power cut left unfinished, found by this mount
        self.mount_ms = None

    # -- mount -------------------------------------------------------------------------------

    def mount(self):
        """Find the end of the log. Reads some sectors' headers and the last one's entries, writes
        nothing. JournalError if the flash holds a later format."""
        clock = self._clock
        start = clock.ticks_ms() if clock else 0
        ring = self._ring
        newest = ring.mount()
        self._after_addr = None
        self._end_addr = None  # of a record that is in flash without its end
        self._blocks = []  # marks of those that stand in this sector
        self._chain = fmt.NO_CHAIN
        self._seed = 0
        self._acked = self._last
        if newest:
            _, first, self._acked, self._chain, self._seed = newest
            self._last = first - 1
            self._scan_head()
        # What is not there any more was acknowledged, even if the mark did not make it.
        self._acked = max(self._acked, ring.oldest - 1)
        self._clean = 0
        while self._clean < _AHEAD and ring.is_clean(ring.ahead(self._clean)):
            self._clean += 1
        self._count_usable()
        self.mount_ms = clock.diff(clock.ticks_ms(), start) if clock else None

    def _scan_head(self):
        ring = self._ring
        end = ring.pos = ring.programmed(ring.head)
        bad = False  # the log ends in damage
        lost = 0  # numbers after the last good record that may have been given out
        resume = fmt.HEADER_SIZE
        for pos, kind, seq, n in ring.walk(ring.head, self._seed):
            bad = kind == fmt.DAMAGE
            if bad:
                lost += fmt.was_maybe_whole(ring.entry(pos))
                # Bits of the pages that were being programmed may read one way or the other.
                page_up = (end + PAGE - 1) // PAGE * PAGE
                resume = min(max(page_up, pos + n), ring.size)
                continue
            resume = pos + fmt.entry_size(n, kind)
            if kind == fmt.ACK:
                self._acked = max(self._acked, seq)
            elif kind in fmt.RECORDS:
                self.damaged += max(0, seq - self._last - 1)
                self._last = seq
                self._chain = bytes(ring.rxv[8:16])
                ending = fmt.end_of(ring.rxv, fmt.BODY_AT + n) if kind == fmt.PARTED else b""
                if ending:
                    self._chain = fmt.link(self._chain, ending)
                lost = 0
        self.torn += bad
        lost = max(lost, self._acked - self._last)
        self.damaged += lost
        self._last += lost
        ring.pos = resume

    def _count_usable(self, most=_AHEAD + 1):
        # Up to so many: to count them all, all headers would have to be read.
        self._usable = self._ring.usable(self._acked, most)

    # -- what the tap path needs -------------------------------------------------------------

    @property
    def next_seq(self):
        """The number that the next record will get."""
        return self._last + 1

    @property
    def buffers(self):
        """Two bytearrays of its own: whoever needs working memory for a moment may have them."""
        return self._ring.rx, self._ring.tx

    @property
    def pending(self):
        """The number of a record whose end is awaited, or 0."""
        return self._last if self._end_addr is not None else 0

    @property
    def acked(self):
        """Records up to this number are acknowledged."""
        return self._acked

    def has_room(self, count=1, size=None):
        """Whether `count` records of `size` bytes can be appended now; without a size, records of
        any size and the key blocks that they refer to. Erases a sector where idle time did not
        suffice for it: whether one can be had shows only then."""
        need = fmt.entry_size(self.max_body) if size is None else fmt.entry_size(size)
        ring = self._ring
        if size is None:
            need = min(need + _KEY_ROOM, ring.room)
        count -= (ring.size - ring.pos) // need
        if count <= 0:
            return True
        sectors = (count + ring.room // need - 1) // (ring.room // need)
        self._find_clean()
        if self._usable < sectors:
            self._count_usable(max(sectors, _AHEAD + 1))
        return self._usable >= sectors

    def append(self, body, key=None, context=None, parted=False):
        """Make `body` durable and return its number, which was `next_seq`.

        `key` is the key block that the evidence in `body` refers to, `context` what `body` leaves
        out because many records have it: they are written as well, in the same operation, unless
        they stand in the same sector already. `parted`: its end follows (`end`). JournalFull,
        JournalError, or ValueError for a size that no record has.
        """
        n = len(body)
        if not 0 < n <= self.max_body:
            raise ValueError("a record of %d bytes" % n)
        kind = fmt.PARTED if parted else fmt.RECORD
        size = fmt.entry_size(n, kind)
        blocks = [block for block in (context, key) if block]
        if _size(blocks) + size > self._ring.room:
            raise ValueError("blocks of %d bytes" % _size(blocks))
        seq = self._last + 1
        chain = fmt.link(self._chain, body)
        ring = self._ring
        tx = ring.tx
        self._end_addr = None
        for _ in range(_TRIES):
            at = 0
            missing = [block for block in blocks if block[:_MARK] not in self._blocks]
            if ring.pos + _size(missing) + size > ring.size:
                self._advance()
                at = fmt.OPEN_SIZE
                missing = blocks
            addr = ring.head * ring.size + ring.pos - at
            kept = True
            for block in missing:
                length = at + fmt.pack_entry(tx, at, fmt.KEY, seq, fmt.NO_CHAIN, block, self._seed)
                at += fmt.entry_size(len(block))
                for k in range(length, at):
                    tx[k] = 0xFF
            if at + size > len(tx):  # too much for one operation
                kept = ring.program(addr, at)
                addr += at
                at = 0
            if kept:
                length = at + fmt.pack_entry(tx, at, kind, seq, chain, body, self._seed)
                if ring.program(addr, length):
                    self._blocks += [block[:_MARK] for block in missing]
                    self._after_addr = addr + at + fmt.after_at(n, kind)
                    if parted:
                        self._end_addr = addr + length
                        self._end_seed = struct.unpack_from("<I", tx, length - 4)[0]
                    ring.pos += _size(missing) + size
                    self._last = seq
                    self._chain = chain
                    return seq
            # What stands there now cannot be trusted, and neither can its neighbourhood.
            ring.pos = ring.size
        raise JournalError("flash does not keep what is written to it")

    def end(self, seq, data):
        """Make the end of a record durable: 16 bytes. Only for the newest one of this boot,
        once; returns whether it is in flash. If not, the record stays as it was."""
        addr = self._end_addr
        if seq != self._last or addr is None:
            return False
        if len(data) != fmt.END_SIZE:
            raise ValueError("an end of %d bytes" % len(data))
        ring = self._ring
        self._end_addr = None
        kept = ring.program(addr, fmt.pack_end(ring.tx, data, self._end_seed))
        if not kept:
            self._after_addr = None
            ring.pos = ring.size
            found = ring.rxv[: 4 + fmt.END_SIZE + 4]
            try:
                self._flash.read(addr - 4, found)
                kept = fmt.end_of(found, 0) == data  # as whoever reads it will find
            except OSError:
                pass
        if kept:
            self._chain = fmt.link(self._chain, data)
        return kept

    def set_after(self, seq, commit_ms, signal_ms):
        """Add the times that were not known when the record was made. Only for the newest record
        of this boot, once; returns whether it was."""
        if seq != self._last or self._after_addr is None:
            return False
        addr = self._after_addr
        self._after_addr = None
        self._flash.program(addr, encode_after(commit_ms, signal_ms))
        return True

    # -- what idle time and upload need ------------------------------------------------------

    def prepare(self):
        """Erase one sector ahead if one is wanted and may be erased (some 50 ms in which nothing
        else runs on an ESP32). Returns whether it tried, so that the caller can ask again."""
        if self._clean >= _AHEAD:
            return False
        if self._usable <= self._clean:
            self._count_usable()
            if self._usable <= self._clean:
                return False
        if self._ring.recycle(self._ring.ahead(self._clean)):
            self._clean += 1
        else:
            self._count_usable()
        return True

    def ack(self, seq):
        """Records up to `seq` are the operator's now; their sectors may be used again.

        Returns whether the mark is durable. If not (a full journal), it will be with the next
        sector; a power cut before means only that records are uploaded once more.
        """
        seq = min(seq, self._last - (self._end_addr is not None))
        if seq <= self._acked:
            return True
        self._acked = seq
        self._count_usable()
        ring = self._ring
        size = fmt.entry_size(0)
        addr = ring.head * ring.size + ring.pos
        if ring.pos + size <= ring.size:
            length = fmt.pack_entry(ring.tx, 0, fmt.ACK, seq, fmt.NO_CHAIN, b"", self._seed)
            ring.pos += size
        else:
            self._find_clean()
            # A new sector's header has the chain, which an end that is awaited changes.
            if self.pending or not self._usable:
                return False
            self._advance()  # the new sector's header carries the mark
            addr = ring.head * ring.size + fmt.OPEN_AT
            length = fmt.OPEN_SIZE
        if ring.program(addr, length):
            return True
        ring.pos = ring.size  # records behind a header that failed would not be found
        return False

    def read(self, from_seq=0, keys=False):
        """Yield (seq, body, after, chain_ok, chain) of each record from `from_seq` on.

        after: the 5 bytes of record.decode_after; chain: this record's 8 bytes. chain_ok: it links
        to the record before it, or to what the log says of a lost one. A record in two parts has
        its end behind its body, and comes when it has it, or never will. With `keys`, blocks come
        as well, ahead of the records that refer to them, with seq 0 and the block as body: as
        flash has it, which its hash judges. Appending, acknowledging and preparing meanwhile are
        allowed; what is reclaimed under the reader is skipped.
        """
        return journal_read.entries(self, self._ring, from_seq, keys)

    def info(self):
        """What a technician asks for; sizes in bytes. Reads a few headers."""
        ring = self._ring
        first = ring.oldest
        free = ring.count - len(ring.bad)
        if ring.number:
            free -= (ring.head - ring.start(self._acked + 1)) % ring.count + 1
        return {
            "first": first or self._last + 1,
            "next": self._last + 1,
            "acked": self._acked,
            "records": self._last + 1 - first if first else 0,
            "unacknowledged": self._last - self._acked,
            "capacity_bytes": (ring.count - len(ring.bad)) * ring.room,
            "free_bytes": ring.size - ring.pos + max(0, free) * ring.room,
            "erased_ahead": self._clean,
            "damaged": self.damaged,
            "torn": self.torn,
            "faults": ring.faults,
            "worn_out": len(ring.bad),
            "mount_ms": self.mount_ms,
        }

    def _find_clean(self):
        ring = self._ring
        if not self._usable:
            self._count_usable()
        while self._usable and not self._clean:
            if ring.recycle(ring.ahead(0)):
                self._clean = 1
            else:
                self._count_usable()

    def _advance(self):
        """Make the next sector of the ring the head. Its open header is left in the ring's `tx`,
        to be programmed at OPEN_AT together with what comes first."""
        ring = self._ring
        self._find_clean()
        if not self._usable:
            raise JournalFull("all records wait to be acknowledged")
        self._clean -= 1
        self._usable -= 1
        ring.take(self._last + 1)
        self._blocks = []
        self._seed = fmt.pack_open(ring.tx, ring.number, self._last + 1, self._acked, self._chain)


def _size(blocks):
    """Bytes that the entries of `blocks` occupy."""
    size = 0
    for block in blocks:
        size += fmt.entry_size(len(block))
    return size
