from emv_script import DEBIT, PDOL, RECORD1, Card, quickpass, tlv, with_ppse
from fakes import FakeClock, raises, run
from validator.media import cards, terminal
from validator.media import quickpass as qp
from validator.media.phases import Phases
from validator.media.result import Refused

TERMINAL = {
    "amount": 100,
    "country": b"\x01\x56",
    "currency": b"\x01\x56",
    "date": b"\x13\x03\x22",
    "time": b"\x10\x20\x30",
    "type": b"\x22",
    "random": lambda n: bytes.fromhex("11223344")[:n],
}


def tap(files, **options):
    clock = FakeClock()
    card = Card(with_ppse(files, (DEBIT, 1)), **options)
    return run(cards.run(card, clock, Phases(clock), terminal_data=TERMINAL)), card


def gpo_data(card):
    (command,) = [c for c in card.log if c[:2] == b"\x80\xa8"]
    assert command[5] == 0x83 and command[6] == 33 and len(command) == 4 + 1 + 35 + 1
    return command[7:-1]


def test_arqc_card():
    result, card = tap(quickpass())
    assert (result.medium, result.outcome, result.reason) == (
        "quickpass",
        "declined",
        "unverified",
    )
    assert result.token_source == b"6212345678901232"
    assert result.masked == "621234******1232" and result.expiry == "3012"
    assert result.detail["cryptogram"] == "ARQC" and result.detail["flow"] == "qUICS"
    assert result.detail["atc"] == 3 and result.detail["device_cvm"]


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
    data = qp.build_dol(names, qp.terminal_data(TERMINAL, qp.TTQ_ODA))
    assert data.hex() == "000000" + "00000100" + "000156" + "2180" + "112233440000"


def test_pdol_without_9f66_is_not_contactless():
    for pdol in ("9F38039F3704", ""):
        result, _ = tap(quickpass(pdol=pdol))
        assert (result.outcome, result.reason) == ("declined", "unsupported"), pdol


def test_oversize_pdol():
    raises(Refused, qp.build_dol, [(0x9F66, 200), (0x9F02, 200)], {})


def test_standard_flow():
    gpo = bytes.fromhex("8006" + "7C00" + "08010100")
    result, _ = tap(quickpass(gpo=gpo))
    assert result.reason == "unverified" and result.detail["flow"] == "standard"
    assert result.detail["cryptogram"] == ""


def test_number_from_track_2():
    gpo = tlv("77", tlv("82", "7C00"), tlv("57", "6212345678901232D30122010000000000000F"))
    result, card = tap(quickpass(gpo=gpo))
    assert result.masked == "621234******1232" and result.expiry == "3012"


def test_nineteen_digits():
    record = tlv("70", tlv("5A", "6212345678901234567F"), tlv("5F24", "301231"))
    result, _ = tap(quickpass(records={"00B2010C": record}))
    assert result.token_source == b"6212345678901234567"


def test_two_numbers_are_malformed():
    record = tlv("70", tlv("5A", "6212345678901232"), tlv("57", "6212345678901240D3012201F0"))
    result, _ = tap(quickpass(records={"00B2010C": record}))
    assert result.reason == "malformed" and result.token_source is None


def test_malformed_answers():
    cases = (
        dict(gpo=b""),
        dict(gpo=bytes.fromhex("7705")),
        dict(gpo=bytes.fromhex("8001AA")),
        dict(gpo=bytes.fromhex("700482020000")),
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
    assert qp.afl_records(bytes.fromhex("0801020010030301")) == [(1, 1), (1, 2), (2, 3)]
    for text in ("00010100", "F8010100", "08000100", "08020100", "08010102", "080101", "080130FF"):
        raises(Refused, qp.afl_records, bytes.fromhex(text))


def test_cryptogram_types():
    for cvr, kind in ((0x83, "AAC"), (0x90, "TC"), (0xA0, "ARQC")):
        tags = {0x9F26: bytes(8), 0x9F10: bytes((7, 1, 1, 3, cvr, 0, 0, 1))}
        assert qp.cryptogram(tags) == kind
    assert qp.cryptogram({0x9F26: bytes(8), 0x9F27: b"\x80"}) == "ARQC"
    assert qp.cryptogram({0x9F26: bytes(8)}) == ""


def test_debit_of_electronic_cash_is_not_committed():
    # The last record commits a TC's debit, and nothing is accepted here.
    gpo = tlv(
        "77",
        tlv("82", "7C00"),
        tlv("94", "08010200"),
        tlv("9F26", "1122334455667788"),
        tlv("9F10", "0701010390000001"),
    )
    files = quickpass(gpo=gpo, records={"00B2010C": RECORD1, "00B2020C": tlv("70", "")})
    result, card = tap(files)
    assert result.detail["cryptogram"] == "TC" and result.masked == "621234******1232"
    assert [c[2] for c in card.log if c[1] == 0xB2] == [1]


def test_terminal_of_a_moment():
    t = terminal.make(1893456000 - 8 * 3600, 1250)  # 2030-01-01 00:00:00 in Beijing
    assert t["date"].hex() == "300101" and t["time"].hex() == "000000"
    t = terminal.make(1709222399)  # 2024-02-29 23:59:59 in Beijing
    assert t["date"].hex() == "240229" and t["time"].hex() == "235959"
    assert len(t["random"](4)) == 4 and t["random"](8) != t["random"](8)
    assert terminal.bcd(123456, 2) == b"\x34\x56"


def test_pdol_of_this_test_is_the_usual_one():
    assert len(bytes.fromhex(PDOL)) == 3 + 24
