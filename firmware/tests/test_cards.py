from emv_script import DEBIT, TUNION, Card, Phone, lost, ppse, quickpass, tlv, tunion, with_ppse
from fakes import FakeClock, run
from validator.media import cards
from validator.media.phases import Phases
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead

BOTH = dict(quickpass())
BOTH.update(tunion())


def tap(card, **options):
    clock = FakeClock()
    result = run(cards.run(card, clock, Phases(clock), **options))
    assert result.outcome != "accepted"
    return result


def test_ppse_priority_decides():
    for first, second, medium in ((1, 2, "quickpass"), (2, 1, "tunion"), (None, 15, "tunion")):
        card = Card(with_ppse(BOTH, (DEBIT, first), (TUNION, second)))
        assert tap(card).medium == medium, (first, second)


def test_directory():
    got = cards.directory(ppse((DEBIT, 0x82), (TUNION, 0), ("A000000003", 1), ("A0", 1)))
    assert [a.hex().upper() for a in got] == ["A000000003", DEBIT, TUNION]


def test_longer_aid_of_the_card_is_selected_as_it_is():
    long = DEBIT + "0102"
    card = Card(with_ppse(quickpass(aid=long), (long, 1)))
    assert tap(card).medium == "quickpass"
    assert bytes.fromhex("00A404000A" + long + "00") in card.log


def test_card_without_ppse():
    assert tap(Card(tunion())).medium == "tunion"
    assert tap(Card(quickpass())).medium == "quickpass"


def test_empty_ppse_and_foreign_applications():
    assert tap(Card(with_ppse(tunion()))).medium == "tunion"
    assert tap(Card(with_ppse(tunion(), ("A0000000031010", 1)))).medium == "tunion"


def test_configured_aids_replace_the_list():
    card = Card(tunion())
    assert tap(card, aids=(bytes.fromhex(DEBIT),)).reason == "unsupported"
    assert bytes.fromhex("00A4040008" + TUNION + "00") not in card.log


def test_card_with_no_application():
    result = tap(Card({}))
    assert (result.medium, result.outcome, result.reason) == (
        "unknown_card",
        "declined",
        "unsupported",
    )


def test_q20_card_lost_at_every_apdu():
    for files, medium in ((quickpass(), "quickpass"), (tunion(), "tunion")):
        whole = Card(files)
        tap(whole)
        selected = max([i for i, c in enumerate(whole.log) if c[1] == 0xA4])
        for n in range(1, len(whole.log) + 1):
            result = tap(Card(files, {n: lost()}))
            assert (result.outcome, result.reason) == ("retry", "card_lost"), n
            assert result.medium == (medium if n > selected + 1 else "unknown_card"), n
            assert result.token_source is None


def test_q22_two_cards():
    card = Card(tunion())
    card.count = 2
    result = tap(card)
    assert (result.outcome, result.reason) == ("retry", "multiple_media") and not card.log
    result = tap(Card(tunion(), {2: CardProtocolError("collision")}))
    assert (result.outcome, result.reason) == ("retry", "multiple_media")


def test_card_without_apdus():
    card = Card({})
    card.apdu = False
    assert tap(card).reason == "unsupported" and not card.log


def test_dead_reader_is_a_retry():
    result = tap(Card(tunion(), {3: ReaderDead("no_ack")}))
    assert (result.outcome, result.reason) == ("retry", "out_of_service")


def test_broken_protocol_is_malformed():
    result = tap(Card(tunion(), {1: CardProtocolError("rf_protocol")}))
    assert (result.outcome, result.reason) == ("declined", "malformed")


def test_q31_phone_that_is_not_ready():
    files = with_ppse(quickpass(), (DEBIT, 1))
    for trouble in (b"\x69\x85", CardLost("timeout")):
        phone = Phone(files, {1: trouble})
        assert tap(phone).medium == "quickpass"
        assert phone.resets == 1


def test_q31_applet_not_found_at_first():
    nothing = {n: b"\x6a\x82" for n in range(1, 2 + len(cards.AIDS))}
    phone = Phone(with_ppse(quickpass(), (DEBIT, 1)), nothing)
    assert tap(phone).medium == "quickpass"
    assert phone.resets == 1


def test_q31_only_one_second_chance():
    phone = Phone({})
    assert tap(phone).reason == "unsupported"
    assert phone.resets == 1


def test_q31_phone_that_left():
    phone = Phone({}, {1: lost()})
    phone.returns = False
    assert tap(phone).reason == "card_lost"


def test_q31_no_reset_in_a_transaction():
    phone = Phone(with_ppse(tunion(), (TUNION, 1)), {4: lost()})
    assert tap(phone).reason == "card_lost"
    assert phone.resets == 0


def test_malformed_ppse():
    for body in (b"\x6f\x05\x84", tlv("6F", tlv("A5", tlv("BF0C", b"\x61\x09\x4f"))), b"\x9f"):
        card = Card({b"2PAY.SYS.DDF01": (body, {})})
        result = tap(card)
        assert (result.outcome, result.reason) == ("declined", "malformed"), body


def test_hostile_card_raises_nothing():
    seed = 4711
    for _ in range(150):

        class Noise:
            async def transceive(self, command):
                nonlocal seed
                seed = (seed * 16807) % 2147483647
                out = bytearray()
                for _ in range(seed % 60):
                    seed = (seed * 16807) % 2147483647
                    out.append(seed >> 5 & 0xFF)
                return bytes(out) + (b"\x90\x00" if seed & 3 else b"")

        result = tap(Noise())
        assert result.reason in ("malformed", "unsupported", "unverified"), result.reason
        assert result.detail.get("what") not in ("TypeError", "IndexError", "KeyError")


def test_fault_in_our_own_code_is_contained():
    result = tap(Card(tunion(), {3: KeyError("oops")}))
    assert result.outcome == "declined" and result.detail == {"what": "KeyError"}


def test_phases_are_booked():
    clock = FakeClock()

    class Slow(Card):
        async def transceive(self, command):
            clock.advance_us(10000)
            return await super().transceive(command)

    phases = Phases(clock)
    run(cards.run(Slow(with_ppse(tunion(), (TUNION, 1))), clock, phases))
    # File 17, and GET BALANCE in three ways: own money, what can be spent, overdraft limit.
    assert phases.ms("select") == 20 and phases.ms("read") == 40
    phases.start()
    run(cards.run(Slow(with_ppse(tunion(), (TUNION, 1)), {3: lost()}), clock, phases))
    assert phases.ms("select") == 20 and phases.ms("read") == 10
