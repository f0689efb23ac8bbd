"""QuickPass cards: the flow, and the certificates recovered with nothing but `pow` and SHA-1."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from faretap.sim import cards
from faretap.sim.cards import scheme
from faretap.sim.cards.card import Card, luhn_digit

Tags = dict[int, bytes]

UN = bytes.fromhex("A1B2C3D4")
AMOUNT = bytes.fromhex("000000000200")
SELECT = "00A4040008A00000033301010100"
PPSE_NAME = b"2PAY.SYS.DDF01".hex()


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """BER-TLV by hand: (tag, value) of one level."""
    found, at = [], 0
    while at < len(data):
        start = at
        at += 1
        if data[start] & 0x1F == 0x1F:
            while data[at] & 0x80:
                at += 1
            at += 1
        tag = int.from_bytes(data[start:at], "big")
        size, at = data[at], at + 1
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        found.append((tag, data[at : at + size]))
        at += size
    return found


def flat(data: bytes) -> Tags:
    """Every primitive object in a template, whatever its depth."""
    tags: Tags = {}
    for tag, value in parse(data):
        first = tag >> 8 * ((tag.bit_length() - 1) // 8)
        tags.update(flat(value) if first & 0x20 else {tag: value})
    return tags


def ok(card: Card, command: bytes) -> bytes:
    answer = card.apdu(command)
    assert answer[-2:] == b"\x90\x00", answer.hex()
    return answer[:-2]


def gpo(ttq: str = "21800080", un: bytes = UN) -> bytes:
    data = bytes.fromhex(ttq) + AMOUNT + bytes(6) + bytes.fromhex("0156") + bytes(5)
    data += bytes.fromhex("015626112101") + un
    return bytes.fromhex("80A80000238321") + data + b"\x00"


class Tap:
    """A terminal's whole exchange with a card: what it answered, and the static data."""

    def __init__(self, card: Card, ttq: str = "21800080", aid: str = SELECT) -> None:
        self.fci = flat(ok(card, bytes.fromhex(aid)))
        self.tags: Tags = dict(flat(ok(card, gpo(ttq))))
        self.static = b""
        afl = self.tags[0x94]
        for at in range(0, len(afl), 4):
            head, first, last, authenticated = afl[at : at + 4]
            for number in range(first, last + 1):
                command = bytes([0x00, 0xB2, number, head & 0xF8 | 0x04, 0x00])
                ((template, value),) = parse(ok(card, command))
                assert template == 0x70
                if number - first < authenticated:
                    self.static += value
                self.tags.update(flat(value))
        assert self.tags[0x9F4A] == b"\x82"
        self.static += self.tags[0x82]


def recover(signature: bytes, modulus: bytes) -> bytes:
    assert len(signature) == len(modulus)
    value = pow(int.from_bytes(signature, "big"), 3, int.from_bytes(modulus, "big"))
    message = value.to_bytes(len(modulus), "big")
    assert message[:1] == b"\x6a" and message[-1:] == b"\xbc", "no recovered message"
    return message


def check_hash(message: bytes, behind: bytes) -> bool:
    return hashlib.sha1(message[1:-21] + behind).digest() == message[-21:-1]


def verify(tap: Tap, terminal_data: bytes) -> bool:
    """Offline data authentication as the scheme writes it, from the CA's key on."""
    index = tap.tags[0x8F][0]
    ca = bytes.fromhex(scheme.scheme(index).ca_public()["modulus"])
    try:
        message = recover(tap.tags[0x90], ca)
        rest = tap.tags.get(0x92, b"")
        if message[1] != 0x02 or not check_hash(message, rest + tap.tags[0x9F32]):
            return False
        issuer = (message[15:-21] + rest)[: message[13]]
        message = recover(tap.tags[0x9F46], issuer)
        rest = tap.tags.get(0x9F48, b"")
        if message[1] != 0x04:
            return False
        if not check_hash(message, rest + tap.tags[0x9F47] + tap.static):
            return False
        card = (message[21:-21] + rest)[: message[19]]
        message = recover(tap.tags[0x9F4B], card)
    except AssertionError:
        return False
    dynamic = b"\x05\x01\x03\x02" + tap.tags[0x9F36]
    return message[1:7] == dynamic and check_hash(message, terminal_data)


def fdda_01(tap: Tap) -> bytes:
    return UN + AMOUNT + bytes.fromhex("0156") + tap.tags[0x9F69]


@pytest.mark.parametrize("ca_index", [0xF1, 0xF2])
@pytest.mark.parametrize("sdad_in", ["gpo", "record"])
def test_every_certificate_verifies_from_the_ca_down(ca_index: int, sdad_in: str) -> None:
    tap = Tap(cards.make("quickpass-debit", ca_index=ca_index, sdad_in=sdad_in))
    assert tap.tags[0x9F69][0] == 0x01
    assert verify(tap, fdda_01(tap))


@pytest.mark.parametrize("name", ["quickpass-credit", "quickpass-phone"])
def test_other_cards_verify_too(name: str) -> None:
    aid = SELECT.replace("010101", "010102") if "credit" in name else SELECT
    tap = Tap(cards.make(name), aid=aid)
    assert verify(tap, fdda_01(tap))


def test_version_00_is_signed_over_the_unpredictable_number_only() -> None:
    tap = Tap(cards.make("quickpass-debit"), ttq="27000000")
    assert 0x9F69 not in tap.tags
    assert verify(tap, UN)
    assert not verify(tap, bytes(4))


@pytest.mark.parametrize("forge", ["issuer", "icc", "static", "sdad"])
def test_a_forged_card_does_not_verify(forge: str) -> None:
    tap = Tap(cards.make("quickpass-debit", forge=forge))
    assert not verify(tap, fdda_01(tap))


def test_another_amount_does_not_verify() -> None:
    tap = Tap(cards.make("quickpass-debit"))
    assert not verify(tap, UN + bytes(6) + bytes.fromhex("0156") + tap.tags[0x9F69])


def test_the_certificate_names_the_card() -> None:
    tap = Tap(cards.make("quickpass-debit"))
    keys = scheme.scheme(0xF1)
    issuer = recover(tap.tags[0x90], keys.ca.modulus_bytes)
    assert issuer[1:15].hex() == "02629999ff124900000101019001"
    card = recover(tap.tags[0x9F46], keys.issuer.modulus_bytes)
    assert card[2:12].hex() == tap.tags[0x5A].hex()
    assert card[12:21].hex() == "124900000201018001"


def test_the_ca_key_has_its_check_value() -> None:
    public = scheme.scheme(0xF1).ca_public()
    data = bytes.fromhex(public["rid"] + public["index"] + public["modulus"] + public["exponent"])
    assert public["check"] == hashlib.sha1(data).hexdigest()
    assert len(public["modulus"]) == 2 * 176
    with pytest.raises(ValueError, match="no test scheme 01"):
        scheme.scheme(0x01)


# The flow


def test_ppse_lists_the_application() -> None:
    answer = flat(
        ok(cards.make("quickpass-debit"), bytes.fromhex("00A404000E" + PPSE_NAME + "00"))
    )
    assert answer[0x4F].hex() == "a000000333010101"
    assert answer[0x50] == b"UnionPay Debit"
    assert answer[0x87] == b"\x01"


def test_fci_asks_for_the_usual_data() -> None:
    fci = Tap(cards.make("quickpass-debit")).fci
    assert fci[0x9F38].hex() == "9f66049f02069f03069f1a0295055f2a029a039c019f3704"
    assert fci[0xDF61] == b"\x40"
    assert 0xDF61 not in Tap(cards.make("quickpass-debit", oda_online=False)).fci


def test_the_transaction_counter_counts_and_survives_power() -> None:
    card = cards.make("quickpass-debit", atc=0x00FE)
    assert Tap(card).tags[0x9F36].hex() == "00ff"
    card.power_off()
    assert Tap(card).tags[0x9F36].hex() == "0100"


@pytest.mark.parametrize(("decision", "code"), [("arqc", 2), ("tc", 1), ("aac", 0)])
def test_the_cards_decision_stands_in_its_application_data(decision: str, code: int) -> None:
    tap = Tap(cards.make("quickpass-debit", decision=decision))
    assert tap.tags[0x9F10][4] >> 4 & 3 == code
    assert len(tap.tags[0x9F26]) == 8


def test_card_numbers_are_invented_and_valid() -> None:
    for name, size in [("quickpass-debit", 19), ("quickpass-phone", 19), ("quickpass-credit", 16)]:
        aid = SELECT.replace("010101", "010102") if size == 16 else SELECT
        tap = Tap(cards.make(name), aid=aid)
        number = tap.tags[0x5A].hex().rstrip("f")
        assert number.startswith("62999") and len(number) == size
        assert luhn_digit(number[:-1]) == number[-1]
        assert tap.tags[0x57].hex().startswith(number + "d4912")
        assert tap.tags[0x5F24].hex() == "491231"


def test_a_phone_has_a_token_another_uid_each_time_and_the_plastic_cards_par() -> None:
    phone, plastic = cards.make("quickpass-phone"), cards.make("quickpass-debit")
    uids = set()
    for _ in range(4):
        uids.add(phone.uid)
        phone.power_off()
    assert len(uids) == 4 and {uid[0] for uid in uids} == {0x08}
    tapped, carried = Tap(phone), Tap(plastic)
    assert tapped.tags[0x5A] != carried.tags[0x5A]
    assert tapped.tags[0x9F24] == carried.tags[0x9F24]
    assert len(tapped.tags[0x9F24]) == 29
    assert tapped.tags[0x9F6C][1] & 0x80 and not carried.tags[0x9F6C][1] & 0x80
    assert 0x9F24 not in Tap(cards.make("quickpass-debit", par="")).tags


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (gpo("40000000"), "6985"),
        (bytes.fromhex("80A8000002830000"), "6700"),
        (b"\x00" + gpo()[1:], "6e00"),
        (gpo()[:5] + b"\x84" + gpo()[6:], "6a80"),
        (bytes.fromhex("00B2091400"), "6a83"),
        (bytes.fromhex("00B2011C00"), "6a83"),
        (bytes.fromhex("80CA9F7900"), "6a88"),
        (bytes.fromhex("80AE800000"), "6d00"),
    ],
)
def test_refusals(command: bytes, status: str) -> None:
    card = cards.make("quickpass-debit")
    ok(card, bytes.fromhex(SELECT))
    assert card.apdu(command).hex() == status


def test_get_data_of_the_counter() -> None:
    card: Any = cards.make("quickpass-debit", atc=5)
    ok(card, bytes.fromhex(SELECT))
    assert ok(card, bytes.fromhex("80CA9F3600")).hex() == "9f36020005"


def test_every_answer_fits_into_a_short_apdu() -> None:
    for ca_index in (0xF1, 0xF2):
        for sdad_in in ("gpo", "record"):
            card = cards.make("quickpass-debit", ca_index=ca_index, sdad_in=sdad_in)
            ok(card, bytes.fromhex(SELECT))
            assert len(card.apdu(gpo())) <= 258
            for place in ("0114", "0214", "0314", "0414", "011C"):
                assert len(card.apdu(bytes.fromhex(f"00B2{place}00"))) <= 258
