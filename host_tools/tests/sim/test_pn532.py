"""The simulated PN532 byte for byte, in virtual time, in good health."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.chips.uart import resample
from faretap.sim.virtual_time import Wire

ACK = bytes.fromhex("0000FF00FF00")
NACK = bytes.fromhex("0000FFFF0000")
ERROR = bytes.fromhex("0000FF01FF7F8100")
WAKE = bytes.fromhex("5555") + bytes(14)


def _frame(body: bytes) -> bytes:
    size = len(body)
    if size > 255:
        head = bytes([0xFF, 0xFF, size >> 8, size & 0xFF, (-(size >> 8) - (size & 0xFF)) & 0xFF])
    else:
        head = bytes([size, (256 - size) & 0xFF])
    return b"\x00\x00\xff" + head + body + bytes([(256 - sum(body) % 256) % 256, 0x00])


def CMD(text: str) -> bytes:
    return _frame(b"\xd4" + bytes.fromhex(text))


def RSP(text: str) -> bytes:
    return _frame(b"\xd5" + bytes.fromhex(text))


VERSION = RSP("03 32010607")
SELECT = "00A4040008A00000063201010500"
LIST_TWO = CMD("4A 02 00")
NOTHING = RSP("4B 00")


class Bench(Wire):
    """An awake and configured chip, with four polls to a list command."""

    def __init__(self, **options: Any) -> None:
        self.chip = Pn532(**options)
        super().__init__(self.chip)
        self.ask(WAKE + CMD("14 01 00 00"))
        self.ask(CMD("32 05 FF 01 03"))

    def tap(self, name: str = "tunion", **options: Any) -> Any:
        card = cards.make(name, uid=bytes.fromhex("01020304"))
        self.chip.field_present(card, **options)
        assert len(self.ask(LIST_TWO)) > len(ACK + NOTHING)
        return card


@pytest.fixture
def bench() -> Bench:
    return Bench()


# Wake-up and low-VBat


def test_a_sleeping_chip_loses_a_frame_without_wake_up() -> None:
    wire = Wire(Pn532())
    assert wire.ask(CMD("02")) == b""
    assert wire.ask(CMD("02")) == ACK + VERSION


@pytest.mark.parametrize("wake", [WAKE, b"\x55" + bytes(15), bytes(10)])
def test_every_drivers_wake_up_works(wake: bytes) -> None:
    assert Wire(Pn532()).ask(wake + CMD("02")) == ACK + VERSION


def test_four_rising_edges_do_not_wake() -> None:
    chip = Pn532()
    wire = Wire(chip)
    wire.ask(bytes(4))
    assert chip.asleep
    wire.ask(bytes(1))
    assert not chip.asleep


def test_radio_commands_wait_for_sam_configuration() -> None:
    wire = Wire(Pn532())
    wire.ask(WAKE)
    assert wire.ask(CMD("4A 01 00")) == ACK
    assert wire.ask(CMD("14 01 00 00")) == ACK + RSP("15")
    assert wire.ask(CMD("32 05 FF 01 00")) == ACK + RSP("33")
    assert wire.ask(CMD("4A 01 00")) == ACK + NOTHING


def test_power_loss_forgets_everything(bench: Bench) -> None:
    bench.ask(CMD("08 6305 40"))
    assert bench.ask(CMD("06 6305")) == ACK + RSP("07 40")
    bench.chip.power(False)
    assert bench.ask(WAKE + CMD("02")) == b""
    bench.chip.power(True)
    assert bench.chip.asleep
    assert bench.ask(WAKE + CMD("06 6305")) == ACK + RSP("07 00")


def test_power_down_sleeps_and_only_uart_wake_up_is_for_uart(bench: Bench) -> None:
    assert bench.ask(CMD("16 10")) == ACK + RSP("17 00")
    assert bench.chip.asleep
    assert bench.ask(WAKE + CMD("02")) == ACK + VERSION
    assert bench.ask(CMD("16 20")) == ACK + RSP("17 00")
    assert bench.ask(WAKE + CMD("02")) == b""


# Commands


@pytest.mark.parametrize(
    ("command", "response"),
    [
        ("02", "03 32010607"),
        ("04", "05 00 00 00 80"),
        ("00 00 466172", "01 00 466172"),
        ("00 01", "01 00"),
        ("00 02", "01 00"),
        ("00 06", "01 27"),
        ("00 07 20", "01 00"),
        ("12 14", "13"),
        ("32 01 01", "33"),
        ("32 02 000B0A", "33"),
        ("40 01 00A4", "41 27"),
        ("44 01", "45 27"),
        ("52 00", "53 00"),
        ("54 01", "55 27"),
    ],
)
def test_command_and_response(bench: Bench, command: str, response: str) -> None:
    assert bench.ask(CMD(command)) == ACK + RSP(response)


@pytest.mark.parametrize("command", ["99", "4A 03 00", "32 77", "06 63", "14 00", "00", "00 09"])
def test_what_the_chip_does_not_understand_is_an_error_frame(bench: Bench, command: str) -> None:
    assert bench.ask(CMD(command)) == ACK + ERROR


def test_the_longest_frame_comes_back_in_the_line_test(bench: Bench) -> None:
    data = "0000" + bytes(range(250)).hex() + bytes(11).hex()
    assert len(CMD("00" + data)) == 265 + 10
    assert bench.ask(CMD("00" + data)) == ACK + RSP("01" + data)


def test_frames_for_nobody_are_ignored(bench: Bench) -> None:
    assert bench.ask(RSP("02")) == b""
    broken = bytearray(CMD("02"))
    broken[-2] ^= 1
    assert bench.ask(bytes(broken)) == b""


def test_nack_sends_the_last_response_again(bench: Bench) -> None:
    bench.ask(CMD("02"))
    assert bench.ask(NACK) == VERSION


def test_the_acknowledgement_comes_after_a_millisecond(bench: Bench) -> None:
    start = bench.time.now
    bench.ask(CMD("02"))
    assert bench.log[0][1] == ACK
    assert bench.log[0][0] == pytest.approx(start + 0.001)


def test_half_a_frame_is_forgotten_after_a_silence(bench: Bench) -> None:
    assert bench.ask(bytes.fromhex("0000FF20E0D440")) == b""
    assert bench.ask(CMD("02")) == ACK + VERSION


def test_the_rate_changes_after_the_hosts_ack(bench: Bench) -> None:
    assert bench.ask(CMD("10 07")) == ACK + RSP("11")
    assert bench.chip.baud == 115200
    bench.ask(ACK)
    assert bench.chip.baud == 921600
    assert bench.ask(CMD("02")) == b""
    bench.chip.set_line_baud(921600)
    bench.time.advance(0.1)
    assert bench.ask(CMD("02")) == ACK + VERSION


def test_bytes_at_a_wrong_rate_are_garbage(bench: Bench) -> None:
    bench.chip.baud = 57600
    heard = resample(CMD("02"), 115200, 57600)
    assert heard and heard != CMD("02")
    assert resample(CMD("02"), 115200, 117000) == CMD("02")


# Cards


def test_a_listed_card_byte_for_byte(bench: Bench) -> None:
    bench.chip.field_present(cards.make("empty", uid=bytes.fromhex("33F04A81")))
    assert bench.ask(LIST_TWO) == ACK + RSP("4B 01 01 0004 20 04 33F04A81 0578807002")


def test_without_automatic_rats_there_is_no_ats(bench: Bench) -> None:
    bench.ask(CMD("12 00"))
    bench.chip.field_present(cards.make("empty", uid=bytes.fromhex("33F04A81")))
    assert bench.ask(LIST_TWO) == ACK + RSP("4B 01 01 0004 20 04 33F04A81")


def test_a_mifare_card_is_listed_without_ats_and_refuses_authentication(bench: Bench) -> None:
    bench.chip.field_present(cards.make("mifare"))
    assert bench.ask(LIST_TWO) == ACK + RSP("4B 01 01 0004 08 04 5A17C3E9")
    assert bench.ask(CMD("40 01 60 00 FFFFFFFFFFFF 5A17C3E9")) == ACK + RSP("41 14")
    assert bench.ask(CMD("40 01 00A40400")) == ACK + RSP("41 01")


def test_only_the_wanted_uid_answers(bench: Bench) -> None:
    bench.chip.field_present(cards.make("tunion", uid=bytes.fromhex("04112233445566")))
    assert bench.ask(CMD("4A 01 00 88041122 33445599")) == ACK + NOTHING
    assert bench.ask(CMD("4A 01 00 88041122 33445566"))[6:].startswith(RSP("4B")[:3])
    assert len(bench.chip.field.targets) == 1


def test_a_finite_poll_ends_by_itself_after_its_retries(bench: Bench) -> None:
    start = bench.time.now
    assert bench.ask(LIST_TWO) == ACK + NOTHING
    assert bench.log[-1][0] == pytest.approx(start + 0.001 + 4 * 0.005)


def test_other_modulations_find_nothing(bench: Bench) -> None:
    bench.chip.field_present(cards.make("tunion"))
    assert bench.ask(CMD("4A 01 03 00")) == ACK + NOTHING


def test_an_endless_poll_waits_until_the_host_aborts(bench: Bench) -> None:
    bench.ask(CMD("32 05 FF 01 FF"))
    assert bench.ask(CMD("4A 01 00"), 60) == ACK
    assert bench.ask(ACK) == b""
    bench.chip.field_present(cards.make("tunion"))
    bench.time.advance(1)
    assert bench.sent == b""
    assert bench.ask(CMD("02")) == ACK + VERSION


def test_an_endless_poll_answers_when_a_card_comes(bench: Bench) -> None:
    bench.ask(CMD("32 05 FF 01 FF"))
    bench.ask(CMD("4A 01 00"), 60)
    bench.chip.field_present(cards.make("empty", uid=bytes.fromhex("33F04A81")))
    bench.time.advance(0.1)
    assert bench.sent[6:] == RSP("4B 01 01 0004 20 04 33F04A81 0578807002")


def test_a_new_command_replaces_the_running_one(bench: Bench) -> None:
    bench.ask(CMD("32 05 FF 01 FF"))
    bench.ask(CMD("4A 01 00"))
    assert bench.ask(CMD("02")) == ACK + VERSION
    bench.chip.field_present(cards.make("tunion"))
    bench.time.advance(1)
    assert bench.sent == ACK + VERSION


def test_an_apdu_takes_the_cards_own_time(bench: Bench) -> None:
    card = bench.tap("empty")
    start = bench.time.now
    assert bench.ask(CMD("40 01 00A4040000")) == ACK + RSP("41 00 6A82")
    assert bench.log[-1][0] > start + 0.001 + card.seconds
    assert card.commands == [bytes.fromhex("00A4040000")]


def test_a_command_in_two_parts_reaches_the_card_as_one(bench: Bench) -> None:
    card = bench.tap()
    assert bench.ask(CMD("40 41" + SELECT[:8])) == ACK + RSP("41 00")
    assert bench.ask(CMD("40 01" + SELECT[8:])).endswith(b"\x90\x00" + bench.sent[-2:])
    assert card.commands == [bytes.fromhex(SELECT)]


def test_an_answer_longer_than_a_frame_is_fetched_in_pieces(bench: Bench) -> None:
    class Long:
        uid, atqa, sak, seconds = b"\x01\x02\x03\x04", 0x0004, 0x20, 0.001
        ats = bytes.fromhex("0578807002")

        def apdu(self, command: bytes) -> bytes:
            return bytes(range(256)) + bytes(44)

        def power_off(self) -> None:
            return None

    bench.chip.field_present(Long())
    bench.ask(LIST_TWO)
    whole = bytes(range(256)) + bytes(44)
    assert bench.ask(CMD("40 01 00B0000000")) == ACK + RSP("41 40" + whole[:262].hex())
    assert bench.ask(CMD("40 01")) == ACK + RSP("41 00" + whole[262:].hex())


def test_the_field_going_off_resets_the_card(bench: Bench) -> None:
    bench.tap()
    bench.ask(CMD("40 01" + SELECT))
    bench.ask(CMD("32 01 00"))
    assert bench.ask(CMD("40 01 805C000204")) == ACK + RSP("41 27")
    bench.ask(LIST_TWO)
    assert bench.ask(CMD("40 01 805C000204")) == ACK + RSP("41 00 6D00")


def test_no_target_is_listed_after_a_field_reset(bench: Bench) -> None:
    bench.tap()
    bench.ask(CMD("32 01 00"))
    bench.ask(CMD("32 01 01"))
    assert bench.ask(CMD("40 01" + SELECT)) == ACK + RSP("41 27")
    assert bench.ask(CMD("04")) == ACK + RSP("05 27 01 00 80")


def test_release_and_select(bench: Bench) -> None:
    bench.tap()
    assert bench.ask(CMD("44 01")) == ACK + RSP("45 00")
    assert bench.ask(CMD("40 01" + SELECT)) == ACK + RSP("41 01")
    assert bench.ask(CMD("54 01")) == ACK + RSP("55 00")
    assert bench.ask(CMD("40 01" + SELECT))[6:][5:8] == bytes.fromhex("D54100")
    assert bench.ask(CMD("52 00")) == ACK + RSP("53 00")
    assert bench.ask(CMD("40 01" + SELECT)) == ACK + RSP("41 27")


def test_presence_check_sees_the_card_leave(bench: Bench) -> None:
    card = bench.tap()
    assert bench.ask(CMD("00 06")) == ACK + RSP("01 00")
    bench.chip.field_remove(card)
    assert bench.ask(CMD("00 06")) == ACK + RSP("01 01")
    assert bench.ask(LIST_TWO) == ACK + NOTHING


def test_general_status_counts_targets_and_the_last_error(bench: Bench) -> None:
    bench.tap()
    assert bench.ask(CMD("04")) == ACK + RSP("05 00 01 01 01000000 80")
    bench.chip.field_remove()
    bench.ask(CMD("40 01" + SELECT))
    assert bench.ask(CMD("04")) == ACK + RSP("05 01 01 01 01000000 80")


@pytest.mark.parametrize(("lose", "worked"), [("before", 1), ("after", 2)])
def test_a_card_armed_to_leave_leaves_at_that_apdu(bench: Bench, lose: Any, worked: int) -> None:
    card = bench.tap(lose_at_apdu=2, lose=lose)
    bench.ask(CMD("40 01" + SELECT))
    assert bench.ask(CMD("40 01 805C000204")) == ACK + RSP("41 01")
    assert len(card.commands) == worked
    assert bench.ask(LIST_TWO) == ACK + NOTHING


def test_a_card_taken_away_during_its_apdu_is_lost_after_working(bench: Bench) -> None:
    card = bench.tap("quickpass-debit")
    bench.part.receive(CMD("40 01" + SELECT))
    bench.time.advance(0.01)
    assert len(card.commands) == 1
    bench.chip.field_remove(card)
    assert bench.ask(b"") == RSP("41 01")


def test_without_time_everything_happens_at_once() -> None:
    chip = Pn532(time_scale=0)
    sent = bytearray()
    chip.attach(sent.extend, lambda delay, function: None)
    chip.receive(WAKE + CMD("14 01 00 00") + CMD("32 05 FF 01 00") + CMD("4A 01 00"))
    assert sent == ACK + RSP("15") + ACK + RSP("33") + ACK + NOTHING


def test_paced_bytes_leave_at_line_rate(bench: Bench) -> None:
    paced = Bench(paced=True)
    start = paced.time.now
    assert paced.ask(CMD("02")) == ACK + VERSION
    assert paced.log[0][0] == pytest.approx(start + 0.001 + 6 * 10 / 115200)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_kill_the_chip(pieces: list[bytes]) -> None:
    bench = Bench()
    for piece in pieces:
        bench.ask(piece, 0.2)
    bench.ask(ACK, 0.2)
    if bench.chip.baud == 115200 and not bench.chip.asleep:
        assert bench.ask(CMD("02")) == ACK + VERSION
