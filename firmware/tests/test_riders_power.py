"""The memory of riders when power is cut at every flash operation, and in every recovery.

The same story is told again for each operation that it makes and each way to cut it: rides whose
fen add up, codes, debits that are torn and settled, time that passes, and idle work that carries
them to the table, writes buckets anew and erases. After each cut all is known that was promised,
and nothing that did not happen.
"""

import sys

from flash_sim import HOW, PowerCut
from riders_bench import Bus, key
from validator.media.riders import CODES, PURSE, QUICKPASS, WINDOW
from validator.store import record

MICROPYTHON = sys.implementation.name == "micropython"
STEPS = 60 if MICROPYTHON else 150
SECTOR = 512
LONG = 1 << 29  # seconds that fen add up for


class Story:
    """What a validator did, and what must be known of it. Outlives power cuts."""

    def __init__(self):
        self.n = 0
        self.fen = {}  # rider: fen
        self.codes = {}  # number: until
        self.torn = {}  # rider: seq
        self.doubt = None  # (seq, function): a record that was begun
        self.noise = 1

    def random(self, below):
        self.noise = (self.noise * 1103515245 + 12345) & 0x3FFFFFFF
        return (self.noise >> 12) % below

    def tell(self, bus, steps):
        while steps:
            self.step(bus)
            steps -= 1

    def step(self, bus):
        """One rider, or what happens between riders."""
        self.n += 1
        what = self.random(8)
        riders = bus.riders
        riders.cumulative[QUICKPASS] = LONG
        if what >= 6:
            bus.later(self.random(40))
            for _ in range(self.random(12)):
                riders.idle()
            return
        assert riders.ready(2)
        who = self.random(20)
        if what < 2:
            self.keep(bus, self.ride, who, 100 + self.n)
        elif what < 4:
            self.keep(bus, self.code, self.n, bus.clock.unix() + 20 + self.random(100))
        elif what < 5 or who not in self.torn:
            self.keep(bus, self.open, who, 0)
        else:
            self.keep(bus, self.close, who, 0)

    def keep(self, bus, what, who, value):
        """A record, and what follows from it."""
        room = {self.ride: QUICKPASS, self.code: CODES}.get(what, PURSE)
        assert bus.riders.has_room(room, key(who, room), 1)
        seq = bus.journal.next_seq
        self.doubt = (seq, what, who, value)
        name = {self.ride: "ride", self.code: "code", self.open: "open", self.close: "close"}[what]
        bus.record("accepted", fare=1, detail={"did": name, "who": who, "value": value})
        what(bus, seq, who, value)
        self.doubt = None
        did(bus, seq, name, who, value)

    # What is to be known once a record is durable.

    def ride(self, bus, seq, who, fen):
        self.fen[who] = self.fen.get(who, 0) + fen

    def code(self, bus, seq, who, until):
        self.codes[who] = until

    def open(self, bus, seq, who, _):
        self.torn[who] = seq

    def close(self, bus, seq, who, _):
        self.torn.pop(who, None)

    def recover(self, bus):
        """After a start: was the record durable that was being written?"""
        if self.doubt:
            seq, what, who, value = self.doubt
            self.doubt = None
            for entry in bus.journal.read():
                if entry[0] == seq:
                    what(bus, seq, who, value)

    def check(self, bus):
        riders = bus.riders
        riders.cumulative[QUICKPASS] = LONG
        now = bus.clock.unix()
        for who in range(20):
            spent = riders.spent(QUICKPASS, key(who, QUICKPASS), LONG)
            assert spent == self.fen.get(who, 0), "rider %d: %d fen" % (who, spent)
            torn = riders.torn(PURSE, key(who, PURSE))
            assert (torn[0] if torn else None) == self.torn.get(who), "torn debit of %d" % who
            if torn:
                assert torn[1] == torn[0] + 7 and torn[4] == b"%012d" % torn[0]
        for n in self.codes:
            until = self.codes[n]
            if until >= now:
                assert riders.code_seen(key(n, CODES), until), "code %d is forgotten" % n
        for n in range(5000, 5020):
            assert not riders.code_seen(key(n, CODES), now + 1), "a code that nobody showed"


def did(bus, seq, name, who, value):
    """What `settled` of a result does, or a start."""
    riders = bus.riders
    riders.cumulative[QUICKPASS] = LONG
    if name == "ride":
        riders.rode(QUICKPASS, key(who, QUICKPASS), value, 0, LONG, seq)
    elif name == "code":
        riders.code_ridden(key(who, CODES), value, seq)
    elif name == "open":
        riders.open(PURSE, key(who, PURSE), seq, seq + 7, b"%012d" % seq)
    else:
        riders.close(PURSE, key(who, PURSE), seq)


def restore(bus):
    journal = bus.journal
    bus.riders.again = True
    for seq, body, _, ok, _ in journal.read(max(1, journal.next_seq - WINDOW)):
        fields = record.decode(body)
        bus.riders.time.reach(fields["time"])
        detail = fields["detail"]
        if "did" in detail:
            did(bus, seq, detail["did"], detail["who"], detail["value"])
    bus.riders.again = False


def boot(bus, story):
    bus.flash.power_on()
    bus.reboot()
    restore(bus)
    story.recover(bus)


def tell_until_cut(bus, story, steps):
    try:
        story.tell(bus, steps)
    except PowerCut:
        return False
    return True


def aged():
    """A bus whose table is in use for a while: (flash, story, time)."""
    if not AGED:
        bus = Bus(12, 17, SECTOR)
        story = Story()
        story.tell(bus, 250)
        boot(bus, story)
        AGED.append((bytes(bus.flash.data), story, bus.clock.unix()))
    return AGED[0]


AGED = []


def begin():
    data, old, time = aged()
    bus = Bus(12, 17, SECTOR)
    bus.flash.load(data)
    bus.clock.set_unix(time)
    story = Story()
    story.n = old.n
    story.noise = old.noise
    for mine, its in ((story.fen, old.fen), (story.codes, old.codes), (story.torn, old.torn)):
        mine.update(its)
    boot(bus, story)
    bus.trims = False  # operations are counted
    return bus, story


def each_cut(how, steps, stride=1, recovery=False):
    n = cuts = 0
    while True:
        bus, story = begin()
        bus.flash.cut_at(n, how)
        if tell_until_cut(bus, story, steps):
            break
        try:
            boot(bus, story)
            story.check(bus)
            if recovery:
                cut_recovery(bus, story)
            else:
                story.tell(bus, 6)
                story.check(bus)
                boot(bus, story)
                story.check(bus)
        except Exception:
            print("cut at operation", n, how, bus.flash.log[-1:])
            raise
        n += stride
        cuts += 1
    # The story must have written buckets anew, or it proves little.
    assert sum(bus.flash.erases[12:]) > (1 if MICROPYTHON else 8), bus.flash.erases
    return cuts


def cut_recovery(bus, story):
    """Power fails again at each of the first operations after the start."""
    before = bytes(bus.flash.data)
    time = bus.clock.unix()
    for k in range(6):
        bus.flash.load(before)
        bus.clock.set_unix(time)
        boot(bus, story)
        bus.flash.cut_at(k, HOW[(story.n + k) % 4])
        try:
            for _ in range(60):
                bus.riders.idle()
        except PowerCut:
            pass
        boot(bus, story)
        story.check(bus)
        bus.idle()
        story.check(bus)


def test_no_cut_at_all():
    bus = Bus(12, 17, SECTOR)
    story = Story()
    for _ in range(30):
        story.tell(bus, 10)
        story.check(bus)
        boot(bus, story)
        story.check(bus)


def test_cut_before_any_operation():
    assert each_cut(HOW[0], STEPS) > 60


def test_cut_in_the_first_half_of_any_operation():
    assert each_cut(HOW[1], STEPS) > 60


def test_cut_with_some_bits_of_any_operation():
    assert each_cut(HOW[2], STEPS) > 60


def test_cut_after_any_operation():
    assert each_cut(HOW[3], STEPS) > 60


def test_erase_cut_in_its_second_half():
    bus, story = begin()
    story.tell(bus, STEPS)
    erases = [n for n in range(len(bus.flash.log)) if bus.flash.log[n][0] == "erase"]
    assert len(erases) > (3 if MICROPYTHON else 10)
    for n in erases:
        bus, story = begin()
        bus.flash.cut_at(n, "tail")
        assert not tell_until_cut(bus, story, STEPS)
        boot(bus, story)
        story.check(bus)
        story.tell(bus, 6)
        boot(bus, story)
        story.check(bus)


def test_cut_again_in_the_recovery():
    for how in HOW:
        assert each_cut(how, STEPS, 23 if MICROPYTHON else 5, recovery=True) > 3


def test_ignition_that_never_lasts():
    """Power that fails again and again, a few operations after each start."""
    bus = Bus(12, 17, SECTOR)
    story = Story()
    for k in range(60 if MICROPYTHON else 600):
        bus.flash.cut_at(1 + k * 5 % 11, HOW[k % 4])
        tell_until_cut(bus, story, 40)
        boot(bus, story)
        story.check(bus)
    assert story.n > 60
