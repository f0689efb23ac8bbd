import sys
from hashlib import sha256

from fakes import raises
from flash_sim import FlashSim
from purse_bench import AID, CITY_AID, TERMINAL, UNIX, WHEN, Card, Psam, Validator, fen
from riders_bench import TABLE
from validator.media import purse_torn as torn
from validator.nfc.reader import CardLost
from validator.store.journal import JournalFull

MICROPYTHON = sys.implementation.name == "micropython"


def outcome(result):
    return result.outcome, result.reason


def test_single_purchase_and_its_bytes():
    v = Validator()
    card = Card()
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and result.fare == 200
    assert card.balance == 4800 and card.debits == 1 and result.balance == 4800
    # The first three digits are not in the card's key: they stand for nobody.
    assert result.token_source == b"3100482123456789012"
    assert result.masked == "031048******9012" and result.expiry == "4012"
    init = "805001020b" + "01" + "000000c8" + TERMINAL.hex() + "0f"
    assert [c.hex() for c in card.sent[:2]] == ["00b0970000", init]
    debit = card.sent[2].hex()
    assert debit[:32] == "805401000f" + "0000ff01" + WHEN.hex() and debit[40:] == "08"
    assert len(card.sent) == 3  # SELECT apart, and no other
    # Random, counter, amount, type, moment, key version, algorithm, card, issuer.
    assert v.psam.asked == [
        bytes.fromhex("2d5a0001" + "042d" + "000000c8" + "06")
        + WHEN
        + b"\1\1"
        + card.public[12:20]
        + bytes.fromhex("01042100" + "ffffffff")
    ]


def test_file_15_is_read_only_where_the_fci_lacks_it():
    card = Card(fci_has_public=False)
    assert outcome(Validator().tap(card)) == ("accepted", "")
    assert card.heads() == ["00b0950000", "00b0970000", "805001020b", "805401000f"]


def test_record_of_a_purchase():
    v = Validator()
    card = Card()
    v.tap(card)
    (made,) = v.records()
    assert (made["outcome"], made["fare"], made["test"]) == ("accepted", 200, True)
    assert (made["vehicle"], made["line"], made["stop"]) == ("bus", "52", "")
    assert (made["boot"], made["config"], made["time"]) == (1, 17, UNIX)
    assert made["detail"] == {"state": "paid"} and made["last4"] == "9012"
    debit = torn.unpack(made["evidence"])
    assert (debit.state, debit.type, debit.counter) == (torn.PAID, 6, 0x042D)
    assert (debit.before, debit.amount, debit.terminal) == (5000, 200, TERMINAL)
    assert (debit.when, debit.serial) == (WHEN, b"\0\0\xff\x01")
    assert (debit.of, debit.void, debit.mac1) == (0, 0, bytes(4))
    assert debit.tac == card.last[3] and debit.mac2 == card.last[2]
    _, body, _, _, _ = list(v.journal.read())[0]
    assert len(body) == 33 + 16
    # No part of the number but its last digits.
    assert b"21234567" not in body and bytes.fromhex("21234567") not in body


def test_open_record_is_there_before_debit():
    v = Validator()
    card = Card()
    order = []

    def write(result):
        order.append(("record", card.counts.get("debit", 0)))
        return v.write(result)

    v.purchase(card, write=write)
    assert order == [("record", 0)]
    assert v.records() == []  # nobody knows yet
    v.reboot()
    (opened,) = v.records()
    assert (opened["outcome"], opened["reason"]) == ("retry", "card_lost")
    debit = torn.unpack(opened["evidence"])
    assert (debit.state, debit.tac, debit.amount) == (torn.OPEN, bytes(4), 200)
    assert debit.terminal == TERMINAL and len(v.torn()) == 1


def test_no_record_no_debit():
    v = Validator()

    def full(result):
        raise JournalFull("full")

    card = Card()
    result = v.purchase(card, write=full)
    assert outcome(result) == ("declined", "out_of_service")
    assert card.debits == 0 and "debit" not in card.counts
    assert not len(v.torn()) and result.debit is None


def test_passenger_types():
    for code, fare in ((0, 200), (1, 200), (2, 100), (3, 0), (4, 200), (9, 200)):
        card = Card()
        card.administration = card.administration[:10] + bytes((code,)) + bytes(49)
        # Nobody has signed that byte: without the operator's consent it changes nothing.
        result = Validator({"types_unproven": False}).tap(card)
        assert outcome(result) == ("accepted", "") and result.fare == 200, code
        card = Card(administration=card.administration)
        result = Validator().tap(card)
        # Who rides free is debited nothing: that is how a card shows that it is genuine.
        assert outcome(result) == ("accepted", "") and result.fare == fare, code
        assert card.balance == 5000 - fare and card.debits == 1
    card.administration = card.administration[:10] + b"\x0a" + bytes(49)
    assert Validator({"types": {"0a": 50}}).tap(card).fare == 50


def test_cards_that_may_not_ride():
    public = Card().public

    def with_public(at, hexa):
        data = bytes.fromhex(hexa)
        return Card(public=public[:at] + data + public[at + len(data) :])

    for card, reason in (
        (with_public(24, "20291231"), "expired"),
        (with_public(20, "20300102"), "not_yet_valid"),
        (with_public(9, "00"), "card_refused"),
        (with_public(8, "00"), "card_refused"),
        (with_public(8, "01"), "card_refused"),  # ED only
        (with_public(24, "20301301"), "malformed"),
    ):
        result = Validator().tap(card)
        assert outcome(result) == ("declined", reason), reason
        assert card.debits == 0 and len(card.sent) == 0, reason
    assert outcome(Validator().tap(with_public(24, "20300101"))) == ("accepted", "")
    assert outcome(Validator().tap(with_public(20, "20300101"))) == ("accepted", "")


def test_interoperability():
    card = Card()
    card.administration = card.administration[:8] + b"\0\0" + card.administration[10:]
    assert outcome(Validator().tap(card)) == ("accepted", "")  # of this city
    result = Validator({"city": "1000"}).tap(card)
    assert outcome(result) == ("declined", "unsupported") and card.debits == 1
    assert result.detail["what"] == "not interoperable"


def test_file_17_is_needed_except_of_city_cards():
    result = Validator().tap(Card(statuses={"binary": "6982"}))
    assert outcome(result) == ("declined", "malformed")
    v = Validator()
    v.psam.aids = (CITY_AID,)
    assert outcome(v.tap(Card(statuses={"binary": "6A82"}, aid=CITY_AID))) == ("accepted", "")


def test_deny_list_clock_and_service():
    card = Card()
    seen = []

    def deny(token):
        seen.append(token)
        return True

    v = Validator(deny=deny, token=lambda source: b"T" + source[-7:])
    assert outcome(v.tap(card)) == ("declined", "deny_listed")
    assert seen == [b"T6789012"]
    v = Validator()
    v.clock.trusted = False
    assert outcome(v.tap(card)) == ("declined", "clock_untrusted")
    assert outcome(Validator(service=True).tap(card)) == ("declined", "out_of_service")
    assert card.debits == 0


class Seal:
    def brief(self, data, beside):
        self.data = data
        self.iv = sha256(beside).digest()[:16]
        return b"name", b"the key block", bytes(range(22))


def test_in_service_the_card_is_sealed_for_the_acquirer():
    seal = Seal()
    v = Validator(service=True, seal=seal)
    card = Card()
    assert outcome(v.tap(card)) == ("accepted", "")
    (made,) = v.records()
    assert seal.data == card.public[:8] + card.public[10:20]
    assert made["evidence"][torn.SIZE :] == b"\x04name" + seal.iv + bytes(range(22))


def test_balance():
    card = Card(balance=199)
    assert outcome(Validator().tap(card)) == ("declined", "insufficient_balance")
    assert outcome(Validator().tap(Card(balance=200))) == ("accepted", "")
    # 0.50 yuan, and 10.00 that may be overdrawn.
    card = Card(balance=50, overdraft=1000)
    result = Validator().tap(card)
    assert outcome(result) == ("accepted", "") and result.balance == -150 == card.balance
    card = Card(balance=50, overdraft=149)
    assert outcome(Validator().tap(card)) == ("declined", "insufficient_balance")


def test_a_balance_that_no_purse_holds():
    v = Validator()
    assert outcome(v.tap(Card(balance=0xFFFFFF))) == ("accepted", "")
    assert torn.unpack(v.records()[0]["evidence"]).before == 0xFFFFFF
    card = Card(balance=0x1000000)
    assert outcome(Validator().tap(card)) == ("declined", "malformed")
    assert "debit" not in card.counts


def test_what_cards_say_to_initialize():
    for word, reason in (
        ("6985", "card_refused"),
        ("9303", "card_refused"),
        ("6A86", "unsupported"),
        ("9403", "unsupported"),
        ("6D00", "unsupported"),
        ("9000", "malformed"),
        ("00000000009000", "malformed"),
    ):
        card = Card(statuses={"init": word})
        assert outcome(Validator().tap(card)) == ("declined", reason), word
        assert "debit" not in card.counts


def test_card_that_refuses_debit():
    v = Validator()
    card = Card(statuses={"debit": "9302"})
    result = v.tap(card)
    assert outcome(result) == ("declined", "card_refused")
    assert result.balance == 5000 and not len(v.torn())
    assert v.records()[0]["detail"] == {"state": "refused", "what": "DEBIT 9302"}
    final = torn.unpack(v.records()[0]["evidence"])
    assert (final.state, final.of) == (torn.REFUSED, 0)


def test_wrong_mac2():
    v = Validator()
    card = Card(lies=True)
    result = v.tap(card)
    assert outcome(result) == ("declined", "bad_signature") and result.detail["debited"]
    final = torn.unpack(v.records()[0]["evidence"])
    assert (final.state, final.tac) == (torn.WRONG, card.last[3])
    assert final.mac2 == b"\xde\xad\xbe\xef"
    assert not len(v.torn())


def test_psam_that_cannot_check():
    v = Validator()
    v.psam.deaf = True
    card = Card()
    assert outcome(v.tap(card)) == ("retry", "card_lost") and card.debits == 1
    final = torn.unpack(v.records()[0]["evidence"])
    assert final.state == torn.LOST and final.tac == card.last[3]
    assert v.records()[0]["detail"]["what"] == "DEBIT 9000"
    # It is torn like any other, and settled when the PSAM can.
    v.psam.deaf = False
    assert outcome(v.tap(card)) == ("accepted", "") and card.balance == 4800


def test_memory_that_runs_out_after_debit():
    """Money may have moved: the rider taps again, and the same debit is finished."""
    v = Validator()
    card = Card()

    async def check(mac2):
        raise MemoryError

    right = v.psam.check
    v.psam.check = check
    result = v.tap(card)
    assert outcome(result) == ("retry", "card_lost") and card.debits == 1
    assert v.records()[0]["detail"]["state"] == "lost"
    v.psam.check = right
    result = v.tap(card)
    assert outcome(result) == ("accepted", "") and card.debits == 1
    assert torn.unpack(v.records()[1]["evidence"]).of == 1


def test_no_psam():
    v = Validator()
    card = Card()
    v.psam.fault = "silent"
    result = v.tap(card)
    assert outcome(result) == ("declined", "out_of_service") and "silent" in result.detail["what"]
    assert not card.sent
    v.rules["psams"] = (Psam(aids=(CITY_AID,)),)
    assert outcome(v.tap(card)) == ("declined", "out_of_service")
    card.aid = CITY_AID
    assert outcome(v.tap(card)) == ("accepted", "")


def test_psam_that_fails_at_mac1():
    from validator.sam import PsamError

    v = Validator()

    async def mac1(data):
        raise PsamError("MAC1 6985")

    v.psam.mac1 = mac1
    card = Card()
    result = v.tap(card)
    assert outcome(result) == ("declined", "out_of_service") and card.debits == 0
    assert result.detail["what"] == "PSAM: MAC1 6985"


def test_same_card_within_the_window():
    v = Validator()
    card = Card()
    v.tap(card)
    v.later(4)
    assert outcome(v.tap(card)) == ("declined", "too_soon")
    assert card.debits == 1
    other = Card(number="0310482123456789555")
    assert outcome(v.tap(other)) == ("accepted", "")
    v.later(2)
    assert outcome(v.tap(card)) == ("accepted", "")  # pays for a friend
    for i in range(20):
        other = Card(number="03104821234567891%02d" % i)
        assert outcome(v.tap(other)) == ("accepted", "")
    assert outcome(v.tap(card)) == ("declined", "too_soon") and card.debits == 2


def test_the_window_with_any_number_of_others_between_and_starts():
    for count in (1, 8, 60) if MICROPYTHON else (1, 8, 5000):
        v = Validator({"window_s": 3600}, FlashSim(8))
        v.table = FlashSim(TABLE, 1024 if MICROPYTHON else 4096)
        v.reboot()
        card = Card()
        assert outcome(v.tap(card)) == ("accepted", "")
        for i in range(count):
            if not v.journal.has_room(4):
                v.journal.ack(v.journal.next_seq - 1)
            # Not only riders who leave an entry: the bucket of all of them would be full.
            other = Card(number="0310482123456%06d" % (i % 50), balance=5000 if i < 50 else 0)
            assert v.tap(other) != "lost"
            if i % 20 == 0:
                v.later(1)
            for _ in range(3):
                v.riders.idle()
        assert outcome(v.tap(card)) == ("declined", "too_soon") and card.debits == 1, count
        v.reboot()
        assert outcome(v.tap(card)) == ("declined", "too_soon") and card.debits == 1, count
        v.later(3601)
        assert outcome(v.tap(card)) == ("accepted", "")


def test_no_setting_of_the_clock_opens_the_window_or_holds_it():
    for jump in (1, 3600, 30 * 86400):
        for first in (jump, -jump):
            v = Validator({"window_s": 300})
            card = Card()
            v.tap(card)
            v.clock.set_unix(v.clock.unix() + first)
            assert outcome(v.tap(card)) == ("declined", "too_soon")
            v.clock.set_unix(v.clock.unix() - first)
            assert outcome(v.tap(card)) == ("declined", "too_soon")
            v.later(301)
            assert outcome(v.tap(card)) == ("accepted", "") and card.debits == 2


def test_the_window_outlives_a_start_and_a_clock_that_is_behind():
    for jump in (0, 1, 3600, 30 * 86400):
        v = Validator({"window_s": 300})
        card = Card()
        v.tap(card)
        v.clock.set_unix(v.clock.unix() - jump)
        v.reboot()
        assert outcome(v.tap(card)) == ("declined", "too_soon") and card.debits == 1
        v.later(301)
        assert outcome(v.tap(card)) == ("accepted", "")


def test_lost_before_debit_raises_and_leaves_nothing():
    for name in ("binary", "init"):
        for how in ("before", "after"):
            v = Validator()
            card = Card(cuts={name: how})
            raises(CardLost, v.purchase, card)
            assert card.debits == 0 and not v.records() and not len(v.torn())


def test_midnight_and_bcd():
    v = Validator()
    v.clock.unix_base = UNIX + 57599  # 23:59:59 in Beijing
    card = Card()
    v.tap(card)
    assert card.sent[2][9:16].hex() == "20300101235959"


def test_aid_of_a_city_is_a_longer_one():
    v = Validator()
    card = Card(aid=AID + bytes(8))
    assert outcome(v.tap(card)) == ("accepted", "")
    assert fen(200) in card.sent[1]
