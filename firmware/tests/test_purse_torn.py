import sys

from fakes import raises
from flash_sim import FlashSim
from purse_bench import WHEN, Card, Validator
from riders_bench import TABLE
from validator.media import purse_torn as torn
from validator.media import tunion
from validator.nfc.reader import CardLost, ReaderDead

MICROPYTHON = sys.implementation.name == "micropython"


def outcome(result):
    return result.outcome, result.reason


def claims(v):
    """Fen that the records say have left cards, and record numbers of which nobody knows."""
    total = 0
    unknown = {}
    instead = {}  # record: the one whose debit did not happen if its own did
    for fields in v.records():
        debit = torn.unpack(fields["evidence"])
        if debit is None:
            continue
        if "proof" in fields["detail"]:
            assert debit.amount == 0 and fields["outcome"] != "accepted"
            continue
        seq = debit.of or fields["seq"]
        instead[seq] = debit.void or instead.get(seq, 0)
        unknown.pop(debit.of, None)
        while debit.state in (torn.PAID, torn.UNPROVEN) and instead.get(seq):
            seq = instead[seq]  # all of them with the same counter: one at most happened
            unknown.pop(seq, None)
        if debit.state in (torn.PAID, torn.UNPROVEN, torn.WRONG):
            total += debit.amount
        if debit.state in (torn.OPEN, torn.LOST):
            unknown[debit.of or fields["seq"]] = debit.amount
        if fields["outcome"] == "accepted":
            assert fields["fare"] == debit.amount
    return total, unknown


def torn_at_debit(how, **options):
    v = Validator()
    card = Card(cuts={"debit": how}, **options)
    result = v.tap(card)
    assert outcome(result) == ("retry", "card_lost") and result.balance is None
    assert card.debits == (1 if how == "after" else 0)
    v.later(2)
    return v, card


def test_what_is_known_of_who_never_returns():
    v, card = torn_at_debit("after")
    (lost,) = v.records()
    assert (lost["outcome"], lost["reason"]) == ("retry", "card_lost")
    debit = torn.unpack(lost["evidence"])
    assert (debit.state, debit.of, debit.when) == (torn.LOST, 0, WHEN)
    assert (debit.counter, debit.before, debit.amount) == (0x042D, 5000, 200)
    assert debit.tac == debit.mac2 == bytes(4)
    assert claims(v) == (0, {1: 200})


def test_money_moved_the_same_card_again():
    v, card = torn_at_debit("after")
    card.sent.clear()
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and (result.fare, result.balance) == (200, 4800)
    assert card.debits == 1 and card.balance == 4800
    # The log's newest line, and the proof: nothing else, and no second debit.
    assert [c.hex() for c in card.sent] == ["00b201c417", "805a000602042e08"]
    made = torn.unpack(v.records()[1]["evidence"])
    assert (made.state, made.of) == (torn.PAID, 1)  # the PSAM still had that session
    assert (made.mac2, made.tac, made.when) == (card.last[2], card.last[3], WHEN)
    assert claims(v) == (200, {})
    assert not len(v.torn())
    v.later(10)
    assert outcome(v.tap(card)) == ("accepted", "") and card.debits == 2


def test_money_did_not_move():
    v, card = torn_at_debit("before")
    card.sent.clear()
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.detail["void"] == 1
    assert card.paid == 1 and card.balance == 4800
    # No line in its log: it is asked for a proof, which might be one, and for its counter.
    assert card.heads() == [
        "00b201c417",
        "805a000602",
        "805a000602",
        "805001020b",
        "00b0970000",
        "805003020b",  # of 0, which proves its key and its counter
        "805401000f",
        "805001020b",
        "805401000f",
    ]
    states = [torn.unpack(r["evidence"]).state for r in v.records()]
    assert states == [torn.LOST, torn.PAID, torn.PAID]
    assert torn.unpack(v.records()[2]["evidence"]).void == 1
    assert v.records()[2]["detail"]["void"] == 1
    assert claims(v) == (200, {})


def test_with_a_log_that_is_older_one_command_tells_it():
    v = Validator()
    card = Card()
    card.elsewhere(when="20291231080000")
    card.cuts = {"debit": "before"}
    v.tap(card)
    v.later()
    card.sent.clear()
    assert outcome(v.tap(card)) == ("accepted", "")
    assert card.heads() == [
        "00b201c417",
        "00b0970000",
        "805003020b",
        "805401000f",
        "805001020b",
        "805401000f",
    ]
    assert claims(v) == (200, {})


def test_power_cut_in_between():
    for how in ("after", "before"):
        v, card = torn_at_debit(how)
        v.reboot()
        assert len(v.torn()) == 1
        result = v.tap(card)
        assert outcome(result) == ("accepted", "") and card.paid == 1
        assert card.balance == 4800 and claims(v) == (200, {})
        # The session went with the power: a purchase of 0 proved key and counter.
        state = torn.unpack(v.records()[-1]["evidence"]).state
        assert state == (torn.UNPROVEN if how == "after" else torn.PAID)
        token = v.rules["token"](b"3100482123456789012")
        assert v.rules["torn"].unproven(token) == (how == "after")
        v.reboot()
        assert not len(v.torn())


def test_power_cut_before_its_end():
    # The first part alone: DEBIT went out, and then the power.
    for how in ("before", "after"):
        v = Validator()
        card = Card(cuts={"debit": how})
        v.purchase(card)
        v.reboot()
        v.later()
        assert len(v.torn()) == 1 and claims(v) == (0, {1: 200})
        assert outcome(v.tap(card)) == ("accepted", "")
        assert card.balance == 4800 and claims(v) == (200, {})


def test_record_lost_after_a_good_debit():
    v = Validator()
    card = Card()
    assert outcome(v.purchase(card)) == ("accepted", "")  # and never recorded
    v.later()
    v.reboot()
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.detail["of"] == 1
    assert card.debits == 2 and card.balance == 4800 and claims(v) == (200, {})


def test_other_cards_are_served_meanwhile():
    v, card = torn_at_debit("after")
    other = Card(number="0310482123456789999")
    result = v.tap(other)
    assert outcome(result) == ("accepted", "") and other.debits == 1
    assert other.heads() == ["00b0970000", "805001020b", "805401000f"]
    tac = card.last[3]
    card.sent.clear()
    result = v.tap(card)
    # Log line and proof first: the purchase of 0 takes their place.
    assert card.heads() == ["00b201c417", "805a000602", "805003020b", "805401000f"]
    assert outcome(result) == ("accepted", "") and card.balance == 4800
    made = torn.unpack(v.records()[-1]["evidence"])
    assert made.state == torn.UNPROVEN and made.tac == tac
    assert claims(v) == (400, {})


def test_torn_again_and_again():
    debits = [{"debit": "before"}, {"debit": "before"}, {"debit": "after"}]
    others = [{name: how} for name in ("record", "prove", "init") for how in ("before", "after")]
    for cuts in (debits, debits[2:], debits[:2] + others, debits + others, debits[2:] + others):
        v = Validator()
        card = Card()
        for cut in cuts + [{}]:
            card.cuts = dict(cut)
            result = v.tap(card)
            v.later(3)
            if result != "lost" and result.outcome == "accepted":
                break
        assert outcome(result) == ("accepted", "")
        assert card.paid == 1 and card.balance == 4800, cuts
        # A purchase of 0 that was torn behind DEBIT moved the counter: nobody knows, so the
        # purchase says that it may be the second.
        marked = cuts[:3] == debits
        assert claims(v) == (200, {1: 200} if marked else {})


def test_lost_while_the_proof_is_read():
    v, card = torn_at_debit("after")
    for name in ("record", "prove"):
        for how in ("before", "after"):
            card.cuts = {name: how}
            raises(CardLost, v.purchase, card)
            assert len(v.torn()) == 1
    assert outcome(v.tap(card)) == ("accepted", "") and card.debits == 1
    assert claims(v) == (200, {})


def test_cards_count_their_proof_in_two_ways():
    for lag in (0, 1):
        v, card = torn_at_debit("after", proof_lag=lag)
        assert outcome(v.tap(card)) == ("accepted", "")
        assert torn.unpack(v.records()[-1]["evidence"]).tac == card.last[3]


def test_log_counts_in_two_ways():
    for lag in (0, 1):
        for how in ("before", "after"):
            v = Validator()
            card = Card(log_lag=lag)
            v.tap(card)
            v.later(10)
            card.cuts = {"debit": how}
            v.tap(card)
            v.later()
            assert outcome(v.tap(card)) == ("accepted", "")
            assert card.paid == 2 and card.balance == 4600
            assert claims(v) == (400, {})


def test_card_without_proof():
    v, card = torn_at_debit("after", proves=False)
    result = v.tap(card)
    assert outcome(result) == ("declined", "unsettled") and card.debits == 1
    assert result.detail["unsettled"] == 1 and claims(v) == (0, {1: 200})
    assert len(v.torn()) == 1


def test_card_without_a_log():
    for how in ("before", "after"):
        v, card = torn_at_debit(how, log_readable=False)
        assert outcome(v.tap(card)) == ("accepted", "")
        assert card.paid == 1 and card.balance == 4800 and claims(v) == (200, {})


def test_without_a_log_and_used_elsewhere():
    v, card = torn_at_debit("before", log_readable=False)
    card.elsewhere(300)
    card.elsewhere(300)
    result = v.tap(card)
    # Nobody can tell any more: a ride of its own, and the first record stays what it is.
    assert outcome(result) == ("accepted", "") and result.detail["unknown"] == 1
    assert card.balance == 4200 and claims(v) == (200, {1: 200})


def test_another_validator_took_the_same_fare():
    # Counter and balance are those of our debit; terminal and time are not.
    v, card = torn_at_debit("before")
    card.elsewhere(200)
    card.sent.clear()
    result = v.tap(card)
    # What its log says is not proven, the counter is: nobody knows, so it is marked.
    assert outcome(result) == ("accepted", "") and result.detail["unknown"] == 1
    assert card.heads() == [
        "00b201c417",
        "00b0970000",
        "805003020b",
        "805401000f",
        "805001020b",
        "805401000f",
    ]
    assert card.balance == 4600 and claims(v) == (200, {1: 200})


def test_torn_here_then_used_elsewhere():
    v, card = torn_at_debit("after")
    card.elsewhere(300)
    v.later(3600)
    result = v.tap(card)
    # That ride is another one. Whether the torn one was paid, this validator cannot tell.
    assert outcome(result) == ("accepted", "") and result.detail["unknown"] == 1
    assert card.balance == 5000 - 200 - 300 - 200 and claims(v) == (200, {1: 200})
    states = [torn.unpack(r["evidence"]).state for r in v.records()]
    assert states == [torn.LOST, torn.PAID, torn.PAID]


def test_without_a_log_counter_and_balance_must_both_fit():
    for amounts in ((300,), (100, 100)):
        v, card = torn_at_debit("before", log_readable=False)
        for amount in amounts:
            card.elsewhere(amount)
        result = v.tap(card)
        assert outcome(result) == ("accepted", "") and result.detail["unknown"] == 1
        assert "805401000f" in card.heads()[-1]


def test_log_with_nothing_but_a_load():
    load = bytes.fromhex("0001000000" + "00001388" + "02" + "110000000001" + "20291231080000")
    v, card = torn_at_debit("before", log=[load])
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.detail["void"] == 1
    assert claims(v) == (200, {})


def test_two_cards_torn_one_after_the_other():
    v, card = torn_at_debit("after")
    other = Card(number="0310482123456789999", cuts={"debit": "after"})
    v.tap(other)
    v.later()
    # The PSAM's session is the other one's: no word against this card.
    assert outcome(v.tap(card)) == ("accepted", "")
    assert torn.unpack(v.records()[-1]["evidence"]).state == torn.UNPROVEN
    # And its purchase of 0 has taken the other one's session.
    assert outcome(v.tap(other)) == ("accepted", "")
    assert torn.unpack(v.records()[-1]["evidence"]).state == torn.UNPROVEN
    assert card.balance == other.balance == 4800 and claims(v) == (400, {})


def test_log_rolled_over():
    v, card = torn_at_debit("after")
    for _ in range(10):
        card.elsewhere(10)
    result = v.tap(card)
    assert result.detail["unknown"] == 1 and claims(v) == (200, {1: 200})


def test_counter_wraps():
    for how in ("before", "after"):
        v = Validator()
        card = Card(counter=0xFFFE)
        v.tap(card)
        v.later(10)
        card.cuts = {"debit": how}
        v.tap(card)  # with 0xFFFF
        v.later()
        assert outcome(v.tap(card)) == ("accepted", "")
        assert card.balance == 4600 and claims(v) == (400, {})


def test_topped_up_meanwhile():
    v, card = torn_at_debit("after")
    card.balance += 10000
    card.log.insert(
        0, bytes.fromhex("0003000000" + "00002710" + "02" + "110000000001" + "20300101081000")
    )
    result = v.tap(card)
    # A load is the newest line. The debit is the last one all the same: it was for this ride.
    assert outcome(result) == ("accepted", "") and claims(v) == (200, {})
    assert card.balance == 15000 - 200


def test_declined_when_it_comes_back():
    v, card = torn_at_debit("before")
    card.balance = 100
    result = v.tap(card)
    assert outcome(result) == ("declined", "insufficient_balance")
    # It has proven nothing: the record stays what it is.
    assert v.records()[-1]["evidence"] is None
    assert claims(v) == (0, {1: 200}) and len(v.torn()) == 1
    v.reboot()
    assert len(v.torn()) == 1


def test_finished_though_it_may_not_ride_any_more():
    # The clock is gone: what was paid is still a ride.
    v, card = torn_at_debit("after")
    v.clock.trusted = False
    assert outcome(v.tap(card)) == ("accepted", "") and claims(v) == (200, {})


def test_the_word_of_a_card_that_may_not_ride_is_not_enough():
    for spoil, reason in (
        (lambda v: v.rules.update({"deny": lambda token: True}), "unsettled"),
        (lambda v: setattr(v.clock, "trusted", False), "clock_untrusted"),
    ):
        v, card = torn_at_debit("after")
        v.reboot()  # the PSAM has no session any more: nobody can check the proof
        spoil(v)
        assert outcome(v.tap(card)) == ("declined", reason)
        assert card.debits == 1 and card.counts.get("init", 0) == 0, "no purchase of 0"
        assert v.torn() == [1]
        v.rules["deny"] = lambda token: False
        v.clock.trusted = True
        result = v.tap(card)
        assert outcome(result) == ("accepted", "") and result.detail["state"] == "unproven"


def test_wrong_mac2_in_the_proof():
    v, card = torn_at_debit("after", lies=True)
    result = v.tap(card)
    assert outcome(result) == ("declined", "bad_signature") and card.debits == 1
    # Nothing is settled by it: whatever this was, the debit is still open.
    assert claims(v) == (0, {1: 200}) and len(v.torn()) == 1


def test_answers_that_leave_it_open():
    for word in ("6581", "9000", "00009000", "6F00", "6283", "0000"):
        v = Validator()
        card = Card(statuses={"debit": word})
        result = v.tap(card)
        assert outcome(result) == ("retry", "card_lost"), word
        assert len(v.torn()) == 1
        card.statuses = {}
        v.later()
        assert outcome(v.tap(card)) == ("accepted", "") and card.balance == 4800
        assert claims(v) == (200, {})


def test_reader_that_dies_at_debit():
    v = Validator()
    card = Card()
    answer = card.transceive

    async def transceive(command):
        reply = await answer(command)
        if command[1] == 0x54:
            raise ReaderDead("no_answer")
        return reply

    card.transceive = transceive
    assert outcome(v.tap(card)) == ("retry", "card_lost")
    card.transceive = answer
    v.later()
    assert outcome(v.tap(card)) == ("accepted", "") and card.debits == 1


def test_none_is_forgotten_behind_others():
    v = Validator()
    cards = []
    for i in range(30):
        card = Card(number="03104821234567890%02d" % i, cuts={"debit": "after"})
        v.tap(card)
        cards.append(card)
    assert len(v.torn()) == 30
    v.reboot()
    assert len(v.torn()) == 30
    for card in cards:
        v.later()
        assert outcome(v.tap(card)) == ("accepted", "") and card.balance == 4800
    assert not v.torn()


def test_known_behind_a_thousand_torn_ones_and_three_thousand_records():
    """And a start, and its record acknowledged and erased."""
    others, records = (20, 40) if MICROPYTHON else (1000, 3000)
    v = Validator({}, FlashSim(8))
    if not MICROPYTHON:
        v.table = FlashSim(64)
        v.reboot()
    card = Card(cuts={"debit": "after"})
    v.tap(card)
    (seq,) = v.torn()
    for i in range(others + records):
        other = Card(number="0310482123%09d" % i)
        if i < others:
            other.cuts = {"debit": "after"}
        if not v.journal.has_room(4):
            v.journal.ack(v.journal.next_seq - 1)
        v.tap(other)
        v.later(7)
        for _ in range(3):
            v.riders.idle()
    v.reboot()
    assert MICROPYTHON or v.journal.info()["first"] > seq, "its record is gone"
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.detail["of"] == seq
    assert card.balance == 4800 and card.debits == 2, "the purchase of 0 moves no money"


def test_known_when_its_record_is_acknowledged_and_its_sector_erased():
    v = Validator({}, FlashSim(4))
    card = Card(cuts={"debit": "after"})
    v.tap(card)
    (seq,) = v.torn()
    v.later()
    n = 0
    while v.journal.info()["first"] <= seq:
        v.journal.ack(v.journal.next_seq - 1)
        v.tap(Card(number="0310482123456%06d" % n))
        v.later(10)
        v.riders.idle()
        n += 1
    v.reboot()
    assert seq in v.torn()
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.detail["of"] == seq
    assert card.debits == 2 and card.balance == 4800, "that, and the purchase of 0"


class TornAtFare(Card):
    """Gone once it has paid its first fare; a purchase of 0 it makes."""

    gone = False

    def _debit(self, command):
        fare = self.open[1]
        answer = super()._debit(command)
        if fare and not self.gone:
            self.gone = True
            raise CardLost("timeout")
        return answer


def test_without_room_nobody_begins_and_who_is_known_can_be_settled():
    v = Validator()
    v.table = FlashSim(TABLE, 512)
    v.reboot()
    refused = None
    torn_cards = []
    for i in range(200):
        card = TornAtFare(number="0310482123456789%03d" % i)
        result = v.tap(card)
        v.later()
        if result.reason == "storage_full":
            assert not card.debits
            refused = card
            break
        torn_cards.append(card)
    assert refused and len(v.torn()) == len(torn_cards)
    token = v.rules["token"](tunion.rider(refused.public))
    bucket = v.riders.table.bucket(0, token)
    same = [
        card
        for card in torn_cards
        if v.riders.table.bucket(0, v.rules["token"](tunion.rider(card.public))) == bucket
    ]
    assert len(same) > 6
    for card in same:
        assert outcome(v.tap(card)) == ("accepted", ""), "the last places are theirs"
        v.later()
        for _ in range(40):
            v.riders.idle()


def test_evidence_that_is_none():
    assert torn.unpack(None) is None
    assert torn.unpack(b"\x50" + bytes(50)) is None
    assert torn.unpack(b"\x01" + bytes(60)) is None
    packed = torn.Debit(9, 1, 2, 3).pack()
    assert len(packed) == torn.SIZE == 52 and torn.unpack(packed + b"more").pack() == packed


def test_flash_that_does_not_keep_the_end():
    """The debit is on record as open; another record closes it, also for a later start."""
    v = Validator()
    card = Card()
    result = v.purchase(card)
    assert outcome(result) == ("accepted", "")
    entry = bytes(v.flash.data).index(result.debit.serial + bytes((1, 1)))
    for at in range(entry + 12, entry + 24):
        v.flash.dead_bits[at] = 0xFF
    v.keep(result)
    result.settled()
    opened, made = v.records()
    assert (opened["outcome"], made["outcome"]) == ("retry", "accepted")
    assert torn.unpack(made["evidence"]).of == opened["seq"] == 1
    assert claims(v) == (200, {}) and v.journal.info()["faults"] == 1
    v.reboot()
    assert not len(v.torn()) and claims(v) == (200, {})
    v.later()
    assert outcome(v.tap(card)) == ("accepted", "") and card.debits == 2


def test_what_was_not_known_gives_way_to_the_next_debit():
    """Also when it is read back from the journal: nobody asks for it for ever."""
    v, card = torn_at_debit("before", log_readable=False)
    card.elsewhere(300)
    card.elsewhere(300)
    assert v.tap(card).detail["unknown"] == 1
    made = v.records()[2]
    assert made["detail"] == {"state": "paid", "unknown": 1}
    v.reboot()
    assert not len(v.torn())


class NoKey(Card):
    """Knows what crossed the air of somebody's card, and no key."""

    def _debit(self, command):
        raise CardLost("timeout")


def test_who_has_no_key_makes_nobody_elses_debit_forgotten():
    for ahead in (-1, 0, 1, 5):
        for claims_it in (False, True):
            v, card = torn_at_debit("after")
            (seq,) = v.torn()
            fake = NoKey(balance=4800)
            fake.counter = card.counter - 1 + ahead
            fake.log = list(card.log) if claims_it else []
            if claims_it:
                fake.debits = 1
                fake.last = (6, fake.counter, b"fake", b"fake")
            for _ in range(3):
                v.later(10)
                v.tap(fake)
                assert v.torn() == [seq] if isinstance(v.torn(), list) else len(v.torn()) == 1
            v.later(10)
            result = v.tap(card)
            assert outcome(result) == ("accepted", "") and result.detail["of"] == seq
            assert card.paid == 1 and card.balance == 4800
            # Its own TAC, not the one that was made up.
            assert result.debit.tac == card.tacs[0]


def test_fakes_with_a_wrong_mac2_neither():
    v, card = torn_at_debit("after")
    fake = Card(lies=True)
    fake.counter = card.counter - 1
    assert outcome(v.tap(fake)) == ("declined", "bad_signature")
    v.later(10)
    assert len(v.torn()) == 1
    assert v.tap(card).detail["of"] == 1 and card.paid == 1
