"""What goes to a file has no number in it, and still parses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faretap.desk import masking
from faretap.desk.examine import examine
from faretap.desk.report import Radio
from faretap.desk.trace import Exchange, Trace
from faretap.sim import cards
from faretap.sim.cards.card import Card, tlv
from tests.desk.channels import NOW, Direct, radio_of

READ = bytes.fromhex("00B2010C00")
MASKED = ("tunion", "tunion-student", "quickpass-debit", "quickpass-credit", "quickpass-phone")


def traced(card: Card) -> Trace:
    direct = Direct(card)
    examine(direct, radio_of(card), NOW)
    trace = Trace("reader", NOW)
    trace.events.append(radio_of(card))
    trace.events += [Exchange(command, answer, 1.0) for command, answer in direct.log]
    return trace


def written(trace: Trace, with_numbers: bool = False) -> str:
    return "".join(json.dumps(x) for x in trace.lines(with_numbers=with_numbers))


@pytest.mark.parametrize("name", MASKED)
def test_no_number_in_a_trace(name: str) -> None:
    pan = "3104991234567891238" if name.startswith("tunion") else "6299991234567891237"
    card = cards.make(name, pan=pan)
    trace = traced(card)
    clear, masked = written(trace, with_numbers=True), written(trace)
    assert pan in clear and card.uid.hex() in clear
    assert pan not in masked and pan[6:-4] not in masked
    assert card.uid.hex() not in masked
    assert pan.encode().hex() not in masked
    assert pan[:6] + "000000000" + pan[-4:] in masked
    reference: str = getattr(card, "par", "")
    if reference:
        assert reference.encode().hex() in clear and reference.encode().hex() not in masked


def test_the_cards_certificate_goes_since_it_holds_the_number() -> None:
    trace = traced(cards.make("quickpass-debit"))
    clear, masked = written(trace, with_numbers=True), written(trace)
    at = clear.index("9f4681")
    certificate = clear[at + 8 : at + 200]
    assert certificate not in masked
    assert "9f4681" in masked and masked[masked.index("9f4681") + 8 :].startswith("0" * 60)


def test_historical_bytes_go_since_they_can_hold_a_serial_number() -> None:
    card = cards.make("quickpass-debit")
    trace = traced(card)
    assert "0a788072020031c173c8" in written(trace, with_numbers=True)
    assert "0a788072020000000000" in written(trace)


@pytest.mark.parametrize(
    ("command", "clear", "masked"),
    [
        # 5A, even, odd, and too short to show anything of it
        ("00B2010C00", "700A5A086299991234567812", "700A5A086299990000007812"),
        ("00B2010C00", "700C5A0A6299991234567890123F", "700C5A0A6299990000000000123F"),
        ("00B2010C00", "70085A06629999123456", "70085A06000000000000"),
        # track 2: number and the issuer's data, not expiry and service code
        (
            "80A8000000",
            "771257106299991234567890123D491220100012",
            "771257106299990000000000123D491220100000",
        ),
        # holder's name, account reference, holder's identity number
        ("00B2010C00", "70085F200557414E4720", "70085F20050000000000"),
        ("00B2010C00", "70079F240441424344", "70079F240400000000"),
        ("00B2010C00", "70079F610431323334", "70079F610400000000"),
        # an unknown object, binary and text
        ("00B2010C00", "700BDF0108" + "6299991234567812", "700BDF0108" + "6299990000007812"),
        # amounts and dates stay
        ("80CA9F7900", "9F7906000000012345", "9F7906000000012345"),
        ("00B2010C00", "70065F2403491231", "70065F2403491231"),
        # files 15 and 17
        (
            "00B0950000",
            "0310499999999999" + "0201" + "03104990000001234567" + "2024010120441231" + "0000",
            "0310499999999999" + "0201" + "03104990000000004567" + "2024010120441231" + "0000",
        ),
        (
            "00B0970000",
            "00000156" + "3100" + "2900" + "0001" + "00" + "310499000000123456",
            "00000156" + "3100" + "2900" + "0001" + "00" + "310499000000003456",
        ),
        # file 15 cut short: its layout is not to be relied on
        ("00B0950000", "FF6299991234567812FF", "FF6299990000007812FF"),
        # no template: a purse's log, or garbage
        ("00B201C400", "046299991234567812AB", "046299000000007812AB"),
        # a label, and one that holds a number
        (
            "00A4040000",
            "6F10A50E500C506179204465626974204142",
            "6F10A50E500C506179204465626974204142",
        ),
        (
            "00A4040000",
            "6F14A512501036323939393931323334353637383132",
            "6F14A512501030303030303030303030303030303030",
        ),
        # names and lists are digits too, but nobody's number
        ("00A4040000", "6F0A8408A000000632010105", "6F0A8408A000000632010105"),
        ("80A8000000", "800A7C0008010100100103011801", "800A7C0008010100100103011801"),
        ("80A8000000", "770A9408" + "0801010010010301", "770A9408" + "0801010010010301"),
        # a template that does not parse
        ("00B2010C00", "70205A086299991234567812", "70205A" + "086299000000007812"),
    ],
)
def test_what_goes_and_what_stays(command: str, clear: str, masked: str) -> None:
    got = masking.response(bytes.fromhex(command), bytes.fromhex(clear + "9000"))
    assert got.hex().upper() == masked.upper() + "9000"


def test_status_words_alone_stay() -> None:
    for answer in (b"", b"\x6a", b"\x6a\x82"):
        assert masking.response(READ, answer) == answer


NUMBER = st.integers(13, 19).flatmap(
    lambda n: st.text("123456789", min_size=n, max_size=n)  # without 0: what is left is seen
)


@given(
    number=NUMBER,
    before=st.binary(max_size=12),
    after=st.binary(max_size=12),
    command=st.sampled_from(["00B2010C00", "00B0950000", "00B0960000", "00A4040000"]),
    odd=st.booleans(),
)
def test_a_number_anywhere_is_masked(
    number: str, before: bytes, after: bytes, command: str, odd: bool
) -> None:
    text = ("f" if odd else "") + number
    text += "f" * (len(text) % 2)
    for digits in (bytes.fromhex(text), number.encode()):
        sent = bytes.fromhex(command)
        if command == "00B0950000":  # a card's number has its own place in this file
            answer = before[:9].ljust(10, b"\xee") + bytes.fromhex("0" + number.ljust(19, "1"))
        else:
            answer = b"\xee" + before + b"\xee" + digits + b"\xee" + after
        got = masking.response(sent, answer + b"\x90\x00")
        assert len(got) == len(answer) + 2
        assert number.encode() not in got and number not in got.hex()


@given(
    number=NUMBER,
    tag=st.sampled_from([0x5A, 0x57, 0xDF01, 0x9F1F, 0x56, 0x9F6B]),
    depth=st.integers(0, 3),
)
def test_a_number_in_any_object_is_masked_and_the_rest_parses(
    number: str, tag: int, depth: int
) -> None:
    value = bytes.fromhex(number + "f" * (len(number) % 2))
    answer = tlv(tag, value) + tlv(0x9F36, b"\x00\x07")
    for _ in range(depth):
        answer = tlv(0x61, answer)
    answer = tlv(0x70, answer)
    got = masking.response(READ, answer + b"\x90\x00")
    assert number not in got.hex() and len(got) == len(answer) + 2
    assert got.endswith(bytes.fromhex("9F360200079000"))


@given(st.binary(max_size=300), st.binary(max_size=12))
def test_any_answer_to_any_command(answer: bytes, command: bytes) -> None:
    got = masking.response(command, answer)
    assert len(got) == len(answer) and got[-2:] == answer[-2:]
    assert masking.response(command, got) == got  # masked once is masked


@given(st.binary(max_size=20))
def test_interface_bytes_are_the_beginning(ats: bytes) -> None:
    radio = Radio(b"\x04", 4, 0x20, ats)
    assert ats.startswith(radio.interface_bytes)
    assert len(masking.ats(ats, radio.interface_bytes)) == len(ats)
