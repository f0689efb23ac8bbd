"""What entries of riders mean, when they are over, and the idle work that follows from it.

Kinds, the 12 bytes of each, and its `until`:

    RIDE      last 4, first 4 (guarded times), fen since the first 4; when no rule asks any more
    CODE      –; the code has expired for certain
    WAIT      as RIDE: a payment code's card, which has to wait
    TORN      by medium: a debit that may have happened; its time
    UNPROVEN  –: rode on a debit that nobody could check; that debit's record
    PROBE     proof 8: of purchases of 0 for the sake of a torn debit, `extra` of them; its record
    TIME      –, under a key of zeros: guarded time, as far as the wall clock is behind it
"""

import struct

from validator.store import riders_format as fmt
from validator.store.riders import PURSE
from validator.store.riders_compact import DROP, DROP_UNTIL, KEEP
from validator.store.riders_format import SLOT

RIDE, CODE, WAIT, TORN, UNPROVEN, TIME, PROBE = range(1, 8)
RIDE_FORMAT = "<III"
NO_KEY = bytes(8)

WINDOW = 16  # records that a start reads again: what is pending is of these

_HOUR = 3600


class Upkeep:
    """The table's buckets, kept with room in them.

    full      1 by room: somebody was refused since there was room last
    unknown   torn debits that were dropped because the tokens' key is another one now
    """

    def __init__(self, table, time, journal):
        self._table = table
        self._time = time
        self._journal = journal
        self.full = bytearray(4)
        self.unknown = 0
        self._pressed = False
        self._turn = 0
        self._looked = bytearray(sum(table.buckets))  # slots that were taken at the last look
        self._rounds = 0
        self._told = 0  # guarded time that was last written for itself

    def start(self):
        """Guarded time as far as the table knows of it. Mounts it: RidersError, OSError."""
        table = self._table
        self._time.reach(table.mount())
        table.find(PURSE, NO_KEY)
        if table.found[TIME * SLOT + 8]:
            self._told = fmt.until_of(table.found, TIME * SLOT)
            self._time.reach(self._told)
        self._time.now()  # a clock that ran on is known now, whatever it will be set to

    def is_over(self, slot, at):
        """Whether nobody asks any more for the RIDE or WAIT at `slot[at:]`."""
        last = struct.unpack_from("<I", slot, at + 18)[0]
        return self._time.elapsed(last) >= fmt.until_of(slot, at) - last

    def _keep(self, kind, slot, strange):
        """What becomes of an entry when its bucket is written anew."""
        if not kind & fmt.LIVE:
            return DROP  # the record that settled it is read again as well, if its own is
        kind &= fmt.KIND
        if kind == CODE:
            wall = self._time.wall()
            until = fmt.until_of(slot, 0)
            if wall is None or until >= wall:
                return KEEP
            # Of a time that may not have come yet: dropped, it would stand in the way of others
            # should the clock be set back.
            return KEEP if until > self._time.now() and not self._pressed else DROP_UNTIL
        if kind == RIDE or kind == WAIT:
            return DROP if self.is_over(slot, 0) else KEEP
        if strange and kind != TIME:
            self.unknown += 1
            return DROP  # no rider has such a token any more
        return KEEP

    def compact(self, bucket, urgent, least):
        """Write a bucket anew if that drops so many entries."""
        table = self._table
        self._pressed = False
        if not table.is_strange(bucket) and table.over(bucket, self._keep) < least:
            self._pressed = urgent
            if not urgent or table.over(bucket, self._keep) < least:
                return
        if table.compact(bucket, self._keep, self._time.now(), urgent) > 0:
            self.full[table.room_of(bucket)] = 0

    def step(self):
        """One sector erased or written anew; whether there was something to do."""
        table = self._table
        if table.tidy():
            return True
        if self._time.ahead() > _HOUR and self._time.now() - self._told > _HOUR:
            self._tell_time()
            return True
        # One bucket after another: those that are nearly full, or of another key.
        turn = self._turn
        self._turn = (turn + 1) % len(self._looked)
        if not self._turn:
            self._rounds += 1
        used = table.used(turn)
        if table.is_strange(turn):
            self.compact(turn, False, 0)
            return True
        if used <= (table.room + 1) * 3 // 4:
            return False
        if used == self._looked[turn] and self._rounds & 7:
            return False  # nothing new: what is over is counted every some minutes
        self._looked[turn] = used
        self.compact(turn, False, table.room // 4)
        return True

    def _tell_time(self):
        """The wall clock is far behind: guarded time has to go on over starts, too."""
        now = self._time.now()
        slot = bytearray(SLOT)
        fmt.pack(slot, 0, NO_KEY, TIME, 0, 0, now, b"")
        if self._table.append(PURSE, NO_KEY, slot, now):
            self._told = now
        else:
            self.compact(self._table.bucket(PURSE, NO_KEY), False, 1)
