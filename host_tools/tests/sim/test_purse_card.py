"""The simulated purse card: arithmetic, status words, one atomic debit, tears, state on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.cards import purse_keys as keys
from faretap.sim.cards.tunion import TUnion
from faretap.sim.cards.tunion_layout import (
    ALIGHTED,
    BOARDED,
    BUS,
    DOWN,
    Composite,
    LogEntry,
    Stop,
    Trip,
)
from faretap.sim.cards.tunion_tear import MOMENTS, STEPS, Tear, step_of

SELECT = "00A4040008A00000063201010500"
TERMINAL = bytes.fromhex("300089000340")
MOMENT = bytes.fromhex("20260801120000")
SERIAL = bytes.fromhex("00000007")


def send(card: TUnion, text: str) -> str:
    return card.apdu(bytes.fromhex(text)).hex().upper()


def purse(**options: Any) -> TUnion:
    card = cards.make("tunion", **options)
    assert isinstance(card, TUnion)
    assert send(card, "00A40400" + f"{len(card._aid):02X}" + card._aid.hex() + "00")[-4:] == "9000"
    return card


def initialize(card: TUnion, amount: int = 200, kind: str = "01") -> bytes:
    return card.apdu(
        bytes.fromhex(f"8050{kind}020B01") + amount.to_bytes(4, "big") + TERMINAL + b"\x0f"
    )


def mac1(card: TUnion, opened: bytes, amount: int, kind: int) -> bytes:
    """By the card's own key, along the published formula."""
    session = keys.session_key(
        card.keys.purchase, opened[11:15], int.from_bytes(opened[4:6], "big"), SERIAL, opened[10]
    )
    return keys.mac(session, keys.purchase_data(amount, kind, TERMINAL, MOMENT), opened[10])


def debit(card: TUnion, opened: bytes, amount: int = 200, kind: int = keys.PURCHASE) -> bytes:
    body = SERIAL + MOMENT + mac1(card, opened, amount, kind)
    return card.apdu(bytes.fromhex("805401000F") + body + b"\x08")


# Arithmetic


def test_the_published_vector() -> None:
    dpk = bytes.fromhex("11223344556677888877665544332211")
    session = keys.session_key(
        dpk, bytes.fromhex("11223344"), 0, bytes.fromhex("00000001"), keys.DES3
    )
    assert session.hex().upper() == "003238ABC57659DD"
    covered = keys.purchase_data(
        0x1000, 6, bytes.fromhex("001122334455"), bytes.fromhex("20120229135100")
    )
    assert keys.mac(session, covered, keys.DES3).hex().upper() == "F15CAB75"
    assert keys.mac(session, keys.confirmation_data(0x1000), keys.DES3).hex().upper() == "56988A13"


def test_single_des_and_sm4_by_their_standards_examples() -> None:
    # FIPS 46-3's walk-through in NBS 500-20, and GM/T 0002, appendix A.
    assert keys.ecb(
        bytes.fromhex("133457799BBCDFF1"), bytes.fromhex("0123456789ABCDEF"), keys.DES3
    ) == bytes.fromhex("85E813540F0AB405")
    block = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert keys.ecb(block, block, keys.SM4).hex() == "681edf34d206965e86b3e94f536e4246"


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_diversification_takes_the_data_and_their_complement(algorithm: int) -> None:
    key, data = bytes(range(16)), bytes(range(8))
    made = keys.diversify(key, data, algorithm)
    assert len(made) == 16
    if algorithm == keys.DES3:
        assert made == keys.ecb(key, data, 1) + keys.ecb(key, bytes(255 - b for b in data), 1)
    else:
        assert made == keys.ecb(key, data + bytes(255 - b for b in data), keys.SM4)
    two = keys.card_key(key, b"ABCDxxxx", data, 2, algorithm)
    issuer = keys.diversify(key, b"ABCD\xff\xff\xff\xff", algorithm)
    assert two == keys.diversify(issuer, data, algorithm)
    assert keys.card_key(key, b"ABCD", data, 1, algorithm) == made
    assert keys.card_key(key, b"ABCD", data, 0, algorithm) == key


def test_a_tac_under_3des_is_a_single_des_mac() -> None:
    key = bytes(range(16))
    folded = bytes(a ^ b for a, b in zip(key[:8], key[8:], strict=True))
    data = bytes.fromhex("000000C806") + TERMINAL + SERIAL + MOMENT
    assert keys.tac(key, 200, 6, TERMINAL, SERIAL, MOMENT, 1) == keys.mac(folded, data, 1)
    assert keys.tac(key, 200, 6, TERMINAL, SERIAL, MOMENT, 4) == keys.mac(key, data, 4)


def test_there_is_no_key_for_what_nobody_has() -> None:
    with pytest.raises(ValueError, match="no test key for purchase, 9999"):
        keys.master("purchase", "9999", keys.DES3)


# Purchase


@pytest.mark.parametrize("options", [{}, {"algorithm": 4}, {"psam_form": "14"}])
def test_a_purchase(options: dict[str, Any]) -> None:
    card = purse(counter=0x042C, **options)
    opened = initialize(card)
    assert opened[:11].hex() == f"00001388042c00000001{options.get('algorithm', 1):02x}"
    assert len(opened) == 17
    answer = debit(card, opened)
    assert answer[-2:] == b"\x90\x00" and len(answer) == 10
    made = card.debits[-1]
    assert answer[:8] == made.tac + made.mac2
    assert made.tac == keys.tac(
        card.keys.tac, 200, 6, TERMINAL, SERIAL, MOMENT, card.keys.algorithm
    )
    assert (card.balance, card.counter) == (4800, 0x042D)
    assert send(card, "805C000204") == "000012C09000"
    assert send(card, "00B201C417") == (
        "042C" + "000000" + "000000C8" + "06" + TERMINAL.hex() + MOMENT.hex() + "9000"
    )
    assert send(card, "00B202C417")[10:20] == "0000138802"  # the load of before
    assert send(card, "00B20AC417") == "00" * 23 + "9000"


def test_the_log_keeps_ten_and_the_newest_is_first() -> None:
    card = purse(balance=100_000)
    for n in range(12):
        assert debit(card, initialize(card, 100 + n), 100 + n)[-2:] == b"\x90\x00"
    amounts = [LogEntry.parse(card.apdu(bytes([0, 0xB2, n, 0xC4, 0x17]))[:-2]) for n in (1, 10)]
    assert [entry.amount for entry in amounts] == [111, 102]
    assert send(card, "00B20BC417") == "6A83"
    assert card.balance == 100_000 - sum(range(100, 112))


def test_random_numbers_do_not_repeat_and_a_mac_serves_once() -> None:
    card = purse()
    first = initialize(card)
    answer = debit(card, first)
    assert answer[-2:] == b"\x90\x00"
    second = initialize(card)
    assert second[11:15] != first[11:15]
    assert debit(card, first) == b"\x93\x02"
    assert debit(card, second) == b"\x69\x85"  # the wrong MAC has ended it
    assert card.balance == 4800


@pytest.mark.parametrize("at", range(15))
def test_mac1_covers_every_byte_of_debit(at: int) -> None:
    card = purse()
    opened = initialize(card)
    body = bytearray(SERIAL + MOMENT + mac1(card, opened, 200, 6))
    body[at] ^= 0x01
    answer = card.apdu(bytes.fromhex("805401000F") + body + b"\x08")
    # Of the terminal's serial number only the last two bytes go into the session key.
    assert answer[-2:] == (b"\x90\x00" if at < 2 else b"\x93\x02")
    assert card.balance == (4800 if at < 2 else 5000)


@pytest.mark.parametrize(("amount", "kind"), [(201, 6), (200, 9)])
def test_mac1_covers_amount_and_type(amount: int, kind: int) -> None:
    card = purse()
    opened = initialize(card)
    assert debit(card, opened, amount, kind) == b"\x93\x02"


def test_insufficient_means_own_money_and_overdraft() -> None:
    assert initialize(purse(balance=199)) == b"\x94\x01"
    assert initialize(purse(balance=50, overdraft=149)) == b"\x94\x01"
    card = purse(balance=50, overdraft=150)
    assert send(card, "805C000204") == "000000C89000"
    assert send(card, "805C030204") == "000000329000"
    opened = initialize(card)
    assert opened[:9].hex() == "000000c80001000096"
    assert debit(card, opened)[-2:] == b"\x90\x00"
    assert card.balance == -150
    assert send(card, "805C000204") == send(card, "805C030204") == "000000009000"
    assert initialize(card, 1) == b"\x94\x01"


@pytest.mark.parametrize(
    ("before", "command", "status"),
    [
        ("", "805001020B02000000C83000890003400F", "9403"),
        ("", "805001010B01000000C83000890003400F", "6A86"),
        ("", "805000020B01000000C83000890003400F", "6A86"),
        ("", "005001020B01000000C83000890003400F", "6E00"),
        ("", "805001020A01000000C830008900030F", "6700"),
        ("", "805001020B01000000C830008900034010", "6C0F"),
        ("", "805001020BFF", "6700"),
        ("", "805001020B01FFFFFFFF3000890003400F", "9401"),
        ("", "805401000F" + "00" * 15 + "08", "6985"),
        ("01", "805400000F" + "00" * 15 + "08", "6A86"),
        ("01", "805401010F" + "00" * 15 + "08", "6A86"),
        ("01", "805401000E" + "00" * 14 + "08", "6700"),
        ("01", "805401000F" + "00" * 15 + "08", "9302"),
        ("01", "005401000F" + "00" * 15 + "08", "6E00"),
        ("01", "80DC00F030" + "00" * 48, "6985"),
        ("", "80DC00F030" + "00" * 48, "6985"),
        ("03", "80DC00F02F" + "00" * 47, "6700"),
        ("03", "80DC01F030" + "00" * 48, "6A83"),
        ("03", "80DC00F430" + "00" * 48, "6A86"),
        ("03", "80DC03D080" + "00" * 128, "6A83"),
        ("03", "80DC02D081" + "00" * 129, "6700"),
        ("03", "80DC0088" + "0100", "6A82"),
        ("", "805A000602000008", "9406"),
        ("", "805A0106020000", "6A86"),
        ("", "805A00060100", "6700"),
        ("", "80520000", "6D00"),
        ("", "00D6950001FF", "6982"),
        ("", "00DC01D401FF", "6982"),
        ("", "04D695000500000000FF", "6982"),
    ],
)
def test_refusals(before: str, command: str, status: str) -> None:
    card = purse()
    if before:
        assert initialize(card, kind=before)[-2:] == b"\x90\x00"
    assert send(card, command) == status
    assert (card.balance, card.counter, card.debits) == (5000, 1, ())


@pytest.mark.parametrize(
    "between", ["805C000204", "00B0950000", "00B201D480", SELECT, "00D6950001FF", "805A0006020001"]
)
def test_nothing_comes_between_initialize_and_debit(between: str) -> None:
    card = purse()
    opened = initialize(card)
    send(card, between)
    assert debit(card, opened) == b"\x69\x85"
    assert card.balance == 5000


def test_a_full_counter_and_blocked_applications() -> None:
    assert initialize(purse(counter=0xFFFF)) == b"\x94\x02"
    card = cards.make("tunion-blocked")
    answer = card.apdu(bytes.fromhex(SELECT))
    assert answer[-2:] == b"\x62\x83" and answer[0] == 0x6F
    assert card.apdu(bytes.fromhex("805C000204"))[-2:] == b"\x90\x00"
    assert isinstance(card, TUnion) and initialize(card) == b"\x69\x85"
    card = cards.make("tunion-blocked-ever")
    assert card.apdu(bytes.fromhex(SELECT)) == b"\x93\x03"
    assert card.apdu(bytes.fromhex("805C000204")) == b"\x6d\x00"


# Composite purchase


def trip(kind: int = 0x03) -> Trip:
    return Trip(
        kind,
        b"\x00\x00" + TERMINAL,
        0x02,
        bytes.fromhex("00000000120003"),
        200,
        4800,
        MOMENT,
        bytes.fromhex("2900"),
        bytes.fromhex("0310499900000001"),
    )


def boarding() -> Composite:
    stop = Stop(
        bytes.fromhex("2900"),
        bytes.fromhex("0310499900000001"),
        bytes.fromhex("0007"),
        bytes.fromhex("0012"),
        3,
        b"B0000042",
        b"\x00\x00" + TERMINAL,
        MOMENT,
    )
    return Composite(state=BOARDED, boarding=stop, marked=400, direction=DOWN)


def test_records_have_the_published_layout() -> None:
    record = boarding().pack()
    assert len(record) == 128
    assert record[:6].hex() == "27027d010100" and record[14] == BOARDED
    assert record[15:17].hex() == "2900" and record[27:29].hex() == "0012"
    assert record[53:57].hex() == "00000190" and record[57] == 0xBA
    assert Composite.parse(record) == boarding()
    packed = trip().pack()
    assert len(packed) == 48
    assert (packed[0], packed[9], packed[17:21].hex()) == (3, 2, "000000c8")
    assert packed[21:25].hex() == "000012c0" and packed[25:32] == MOMENT
    assert packed[32:34].hex() == "2900" and packed[42:] == bytes(6)
    assert Trip.parse(packed) == trip()
    example = bytes.fromhex("042D000000000001F40930008900034020241229141740")
    entry = LogEntry.parse(example)
    assert (entry.counter, entry.amount, entry.kind) == (0x042D, 500, 9)
    assert entry.pack() == example
    with pytest.raises(ValueError, match="not that of buses"):
        Composite.parse(b"\x27\x01" + bytes(126))
    with pytest.raises(ValueError, match="22 bytes, the record has 23"):
        LogEntry.parse(bytes(22))


@pytest.mark.parametrize("name", ["01", "02"])
def test_a_composite_purchase_writes_its_records_with_the_debit(name: str) -> None:
    card = purse()
    opened = initialize(card, 0, "03")
    record, ridden = boarding().pack(), trip().pack()
    assert send(card, "80DC00F030" + ridden.hex()) == "9000"
    assert send(card, f"80DC{name}D080" + record.hex()) == "9000"
    assert card.memory.contents.composites[0] != record
    assert debit(card, opened, 0, keys.COMPOSITE)[-2:] == b"\x90\x00"
    assert send(card, "00B201D480") == record.hex().upper() + "9000"
    assert send(card, "00B202D080") == record.hex().upper() + "9000"
    assert send(card, "00B201F430") == ridden.hex().upper() + "9000"
    assert send(card, "00B202F430") == "00" * 48 + "9000"
    entry = LogEntry.parse(card.memory.contents.log[0])
    assert (entry.kind, entry.amount, entry.counter) == (9, 0, 1)
    # Alight: the first bytes of the record only.
    opened = initialize(card, 200, "03")
    assert send(card, f"80DC{name}D00F" + record[:14].hex() + f"{ALIGHTED:02X}") == "9000"
    assert debit(card, opened, 200, keys.COMPOSITE)[-2:] == b"\x90\x00"
    assert card.memory.contents.composites[0] == record[:14] + b"\x02" + record[15:]
    assert card.balance == 4800


def test_cached_records_are_lost_without_their_debit() -> None:
    card = purse()
    before = card.memory.contents
    initialize(card, 0, "03")
    assert send(card, "80DC00F030" + trip().pack().hex()) == "9000"
    assert card.memory.contents == before
    opened = initialize(card, 0, "03")
    assert debit(card, opened, 0, keys.COMPOSITE)[-2:] == b"\x90\x00"
    assert card.memory.contents.trips == before.trips
    assert int.from_bytes(before.composites[0][:2], "big") == BUS


# Proof


def test_the_proof_of_the_last_purchase() -> None:
    card = purse(counter=0x00FE)
    answer = debit(card, initialize(card))
    proof = (answer[4:8] + answer[:4]).hex().upper() + "9000"
    assert send(card, "805A00060200FF08") == proof
    assert send(card, "805A00060200FF") == proof
    assert send(card, "805A00060200FE08") == "9406"
    assert send(card, "805A00090200FF08") == "9406"
    initialize(card)
    assert send(card, "805A00060200FF08") == proof
    card.power_off()
    assert send(card, SELECT)[-4:] == "9000"
    assert send(card, "805A00060200FF08") == proof
    debit(card, initialize(card))
    assert send(card, "805A00060200FF08") == "9406"
    assert send(card, "805A000602010008")[-4:] == "9000"


def test_a_card_that_counts_its_proof_from_before() -> None:
    card = purse(proof="before")
    debit(card, initialize(card))
    assert send(card, "805A000602000108")[-4:] == "9000"
    assert send(card, "805A000602000208") == "9406"


@pytest.mark.parametrize(("log", "noted"), [("before", "0001"), ("after", "0002"), ("none", "")])
def test_what_the_log_counts(log: str, noted: str) -> None:
    card = purse(log=log)
    debit(card, initialize(card))
    answer = send(card, "00B201C417")
    assert answer == "6A82" if log == "none" else answer[:4] == noted
    with pytest.raises(ValueError, match="log is before, after or none"):
        cards.make("tunion", log="never")


def test_a_wrong_mac2_is_a_debit_all_the_same() -> None:
    card = purse(wrong_mac2=True)
    opened = initialize(card)
    answer = debit(card, opened)
    session = keys.session_key(card.keys.purchase, opened[11:15], 1, SERIAL, 1)
    right = keys.mac(session, keys.confirmation_data(200), 1)
    assert answer[4:8] != right and answer[4:7] == right[:3]
    assert card.balance == 4800


# Tears

_WALK = {
    "ppse": "00A404000E325041592E5359532E444446303100",
    "select": SELECT,
    "public": "00B0950000",
    "holder": "00B0960000",
    "administration": "00B0970000",
    "log": "00B201C400",
    "trip": "00B201F400",
    "composite": "00B201D480",
    "balance": "805C000204",
    "init": "805003020B01000000C83000890003400F",
    "cache": "80DC00F030" + "00" * 48,
    "debit": "805401000F" + "00" * 15 + "08",
    "proof": "805A000602000208",
}


def test_every_step_is_known_by_its_command() -> None:
    assert {name: step_of(bytes.fromhex(text)) for name, text in _WALK.items()} == {
        name: name for name in STEPS
    }
    assert step_of(bytes.fromhex("00DC01D401FF")) == step_of(b"\x00") == ""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_torn_card_is_mute_until_it_lost_its_power(step: str, moment: str) -> None:
    card = cards.make("tunion", tear=f"{step}:{moment}")
    answers = []
    for text in _WALK.values():
        answers.append(card.apdu(bytes.fromhex(text)))
        if answers[-1] == b"":
            break
    assert len(answers) == list(_WALK).index(step) + 1
    assert card.apdu(bytes.fromhex(SELECT)) == b""
    card.power_off()
    assert card.apdu(bytes.fromhex(SELECT))[-2:] == b"\x90\x00"
    for text in _WALK.values():
        assert card.apdu(bytes.fromhex(text)) != b""


@pytest.mark.parametrize("kind", ["01", "03"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_torn_debit_happened_as_a_whole_or_not_at_all(moment: str, kind: str) -> None:
    card = purse(tear=f"debit:{moment}")
    whole = purse()
    changed = {}
    for one in (card, whole):
        opened = initialize(one, kind=kind)
        if kind == "03":
            assert send(one, "80DC00F030" + trip().pack().hex()) == "9000"
            assert send(one, "80DC02D080" + boarding().pack().hex()) == "9000"
        changed[one] = (one.memory.contents, debit(one, opened, 200, {"01": 6, "03": 9}[kind]))
    before, answer = changed[card]
    assert answer == b"" and changed[whole][1][-2:] == b"\x90\x00"
    assert card.memory.contents == (whole.memory.contents if moment == "after" else before)
    assert (card.balance, card.counter) == ((4800, 2) if moment == "after" else (5000, 1))
    card.power_off()
    send(card, SELECT)
    proof = send(card, f"805A00{6 if kind == '01' else 9:02X}02000208")
    assert (proof == "9406") == (moment != "after")


def test_which_occurrence_is_torn() -> None:
    card = purse(tear="cache#2:before")
    opened = initialize(card, kind="03")
    assert send(card, "80DC00F030" + trip().pack().hex()) == "9000"
    assert send(card, "80DC02D080" + boarding().pack().hex()) == ""
    assert card.torn
    card.power_off()
    send(card, SELECT)
    assert debit(card, opened, 200, 9) == b"\x69\x85"


def test_what_is_wrong_with_a_tear_is_said() -> None:
    assert Tear.parse("debit") == Tear("debit", "after", 1)
    with pytest.raises(ValueError, match="tear is at one of ppse, .*debit.*'leap'"):
        cards.make("tunion", tear="leap")
    with pytest.raises(ValueError, match="before, during, after its step, not 'soon'"):
        cards.make("tunion", tear="debit:soon")
    with pytest.raises(ValueError, match="tear is at one of"):
        cards.make("tunion", tear="debit#0")


# State on disk


def test_a_card_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    card = purse(state=str(file), tear="debit:after")
    assert not file.exists()
    assert debit(card, initialize(card)) == b""
    again = purse(state=str(file))
    assert again.memory.contents == card.memory.contents and again.balance == 4800
    assert debit(again, initialize(again))[-2:] == b"\x90\x00"
    assert purse(state=str(file)).counter == 3
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    with pytest.raises(ValueError, match="state of another card"):
        cards.make("tunion", seed=99, state=str(file))
    file.write_text("{}")
    with pytest.raises(ValueError, match="does not hold a purse card's state"):
        cards.make("tunion", state=str(file))


# Every card, any bytes

_INS = st.sampled_from([0x50, 0x54, 0xDC, 0x5A, 0x5C, 0xA4, 0xB0, 0xB2])


@settings(deadline=None, max_examples=150)
@given(
    commands=st.lists(
        st.tuples(st.sampled_from([0x00, 0x80]), _INS, st.binary(min_size=3, max_size=40)),
        max_size=8,
    )
)
def test_nobody_without_the_key_takes_money(commands: list[tuple[int, int, bytes]]) -> None:
    card = purse()
    for cla, ins, rest in commands:
        assert len(card.apdu(bytes([cla, ins]) + rest)) >= 2
    assert (card.balance, card.counter, card.debits) == (5000, 1, ())


def test_a_phone_has_another_uid_each_time() -> None:
    phone = cards.make("tunion-phone")
    seen = set()
    for _ in range(5):
        assert len(phone.uid) == 4 and phone.uid[0] == 0x08
        seen.add(phone.uid)
        phone.power_off()
    assert len(seen) == 5
