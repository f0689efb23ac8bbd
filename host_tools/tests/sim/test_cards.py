"""Simulated cards, APDU by APDU."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.cards.card import Card, Command, bcd, luhn_digit, tlv
from faretap.sim.cards.iso_dep import Picc

TUNION = "00A4040008A00000063201010500"
PPSE = "00A404000E325041592E5359532E444446303100"
ISO_DEP = [name for name in cards.names() if name != "mifare"]


def send(card: Card, text: str) -> str:
    return card.apdu(bytes.fromhex(text)).hex().upper()


def selected(name: str = "tunion", **options: Any) -> Card:
    card = cards.make(name, **options)
    assert send(card, TUNION).endswith("9000")
    return card


# The catalogue


def test_the_catalogue_names_every_kind() -> None:
    assert set(cards.names()) >= {
        "tunion",
        "tunion-student",
        "tunion-low",
        "quickpass-debit",
        "quickpass-credit",
        "quickpass-phone",
        "phone-not-ready",
        "mifare",
        "garbage",
        "empty",
    }


@pytest.mark.parametrize("name", cards.names())
def test_every_card_is_a_card(name: str) -> None:
    card = cards.make(name)
    assert len(card.uid) in (4, 7)
    assert bool(card.sak & 0x20) == bool(card.ats)
    assert not card.ats or card.ats[0] == len(card.ats)
    assert bool(card.atqa & 0x40) == (len(card.uid) == 7)
    assert 0 < card.seconds < Picc(card).frame_waiting_time or not card.ats
    card.power_off()


def test_what_is_wrong_with_a_name_or_an_option_is_said() -> None:
    with pytest.raises(ValueError, match="no card 'oyster': choose one of tunion"):
        cards.make("oyster")
    with pytest.raises(ValueError, match="card tunion: .*colour"):
        cards.make("tunion", colour="red")
    with pytest.raises(ValueError, match="0 to 4294967295 fen"):
        cards.make("tunion", balance=-1)
    with pytest.raises(ValueError, match="19 digits"):
        cards.make("tunion", pan="123")
    with pytest.raises(ValueError, match="decision is one of arqc"):
        cards.make("quickpass-debit", decision="maybe")


@settings(deadline=None)
@given(name=st.sampled_from(ISO_DEP), commands=st.lists(st.binary(max_size=64), max_size=5))
def test_no_command_breaks_a_card(name: str, commands: list[bytes]) -> None:
    card = cards.make(name)
    for command in commands:
        assert 1 <= len(card.apdu(command)) <= 258


# Helpers


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ("00A40400", Command(0, 0xA4, 4, 0)),
        ("805C000204", Command(0x80, 0x5C, 0, 2, le=4)),
        ("00B0950000", Command(0, 0xB0, 0x95, 0, le=256)),
        ("00A4040002A000", Command(0, 0xA4, 4, 0, b"\xa0\x00")),
        ("00A4040002A00000", Command(0, 0xA4, 4, 0, b"\xa0\x00", 256)),
        ("00A404", None),
        ("00A4040003A000", None),
        ("00A4040000A0", None),
    ],
)
def test_commands_are_taken_apart(raw: str, parsed: Command | None) -> None:
    assert Command.parse(bytes.fromhex(raw)) == parsed


def test_tlv_lengths() -> None:
    assert tlv(0x5A, bytes(1)) == bytes.fromhex("5A0100")
    assert tlv(0x9F4B, bytes(127))[:3] == bytes.fromhex("9F4B7F")
    assert tlv(0x90, bytes(128))[:3] == bytes.fromhex("908180")
    assert tlv(0xBF0C, bytes(256))[:5] == bytes.fromhex("BF0C820100")


def test_digits() -> None:
    assert luhn_digit("7992739871") == "3"
    assert bcd("123", 3) == bytes.fromhex("123FFF")
    with pytest.raises(ValueError, match="do not fit"):
        bcd("12345", 2)


# Selection


def test_ppse_of_a_purse() -> None:
    assert send(cards.make("tunion"), PPSE) == (
        "6F2E840E325041592E5359532E4444463031A51CBF0C1961174F08A000000632010105"
        "50084D4F545F545F4550870101"
        "9000"
    )


def test_selection_by_the_first_bytes_of_an_aid() -> None:
    assert send(cards.make("tunion"), "00A4040005A00000063200").endswith("9000")
    assert send(cards.make("tunion"), "00A4040009A0000006320101050100") == "6A82"


def test_next_occurrence_finds_nothing_more() -> None:
    card = selected()
    assert send(card, "00A4040208A00000063201010500") == "6A82"


def test_selection_is_lost_with_power() -> None:
    card = selected()
    assert send(card, "805C000204") == "000013889000"
    card.power_off()
    assert send(card, "805C000204") == "6D00"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("00A40400", "6A82"),
        ("00A4000002", "6A81"),
        ("80A4040008A00000063201010500", "6E00"),
        ("00A4040408A00000063201010500", "6A86"),
        ("00A404", "6700"),
    ],
)
def test_select_refusals(command: str, status: str) -> None:
    assert send(cards.make("tunion"), command) == status


def test_a_phone_that_is_not_ready_refuses_its_first_select_only() -> None:
    phone = cards.make("phone-not-ready")
    assert send(phone, PPSE) == "6985"
    phone.power_off()
    assert send(phone, PPSE).endswith("9000")
    purse = cards.make("tunion", not_ready=2)
    assert [send(purse, TUNION)[-4:] for _ in range(3)] == ["6985", "6985", "9000"]


# T-Union


def test_fci_carries_file_15() -> None:
    card = cards.make("tunion", pan="3104990123456789012")
    assert send(card, TUNION) == (
        "6F318408A000000632010105A5259F0801029F0C1E"
        "03104999999999990201"
        "03104990123456789012"
        "20240101204412310000"
        "9000"
    )


def test_file_15_is_30_bytes() -> None:
    card = selected(pan="3104990123456789012", start="20250102", end="20300304")
    assert send(card, "00B0950000") == (
        "0310499999999999020103104990123456789012202501022030030400009000"
    )
    assert send(card, "00B095081E") == "6C16"
    assert send(card, "00B095140A") == "202501022030030400009000"
    assert send(card, "00B0951E00") == "6B00"
    assert send(card, "00B0950A02") == "03109000"


def test_a_card_without_file_15_in_its_fci() -> None:
    assert send(cards.make("tunion", fci_has_file_15=False), TUNION) == (
        "6F108408A000000632010105A5049F0801029000"
    )


@pytest.mark.parametrize(("name", "kind"), [("tunion", "00"), ("tunion-student", "02")])
def test_file_17_says_the_card_type_and_the_city(name: str, kind: str) -> None:
    answer = send(selected(name, city="3930"), "00B0970000")
    assert len(answer) == 2 * 62
    assert answer[:24] == "00000156310039300001" + kind + "00"
    assert send(selected(name, interoperable=False), "00B0970000")[16:20] == "0000"


@pytest.mark.parametrize(
    ("name", "balance"), [("tunion", 5000), ("tunion-student", 2000), ("tunion-low", 80)]
)
def test_balance(name: str, balance: int) -> None:
    assert send(selected(name), "805C000204") == f"{balance:08X}9000"
    assert send(selected(name), "805C030204") == f"{balance:08X}9000"
    assert send(selected(name, balance=0xFFFFFFFF), "805C000204") == "FFFFFFFF9000"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("805C040204", "6A86"),
        ("805C000208", "6C04"),
        ("005C000204", "6E00"),
        ("00B0990000", "6A82"),
        ("00B0000000", "6986"),
        ("00B20BC400", "6A83"),
        ("00B2013C00", "6A82"),
        ("00B201D481", "6C80"),
        ("805001020B0100000001112233", "6700"),
        ("805401000F" + "00" * 15 + "08", "6985"),
        ("00CA9F3600", "6D00"),
    ],
)
def test_refusals(command: str, status: str) -> None:
    assert send(selected(), command) == status


def test_records_have_their_lengths() -> None:
    card = selected()
    assert len(send(card, "00B201C400")) == 2 * 25
    assert len(send(card, "00B201F430")) == 2 * 50
    assert send(card, "00B201D480")[:6] == "27027D"
    assert len(send(card, "00B201D480")) == 2 * 130


def test_invented_numbers_pass_the_luhn_check_and_differ() -> None:
    numbers = {send(selected(seed=seed), "00B0950A0A") for seed in range(5)}
    assert len(numbers) == 5
    for answer in numbers:
        digits = answer[1:20]
        assert luhn_digit(digits[:-1]) == digits[-1]


# Cards without a medium


def test_garbage_is_the_same_for_the_same_seed() -> None:
    first = [cards.make("garbage", seed=7).apdu(b"") for _ in range(2)]
    assert first[0] == first[1]
    assert cards.make("garbage", seed=8).apdu(b"") != first[0]


def test_empty_has_no_application() -> None:
    assert send(cards.make("empty"), PPSE) == "6A82"
    assert send(cards.make("empty"), "805C000204") == "6D00"


# ISO-DEP at block level


def test_rats_gives_the_ats_and_nothing_else_works_before() -> None:
    picc = Picc(cards.make("tunion"))
    assert picc.frame(bytes.fromhex("0200A40400")) is None
    assert picc.frame(bytes.fromhex("E080")) == bytes.fromhex("0578807002")


def test_block_numbers_toggle_and_a_lost_answer_is_repeated() -> None:
    picc = Picc(cards.make("empty"))
    picc.frame(bytes.fromhex("E080"))
    assert picc.frame(bytes.fromhex("0200A40400")) == bytes.fromhex("026A82")
    assert picc.frame(bytes.fromhex("0300A40400")) == bytes.fromhex("036A82")
    assert picc.frame(bytes.fromhex("B3")) == bytes.fromhex("036A82")
    assert picc.frame(bytes.fromhex("B2")) == bytes.fromhex("A3")


def test_a_chained_command_and_a_chained_answer() -> None:
    picc = Picc(cards.make("tunion"))
    picc.frame(bytes.fromhex("E000"))  # FSD 16: 13 bytes a block
    assert picc.frame(bytes.fromhex("1200A4040008")) == bytes.fromhex("A2")
    first = picc.frame(bytes.fromhex("03A00000063201010500"))
    assert first is not None and first[0] == 0x13 and len(first) == 14
    parts, block = [first[1:]], 0xA2
    while first[0] & 0x10:
        answer = picc.frame(bytes([block]))
        assert answer is not None
        first = answer
        parts.append(first[1:])
        block ^= 1
    assert b"".join(parts) == selected().apdu(bytes.fromhex(TUNION))


def test_deselect_forgets_the_selection() -> None:
    card = selected()
    picc = Picc(card)
    picc.frame(bytes.fromhex("E080"))
    assert picc.frame(bytes.fromhex("C2")) == bytes.fromhex("C2")
    assert picc.frame(bytes.fromhex("02805C000204")) is None
    assert send(card, "805C000204") == "6D00"


def test_frame_waiting_time_comes_from_the_ats() -> None:
    assert Picc(cards.make("tunion")).frame_waiting_time == pytest.approx(0.03866, rel=1e-3)
    assert Picc(cards.make("mifare")).frame_waiting_time == pytest.approx(0.00483, rel=1e-2)
