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
into flash erased beforehand, read back before it counts. journal_format.py has the layout.
"""

from validator.store import journal_format as fmt
from validator.store.record import encode_after
from validator.store.ring import PAGE, JournalError, Ring

__all__ = ("Journal", "JournalError", "JournalFull")

_AHEAD = 2  # sectors that `prepare` keeps erased: one to go on in, one if that one fails


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
        """Find the end of the log. Reads each sector's header and the last sector's entries,
        writes nothing. JournalError if the flash holds a later format."""
        clock = self._clock
        start = clock.ticks_ms() if clock else 0
        ring = self._ring
        clean = bytearray(ring.count)
        newest = None
        for i in range(ring.count):
            header = ring.header(i)
            erased = fmt.unpack_erased(header)
            if erased and erased[0] != fmt.VERSION:
                raise JournalError("journal format %d is of a later firmware" % erased[0])
            opened = fmt.unpack_open(header)
            ring.first[i] = opened[1] if opened else 0
            clean[i] = bool(erased) and fmt.is_erased(header[fmt.OPEN_AT :])
            if opened and (newest is None or opened[0] > newest[0]):
                newest = opened
                ring.head = i
        self._after_addr = None
        self._chain = fmt.NO_CHAIN
        self._number = self._seed = 0
        self._acked = self._last
        if newest:
            self._number, first, self._acked, self._chain, self._seed = newest
            self._last = first - 1
            self._scan_head()
        ring.tail = ring.used_after(ring.head)
        # What is not there any more was acknowledged, even if the mark did not make it.
        self._acked = max(self._acked, ring.first[ring.tail] - 1)
        self._clean = 0
        while self._clean < ring.count - 1 and clean[ring.ahead(self._clean)]:
            self._clean += 1
        self._usable = ring.count_usable(self._acked)
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
            else:
                self.damaged += max(0, seq - self._last - 1)
                self._last = seq
                self._chain = bytes(ring.rxv[8:16])
                lost = 0
        self.torn += bad
        lost = max(lost, self._acked - self._last)
        self.damaged += lost
        self._last += lost
        ring.pos = resume

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
        """Whether `count` records of `size` bytes (the largest, if None) can be appended now."""
        need = fmt.entry_size(self.max_body if size is None else size)
        ring = self._ring
        return (ring.size - ring.pos) // need + self._usable * (ring.room // need) >= count

    def append(self, body):
        """Make `body` durable and return its number, which was `next_seq`. JournalFull,
        JournalError, or ValueError for a size that no record has."""
        n = len(body)
        if not 0 < n <= self.max_body:
            raise ValueError("a record of %d bytes" % n)
        size = fmt.entry_size(n)
        seq = self._last + 1
        chain = fmt.link(self._chain, body)
        ring = self._ring
        for _ in range(2):
            at = 0
            if ring.pos + size > ring.size:
                self._advance()
                at = fmt.OPEN_SIZE
            length = at + fmt.pack_entry(ring.tx, at, fmt.RECORD, seq, chain, body, self._seed)
            addr = ring.head * ring.size + ring.pos
            if ring.program(addr - at, length):
                ring.pos += size
                self._last = seq
                self._chain = chain
                self._after_addr = addr + fmt.BODY_AT + n + 4
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
        else runs on an ESP32). Returns whether it did, so that the caller can ask again."""
        if self._clean >= min(_AHEAD, self._usable):
            return False
        self._ring.recycle(self._ring.ahead(self._clean))
        self._clean += 1
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
        self._usable = self._ring.count_usable(self._acked)
        ring = self._ring
        size = fmt.entry_size(0)
        addr = ring.head * ring.size + ring.pos
        if ring.pos + size <= ring.size:
            length = fmt.pack_entry(ring.tx, 0, fmt.ACK, seq, fmt.NO_CHAIN, b"", self._seed)
            ring.pos += size
        elif self._usable:
            self._advance()  # the new sector's header carries the mark
            addr = ring.head * ring.size + fmt.OPEN_AT
            length = fmt.OPEN_SIZE
        else:
            return False
        if ring.program(addr, length):
            return True
        ring.pos = ring.size  # records behind a header that failed would not be found
        return False

    def read(self, from_seq=0):
        """Yield (seq, body, after, chain_ok, chain) of each record from `from_seq` on.

        after: the 5 bytes of record.decode_after; chain: this record's 8 bytes. chain_ok: it links
        to the record before it, or to what the log says of a lost one. Appending, acknowledging
        and preparing meanwhile are allowed; what is reclaimed under the reader is skipped.
        """
        ring = self._ring
        i = ring.start(from_seq)
        whole = i == ring.tail
        last = None
        missing = 0
        before = []  # what the next record's chain may follow: several if something was lost
        while True:
            first = ring.first[i]
            header = fmt.unpack_open(ring.header(i)) if first else None
            if header:
                last = first - 1 if last is None else last
                missing += max(0, first - 1 - last)
                last = max(last, first - 1)
                before.append(header[3])
                for _, kind, seq, n in ring.walk(i, header[4]):
                    stored = bytes(ring.rxv[8:16])
                    if kind == fmt.DAMAGE:
                        before.append(stored)
                    elif kind == fmt.RECORD and seq > last:
                        missing += seq - 1 - last
                        last = seq
                        if seq >= from_seq:
                            end = fmt.BODY_AT + n
                            body = bytes(ring.rxv[fmt.BODY_AT : end])
                            after = bytes(ring.rxv[end + 4 : end + 4 + fmt.AFTER_SIZE])
                            ok = stored in [fmt.link(c, body) for c in before]
                            yield seq, body, after, ok, stored
                            if ring.first[i] != first:
                                break
                        before = [stored]
            if ring.first[i] != first:
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
        """What can be said without reading flash; sizes in bytes."""
        ring = self._ring
        first = ring.first[ring.tail]
        return {
            "first": first or self._last + 1,
            "next": self._last + 1,
            "acked": self._acked,
            "records": self._last + 1 - first if first else 0,
            "unacknowledged": self._last - self._acked,
            "capacity_bytes": ring.count * ring.room,
            "free_bytes": ring.size - ring.pos + self._usable * ring.room,
            "erased_ahead": self._clean,
            "damaged": self.damaged,
            "torn": self.torn,
            "faults": ring.faults,
            "mount_ms": self.mount_ms,
        }

    def _advance(self):
        """Make the next sector of the ring the head. Its open header is left in the ring's `tx`,
        to be programmed at OPEN_AT together with what comes first."""
        if not self._usable:
            raise JournalFull("all records wait to be acknowledged")
        ring = self._ring
        if not self._clean:
            ring.recycle(ring.ahead(0))
            self._clean = 1
        self._clean -= 1
        self._usable -= 1
        self._number += 1
        self._seed = fmt.pack_open(ring.tx, self._number, self._last + 1, self._acked, self._chain)
        ring.take(self._last + 1)
