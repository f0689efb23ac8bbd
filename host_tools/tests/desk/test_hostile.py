"""Cards that answer anything: the interpretation ends in a report, and says no number in clear."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.desk import quickpass, tunion
from faretap.desk.examine import AIDS, PPSE, directory, examine, text
from faretap.desk.report import Medium, Radio
from faretap.sim import cards
from faretap.sim.cards.card import tlv
from faretap.sim.cards.tunion import TUnion
from tests.desk.channels import NOW, Canned, Direct, radio_of

ISO_DEP = Radio(b"\x04\x01\x02\x03", 0x0004, 0x20, b"\x05\x78\x80\x70\x02")
READABLE = ("tunion", "quickpass-debit", "quickpass-phone")


class Says:
    """A card that answers from a list, and 6A82 when that is used up."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.commands: list[bytes] = []

    def transceive(self, command: bytes) -> bytes:
        assert len(self.commands) < 2000, "asked without end"
        self.commands.append(command)
        return self.answers.pop(0) if self.answers else b"\x6a\x82"

    def reset(self) -> bool:
        return True


@given(st.lists(st.binary(max_size=80), max_size=40))
def test_any_answers(answers: list[bytes]) -> None:
    report = examine(Says(answers), ISO_DEP, NOW)
    json.dumps(report.to_json())


@given(st.lists(st.binary(max_size=80).map(lambda data: data + b"\x90\x00"), max_size=60))
def test_any_answers_that_claim_success(answers: list[bytes]) -> None:
    report = examine(Says(answers), ISO_DEP, NOW)
    json.dumps(report.to_json())


PAN = "6299991234567891237"


@cache
def recorded(name: str) -> list[tuple[bytes, bytes]]:
    direct = Direct(cards.make(name, pan=PAN))
    assert examine(direct, ISO_DEP, NOW).media[0].number == "629999******1237"
    return direct.log


@given(
    name=st.sampled_from(READABLE),
    at=st.integers(0, 9),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    cut=st.integers(0, 300),
    kind=st.sampled_from(["change", "cut", "insert"]),
)
@settings(max_examples=300, deadline=None)
def test_real_answers_spoiled_in_one_place(
    name: str, at: int, place: float, value: int, cut: int, kind: str
) -> None:
    def change(number: int, answer: bytes) -> bytes:
        where = int(place * len(answer))
        if number != at:
            return answer
        if kind == "cut":
            return answer[:cut]
        rest = answer[where + 1 :] if kind == "change" else answer[where:]
        return answer[:where] + bytes([value]) + rest

    log = recorded(name)
    report = examine(Canned(log, change), ISO_DEP, NOW)
    shown = json.dumps(report.to_json())
    assert PAN not in shown
    for medium in report.media:
        assert re.fullmatch(r"(\d{6})?\*{6}(\d{4})?|", medium.number)


@given(
    st.dictionaries(
        st.sampled_from([0x57, 0x5A, 0x5F24, 0x5F25, 0x9F36, 0x9F6C, 0x9F10, 0x9F26, 0x9F27]),
        st.binary(max_size=20),
    )
)
def test_any_data_objects(tags: dict[int, bytes]) -> None:
    medium = Medium("quickpass", "", "")
    quickpass.interpret(tags, medium)
    json.dumps(medium.to_json(date(2025, 6, 1)))
    assert bool(medium.number) != any("number" in p for p in medium.problems) or (
        medium.number and "card number (5A) is none" in medium.problems
    )


@given(st.binary(max_size=40), st.binary(max_size=70))
def test_any_purse_files(public: bytes, administration: bytes) -> None:
    medium = Medium("tunion", "", "")
    tunion.public_file(public, medium)
    tunion.administration_file(administration, medium)
    json.dumps(medium.to_json(date(2025, 6, 1)))
    if len(public) < 28:
        assert medium.problems and not medium.number


@given(st.binary(max_size=64))
def test_any_afl(afl: bytes) -> None:
    try:
        listed = quickpass.records(afl)
    except ValueError:
        return
    assert len(listed) <= 32
    assert all(1 <= sfi <= 30 and 1 <= number <= 255 for sfi, number in listed)


@given(st.binary(max_size=30))
def test_labels_are_printable(label: bytes) -> None:
    assert text(label).isprintable() and len(text(label)) <= 16


def test_answers_without_end_are_given_up() -> None:
    class Endless(Says):
        def transceive(self, command: bytes) -> bytes:
            super().transceive(command)
            return b"\x61\x10"

    card = Endless([])
    report = examine(card, ISO_DEP, NOW)
    assert report.media == [] and any("without end" in p for p in report.problems)
    assert len(card.commands) <= 2 * 21 * (1 + len(AIDS))


def test_a_wrong_length_is_asked_again_once() -> None:
    card = Says([b"\x6c\x02", b"\x6c\x02"])
    examine(card, ISO_DEP, NOW)
    assert card.commands[1] == card.commands[0][:-1] + b"\x02"
    assert card.commands[2][:2] == b"\x00\xa4" and b"2PAY" not in card.commands[2]


# Exact cases


def ppse(*entries: tuple[str, str, int]) -> bytes:
    listed = b"".join(
        tlv(0x61, tlv(0x4F, bytes.fromhex(a)) + tlv(0x50, b.encode()) + tlv(0x87, bytes([p])))
        for a, b, p in entries
    )
    return tlv(0x6F, tlv(0x84, PPSE) + tlv(0xA5, tlv(0xBF0C, listed)))


def test_directory_by_priority_none_last() -> None:
    listed = directory(
        ppse(
            ("A000000333010102", "B", 0), ("A000000632010105", "C", 2), ("A0000000031010", "D", 1)
        )
    )
    assert [e.label for e in listed] == ["D", "C", "B"]


def test_two_media_on_one_card_and_a_foreign_application() -> None:
    purse, bank = cards.make("tunion"), cards.make("quickpass-debit")

    class Both:
        uid, atqa, sak, ats, seconds = b"\x04\x01\x02\x03", 4, 0x20, ISO_DEP.ats, 0.0
        current = purse

        def apdu(self, command: bytes) -> bytes:
            if PPSE in command:
                return (
                    ppse(
                        ("A0000000031010", "VISA\x1b[2J", 3),
                        ("A000000333010101", "Bank", 2),
                        ("A000000632010105", "Bus", 1),
                    )
                    + b"\x90\x00"
                )
            if command[1] == 0xA4:
                self.current = purse if command[5:10] == bytes.fromhex("A000000632") else bank
            return self.current.apdu(command)

        def power_off(self) -> None:
            return None

    report = examine(Direct(Both()), ISO_DEP, NOW)
    assert [(m.medium, m.label, m.number) for m in report.media] == [
        ("tunion", "Bus", "310499******0017"),
        ("quickpass", "Bank", "629999******0012"),
    ]
    assert report.others == [("a0000000031010", "VISA?[2J")]
    assert report.medium == "tunion"


def test_purse_without_directory_is_found_by_its_aid() -> None:
    card = cards.make("tunion")
    direct = Direct(card, lambda n, answer: b"\x6a\x82" if n == 0 else answer)
    report = examine(direct, radio_of(card), NOW)
    assert [m.medium for m in report.media] == ["tunion"]


def test_balance_asked_without_overdraft_when_refused() -> None:
    card = cards.make("tunion", balance=777)

    def refuse(number: int, answer: bytes) -> bytes:
        return b"\x6a\x86" if number == 3 else answer

    direct = Direct(card, refuse)
    (medium,) = examine(direct, radio_of(card), NOW).media
    # Own money first; a card that does not tell that: what can be spent, without the overdraft.
    asked = [command.hex() for command, _ in direct.log[-3:]]
    assert medium.balance == 777 and asked == ["805c030204", "805c000204", "805c010204"]


@pytest.mark.parametrize(
    ("own", "overdraft", "top_bit"),
    [(777, 0, False), (50, 1000, False), (0, 800, False), (-150, 1000, False), (5710, 0, True)],
)
def test_a_balance_is_the_riders_own_money(own: int, overdraft: int, top_bit: bool) -> None:
    for refused in (b"", b"\x80\x5c\x03"):
        card = TUnion(balance=max(0, own), overdraft=overdraft, top_bit=top_bit)
        card.memory.commit(replace(card.memory.contents, balance=own))
        direct = Direct(card, lambda n, a: a)
        plain = direct.card.apdu

        def apdu(command: bytes, refused: bytes = refused, plain: Any = plain) -> bytes:
            return b"\x6a\x86" if refused and command[:3] == refused else bytes(plain(command))

        direct.card.apdu = apdu  # type: ignore[method-assign]
        (medium,) = examine(direct, radio_of(card), NOW).media
        assert medium.balance == own and not medium.problems


def test_a_city_union_number_is_no_bcd() -> None:
    card = cards.make("tunion-city-hex")
    (medium,) = examine(Direct(card), radio_of(card), NOW).media
    assert medium.number == "9CA1B2******3D51" and medium.problems == []


@pytest.mark.parametrize("name", ["tunion-ed-only", "tunion-type-00", "tunion-not-enabled"])
def test_a_purse_that_is_not_enabled_is_a_problem(name: str) -> None:
    card = cards.make(name)
    (medium,) = examine(Direct(card), radio_of(card), NOW).media
    assert [p for p in medium.problems if "not enabled" in p]


@pytest.mark.parametrize("answer", ["9000", "0003E89000", "000003E8"])
def test_a_balance_that_is_none_is_not_shown(answer: str) -> None:
    card = cards.make("tunion")
    direct = Direct(card, lambda n, a: bytes.fromhex(answer) if n >= 3 else a)
    (medium,) = examine(direct, radio_of(card), NOW).media
    assert medium.balance is None and medium.problems[0].startswith("no balance")


def test_electronic_cash_balance() -> None:
    card = cards.make("quickpass-debit")

    def cash(number: int, answer: bytes) -> bytes:
        return bytes.fromhex("9F79060000000123459000") if answer == b"\x6a\x88" else answer

    (medium,) = examine(Direct(card, cash), radio_of(card), NOW).media
    assert medium.balance == 12345


def test_the_standard_flow_is_read_too() -> None:
    medium = Medium("quickpass", "", "")
    tags = quickpass.processing_options(bytes.fromhex("80067C0008010100"), medium)
    assert tags == {0x82: b"\x7c\x00", 0x94: b"\x08\x01\x01\x00"}
    assert quickpass.records(tags[0x94]) == [(1, 1)] and medium.detail["flow"] == "standard"


def test_nothing_is_paid() -> None:
    card = cards.make("quickpass-debit")
    direct = Direct(card)
    examine(direct, radio_of(card), NOW)
    (gpo,) = [command for command, _ in direct.log if command[1] == 0xA8]
    assert (
        gpo[7:].hex().startswith("21800080" + "000000000000" * 2 + "0156" + "0000000000" + "0156")
    )
    assert gpo[7 + 25 :][:4].hex() == "25060100"
    assert not any(command[1] == 0xAE for command, _ in direct.log)  # GENERATE AC


def test_dol_fills_numbers_left_and_bytes_right() -> None:
    values = {0x9F1A: b"\x01\x56", 0x9F37: b"\xaa\xbb\xcc\xdd"}
    built = quickpass.build_dol(
        [(0x9F1A, 3), (0x9F37, 6), (0x9F1A, 1), (0x9F37, 2), (0x99, 2)], values
    )
    assert built.hex() == "000156" + "aabbccdd0000" + "56" + "aabb" + "0000"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({0x5A: "6299990000000012FF"}, "card number (5A) is none"),
        ({0x57: "62999900000000120F"}, "track 2 (57) is none"),
        ({0x5A: "6299990000000012", 0x57: "6299990000000013D4912201"}, "two different"),
        ({}, "no card number"),
    ],
)
def test_numbers_that_are_none(tags: dict[int, str], problem: str) -> None:
    medium = Medium("quickpass", "", "")
    quickpass.interpret({t: bytes.fromhex(v) for t, v in tags.items()}, medium)
    assert medium.number == "" and any(problem in p for p in medium.problems)


def test_odd_number_is_padded() -> None:
    medium = Medium("quickpass", "", "")
    quickpass.interpret({0x5A: bytes.fromhex("6299990000000000012F")}, medium)
    assert medium.number == "629999******0012"


@pytest.mark.parametrize(
    ("yymm", "day"), [("2502", date(2025, 2, 28)), ("2512", date(2025, 12, 31)), ("2513", None)]
)
def test_expiry_of_track_2_is_the_end_of_its_month(yymm: str, day: date | None) -> None:
    medium = Medium("quickpass", "", "")
    quickpass.interpret({0x57: bytes.fromhex(f"6299990000000012D{yymm}201")}, medium)
    assert medium.valid_to == day


@pytest.mark.parametrize(
    ("uid", "kind"),
    [
        ("08A1B2C3", "random"),
        ("1FA1B2C3", "fixed, 4 bytes, not unique"),
        ("1DA1B2C3D4E5F6", "unique, 7 bytes, Fudan Microelectronics"),
        ("08A1B2C3D4E5F6", "unique, 7 bytes"),
        ("04A1B2C3D4E5F6010203", "unique, 10 bytes, NXP"),
    ],
)
def test_uid_types(uid: str, kind: str) -> None:
    assert Radio(bytes.fromhex(uid), 4, 0x20).uid_type == kind


def test_a_verified_holder_makes_it_a_phone_whatever_its_uid() -> None:
    card = cards.make("quickpass-phone", uid=bytes.fromhex("04112233445566"))
    (medium,) = examine(Direct(card), radio_of(card), NOW).media
    assert (medium.form, medium.detail["holder_verified"]) == ("phone", True)


def test_a_pdol_that_asks_for_too_much_is_not_answered() -> None:
    pdol = bytes.fromhex("9F6604") + bytes.fromhex("DF01FF")
    fci = tlv(0x6F, tlv(0x84, quickpass.RID + b"\x01\x01\x01") + tlv(0xA5, tlv(0x9F38, pdol)))
    entry = ppse(("A000000333010101", "Bank", 1))
    card = Says([entry + b"\x90\x00", fci + b"\x90\x00"])
    (medium,) = examine(card, ISO_DEP, NOW).media
    assert "PDOL" in medium.problems[0] and len(card.commands) == 2


def test_the_last_day_counts_and_the_first() -> None:
    medium = Medium("tunion", "", "", valid_from=date(2025, 1, 1), valid_to=date(2025, 6, 1))
    days = [date(2024, 12, 31), date(2025, 1, 1), date(2025, 6, 1), date(2025, 6, 2)]
    assert [medium.state(d) for d in days] == ["not_yet_valid", "valid", "valid", "expired"]
