"""Each fault of the simulated PN532, byte for byte: what goes wrong, and that it ends."""

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim import cards
from faretap.sim.chips.pn532 import Pn532
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

    def arm(self, fault: str, **options: Any) -> None:
        self.chip.faults.arm(fault, **options)

    def tap(self, name: str = "tunion", **options: Any) -> Any:
        card = cards.make(name, uid=bytes.fromhex("01020304"))
        self.chip.field_present(card, **options)
        assert len(self.ask(LIST_TWO)) > len(ACK + NOTHING)
        return card


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_q01_asleep_again(bench: Bench) -> None:
    bench.arm("Q01")
    assert bench.ask(CMD("02")) == b""
    bench.arm("Q01")
    assert bench.ask(WAKE + CMD("4A 01 00")) == ACK


def test_q01_after_idle_time(bench: Bench) -> None:
    bench.arm("Q01", idle_ms=2000)
    assert bench.ask(CMD("02"), 1.9) == ACK + VERSION
    assert bench.ask(CMD("02"), 2.5) == ACK + VERSION
    assert bench.ask(CMD("02")) == b""


def test_q02_missing_acknowledgement_loses_the_frame_once(bench: Bench) -> None:
    bench.arm("Q02")
    assert bench.ask(CMD("02")) == b""
    assert bench.ask(CMD("02")) == ACK + VERSION


@pytest.mark.parametrize("delay_ms", [14, 16, 100, 1500])
def test_q02_late_acknowledgement(bench: Bench, delay_ms: int) -> None:
    bench.arm("Q02", delay_ms=delay_ms)
    start = bench.time.now
    assert bench.ask(CMD("02"), 2) == ACK + VERSION
    assert bench.log[0][0] == pytest.approx(start + delay_ms / 1000)


@pytest.mark.parametrize(("stray", "acks"), [(False, b""), (True, ACK)])
def test_q02_stray_acknowledgement_of_a_replaced_command(
    bench: Bench, stray: bool, acks: bytes
) -> None:
    bench.arm("Q02", delay_ms=100, stray=stray)
    bench.ask(CMD("12 14"), 0.05)
    assert bench.ask(CMD("02")) == ACK + VERSION + acks


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_q03_long_preamble(bench: Bench, extra: int) -> None:
    bench.arm("Q03", extra=extra)
    assert bench.ask(CMD("02")) == ACK + bytes(extra) + VERSION
    assert bench.ask(CMD("02")) == ACK + VERSION


def test_q04_orders(bench: Bench) -> None:
    bench.arm("Q04", order="burst")
    bench.ask(CMD("02"))
    assert [data for _, data in bench.log] == [ACK + VERSION]
    bench.arm("Q04", order="before")
    assert bench.ask(CMD("02")) == VERSION + ACK
    bench.arm("Q04", order="bytes")
    assert bench.ask(CMD("02")) == ACK + VERSION
    assert {len(data) for _, data in bench.log} == {1}


def test_q05_late_response_of_an_aborted_command(bench: Bench) -> None:
    bench.ask(CMD("32 05 FF 01 FF"))
    bench.arm("Q05", delay_ms=20)
    bench.ask(CMD("4A 01 00"))
    start = bench.time.now
    assert bench.ask(ACK) == NOTHING
    assert bench.log[0][0] == pytest.approx(start + 0.020)


def test_q05_the_last_response_again(bench: Bench) -> None:
    bench.ask(CMD("02"))
    bench.arm("Q05", kind="again")
    assert bench.ask(CMD("12 14")) == ACK + VERSION + RSP("13")


def test_q06_error_frame(bench: Bench) -> None:
    bench.arm("Q06", command=0x4A)
    assert bench.ask(CMD("02")) == ACK + VERSION
    assert bench.ask(LIST_TWO) == ACK + ERROR


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        ("lcs", "0000FF06FBD50332010607E800"),
        ("dcs", "0000FF06FAD50332010607E900"),
        ("tfi", "0000FF06FAD40332010607E900"),
        ("code", "0000FF06FAD50532010607E600"),
        ("length", "0000FF06FAD503320106E800"),
        ("extended", "0000FFFFFF0006FBD50332010607E800"),
    ],
)
def test_q07_damage_and_a_clean_repetition(bench: Bench, kind: str, wire: str) -> None:
    bench.arm("Q07", kind=kind)
    assert bench.ask(CMD("02")) == ACK + bytes.fromhex(wire)
    assert bench.ask(NACK) == VERSION


def test_q08_wrong_rate_until_power_comes_back(bench: Bench) -> None:
    bench.arm("Q08", baud=460800)
    assert bench.ask(CMD("02")) == b""
    bench.chip.set_line_baud(460800)
    bench.time.advance(0.1)
    assert bench.ask(CMD("02")) == ACK + VERSION
    bench.chip.power(False)
    bench.chip.power(True)
    bench.chip.set_line_baud(115200)
    assert bench.ask(WAKE + CMD("02")) == ACK + VERSION


def test_q09_bare_diagnose_byte(bench: Bench) -> None:
    bench.arm("Q09")
    assert bench.ask(CMD("00 01")) == ACK + bytes.fromhex("0000FF01FF000000")
    assert bench.ask(CMD("00 01")) == ACK + RSP("01 00")


def test_q10_no_target_and_no_answer(bench: Bench) -> None:
    bench.arm("Q10")
    assert bench.ask(LIST_TWO, 30) == ACK
    bench.ask(ACK)
    assert bench.ask(LIST_TWO) == ACK + NOTHING


def test_q16_dead_until_power_cycle(bench: Bench) -> None:
    bench.arm("Q16")
    assert bench.ask(CMD("02")) == b""
    assert bench.ask(WAKE + CMD("02")) == b""
    bench.chip.power(False)
    bench.chip.power(True)
    assert bench.ask(WAKE + CMD("02")) == ACK + VERSION


@pytest.mark.parametrize(("when", "worked"), [("before", 1), ("after", 2)])
def test_q20_card_leaves(bench: Bench, when: str, worked: int) -> None:
    card = bench.tap()
    bench.arm("Q20", when=when, status=0x2B, skip=1)
    bench.ask(CMD("40 01" + SELECT))
    assert bench.ask(CMD("40 01 805C000204")) == ACK + RSP("41 2B")
    assert len(card.commands) == worked


def test_q21_the_same_card_misses_one_poll(bench: Bench) -> None:
    bench.tap()
    bench.arm("Q21")
    assert bench.ask(LIST_TWO) == ACK + NOTHING
    assert bench.ask(LIST_TWO) != ACK + NOTHING


def test_q22_two_targets(bench: Bench) -> None:
    bench.chip.field_present(cards.make("empty", uid=bytes.fromhex("33F04A81")))
    bench.arm("Q22")
    assert bench.ask(LIST_TWO) == ACK + RSP(
        "4B 02 01 0004 20 04 33F04A81 0578807002 02 0004 20 04 C0FFEE22 0578807002"
    )


def test_q22_two_real_cards_need_no_fault(bench: Bench) -> None:
    bench.chip.field_present(cards.make("empty", uid=bytes.fromhex("33F04A81")))
    bench.chip.field_present(cards.make("mifare"))
    assert bench.ask(LIST_TWO) == ACK + RSP(
        "4B 02 01 0004 20 04 33F04A81 0578807002 02 0004 08 04 5A17C3E9"
    )
    assert bench.ask(CMD("4A 01 00")) == ACK + RSP("4B 01 01 0004 20 04 33F04A81 0578807002")


def test_q22_collision_status(bench: Bench) -> None:
    bench.tap()
    bench.arm("Q22", kind="collision")
    assert bench.ask(CMD("40 01" + SELECT)) == ACK + RSP("41 06")


def test_q26_wrong_context(bench: Bench) -> None:
    bench.tap()
    bench.arm("Q26")
    assert bench.ask(CMD("40 01" + SELECT)) == ACK + RSP("41 27")
    assert bench.ask(CMD("40 01" + SELECT)) != ACK + RSP("41 27")


def test_q27_answers_in_pieces(bench: Bench) -> None:
    bench.tap()
    bench.ask(CMD("40 01" + SELECT))
    bench.arm("Q27", size=4)
    assert bench.ask(CMD("40 01 805C000204")) == ACK + RSP("41 40 00001388")
    assert bench.ask(CMD("40 01")) == ACK + RSP("41 00 9000")


def test_q34_over_current_switches_the_field_off(bench: Bench) -> None:
    bench.tap()
    bench.arm("Q34")
    assert bench.ask(CMD("40 01" + SELECT)) == ACK + RSP("41 2D")
    assert not bench.chip.field.on


def test_faults_count_and_are_checked(bench: Bench) -> None:
    bench.arm("Q03", extra=1, times=2, skip=1)
    lengths = [len(bench.ask(CMD("02"))) for _ in range(4)]
    assert [n - min(lengths) for n in lengths] == [0, 1, 1, 0]
    assert bench.chip.faults.struck == {"Q03": 2}
    with pytest.raises(ValueError, match="no fault Q99"):
        bench.arm("Q99")
    with pytest.raises(ValueError, match="no option count"):
        bench.arm("Q03", count=1)
    with pytest.raises(ValueError, match="one of lcs, dcs"):
        bench.arm("Q07", kind="colour")
