"""What is known of riders until its time is over: rides, codes, waits, debits that were torn.

    riders = Riders(table, time, journal)     store/riders.py, guarded.py, store/journal.py
    riders.start()                            mounts the table
    riders.ready(records)                     before a rider is served
    riders.since(room, key)                   seconds since the last ride, or None
    riders.has_room(room, key)                before a rider is accepted
    riders.rode(room, key, fen, …)            when the record is durable
    riders.idle()                             one step of idle work

A tap makes no flash operation for this: its record says it all. What the newest records say is
also in memory, as pending entries; a start reads those few records again (riders_restore.py), and
idle time carries what leaves them to the table. Nothing is forgotten before its time: where the
bucket of a key is full, the rider is refused.

Times of rides are guarded times (guarded.py). A code is known until the wall clock has passed its
end; of codes that were dropped since, the table knows the latest end, and none that ends before
that is taken: a clock that is set back lets no code ride again.
"""

import struct

from validator.media.result import Refused
from validator.media.riders_upkeep import (
    CODE,
    PROBE,
    RIDE,
    RIDE_FORMAT,
    TORN,
    UNPROVEN,
    WAIT,
    WINDOW,
    Upkeep,
)
from validator.store import riders_format as fmt
from validator.store.riders import CODES, PAYMENT, PURSE, QUICKPASS, ROOMS, RidersError
from validator.store.riders_format import SLOT

__all__ = ("CODES", "PAYMENT", "PURSE", "QUICKPASS", "WAIT", "WINDOW", "Riders", "RidersError")

_CLOSE = 8  # a kind in memory only: what was TORN is settled

_CARRY = 8  # records after which an entry is carried
_PENDING = 48
_MANY = 24
_AGAIN = 0x80
_A_RECORD = 2  # entries that one may leave
# Places of a bucket that nobody is promised: flash may fail in one, guarded time may take one. An
# entry that was promised its place and has none keeps everybody out. Purses ask for more than they
# leave, anyway.
_MARGIN = b"\0\2\2\2"  # by room


class Riders:
    """`table` of store/riders.py, not mounted; `time` a GuardedTime; `journal`.

    cumulative   seconds that fen are added up for, by room
    """

    def __init__(self, table, time, journal):
        self.table = table
        self.time = time
        self._journal = journal
        self.cumulative = [0, 0, 0, 0]
        self._slots = bytearray(_PENDING * SLOT)
        self._rooms = bytearray(_PENDING)
        self._head = self._count = 0
        self._waiting = bytearray(sum(table.buckets))  # pending entries of a bucket
        self._slot = bytearray(SLOT)
        self.again = False  # what comes is read again by a start, and may be known already
        self._key = None  # what `table.found` is of, pending entries included
        self._room = 0
        self._dropped = 0
        self._stored = False  # the table has a torn debit of that key
        self._upkeep = Upkeep(table, time, journal)

    def start(self):
        """Mount the table. RidersError, OSError."""
        self._upkeep.start()

    def waiting(self):
        """Yield (room, slots, offset) of each pending entry."""
        for k in range(self._count):
            at = (self._head + k) % _PENDING * SLOT
            yield self._rooms[at // SLOT] & ~_AGAIN, self._slots, at

    # -- what a decision asks for ------------------------------------------------------------

    def _look(self, room, key):
        """Let `table.found` be what is known under `key`. Reads a sector, once a rider."""
        if key == self._key and room == self._room:
            return self.table.found
        self._key = None
        found = self.table.found
        try:
            self._dropped = self.table.find(room, key)
        except OSError:
            raise Refused("out_of_service", "memory of riders")
        self._stored = found[TORN * SLOT + 8] or found[PROBE * SLOT + 8]
        if self._slots.find(key) >= 0:
            end = self._head + self._count
            self._overlay(room, key, found, self._head, min(end, _PENDING))
            self._overlay(room, key, found, 0, end - _PENDING)
        self._key = bytes(key)
        self._room = room
        return found

    def _overlay(self, room, key, found, start, end):
        slots = self._slots
        at = slots.find(key, start * SLOT, end * SLOT) if end > start else -1
        while at >= 0:
            if not at % SLOT and self._rooms[at // SLOT] & ~_AGAIN == room:
                self._put(found, slots, at)
            at = slots.find(key, at + 1, end * SLOT)

    def _put(self, found, slots, at):
        """Let `found` be as after the pending entry at `slots[at:]`."""
        kind = slots[at + 8] & fmt.KIND
        to = kind * SLOT
        if kind == _CLOSE:
            to = TORN * SLOT
            if fmt.seq_of(found, to) <= fmt.until_of(slots, at):
                found[to + 8] = 0
        elif kind == RIDE:
            if not self._has(found, to, at):
                self._add_ride(found, slots, at)
        elif kind and not self._has(found, to, at):
            found[to : to + SLOT] = slots[at : at + SLOT]

    def _has(self, found, to, at):
        """The entry at `found[to:]` has in it already what the pending entry at `at` says."""
        if not found[to + 8] or not self._rooms[at // SLOT] & _AGAIN:
            return False
        # What stands beyond the journal's end is of an earlier journal.
        seq = fmt.seq_of(self._slots, at)
        return seq <= fmt.seq_of(found, to) < self._journal.next_seq

    def _add_ride(self, found, slots, at):
        """Add one ride to what is known of the rides before."""
        to = RIDE * SLOT
        last, first, fen = struct.unpack_from(RIDE_FORMAT, slots, at + 18)
        until = fmt.until_of(slots, at)
        if found[to + 8]:
            last_before, first_before, before = struct.unpack_from(RIDE_FORMAT, found, to + 18)
            if last - first_before < self.cumulative[self._rooms[at // SLOT] & ~_AGAIN]:
                first = first_before
                fen = min(fen + before, 0xFFFFFFFF)
                until = max(until, fmt.until_of(found, to))
            last = max(last, last_before)
        found[to : to + SLOT] = slots[at : at + SLOT]
        struct.pack_into("<I", found, to + 14, until)
        struct.pack_into(RIDE_FORMAT, found, to + 18, last, first, fen)

    def since(self, room, key, kind=RIDE):
        """Seconds since this rider's last ride (or WAIT), or None if none is known."""
        found = self._look(room, key)
        at = kind * SLOT
        if not found[at + 8]:
            return None
        return self.time.elapsed(struct.unpack_from("<I", found, at + 18)[0])

    def spent(self, room, key, seconds):
        """Fen that this rider rode for within `seconds` from the first ride on."""
        found = self._look(room, key)
        at = RIDE * SLOT
        if not found[at + 8]:
            return 0
        _, first, fen = struct.unpack_from(RIDE_FORMAT, found, at + 18)
        return fen if self.time.elapsed(first) < seconds else 0

    def code_seen(self, key, until):
        """Whether a code was ridden on, or may have been: one that is over at `until` for
        certain."""
        found = self._look(CODES, key)
        return bool(found[CODE * SLOT + 8]) or until <= self._dropped

    def torn(self, room, key):
        """(seq, time, extra, flags, 12 bytes) of this rider's open debit, or None."""
        found = self._look(room, key)
        at = TORN * SLOT
        if not found[at + 8]:
            return None
        flags = found[at + 8] & 0x70
        data = bytes(found[at + 18 : at + 30])
        return fmt.seq_of(found, at), fmt.until_of(found, at), found[at + 9], flags, data

    def unproven_of(self, room, key):
        """The record of a debit that this rider rode on though nobody could check it, or None."""
        found = self._look(room, key)
        at = UNPROVEN * SLOT
        return fmt.until_of(found, at) if found[at + 8] else None

    def has_room(self, room, key, count=1):
        """Whether `count` more entries under `key` can be kept. Where that is not sure at once,
        all that is pending is carried, and the bucket written anew."""
        b = self.table.bucket(room, key)
        count += _MARGIN[room]
        try:
            if self._free(b) >= count:
                return True
            # What is pending may be over, or make entries of the table void.
            while self.carry():
                pass
            self._upkeep.compact(b, True, 1)
            if self._free(b) >= count:
                return True
        except (RidersError, OSError):
            raise Refused("out_of_service", "memory of riders")
        self._upkeep.full[room] = 1
        return False

    def is_scarce(self, room, key, count):
        """Whether fewer than `count` entries more fit where `key` belongs, as it is now."""
        return self._free(self.table.bucket(room, key)) < count

    def _free(self, bucket):
        # What stands in a bucket with another key's tokens is not counted before it was sorted.
        if self.table.is_strange(bucket):
            return 0
        return self.table.free(bucket) - self._waiting[bucket]

    # -- for whoever settles debits (riders_open.py) -----------------------------------------

    def newest(self):
        """The number of the newest record."""
        return self._journal.next_seq - 1

    def stored(self, room, key):
        """[(kind, record of the debit, record of the entry)] of what is open of this rider."""
        found = self._look(room, key)
        out = []
        if found[TORN * SLOT + 8]:
            seq = fmt.seq_of(found, TORN * SLOT)
            out.append((TORN, seq, seq))
        if found[UNPROVEN * SLOT + 8]:
            at = UNPROVEN * SLOT
            out.append((UNPROVEN, fmt.until_of(found, at), fmt.seq_of(found, at)))
        return out

    def forget_view(self):
        """The table was written to by somebody else."""
        self._key = None

    # -- what a record says ------------------------------------------------------------------

    def rode(self, room, key, fen, window_s, cumulative_s, seq=None, at=None):
        """A ride that counts, and until when any rule asks for it. `seq`, `at`: of its record;
        None: of the newest, now."""
        now = self.time.now() if at is None else at
        data = struct.pack(RIDE_FORMAT, now, now, min(fen, 0xFFFFFFFF))
        self._add(room, key, RIDE, seq, now + max(window_s, cumulative_s), data)

    def waits(self, room, key, seconds, seq=None, at=None):
        """This rider waits so long from now on."""
        now = self.time.now() if at is None else at
        self._add(room, key, WAIT, seq, now + seconds + 1, struct.pack(RIDE_FORMAT, now, now, 0))

    def code_ridden(self, key, until, seq=None):
        """A code was ridden on, which has expired for certain after `until` of the wall clock."""
        self._add(CODES, key, CODE, seq, until, b"")

    def open(self, room, key, seq, time, data, extra=0, flags=0):
        """A debit of this rider may happen from now on; it takes the place of an earlier one."""
        self._add(room, key, TORN | flags, seq, time, data, extra)

    def close(self, room, key, seq=None, upto=None):
        """The record `seq` settles what is open of this rider, from records up to `upto` (None:
        all)."""
        if seq is None:
            seq = self._journal.next_seq - 1
        if upto is None:
            upto = seq
        fresh = self._key == key and self._room == room and not self._stored
        slots = self._slots
        for k in range(self._count):
            at = (self._head + k) % _PENDING * SLOT
            if self._rooms[at // SLOT] & ~_AGAIN == room and slots[at : at + 8] == key:
                kind = slots[at + 8] & fmt.KIND
                if kind == PROBE or kind == TORN and fmt.seq_of(slots, at) <= upto:
                    slots[at + 8] = 0
                    self._waiting[self.table.bucket(room, key)] -= 1
        if fresh:
            # The table has none, and no start has read one: it was of this boot.
            if fmt.seq_of(self.table.found, TORN * SLOT) <= upto:
                self.table.found[TORN * SLOT + 8] = 0
        else:
            self._add(room, key, _CLOSE, seq, upto, b"")

    def probes(self, room, key):
        """(how many, 8 bytes): purchases of 0 for the sake of this rider's open debit, and what
        the card told before the first; (0, None): there was none."""
        found = self._look(room, key)
        at = PROBE * SLOT
        if not found[at + 8] or fmt.until_of(found, at) != fmt.seq_of(found, TORN * SLOT):
            return 0, None
        told = bytes(found[at + 18 : at + 26])
        return found[at + 9], told if any(told) else None

    def note_probe(self, room, key, told, seq=None):
        """Another one may happen, by the record `seq`."""
        found = self._look(room, key)
        count, before = self.probes(room, key)
        at = PROBE * SLOT
        if count and self.again and seq <= fmt.seq_of(found, at) < self._journal.next_seq:
            return
        of = fmt.seq_of(found, TORN * SLOT)
        self._add(room, key, PROBE, seq, of, before or told, min(count + 1, 255))

    def mark_unproven(self, room, key, of, seq=None):
        """This rider rode, by the record `seq`, on the debit of the record `of`, which nobody
        could check."""
        self._add(room, key, UNPROVEN, seq, of, b"")

    def _add(self, room, key, kind, seq, until, data, extra=0):
        if seq is None:
            seq = self._journal.next_seq - 1
        if self._count == _PENDING:
            self.carry()  # `ready` was not asked
        k = (self._head + self._count) % _PENDING
        fmt.pack(self._slots, k * SLOT, key, kind, extra, seq, until, data)
        self._rooms[k] = room | _AGAIN if self.again else room
        self._count += 1
        if kind != _CLOSE:
            self._waiting[self.table.bucket(room, key)] += 1
        if self._key == key and self._room == room:
            self._put(self.table.found, self._slots, k * SLOT)

    # -- from memory to flash ----------------------------------------------------------------

    def ready(self, records):
        """Whether riders can be served who leave so many records: carries what idle time did not
        get to. RidersError, OSError."""
        while self._count and (
            self._count > _PENDING - _A_RECORD * records or self._age() > WINDOW - records
        ):
            if not self.carry():
                return False
        return True

    def _age(self):
        """How many records ago the oldest pending entry was made."""
        if not self._count:
            return 0
        return self._journal.next_seq - fmt.seq_of(self._slots, self._head * SLOT)

    def carry(self):
        """Carry the oldest pending entry to the table; False if it has no room there, or there is
        none."""
        if not self._count:
            return False
        at = self._head * SLOT
        kind = self._slots[at + 8] & fmt.KIND
        if kind:
            room = self._rooms[self._head] & ~_AGAIN
            key = bytes(self._slots[at : at + 8])
            bucket = self.table.bucket(room, key)
            self._key = None
            if not self._carry(at, kind, room, key):
                self._upkeep.compact(bucket, True, 1)
                if not self._carry(at, kind, room, key):
                    self._upkeep.full[room] = 1
                    return False
            if kind != _CLOSE:
                self._waiting[bucket] -= 1
        self._head = (self._head + 1) % _PENDING
        self._count -= 1
        return True

    def _carry(self, at, kind, room, key):
        table = self.table
        slots = self._slots
        seq = fmt.seq_of(slots, at)
        if kind == _CLOSE:
            upto = fmt.until_of(slots, at)
            if table.void(room, key, TORN, upto):
                table.void(room, key, PROBE, seq)
            return True
        if kind in (RIDE, WAIT) and self._upkeep.is_over(slots, at):
            return True
        table.find(room, key)
        found = table.found
        to = kind * SLOT
        if self._has(found, to, at):
            return True
        if kind == RIDE:
            self._add_ride(found, slots, at)
        else:
            found[to : to + SLOT] = slots[at : at + SLOT]
        slot = self._slot
        slot[:] = found[to : to + SLOT]
        fmt.sign(slot, 0)
        return table.append(room, key, slot, self.time.now())

    def idle(self):
        """One step of idle work: an entry carried, or one sector erased or written anew. Returns
        whether there was something to do. RidersError, OSError."""
        # Where the clock was set, records do not say when they were made.
        due = self._count > _MANY or self._age() > _CARRY or self.time.ahead()
        if due and self._count:
            return self.carry()
        self._key = None
        return self._upkeep.step()

    def full(self):
        """Names of the rooms that had to refuse somebody, since there was room last."""
        return [name for room, name in enumerate(ROOMS) if self._upkeep.full[room]]

    def info(self):
        """By room: entries and room; which rooms had to refuse somebody; what waits in memory."""
        return {
            "rooms": self.table.info(),
            "full": self.full(),
            "pending": self._count,
            "unknown": self._upkeep.unknown,
            "faults": self.table.faults,
            "worn_out": len(self.table.bad),
        }
