from emv_script import DEBIT, PDOL, RECORD1, Card, quickpass, tlv, with_ppse
from fakes import FakeClock, raises, run
from validator.emv import afl, dol
from validator.emv.tlv import TlvError
from validator.media import cards, terminal
from validator.media import quickpass_data as data
from validator.media.phases import Phases
from validator.media.result import Refused
from validator.media.rules import NEUTRAL

TERMINAL = {
    "amount": 100,
    "country": b"\x01\x56",
    "currency": b"\x01\x56",
    "date": b"\x13\x03\x22",
    "time": b"\x10\x20\x30",
    "type": b"\x22",
    "random": lambda n: bytes.fromhex("11223344")[:n],
    "sequence": 1234567,
    "unix": 1363918830,
    "trusted": True,
    "rules": NEUTRAL,
}


def tap(files, **options):
    clock = FakeClock()
    card = Card(with_ppse(files, (DEBIT, 1)), **options)
    return run(cards.run(card, clock, Phases(clock), terminal_data=TERMINAL)), card


def gpo_data(card):
    (command,) = [c for c in card.log if c[:2] == b"\x80\xa8"]
    assert command[5] == 0x83 and command[6] == 33 and len(command) == 4 + 1 + 35 + 1
    return command[7:-1]


def test_card_without_certificates():
    result, card = tap(quickpass())
    assert (result.medium, result.outcome, result.reason) == (
        "quickpass",
        "declined",
        "malformed",
    )
    # Without track 2 nothing of it is believed, the number neither.
    assert result.detail["what"] == "no 57" and result.token_source is None
    gpo = GPO.replace("XX", "57136212345678901232D30122010000000000000F")
    result, card = tap(quickpass(gpo=tlv("77", gpo)))
    assert result.detail["what"] == "no 8F" and result.token_source == b"6212345678901232"
    assert result.masked == "621234******1232" and result.expiry == "3012"
    assert result.detail["cryptogram"] == "ARQC" and result.detail["flow"] == "qUICS"
    assert result.detail["atc"] == 3


GPO = (
    "82027C00"
    + "940408010100"
    + "9F36020003"
    + "9F26081122334455667788"
    + ("9F100807010103A0000001" + "9F6C020080" + "XX")
)


def test_gpo_data_byte_for_byte():
    _, card = tap(quickpass())
    assert gpo_data(card).hex() == (
        "61000080" + "000000000100" + "000000000000" + "0156" + "0000000000" + "0156"
        "130322" + "00" + "11223344"
    )


def test_ttq_for_a_card_with_df61():
    for df61, ttq in (("40", "21800080"), ("BF", "61000080"), ("", "61000080")):
        _, card = tap(quickpass(discretionary=tlv("BF0C", tlv("DF61", df61))))
        assert gpo_data(card)[:4].hex() == ttq, df61


def test_unknown_pdol_tag_is_zeros():
    names = ((0xDF7F, 3), (0x9F02, 4), (0x9F1A, 3), (0x9F66, 2), (0x9F37, 6))
    values = data.terminal_values(TERMINAL, data.TTQ_ODA, 100, NEUTRAL)
    assert 0x9F37 not in values  # every GPO has its own
    values[0x9F37] = bytes.fromhex("11223344")
    assert (
        dol.build(names, values).hex()
        == "000000" + "00000100" + "000156" + "2180" + "112233440000"
    )


def test_pdol_without_9f66_is_not_contactless():
    for pdol in ("9F38039F3704", ""):
        result, _ = tap(quickpass(pdol=pdol))
        assert (result.outcome, result.reason) == ("declined", "unsupported"), pdol


def test_oversize_pdol():
    raises(TlvError, dol.build, [(0x9F66, 200), (0x9F02, 200)], {})


def test_what_a_cdol_can_ask_for():
    values = data.terminal_values(TERMINAL, data.TTQ_ODA, 100, NEUTRAL)
    names = ((0x9F33, 3), (0x9F34, 3), (0x9F1E, 8), (0x9F41, 4), (0x9F09, 2), (0x9F21, 3))
    assert dol.build(names, values).hex() == (
        "000840" + "3f0000" + b"FARETAP1".hex() + "01234567" + "0030" + "102030"
    )


def test_ttq_asks_for_the_holder_above_the_limit():
    for amount, ttq in ((30000, "21800080"), (30001, "21c00080")):
        assert data.terminal_values(TERMINAL, data.TTQ_ODA, amount, NEUTRAL)[0x9F66].hex() == ttq


def test_standard_flow_without_dynamic_authentication():
    gpo = bytes.fromhex("8006" + "5C00" + "08010100")
    result, card = tap(quickpass(gpo=gpo))
    assert result.reason == "unsupported" and result.detail["flow"] == "standard"
    assert result.detail["cryptogram"] == ""
    assert not [c for c in card.log if c[1] in (0x88, 0xAE)]


def test_nineteen_digits():
    record = tlv("70", tlv("5A", "6212345678901234567F"), tlv("5F24", "301231"))
    result, _ = tap(quickpass(gpo=bytes.fromhex("80067C0008010100"), records={"00B2010C": record}))
    assert result.token_source == b"6212345678901234567"


def test_two_numbers_are_malformed():
    record = tlv("70", tlv("5A", "6212345678901232"), tlv("57", "6212345678901240D3012201F0"))
    result, _ = tap(quickpass(gpo=bytes.fromhex("80067C0008010100"), records={"00B2010C": record}))
    assert result.reason == "malformed" and result.token_source is None
    assert result.detail["what"] == "two card numbers"


def test_malformed_answers():
    cases = (
        dict(gpo=b""),
        dict(gpo=bytes.fromhex("7705")),
        dict(gpo=bytes.fromhex("8001AA")),
        dict(gpo=bytes.fromhex("700482020000")),
        dict(gpo=bytes.fromhex("77008000")),
        dict(gpo=bytes.fromhex("80067C00080101")),
        dict(gpo=bytes.fromhex("80067C0008010105")),
        dict(records={"00B2010C": b"\x71\x00"}),
        dict(records={"00B2010C": b"\x70\x05\x5a"}),
        dict(records={"00B2010C": tlv("70", tlv("5A", "62AB345678901232"))}),
        dict(records={"00B2010C": tlv("70", tlv("5F24", "301231"))}),
        dict(records={"00B2020C": RECORD1}),
        dict(pdol="9F380" + "29F66"),
    )
    for case in cases:
        result, _ = tap(quickpass(**case))
        assert (result.medium, result.outcome) == ("quickpass", "declined"), case
        assert result.reason == "malformed", (case, result.detail)


def test_afl_sanity():
    assert afl.records(bytes.fromhex("0801020110030301")) == [
        (1, 1, True),
        (1, 2, False),
        (2, 3, True),
    ]
    for text in ("00010100", "F8010100", "08000100", "08020100", "08010102", "080101", "080130FF"):
        raises(TlvError, afl.records, bytes.fromhex(text))
    raises(TlvError, afl.records, bytes.fromhex("09010100"))
    raises(TlvError, afl.records, bytes.fromhex("08012100"))


def test_cryptogram_types():
    for cvr, kind in ((0x83, "AAC"), (0x90, "TC"), (0xA0, "ARQC")):
        tags = {0x9F26: bytes(8), 0x9F10: bytes((7, 1, 1, 3, cvr, 0, 0, 1))}
        assert data.cryptogram(tags) == kind
    assert data.cryptogram({0x9F26: bytes(8), 0x9F27: b"\x80"}) == "ARQC"
    assert data.cryptogram({0x9F26: bytes(8)}) == ""
    assert data.cryptogram({0x9F10: bytes((7, 1, 1, 3, 0xA0, 0, 0, 1))}) == ""


def test_records_of_all_together_are_bounded():
    record = tlv("70", tlv("DF7F", bytes(240)))
    records = {"00B2%02X0C" % n: record for n in range(1, 33)}
    gpo = tlv("77", GPO.replace("XX", "").replace("08010100", "08012000"))
    result, card = tap(quickpass(gpo=gpo, records=records))
    assert result.reason == "malformed" and result.detail["what"] == "too many bytes"
    assert len([c for c in card.log if c[1] == 0xB2]) < 30


def test_signed_record_of_an_upper_file_is_hashed_whole():
    # Only its 70 counts, and its content is the issuer's own business.
    record = tlv("70", tlv("5A", "6212345678901232"))
    gpo = bytes.fromhex("8006" + "7C00" + "58010101")
    result, _ = tap(quickpass(gpo=gpo, records={"00B2015C": record}))
    assert result.detail["what"] == "no card number"
    result, _ = tap(quickpass(gpo=gpo, records={"00B2015C": b"\x71\x00"}))
    assert result.detail["what"] == "record 11.1: no 70"
    # Unsigned, it may be anything.
    gpo = bytes.fromhex("8006" + "7C00" + "58010100")
    result, _ = tap(quickpass(gpo=gpo, records={"00B2015C": b"\x71\x00"}))
    assert result.detail["what"] == "no card number"


def test_lengths_that_a_record_has_room_for():
    tags = {0x9F26: bytes(8), 0x9F10: bytes(32), 0x57: bytes(19), 0x9F36: bytes(2)}
    data.require(tags, (0x9F26,))
    for tag, size in (
        (0x9F26, 7),
        (0x9F10, 33),
        (0x9F10, 4),
        (0x57, 20),
        (0x9F36, 3),
        (0x9F63, 17),
    ):
        wrong = dict(tags)
        wrong[tag] = bytes(size)
        assert raises(Refused, data.require, wrong, ()).reason == "malformed", tag


def test_terminal_of_a_moment():
    t = terminal.make(1893456000 - 8 * 3600, 1250)  # 2030-01-01 00:00:00 in Beijing
    assert t["date"].hex() == "300101" and t["time"].hex() == "000000"
    t = terminal.make(1709222399)  # 2024-02-29 23:59:59 in Beijing
    assert t["date"].hex() == "240229" and t["time"].hex() == "235959"
    assert len(t["random"](4)) == 4 and t["random"](8) != t["random"](8)
    assert terminal.bcd(123456, 2) == b"\x34\x56"


def test_pdol_of_this_test_is_the_usual_one():
    assert len(bytes.fromhex(PDOL)) == 3 + 24
