"""What must be known of riders until its time is over, in a table in flash.

    table = Table(flash, rx, tx, check)      rx, tx: working memory, 1 KB or more each
    table.mount()
    table.find(room, key, found)             what is known under a key of 8 bytes
    table.append(room, key, entry)           32 bytes, as riders_format.py packs them
    table.void(room, key, kind, upto_seq)
    table.tidy(); table.compact(...)         when idle

The table has rooms, one for each kind of medium, so that no medium can fill another's. A room has
buckets, of one sector each, and a key has its bucket. A few sectors more are spare: a bucket is
written anew without what is over into a spare, which takes its place; then the old one is erased.
The header is written last, so that power may be cut anywhere.

It knows nothing of what entries mean: whoever compacts says which are over.
"""

import struct

from validator.store import riders_format as fmt
from validator.store.riders_format import SLOT, RidersError

PURSE, QUICKPASS, CODES, PAYMENT = range(4)
ROOMS = ("purse", "quickpass", "codes", "payment")
_SHARES = (3, 5, 4, 3)  # of 15
_NONE = 0xFF
_PIECE = 1024
_TRIES = 4
_CLEAN = 2  # spares that are kept ready
_FOUND = 8 * SLOT
_NOTHING = bytes(_FOUND)


class Table:
    """`flash` as in flash.py. `check` is 4 bytes of a hash of the key that makes tokens.

    found    what `find` fills: a place of 32 bytes for each kind, by its number; zeros: there is
             no such entry
    faults   operations whose result is not in flash
    """

    def __init__(self, flash, rx, tx, check):
        self.flash = flash
        self.rx = rx
        self.rxv = memoryview(rx)
        self.tx = tx
        self.txv = memoryview(tx)
        self.size = flash.sector
        self.count = count = min(flash.size // flash.sector, _NONE)
        self.piece = min(_PIECE, self.size)
        if len(rx) < self.piece or len(tx) < self.piece or self.size % self.piece:
            raise RidersError("the working memory is too small")
        spare = max(2, count // 16)
        unit = (count - spare) // 15
        if unit < 1:
            raise RidersError("the memory of riders needs 17 sectors")
        self.buckets = bytes([unit * share for share in _SHARES])
        self._starts = bytes([sum(self.buckets[:room]) for room in range(len(ROOMS) + 1)])
        self.room = self.size // SLOT - 1  # entries of a bucket
        self.check = check
        self.sectors = bytearray(b"\xff" * (unit * 15))  # of a bucket
        self.used_slots = bytearray(count)  # slots of a sector, header included; 0: not known
        self.old = bytearray(count)  # 1: tokens of a sector are another key's
        self.clean = []
        self.bad = []
        self.found = bytearray(_FOUND)
        self.faults = 0

    # -- mount -------------------------------------------------------------------------------

    def mount(self):
        """Read all headers; writes nothing. Returns the latest guarded time that they know of.

        RidersError if a sector holds a later format, or was laid out for another partition.
        """
        latest = 0
        generations = {}
        head = self.rxv[:SLOT]
        for i in range(self.count):
            self.flash.read(i * self.size, head)
            header = fmt.unpack_header(head)
            if header is None:
                continue
            version, room, bucket, buckets, generation, _, time, check = header
            if version > fmt.VERSION:
                raise RidersError("memory of riders: format %d is of a later firmware" % version)
            if room >= len(ROOMS) or buckets != self.buckets[room] or bucket >= buckets:
                raise RidersError("memory of riders: laid out for another flash map")
            latest = max(latest, time)
            b = self.first(room) + bucket
            if self.sectors[b] != _NONE and generations[b] > generation:
                continue  # written anew, and not erased yet
            generations[b] = generation
            self.sectors[b] = i
            self.old[i] = check != self.check
        return latest

    def first(self, room):
        return self._starts[room]

    def bucket(self, room, key):
        """The number of the bucket where a key belongs."""
        return self._starts[room] + (key[6] << 8 | key[7]) % self.buckets[room]

    def room_of(self, bucket):
        """The room of a bucket."""
        room = 0
        while bucket >= self.first(room + 1):
            room += 1
        return room

    # -- looking up --------------------------------------------------------------------------

    def find(self, room, key):
        """Fill `found` with what is known under `key`, for each kind the latest that is not void.

        Returns the `dropped` time of the bucket: an entry that was to be known until then, or less
        long, may be gone.
        """
        found = self.found
        found[:] = _NOTHING
        bucket = self.bucket(room, key)
        i = self.sectors[bucket]
        if i == _NONE:
            return 0
        # By hand what `_pieces` does: this is what a rider waits for.
        end = (self.used_slots[i] or self.used(bucket)) * SLOT
        addr = i * self.size
        rx = self.rx
        n = self.piece
        dropped = pos = 0
        while pos < end:
            if n > end - pos:
                n = end - pos
            self.flash.read(addr + pos, self.rxv[:n])
            if not pos:
                dropped = struct.unpack_from("<I", rx, 12)[0]
            at = rx.find(key, 0, n)
            while at >= 0:
                if not at % SLOT:
                    kind = fmt.kind_of(rx, at)  # 0 of a header
                    if kind & fmt.LIVE:
                        to = (kind & fmt.KIND) * SLOT % _FOUND
                        found[to : to + SLOT] = rx[at : at + SLOT]
                at = rx.find(key, at + 1, n)
            pos += n
        return dropped

    def _pieces(self, i):
        """Read what is used of sector i into `rx`, piece by piece: yields (offset, bytes). Finds
        out how much it is, if that is not known."""
        used = self.used_slots[i]
        end = used * SLOT if used else self.size
        pos = 0
        while pos < end:
            n = min(self.piece, end - pos)
            self.flash.read(i * self.size + pos, self.rxv[:n])
            if not used and fmt.is_blank(self.rx, n - SLOT):
                while n and fmt.is_blank(self.rx, n - SLOT):
                    n -= SLOT
                end = pos + n
            if n:
                yield pos, n
            pos += self.piece
        if not used:
            self.used_slots[i] = end // SLOT

    def places(self, start, last_room):
        """Yield (place, room, kind and flags, 32 bytes) of the places from number `start` on, up
        to those of a room; kind 0: nothing whole stands there."""
        slot = bytearray(SLOT)
        size = self.room + 1
        for b in range(start // size, self.first(last_room + 1)):
            room = self.room_of(b)
            at = max(1, start - b * size)
            for k in range(at, max(at + 1, self.used(b))):
                kind = 0
                if k < self.used(b):
                    self.flash.read(self.sectors[b] * self.size + k * SLOT, slot)
                    kind = fmt.kind_of(slot, 0)
                yield b * size + k, room, kind, slot

    def used(self, bucket):
        """Slots of a bucket that are taken, header included; 0 if it has no sector yet."""
        i = self.sectors[bucket]
        if i == _NONE:
            return 0
        used = self.used_slots[i]
        if not used:
            for _ in self._pieces(i):
                pass
            used = self.used_slots[i]
        return used

    def free(self, bucket):
        """Entries that can be appended to a bucket as it is."""
        return self.room + 1 - max(1, self.used(bucket))

    def is_strange(self, bucket):
        """Whether the tokens of a bucket were made with another key: nothing is appended to it
        before it was compacted."""
        i = self.sectors[bucket]
        return i != _NONE and bool(self.old[i])

    # -- writing -----------------------------------------------------------------------------

    def append(self, room, key, entry, latest):
        """Put 32 bytes into the bucket of `key`. False if it has no room: compact it. `latest` is
        the guarded time. RidersError if flash does not keep it."""
        b = self.bucket(room, key)
        if self.sectors[b] == _NONE:
            self._begin(b, room, latest)
        for _ in range(_TRIES):
            if not self.free(b) or self.is_strange(b):
                return False
            i = self.sectors[b]
            at = self.used_slots[i] * SLOT
            self.used_slots[i] += 1
            if self.program(i * self.size + at, entry):
                return True
        raise RidersError("flash does not keep what is written to it")

    def void(self, room, key, kind, seq):
        """Make entries of a kind void that came from records up to `seq`. Returns how many."""
        i = self.sectors[self.bucket(room, key)]
        count = 0
        if i == _NONE:
            return 0
        rx = self.rx
        places = []
        for pos, n in self._pieces(i):
            at = rx.find(key, 0 if pos else SLOT, n)
            while at >= 0:
                if not at % SLOT:
                    found = fmt.kind_of(rx, at)
                    live = found & fmt.LIVE and found & fmt.KIND == kind
                    if live and fmt.seq_of(rx, at) <= seq:
                        places.append((pos + at + 8, found))
                at = rx.find(key, at + 1, n)
        for at, found in places:
            # One bit: it is void, or it is not.
            count += self.program(i * self.size + at, bytes((found & ~fmt.LIVE,)))
        return count

    def program(self, addr, data):
        back = self.rxv[: len(data)]
        try:
            self.flash.program(addr, data)
            self.flash.read(addr, back)
            if back == data:
                return True
        except OSError:
            pass
        self.faults += 1
        return False

    def _begin(self, bucket, room, latest):
        """A sector for a bucket that has none."""
        from validator.store import riders_compact

        riders_compact.begin(self, bucket, room, latest)

    # -- idle work ---------------------------------------------------------------------------

    def tidy(self):
        """Erase one spare if too few are ready (some 50 ms). Returns whether there was need."""
        if len(self.clean) >= _CLEAN:
            return False
        from validator.store import riders_compact

        return riders_compact.tidy(self)

    def compact(self, bucket, keep, latest, urgent=False):
        """Write a bucket anew without what is over: riders_compact.compact. Returns how many
        entries went; -1 if no spare is ready, which `urgent` erases."""
        from validator.store import riders_compact

        return riders_compact.compact(self, bucket, keep, latest, urgent)

    def over(self, bucket, keep):
        """How many entries `compact` would drop."""
        from validator.store import riders_compact

        return riders_compact.over(self, bucket, keep)

    def info(self):
        """{room: {"entries": taken slots, "room": of them all}}: of the first, some may be over.
        Reads what was not asked for since the start."""
        out = {}
        for room, name in enumerate(ROOMS):
            used = 0
            for b in range(self.first(room), self.first(room + 1)):
                used += max(1, self.used(b)) - 1
            out[name] = {"entries": used, "room": self.buckets[room] * self.room}
        return out
