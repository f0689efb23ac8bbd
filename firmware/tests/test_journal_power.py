"""The journal when power is cut at every flash operation, and what must hold after the remount.

The same story is told again for each operation it makes and each way to cut it: records of
different lengths, twice around the ring and more, after words, acknowledgements, erasing ahead.
"""

import sys

from flash_sim import HOW, FlashSim, PowerCut
from validator.store.journal import Journal
from validator.store.record import decode_after

SECTORS = 4
SECTOR = 512
MICROPYTHON = sys.implementation.name == "micropython"
RECORDS = 40 if MICROPYTHON else 80


def body_of(seq):
    # Lengths so that records end everywhere in a sector; one in 13 looks like evidence.
    n = 200 if seq % 13 == 0 else 20 + seq * 7 % 61
    return bytes([(seq * 31 + k * k) & 0xFF for k in range(n)])


class Story:
    """What a validator did, and what it was told. Keeps its knowledge across power cuts."""

    def __init__(self):
        self.bodies = {}  # of every append that was begun
        self.returned = []
        self.after = {}
        self.ack_asked = 0
        self.ack_durable = 0

    def tell(self, journal, records):
        for _ in range(records):
            self.step(journal)

    def step(self, journal):
        seq = journal.next_seq
        body = body_of(seq)
        if not journal.has_room(1, len(body)):
            self.ack(journal, seq - 3)
        if seq % 3 == 0:
            journal.prepare()
        self.bodies[seq] = body
        assert journal.append(body) == seq
        self.returned.append(seq)
        if seq % 4:
            assert journal.set_after(seq, seq & 7, 100 + seq)
            self.after[seq] = (seq & 7, 100 + seq)
        if seq % 11 == 0:
            self.ack(journal, seq - 6)

    def ack(self, journal, seq):
        self.ack_asked = max(self.ack_asked, seq)
        if journal.ack(seq):
            self.ack_durable = max(self.ack_durable, seq)

    def check(self, journal):
        entries = list(journal.read())
        seqs = [e[0] for e in entries]
        assert seqs == sorted(set(seqs)), "doubled or out of order"
        for seq, body, after, chain_ok, _ in entries:
            assert body == self.bodies[seq], "record %d is not what was written" % seq
            assert chain_ok, "chain breaks at %d" % seq
            if seq in self.after:
                assert decode_after(after) == self.after[seq]
        oldest = seqs[0] if seqs else self.ack_asked + 1
        reclaimed = [s for s in self.returned if s < oldest]
        assert not reclaimed or reclaimed[-1] <= self.ack_asked, "reclaimed unacknowledged"
        kept = [s for s in self.returned if s >= oldest]
        unfinished = [s for s in seqs if s not in self.returned]
        assert [s for s in seqs if s in self.returned] == kept, "a returned record is lost"
        assert len(unfinished) <= self.cuts, "records from nowhere"
        assert self.ack_durable <= journal.acked <= max(self.ack_asked, oldest - 1)
        newest = max(self.bodies) if self.bodies else 0
        assert (self.returned[-1] if self.returned else 0) < journal.next_seq <= newest + 2

    cuts = 1


def mounted(flash):
    journal = Journal(flash)
    journal.mount()
    return journal


def tell_until_cut(flash, story, records):
    """Whether the story came to its end before the cut."""
    try:
        story.tell(mounted(flash), records)
    except PowerCut:
        return False
    return True


def recover(flash, story):
    """Power comes back: nothing is lost, and the journal goes on."""
    flash.power_on()
    journal = mounted(flash)
    story.check(journal)
    story.tell(journal, 3)
    story.check(journal)
    story.check(mounted(flash))


def each_cut(how):
    n = 0
    while True:
        flash = FlashSim(SECTORS, SECTOR)
        story = Story()
        flash.cut_at(n, how)
        if tell_until_cut(flash, story, RECORDS):
            break
        try:
            recover(flash, story)
        except Exception:
            print("cut at operation", n, how, flash.log[-1:])
            raise
        n += 1
    # The story must have gone around the ring, or it proves little.
    assert min(flash.erases) >= (1 if MICROPYTHON else 3), flash.erases
    return n


def test_cut_before_any_operation():
    assert each_cut(HOW[0]) > 60


def test_cut_in_the_first_half_of_any_operation():
    assert each_cut(HOW[1]) > 60


def test_cut_with_some_bits_of_any_operation():
    assert each_cut(HOW[2]) > 60


def test_cut_after_any_operation():
    assert each_cut(HOW[3]) > 60


def test_erase_cut_in_its_second_half():
    """The header is old and valid-looking, the records are gone."""
    flash = FlashSim(SECTORS, SECTOR)
    Story().tell(mounted(flash), RECORDS)
    erases = [n for n in range(len(flash.log)) if flash.log[n][0] == "erase"]
    assert len(erases) > SECTORS
    for n in erases:
        flash = FlashSim(SECTORS, SECTOR)
        story = Story()
        flash.cut_at(n, "tail")
        assert not tell_until_cut(flash, story, RECORDS)
        recover(flash, story)


def test_ignition_that_never_lasts():
    """Power that fails again and again, a few operations after each start, wears out nothing and
    loses nothing."""
    flash = FlashSim(SECTORS, SECTOR)
    story = Story()
    story.cuts = 0
    for k in range(200 if MICROPYTHON else 1500):
        flash.cut_at(1 + k * 5 % 9, HOW[k % 4])
        tell_until_cut(flash, story, 50)
        story.cuts += 1
        flash.power_on()
        story.check(mounted(flash))
    assert len(story.returned) > 60
    assert max(flash.erases) <= 2 * min(flash.erases) + 1, flash.erases
