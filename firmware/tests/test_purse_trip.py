from purse_bench import TERMINAL, UNIX, WHEN, Card, Validator, fen
from validator.fare import tariff, trip
from validator.media import purse_torn as torn

COMPOSITE = {"mode": "composite", "marked_amount": 500}
STAGES = {"stages": [[5, 200], [10, 300]]}
STOP = "290012312900000000000001005203"
HERE = STOP + b"31000123".hex() + "0000" + TERMINAL.hex()


def outcome(result):
    return result.outcome, result.reason


def validator(**section):
    made = dict(COMPOSITE)
    made.update(section)
    return Validator(made)


def test_boarding_and_its_bytes():
    v = validator()
    card = Card()
    local = bytes(range(26))
    card.records = [card.records[0][:102] + local]
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.fare == 0 and result.balance == 5000
    heads = ["00b0970000", "00b201d480", "805003020b", "80dc00f030", "80dc02d080", "805401000f"]
    assert card.heads() == heads
    record = card.records[0].hex()
    head = "27027d" + "01" + "01" + "00" + "00" * 8 + "01"
    assert record[:30] == head
    assert record[30:106] == HERE + WHEN.hex()
    assert record[106:116] == "000001f4" + "ab"
    assert record[116:204] == "00" * 44
    assert bytes.fromhex(record[204:]) == local
    ride = "03" + "0000" + TERMINAL.hex() + "02" + "0052" + "0003" + "000000" + "00000000"
    ride += "00001388" + WHEN.hex() + "2900" + "12312900ffffffff" + "00" * 6
    assert [r.hex() for r in card.trips] == [ride]
    assert v.psam.asked[0][10] == 9 and card.log[0][9] == 9
    made = torn.unpack(v.records()[0]["evidence"])
    assert (made.type, made.amount, made.state) == (9, 0, torn.PAID)
    assert v.records()[0]["detail"] == {"state": "paid", "trip": "in"}


def test_alighting_and_its_bytes():
    v = validator(direction="down", **STAGES)
    card = Card()
    v.tap(card)
    boarding = card.records[0]
    assert boarding[57] == 0xBA
    v.later(1200)
    v.rules["station"] = 9
    card.power_on()
    card.sent.clear()
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.fare == 300
    assert card.balance == 4700 and card.debits == 2 and len(card.sent) == 6
    record = card.records[0]
    assert record[14] == trip.ALIGHTED
    assert record[:14] + record[15:58] == boarding[:14] + boarding[15:58]
    there = bytes.fromhex(HERE[:28] + "09" + HERE[30:])
    assert record[58:96] == there + bytes.fromhex("20300101082000")
    assert record[96:102] == fen(300) + b"\0\0"
    ride = card.trips[1]
    assert ride[0] == trip.OUT and ride[17:25] == fen(300) + fen(4700)
    # And the next ride begins again.
    v.later(600)
    assert outcome(v.tap(card)) == ("accepted", "") and card.records[0][14] == trip.BOARDED
    assert card.records[0][58:102] == bytes(44)


def test_fares():
    stages = ((5, 200), (10, 300))
    assert tariff.staged((), 99, 200, 200) == 200
    assert [tariff.staged(stages, n, 200, 200) for n in (0, 5, 6, 10)] == [200, 200, 300, 300]
    assert tariff.staged(stages, 11, 200, 200) is None
    assert tariff.staged(stages, 6, 100, 200) == 150  # half price
    assert tariff.staged(stages, 6, 0, 200) == 0
    assert tariff.staged(stages, 6, 0, 0) == 300


def test_beyond_the_table_the_marked_amount_is_due():
    v = validator(**STAGES)
    card = Card()
    v.tap(card)
    v.later()
    v.rules["station"] = 200
    assert v.tap(card).fare == 500


def test_flat_fare_is_paid_on_alighting():
    v = validator()
    card = Card()
    v.tap(card)
    v.later()
    assert v.tap(card).fare == 200 and card.balance == 4800


def test_who_never_alighted_pays_what_is_marked():
    v = validator()
    card = Card()
    v.tap(card)
    for change in ({"line": "0053"}, {"vehicle": "31000124"}, {"city": "1000"}, {}):
        other = validator(**change)
        other.later(3600 * (1 if change else 5))
        tapped = Card(records=list(card.records))
        result = other.tap(tapped)
        assert outcome(result) == ("accepted", ""), change
        assert result.fare == 500 and result.detail["unfinished"] and tapped.balance == 4500
        record = tapped.records[0]
        assert record[14] == trip.BOARDED and record[53:57] == fen(500)
        assert tapped.trips[0][0] == trip.IN and tapped.trips[0][17:21] == fen(500)
        if change.get("line"):
            assert record[27:29] == b"\0\x53"


def test_another_door_of_the_same_bus():
    v = validator()
    card = Card()
    v.tap(card)
    other = validator()
    other.psam.terminal = bytes.fromhex("300089000341")
    other.later(300)
    assert other.tap(card).fare == 200 and card.records[0][14] == trip.ALIGHTED


def test_boarding_needs_what_it_may_cost():
    card = Card(balance=499)
    result = validator().tap(card)
    assert outcome(result) == ("declined", "insufficient_balance") and card.debits == 0
    assert outcome(validator().tap(Card(balance=500))) == ("accepted", "")
    # Who rides free needs nothing.
    free = Card(balance=0)
    free.administration = free.administration[:10] + b"\x03" + bytes(49)
    assert outcome(validator().tap(free)) == ("accepted", "")
    assert free.records[0][53:57] == bytes(4)


def test_record_that_is_not_there_or_locked():
    other = bytes.fromhex("27017D01") + bytes(124)
    for records, reason in (
        ([], "unsupported"),
        ([other], "unsupported"),
        ([bytes.fromhex("27027D0101") + b"\1" + bytes(122)], "card_refused"),
        ([bytes.fromhex("27027D0101") + bytes(100)], "malformed"),
    ):
        card = Card(records=records)
        assert outcome(validator().tap(card)) == ("declined", reason)
        assert card.debits == 0
    card = Card()
    card.records = [other] + card.records
    assert outcome(validator().tap(card)) == ("accepted", "")
    assert card.records[0] == other and card.records[1][14] == trip.BOARDED


def test_card_that_does_not_take_a_record():
    card = Card(statuses={"cache": "6A83"})
    v = validator()
    assert outcome(v.tap(card)) == ("declined", "card_refused")
    assert not v.records()[0]["evidence"] and card.debits == 0


def test_torn_boarding_is_no_alighting():
    for reboot in (False, True):
        v = validator()
        card = Card(cuts={"debit": "after"})
        assert v.tap(card).outcome == "retry"
        v.later(2)
        if reboot:
            v.reboot()
        result = v.tap(card)
        assert outcome(result) == ("accepted", "") and result.fare == 0
        # After the restart a composite purchase of 0 proves the card; it touches no record.
        assert card.debits == 1 + reboot and card.records[0][14] == trip.BOARDED
        assert len(card.trips) == 1
        v.later()
        result = v.tap(card)
        assert result.fare == 200 and card.records[0][14] == trip.ALIGHTED


def test_torn_alighting():
    for how in ("before", "after"):
        v = validator()
        card = Card()
        v.tap(card)
        v.later()
        card.cuts = {"debit": how}
        assert v.tap(card).outcome == "retry"
        v.later(2)
        result = v.tap(card)
        assert outcome(result) == ("accepted", "") and result.fare == 200
        assert card.paid == 1 and card.balance == 4800
        assert card.records[0][14] == trip.ALIGHTED and len(card.trips) == 2


def test_same_card_held_on():
    v = validator()
    card = Card()
    v.tap(card)
    v.later(2)
    assert outcome(v.tap(card)) == ("declined", "too_soon") and card.debits == 1


def test_time_between():
    def at(text):
        return bytes.fromhex(text)

    assert trip.elapsed(at("20300101080000"), at("20300101080100")) == 60
    assert trip.elapsed(at("20301231235959"), at("20310101000000")) == 1
    assert trip.elapsed(at("20280228235900"), at("20280301000000")) == 86400 + 60
    assert trip.elapsed(at("20290228235900"), at("20290301000000")) == 60
    assert trip.elapsed(at("20300430235930"), at("20300501000000")) == 30
    assert trip.elapsed(at("20300101080100"), at("20300101080000")) == -60
    for bad in ("20301301000000", "00000000000000", "ffffffffffffff", "20300100000000"):
        assert trip.elapsed(at(bad), at("20300101080000")) is None


def test_boarding_time_that_is_none_or_to_come():
    v = validator()
    card = Card()
    v.tap(card)
    boarded = card.records[0]
    for when in ("ffffffffffffff", "20300102080000"):
        card = Card(records=[boarded[:46] + bytes.fromhex(when) + boarded[53:]])
        result = validator().tap(card)
        assert result.detail["unfinished"] and result.fare == 500


def test_place():
    v = validator(terminal="0123456789012345")
    card = Card()
    v.tap(card)
    assert card.records[0][38:46].hex() == "0123456789012345"
    assert card.trips[0][1:9].hex() == "0123456789012345"
    assert v.clock.unix() == UNIX
