"""The journal: an append-only log on raw NOR flash that no power cut can harm.

    journal = Journal(flash)
    journal.mount()
    if journal.has_room():
        seq = journal.append(body)            # durable when it returns
        journal.set_after(seq, 3, 120)        # what was known only later
    for seq, body, after, chain_ok, chain in journal.read(from_seq):
        ...
    journal.ack(seq)                          # the operator has them up to here
    journal.prepare()                         # when idle: erase ahead

Sectors are used in a ring, each as often as any other. Only sectors whose records are all
acknowledged are erased, and only when their room is needed. An append is one program operation
into flash erased beforehand, read back before it counts. A sector that cannot be erased is passed
over, one that does not keep what is programmed is left. journal_format.py has the layout.
"""

from validator.store import journal_format as fmt
from validator.store.record import encode_after
from validator.store.ring import PAGE, JournalError, Ring

__all__ = ("Journal", "JournalError", "JournalFull")

_AHEAD = 2  # sectors that `prepare` keeps erased: one to go on in, one if that one fails
_TRIES = 4  # sectors that a record is tried in
_KEY_ROOM = 672  # the entry of the longest key block
_MARK = 16  # bytes that tell one key block from another


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
        self._key = b""
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
            resume = pos + fmt.entry_size(n)
            if kind == fmt.ACK:
                self._acked = max(self._acked, seq)
            elif kind == fmt.RECORD:
                self.damaged += max(0, seq - self._last - 1)
                self._last = seq
                self._chain = bytes(ring.rxv[8:16])
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

    def append(self, body, key=None):
        """Make `body` durable and return its number, which was `next_seq`.

        `key` is the key block that the evidence in `body` refers to: it is written as well, in the
        same operation, unless it stands in the same sector already. JournalFull, JournalError, or
        ValueError for a size that no record has.
        """
        n = len(body)
        if not 0 < n <= self.max_body:
            raise ValueError("a record of %d bytes" % n)
        size = fmt.entry_size(n)
        key_size = fmt.entry_size(len(key)) if key else 0
        if size + key_size > self._ring.room:
            raise ValueError("a key block of %d bytes" % len(key))
        seq = self._last + 1
        chain = fmt.link(self._chain, body)
        ring = self._ring
        for _ in range(_TRIES):
            before = key_size if key_size and bytes(key[:_MARK]) != self._key else 0
            at = 0
            if ring.pos + before + size > ring.size:
                self._advance()
                at = fmt.OPEN_SIZE
                before = key_size
            addr = ring.head * ring.size + ring.pos - at
            kept = True
            if before:
                length = at + fmt.pack_entry(
                    ring.tx, at, fmt.KEY, seq, fmt.NO_CHAIN, key, self._seed
                )
                if at + before + size > len(ring.tx):  # too much for one operation
                    kept = ring.program(addr, length)
                    addr += at + before
                    at = 0
                else:
                    at += before
                    for k in range(length, at):
                        ring.tx[k] = 0xFF
            if kept:
                length = at + fmt.pack_entry(ring.tx, at, fmt.RECORD, seq, chain, body, self._seed)
                if ring.program(addr, length):
                    if before:
                        self._key = bytes(key[:_MARK])
                    ring.pos += before + size
                    self._last = seq
                    self._chain = chain
                    self._after_addr = addr + length
                    return seq
            # What stands there now cannot be trusted, and neither can its neighbourhood.
            ring.pos = ring.size
        raise JournalError("flash does not keep what is written to it")

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
        seq = min(seq, self._last)
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
            if not self._usable:
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
        to the record before it, or to what the log says of a lost one. With `keys`, key blocks
        come as well, ahead of the records that refer to them, with seq 0 and the block as body: as
        flash has it, which its hash judges. Appending, acknowledging and preparing meanwhile are
        allowed; what is reclaimed under the reader is skipped.
        """
        ring = self._ring
        if not ring.number:
            return
        i = ring.start(from_seq)
        whole = i == ring.tail
        last = key = None
        told = b""
        missing = 0
        before = []  # what the next record's chain may follow: several if something was lost
        while True:
            erases = ring.erases
            first = ring.first(i)
            header = fmt.unpack_open(ring.header(i)) if first else None
            if header:
                last = first - 1 if last is None else last
                missing += max(0, first - 1 - last)
                last = max(last, first - 1)
                before.append(header[3])
                for _, kind, seq, n in ring.walk(i, header[4]):
                    stored = bytes(ring.rxv[8:16])
                    end = fmt.BODY_AT + n
                    if kind == fmt.DAMAGE:
                        before.append(stored)
                    elif kind == fmt.KEY:
                        key = bytes(ring.rxv[fmt.BODY_AT : end]) if keys else None
                    elif kind == fmt.RECORD and seq > last:
                        missing += seq - 1 - last
                        last = seq
                        if seq >= from_seq:
                            body = bytes(ring.rxv[fmt.BODY_AT : end])
                            after = bytes(ring.rxv[end + 4 : end + 4 + fmt.AFTER_SIZE])
                            ok = stored in [fmt.link(c, body) for c in before]
                            if key and key != told:
                                told = key
                                yield 0, key, b"", True, fmt.NO_CHAIN
                            yield seq, body, after, ok, stored
                            if erases != ring.erases and ring.first(i) != first:
                                break
                        before = [stored]
            if erases != ring.erases and ring.first(i) != first:
                # Reclaimed while the caller had a record of it in hands.
                whole = False
                i = ring.tail
            elif i == ring.head:
                break
            else:
                i = (i + 1) % ring.count
        if whole and last is not None:
            self.damaged = missing + self._last - last

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
        self._key = b""
        self._seed = fmt.pack_open(ring.tx, ring.number, self._last + 1, self._acked, self._chain)
