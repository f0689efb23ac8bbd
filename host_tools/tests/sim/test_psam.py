"""The simulated PSAM: commands, keys that fit the simulated cards, and T=0 byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.cards.tunion import TUnion
from faretap.sim.chips.psam import Psam
from faretap.sim.chips.psam_slot import CLOCK, FAULTS, PsamSlot
from faretap.sim.virtual_time import Wire

MOMENT = "20260801120000"
TERMINAL_ID = "00B0960006"
DF = "00A40000028011"
CITY_DF = "00A40000021001"


def send(psam: Psam, text: str) -> str:
    return psam.apdu(bytes.fromhex(text)).hex().upper()


def at_work(df: str = DF, **options: Any) -> Psam:
    psam = Psam(at_once=True, **options)
    assert send(psam, df)[-4:] == "9000"
    return psam


def mac1_command(opened: bytes, card: TUnion, amount: int, kind: int, form: str) -> bytes:
    """8070 as the published table has it, for what INITIALIZE answered."""
    public = card.files[0x15]
    data = opened[11:15] + opened[4:6] + amount.to_bytes(4, "big") + bytes([kind])
    data += bytes.fromhex(MOMENT) + opened[9:11] + public[12:20] + public[:4] + b"\xff" * 4
    data = data[: int(form, 16)]
    return bytes.fromhex("80700000" + form) + data + b"\x08"


# Commands


def test_the_terminal_id_is_in_the_master_file() -> None:
    psam = Psam(terminal="123456789012")
    assert send(psam, TERMINAL_ID) == "1234567890129000"
    assert send(psam, "00B0960007") == "6C06"
    assert send(psam, "00B0950000")[8:20] == "123456789012"
    assert send(psam, DF) == "6115"
    assert send(psam, TERMINAL_ID) == "6A82"
    assert send(psam, "00A40000023F00")[:2] == "61"
    assert send(psam, TERMINAL_ID) == "1234567890129000"
    send(psam, DF)
    psam.reset()
    assert send(psam, TERMINAL_ID) == "1234567890129000"


def test_get_response_hands_out_what_was_announced_once() -> None:
    psam = Psam()
    assert send(psam, DF) == "6115"
    assert send(psam, "00C0000016") == "6C15"
    whole = send(psam, "00C0000015")
    assert whole[:4] == "6F13" and whole[-4:] == "9000"
    assert send(psam, "00C0000015") == "6985"
    send(psam, DF)
    part = send(psam, "00C0000004")
    assert part[-4:] == "6111"
    assert part[:-4] + send(psam, "00C0000011") == whole
    send(psam, DF)
    assert send(psam, TERMINAL_ID) == "6A82"
    assert send(psam, "00C0000015") == "6985"


@pytest.mark.parametrize(
    ("df", "command", "status"),
    [
        (DF, "00A4000002DF03", "6A82"),
        (DF, "00A40100023F00", "6A86"),
        (DF, "80A40000023F00", "6E00"),
        (DF, "00B0960006", "6A82"),
        (DF, "0070000024" + "00" * 36, "6E00"),
        (DF, "8070010024" + "00" * 36, "6A86"),
        (DF, "807000001C" + "00" * 28, "6700"),
        (DF, "8070000014" + "00" * 20, "6700"),
        (CITY_DF, "8070000024" + "00" * 36, "6700"),
        (DF, "8070000024" + "00" * 36, "6985"),
        (DF, "8070000024" + "00" * 10 + "06" + "00" * 7 + "0102" + "00" * 16, "9403"),
        (DF, "8070000024" + "00" * 10 + "06" + "00" * 7 + "0201" + "00" * 16, "9403"),
        (DF, "807200000400000000", "6985"),
        (DF, "00C0000008", "6985"),
        (DF, "00C0000100", "6A86"),
        (DF, "00840000", "6D00"),
        (DF, "00B016", "6700"),
        (DF, "00B0160006", "6986"),
        ("00A40000023F00", "8070000024" + "00" * 36, "6985"),
    ],
)
def test_refusals(df: str, command: str, status: str) -> None:
    psam = at_work(df)
    assert send(psam, command) == status
    assert psam.serial == 1


def test_directories_by_name_and_those_that_are_not_there() -> None:
    psam = Psam(directories=("1001",))
    assert send(psam, DF) == "6A82"
    assert send(psam, "00A404000D" + b"CITY.PURCHASE".hex())[:2] == "61"
    assert psam.directory == "1001"
    with pytest.raises(ValueError, match="no directory 9999: choose of 8011, 1001"):
        Psam(directories=("9999",))
    with pytest.raises(ValueError, match="12 digits"):
        Psam(terminal="12")


# Card and PSAM understand each other


@pytest.mark.parametrize("kind", ["single", "composite"])
@pytest.mark.parametrize(
    ("name", "df", "form"),
    [
        ("tunion", DF, "24"),
        ("tunion-sm4", DF, "24"),
        ("tunion-city", CITY_DF, "1C"),
        ("tunion-city-14", CITY_DF, "14"),
    ],
)
def test_a_purchase_with_a_psam(name: str, df: str, form: str, kind: str) -> None:
    card = cards.make(name)
    assert isinstance(card, TUnion)
    psam = at_work(df, serial=0x00012345)
    assert (
        card.apdu(b"\x00\xa4\x04\x00" + bytes([len(card._aid)]) + card._aid + b"\x00")[0] == 0x6F
    )
    p1, number = ("01", 6) if kind == "single" else ("03", 9)
    opened = card.apdu(bytes.fromhex(f"8050{p1}020B01000000C8300089000340") + b"\x0f")
    answer = psam.apdu(mac1_command(opened, card, 200, number, form))
    assert answer[-2:] == b"\x90\x00" and answer[:4].hex() == "00012345"
    debit = bytes.fromhex("805401000F") + answer[:4] + bytes.fromhex(MOMENT) + answer[4:8]
    paid = card.apdu(debit + b"\x08")
    assert paid[-2:] == b"\x90\x00" and card.balance == 4800
    assert psam.apdu(bytes.fromhex("8072000004") + paid[4:8]) == b"\x90\x00"
    # Once: a check that may be repeated would be an oracle.
    assert psam.apdu(bytes.fromhex("8072000004") + paid[4:8]) == b"\x69\x85"


def test_an_issuer_that_is_padded_wrongly_gives_another_mac() -> None:
    card = cards.make("tunion")
    assert isinstance(card, TUnion)
    card.apdu(bytes.fromhex("00A4040008A00000063201010500"))
    opened = card.apdu(bytes.fromhex("805001020B01000000C8300089000340") + b"\x0f")
    command = mac1_command(opened, card, 200, 6, "24")
    right = at_work().apdu(command)
    wrong = at_work().apdu(command[:-5] + card.files[0x15][4:8] + b"\x08")
    assert right[:4] == wrong[:4] and right[4:8] != wrong[4:8]


def open_session(psam: Psam) -> None:
    card = cards.make("tunion")
    assert isinstance(card, TUnion)
    card.apdu(bytes.fromhex("00A4040008A00000063201010500"))
    opened = card.apdu(bytes.fromhex("805001020B01000000C8300089000340") + b"\x0f")
    assert psam.apdu(mac1_command(opened, card, 200, 6, "24"))[-2:] == b"\x90\x00"


def test_serial_numbers_go_up_whatever_becomes_of_the_purchase() -> None:
    psam = at_work(serial=41)
    for expected in (42, 43, 44):
        open_session(psam)
        assert psam.serial == expected
        psam.reset()
        send(psam, DF)
    full = at_work(serial=1 << 32)
    card_data = "00" * 10 + "06" + "00" * 7 + "0101" + "00" * 16
    assert send(full, "8070000024" + card_data) == "9402"


def test_a_mac2_is_checked_right_behind_its_mac1() -> None:
    for between in (DF, "00A40000023F00"):
        psam = at_work()
        open_session(psam)
        send(psam, between)
        assert send(psam, "807200000400000000") == "6985"
    psam = at_work()
    open_session(psam)
    assert send(psam, "807200000300000000")[:4] == "6700"


def test_wrong_macs_block_a_directory() -> None:
    psam = at_work(tries=3)
    for left in (2, 1, 0):
        open_session(psam)
        assert send(psam, "807200000400000000") == f"63C{left}"
    card_data = "00" * 10 + "06" + "00" * 7 + "0101" + "00" * 16
    for _ in range(2):
        assert send(psam, "8070000024" + card_data) == "6983"
        assert send(psam, "807200000400000000") == "6983"
        psam.reset()
        send(psam, DF)


def test_a_right_mac2_sets_the_count_back() -> None:
    psam = at_work(tries=3)
    for _ in range(5):
        open_session(psam)
        assert send(psam, "807200000400000000") == "63C2"
        open_session(psam)
        assert psam._mac2 is not None
        assert send(psam, "8072000004" + psam._mac2.hex()) == "9000"


def test_a_psam_that_does_not_tell_its_tries_and_locks_with_9303() -> None:
    psam = at_work(tries=1, tells=False, locked=b"\x93\x03")
    open_session(psam)
    assert send(psam, "807200000400000000") == "9302"
    assert send(psam, "807200000400000000") == "9303"


def test_the_number_of_the_purchase_key() -> None:
    assert send(at_work(key_index=2), "00B0970001") == "029000"
    assert send(at_work(key_index=None), "00B0970001") == "6A82"


def test_a_directory_that_insists_on_the_cards_code() -> None:
    psam = Psam(authentication=True)
    send(psam, "00A40000021001")
    mac1 = "807000001C" + "00" * 10 + "06" + "00" * 7 + "0101" + "00" * 8
    code = "80CA000009" + "11" * 9
    assert send(psam, mac1) == "6985"
    assert send(psam, code) == "9000" and send(psam, mac1) == "6108"
    assert send(psam, mac1) == "6985"  # good for one
    assert send(psam, "80CA00000411111111") == "6700"
    send(psam, DF)
    assert send(psam, code) == "6D00"


# T=0


class Slot:
    """A slot on a wire in virtual time, with the terminal's side of T=0 by hand."""

    def __init__(self, **options: Any) -> None:
        self.psam = Psam(serial=0x55)
        self.slot = PsamSlot(self.psam, echo=False, **options)
        self.wire = Wire(self.slot)
        self.slot.set_line_baud(9600)

    def on(self) -> str:
        self.wire.sent.clear()
        self.slot.reset(1)
        self.wire.time.advance(0.5)
        return bytes(self.wire.sent).hex().upper()

    def ask(self, text: str, seconds: float = 1.0) -> str:
        return self.wire.ask(bytes.fromhex(text), seconds).hex().upper()


def test_answers_to_reset() -> None:
    assert Slot().on() == "3B1713" + b"FARETAP".hex().upper()
    assert Slot(ta1=None).on() == "3B07" + b"FARETAP".hex().upper()
    checked = bytes.fromhex(Slot(check=True, ta1=0x18, historical=b"").on())
    assert checked[:-1].hex() == "3b90188001"
    total = 0
    for byte in checked[1:]:
        total ^= byte
    assert total == 0
    with pytest.raises(ValueError, match="TA1 7f"):
        PsamSlot(Psam(), ta1=0x7F)


def test_the_inverse_convention_is_turned_and_inverted() -> None:
    slot = Slot(inverse=True, ta1=None, historical=b"")
    assert slot.on() == "03FF"  # 3F 00
    turned = bytes(int(f"{b ^ 0xFF:08b}"[::-1], 2) for b in bytes.fromhex(TERMINAL_ID))
    answer = bytes.fromhex(slot.ask(turned.hex()))
    back = bytes(int(f"{b ^ 0xFF:08b}"[::-1], 2) for b in answer)
    assert back.hex() == "b0" + "300089000340" + "9000"


def test_nothing_answers_without_reset_clock_or_power() -> None:
    slot = Slot()
    assert slot.ask(TERMINAL_ID) == ""
    slot.slot.set_clock(0)
    assert slot.on() == ""
    slot.slot.reset(0)
    slot.slot.set_clock(CLOCK)
    slot.slot.power(False)
    assert slot.on() == ""
    slot.wire.sent.clear()
    slot.slot.power(True)  # RST is high already
    slot.wire.time.advance(0.5)
    assert bytes(slot.wire.sent)[:1] == b"\x3b"
    assert PsamSlot().present is False


def test_commands_over_t0() -> None:
    slot = Slot()
    slot.on()
    assert slot.ask(TERMINAL_ID) == "B03000890003409000"
    assert slot.ask("00B0960007") == "6C06"
    assert slot.ask("00A4000002") == "A4"
    assert slot.ask("8011") == "6115"
    assert slot.ask("00C0000015")[:6] == "C06F13"
    assert slot.ask("8072000004") == "72"
    assert slot.ask("00000000") == "6985"
    assert slot.ask("0060000000") == "6D00"
    slot.slot.reset(0)
    assert slot.ask(TERMINAL_ID) == ""
    assert slot.on()[:2] == "3B"
    assert slot.ask(TERMINAL_ID) == "B03000890003409000"
    assert slot.slot.resets == 2


def test_one_byte_at_a_time() -> None:
    slot = Slot(single=True)
    slot.on()
    assert slot.ask(TERMINAL_ID) == "4F304F004F894F004F034F409000"
    assert slot.ask("00A4000002") == "5B"
    assert slot.ask("80") == "5B"
    assert slot.ask("11") == "6115"


@pytest.mark.parametrize("pieces", [1, 2, 3, 4])
def test_pps(pieces: int) -> None:
    slot = Slot(ta1=0x13)
    slot.on()
    request = bytes.fromhex("FF1013FC")
    answer = b""
    for start in range(0, 4, pieces):
        answer += slot.wire.ask(request[start : start + pieces])
    assert answer == request
    assert slot.slot.baud == 38400
    assert slot.ask(TERMINAL_ID) != "B03000890003409000"  # at the old rate: garbage
    slot = Slot(ta1=0x13)
    slot.on()
    slot.ask("FF1013FC")
    slot.slot.set_line_baud(38400)
    assert slot.ask(TERMINAL_ID) == "B03000890003409000"
    slot.slot.reset(0)
    slot.slot.set_line_baud(9600)
    assert slot.on()[:2] == "3B"


def test_pps_that_is_not_taken() -> None:
    slot = Slot(ta1=0x13)
    slot.on()
    assert slot.ask("FF1018F7") == "FF00FF"  # another rate than its own: the old one stays
    assert slot.slot.baud == 9600 and slot.ask(TERMINAL_ID)[:2] == "B0"
    for damaged in ("FF1013FD", "FF1113FD"):  # wrong check, T=1
        slot = Slot(ta1=0x13)
        slot.on()
        assert slot.ask(damaged) == "" and slot.ask(TERMINAL_ID) == ""
    slot = Slot(ta1=0x13)
    slot.on()
    slot.ask(TERMINAL_ID)
    assert slot.ask("FF1013FC00") == "6D00"  # too late for a PPS: a command that nobody knows
    assert slot.slot.baud == 9600


def test_an_echo_comes_first() -> None:
    slot = PsamSlot(Psam())
    wire = Wire(slot)
    slot.set_line_baud(9600)
    slot.reset(1)
    wire.time.advance(0.5)
    assert wire.ask(bytes.fromhex(TERMINAL_ID)).hex() == "00b0960006" + "b0" + "3000890003409000"


# Faults


def test_every_fault_can_be_armed() -> None:
    for name in FAULTS:
        PsamSlot(Psam()).faults.arm(name)
    with pytest.raises(ValueError, match="no fault melted"):
        PsamSlot(Psam()).faults.arm("melted")


def test_faults_of_the_answer_to_reset() -> None:
    for kind, answer in (
        ("start", "5517"),
        ("cut", "3B171346"),
        ("noise", None),
        ("check", None),
    ):
        slot = Slot()
        slot.slot.faults.arm("bad_atr", kind=kind)
        got = slot.on()
        assert got != "3B1713" + b"FARETAP".hex().upper()
        if answer is not None:
            assert got.startswith(answer)
        slot.slot.reset(0)
        assert slot.on() == "3B1713" + b"FARETAP".hex().upper()
    slot = Slot()
    slot.slot.faults.arm("no_atr")
    assert slot.on() == ""


def test_faults_of_pps() -> None:
    for kind, answer in (("silent", ""), ("old", "FF00FF"), ("wrong", "FF1013BC")):
        slot = Slot()
        slot.on()
        slot.slot.faults.arm("pps", kind=kind)
        assert slot.ask("FF1013FC") == answer


def test_faults_of_commands() -> None:
    def fault(name: str, **options: Any) -> str:
        slot = Slot()
        slot.on()
        slot.slot.faults.arm(name, **options)
        got = slot.ask(TERMINAL_ID, seconds=5.0)
        assert slot.slot.faults.struck == {name: 1}
        return got

    whole = "B03000890003409000"
    assert fault("nulls", count=4) == "60" * 4 + whole
    assert fault("procedure", byte=0x01) == "01"
    assert fault("status", sw="6F00") == "6F00"
    assert fault("short", size=3) == whole[:6]
    assert fault("silent", ins=0xB0) == ""
    assert fault("parity_out", at_byte=1) == "B020" + whole[4:]
    assert fault("parity_in", skip=4) == ""
    slow = fault("slow", ms=3000)
    assert slow.endswith(whole) and set(slow[: -len(whole)]) == set("60")
    assert fault("slow", ms=3000, nulls=False) == whole


def test_nulls_keep_the_work_waiting_time() -> None:
    slot = Slot()
    slot.on()
    slot.slot.faults.arm("slow", ms=3000)
    slot.ask(TERMINAL_ID, seconds=5.0)
    moments = [at for at, _ in slot.wire.log]
    waiting = 960 * 10 * 372 / CLOCK
    started = slot.wire.time.now - 5.0
    gaps = [b - a for a, b in zip([started, *moments], moments, strict=False)]
    assert max(gaps) < waiting
    assert moments[-1] - started == pytest.approx(3.0)


def test_a_byte_that_was_lost_is_waited_for() -> None:
    slot = Slot()
    slot.on()
    slot.slot.faults.arm("parity_in", skip=2)
    assert slot.ask("00B09600") == ""
    assert slot.ask("06") == ""
    assert slot.ask("00") != ""  # four of them arrived: this one completes the header


@pytest.mark.parametrize("at_byte", range(14))
def test_pulled_out_at_every_byte(at_byte: int) -> None:
    slot = Slot()
    slot.on()
    slot.slot.faults.arm("removed", at_byte=at_byte)
    got = slot.ask(TERMINAL_ID)
    whole = "B03000890003409000"
    assert got == whole[: 2 * max(0, at_byte - 5)]
    assert slot.slot.present == (at_byte >= 5 + len(whole) // 2)
    if not slot.slot.present:
        slot.slot.reset(0)
        assert slot.on() == ""
        slot.slot.insert(slot.psam)
        slot.slot.reset(0)
        assert slot.on()[:2] == "3B"
        assert slot.ask(TERMINAL_ID) == whole


def test_serial_numbers_survive_a_removal() -> None:
    slot = Slot()
    slot.psam.serial = 99
    slot.slot.remove()
    slot.slot.insert(slot.psam)
    assert slot.psam.serial == 99


@settings(deadline=None, max_examples=100)
@given(noise=st.lists(st.binary(min_size=1, max_size=80), max_size=6))
def test_any_bytes_and_a_reset(noise: list[bytes]) -> None:
    slot = Slot()
    slot.on()
    for data in noise:
        slot.wire.ask(data)
    slot.slot.reset(0)
    slot.slot.set_line_baud(9600)
    assert slot.on() == "3B1713" + b"FARETAP".hex().upper()
    assert slot.ask(TERMINAL_ID) == "B03000890003409000"
