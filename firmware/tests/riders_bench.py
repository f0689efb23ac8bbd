"""A memory of riders on flash for tests, with its journal: one flash under both, so that a cut at
operation n is one at the n-th operation of either."""

import gc

from fakes import FakeClock
from flash_sim import FlashSim
from validator.guarded import GuardedTime
from validator.media.riders import Riders
from validator.store import record
from validator.store.journal import Journal
from validator.store.riders import Table

JOURNAL = 8  # sectors
TABLE = 17  # as few as it takes: rooms of 3, 5, 4 and 3 buckets, and two spares
CHECK = b"key1"


class Part:
    """Some sectors of a flash."""

    def __init__(self, flash, first, sectors):
        self._flash = flash
        self._at = first * flash.sector
        self.sector = flash.sector
        self.size = sectors * flash.sector
        self.entries = 0  # of the table, that were written

    def read(self, addr, buf):
        self._flash.read(self._at + addr, buf)

    def program(self, addr, data):
        self.entries += len(data) == 32
        self._flash.program(self._at + addr, data)

    def erase(self, addr):
        self._flash.erase(self._at + addr)


def table_flash(sector=4096, sectors=TABLE):
    return FlashSim(sectors, sector)


def open_table(flash, check=CHECK):
    table = Table(flash, bytearray(1100), bytearray(1100), check)
    return table


class NoJournal:
    """Of a validator whose records nobody reads again."""

    next_seq = 1


def memory(clock=None, flash=None, journal=None, check=CHECK):
    """A memory of riders as it is after a start, on a flash of its own if none is given."""
    gc.collect()
    clock = clock or FakeClock()
    table = open_table(flash or FlashSim(TABLE, 512), check)
    riders = Riders(table, GuardedTime(clock), journal or NoJournal)
    riders.start()
    return riders


def at(riders, unix, trusted=True):
    """Let it be that time for a memory of riders: it goes by, or the clock is set back."""
    if riders is None:
        return
    clock = riders.time._clock
    riders.time.now()
    if unix > clock.unix():
        clock.advance_us((unix - clock.unix()) * 1000000)
    else:
        clock.set_unix(unix)
    clock.trusted = trusted


class Bus:
    """What serves riders, without media: `reboot` forgets all but flash. The wall clock goes on
    through it, if `kept`."""

    def __init__(self, journal=JOURNAL, sectors=TABLE, sector=4096, kept=True):
        gc.collect()
        self.flash = FlashSim(journal + sectors, sector)
        self._parts = (journal, sectors)
        self.check = CHECK
        self.clock = FakeClock()
        self.kept = kept
        self.trims = True  # the flash's log
        self.boot()

    def boot(self):
        journal, sectors = self._parts
        self.journal = Journal(Part(self.flash, 0, journal))
        self.journal.mount()
        table = open_table(Part(self.flash, journal, sectors), self.check)
        self.riders = Riders(table, GuardedTime(self.clock), self.journal)
        self.riders.start()

    def reboot(self, seconds=0):
        unix = self.clock.unix() + seconds
        self.clock = FakeClock(1000)
        self.clock.set_unix(unix)
        self.clock.trusted = self.kept
        self.boot()

    def later(self, seconds):
        self.clock.advance_us(seconds * 1000000)

    def record(self, outcome="declined", **fields):
        """A record like any other; its number."""
        if not self.journal.has_room():
            self.journal.ack(self.journal.next_seq - 1)
        made = {"seq": self.journal.next_seq, "time": self.clock.unix(), "medium": "ride_code"}
        made.update({"outcome": outcome, "reason": "" if outcome == "accepted" else "expired"})
        made["clock_trusted"] = self.clock.trusted
        made.update(fields)
        if self.trims and len(self.flash.log) > 200:
            self.flash.log = []  # a real MicroPython has little memory
        return self.journal.append(record.encode(made))

    def idle(self, most=400):
        """All the idle work there is."""
        quiet = 0
        for _ in range(most):
            quiet = 0 if self.riders.idle() else quiet + 1
            if quiet > len(self.riders.table.sectors):
                break


def key(n, room=0):
    """A key like a token: as good as random."""
    from hashlib import sha256

    return sha256(b"%d-%d" % (room, n)).digest()[:8]
