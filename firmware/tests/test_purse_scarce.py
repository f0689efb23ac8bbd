"""Whoever has no key cannot fill the memory of torn debits with cards that he makes up."""

from flash_sim import FlashSim
from purse_bench import Card, CardLost, Validator, some
from validator.media.riders import PURSE


def number(i):
    return "03104821234567%05d" % i


class MadeUp(Card):
    """Knows no key: silent at DEBIT, or `mac2` of its own."""

    mac2 = None

    def _debit(self, command):
        if self.mac2 is None:
            raise CardLost("timeout")
        return b"\x11\x22\x33\x44" + self.mac2


def flooded():
    v = Validator({"window_s": 0}, FlashSim(4))
    for i in range(90):
        v.tap(MadeUp(number=number(i)))
        v.later(1)
        while v.riders.idle():
            pass
        v.journal.ack(v.journal.next_seq - 1)
        v.flash.log = []
        v.table.log = []
    return v


def torn(v):
    return len(some(v.riders, 0, 1000, 100000)[0])


def test_a_card_with_the_key_rides_however_many_have_none():
    v = flooded()
    before = torn(v)
    # What is kept of the others ends where there is still room for those with a key.
    assert 20 < before <= 3 * 17
    for mac2 in (None, bytes(4), b"\xff" * 4):
        fake = MadeUp(number=number(5000))
        fake.mac2 = mac2
        r = v.tap(fake)
        assert (r.outcome, torn(v)) == ("retry" if mac2 is None else "declined", before)
        v.later(1)
    rode = 0
    for i in range(1000, 1040):
        card = Card(number=number(i))
        r = v.tap(card)
        assert (r.outcome, r.fare, card.balance) == ("accepted", 200, 4800)
        rode += card.debits == 2  # of 0, and of the fare
        v.later(1)
    assert rode >= 39
    assert torn(v) == before
    assert v.records()[-1]["outcome"] == "accepted"


def test_a_genuine_card_that_is_torn_is_remembered_there():
    v = flooded()
    before = torn(v)
    card = Card(number=number(1000))
    card.cuts = {("debit", 2): "after"}
    assert v.tap(card).reason == "card_lost"
    assert torn(v) == before + 1 and card.balance == 4800
    v.reboot()
    v.later(60)
    assert v.tap(card).fare == 200 and card.balance == 4800
    assert torn(v) == before + 1  # rode on its word, until the operator settles it


def test_torn_while_it_proves_itself():
    for how in ("before", "after"):
        for restart in (False, True):
            v = card = None
            v = flooded()
            before = torn(v)
            card = Card(number=number(1000))
            card.cuts = {("debit", 1): how}
            r = v.tap(card)
            assert (r.outcome, r.reason) == ("retry", "card_lost")
            assert torn(v) == before and card.balance == 5000
            if restart:
                v.reboot()
                assert torn(v) == before
            v.later(1)
            r = v.tap(card)
            # No ride for the 0 that it was.
            assert (r.outcome, r.fare, card.balance) == ("accepted", 200, 4800)


def test_a_card_that_makes_no_purchase_of_0_is_refused_there_and_only_there():
    v = flooded()
    card = Card(number=number(1000))
    real = card._init

    def init(command):
        if not any(command[6:10]):
            return b"!\x6a\x80"
        return real(command)

    card._init = init
    r = v.tap(card)
    assert (r.outcome, r.reason, card.debits) == ("declined", "storage_full", 0)
    v = None
    assert Validator({}, FlashSim(4)).tap(card).outcome == "accepted"


def test_its_record_says_so():
    v = flooded()
    card = Card(number=number(1000))
    seq = v.journal.next_seq
    v.tap(card)
    first, second = v.records()[-2:]
    assert (first["seq"], first["detail"]["proof"], first["fare"]) == (seq, seq, 0)
    assert first["outcome"] != "accepted" and first["detail"]["state"] == "paid"
    assert (second["outcome"], second["fare"]) == ("accepted", 200)
    assert v.riders.torn(PURSE, second["token"]) is None
