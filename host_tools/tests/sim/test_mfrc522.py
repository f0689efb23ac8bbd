"""The simulated MFRC522 register for register, in virtual time."""

from __future__ import annotations

import pytest

from faretap.sim import cards
from faretap.sim.chips import mfrc522_registers as reg
from faretap.sim.chips.picc_a import crc_a
from faretap.sim.chips.probe_card import Probe
from tests.sim.mfrc522_bench import Bench, Reader

A = bytes.fromhex("01020304")
ATS = bytes.fromhex("0578807002")


def card(uid: bytes = A) -> cards.Card:
    return cards.make("empty", uid=uid)


# Bus and registers


def test_version_and_reset_values() -> None:
    bench = Bench()
    expected = {0x01: 0x20, 0x02: 0x80, 0x04: 0x14, 0x07: 0x21, 0x0A: 0x00, 0x0B: 0x08}
    expected |= {0x0C: 0x10, 0x11: 0x3F, 0x14: 0x80, 0x18: 0x84, 0x1F: 0xEB, 0x21: 0xFF}
    expected |= {0x24: 0x26, 0x26: 0x48, 0x27: 0x88, 0x28: 0x20, 0x37: 0x92}
    assert {address: bench.read(address) for address in expected} == expected


def test_a_read_answers_one_byte_later_and_may_change_address() -> None:
    bench = Bench()
    assert bench.chip.transfer(bytes.fromhex("EE 82 94 00")) == bytes.fromhex("00 92 20 00")


def test_all_bytes_of_a_write_go_to_one_register() -> None:
    bench = Bench()
    bench.chip.transfer(bytes.fromhex("12 AA BB CC"))
    assert bench.read(reg.FIFO_LEVEL) == 3
    assert bench.chip.transfer(bytes.fromhex("92 92 92 00")) == bytes.fromhex("00 AA BB CC")
    assert bench.read(reg.FIFO_LEVEL) == 0


def test_reserved_and_read_only_bits_stay() -> None:
    bench = Bench()
    bench.write(reg.VERSION, 0x00)
    bench.write(reg.RF_CFG, 0xFF)
    bench.write(reg.STATUS2, 0x08)
    assert bench.read(reg.VERSION) == 0x92
    assert bench.read(reg.RF_CFG) == 0x78
    assert bench.read(reg.STATUS2) == 0x00


def test_the_chip_is_deaf_until_its_crystal_runs() -> None:
    bench = Bench()
    bench.chip.set_reset(0)
    assert bench.read(reg.VERSION) == 0x00
    bench.chip.set_reset(1)
    assert bench.read(reg.VERSION) == 0x00
    assert bench.read(reg.COMMAND) & reg.POWER_DOWN
    bench.time.advance(0.0011)
    assert bench.read(reg.VERSION) == 0x92
    assert not bench.read(reg.COMMAND) & reg.POWER_DOWN


def test_soft_reset_forgets_registers_and_field() -> None:
    bench = Reader(card())
    bench.write(reg.COMMAND, reg.SOFT_RESET)
    assert bench.read(reg.COMMAND) & reg.POWER_DOWN
    bench.time.advance(0.0001)
    assert bench.read(reg.TX_CONTROL) == 0x80
    assert not bench.chip.radio.on


def test_soft_power_down_and_waking() -> None:
    bench = Reader(card())
    bench.write(reg.COMMAND, reg.POWER_DOWN | reg.NO_CMD_CHANGE)
    assert not bench.chip.radio.on
    bench.write(reg.COMMAND, 0x00)
    assert bench.read(reg.COMMAND) == reg.POWER_DOWN
    bench.time.advance(0.0001)
    assert bench.read(reg.COMMAND) == 0x00
    assert bench.chip.radio.on


# FIFO and interrupts


def test_fifo_overflow_and_flush() -> None:
    bench = Bench()
    bench.write(reg.FIFO_DATA, *range(65))
    assert bench.read(reg.FIFO_LEVEL) == 64
    assert bench.read(reg.ERROR) == reg.BUFFER_OVFL
    assert bench.read(reg.COM_IRQ) & reg.ERR_IRQ
    bench.write(reg.FIFO_LEVEL, 0x80)
    assert bench.read(reg.FIFO_LEVEL) == 0
    assert bench.read(reg.ERROR) == 0


def test_water_levels() -> None:
    bench = Bench()
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.FIFO_DATA, *bytes(55))
    assert bench.read(reg.STATUS1) & 0x03 == 0
    bench.write(reg.FIFO_DATA, 0)
    assert bench.read(reg.STATUS1) & 0x03 == 0x02
    assert bench.read(reg.COM_IRQ) == reg.HI_ALERT_IRQ
    bench.fifo()
    assert bench.read(reg.COM_IRQ) == reg.HI_ALERT_IRQ | reg.LO_ALERT_IRQ


def test_set1_sets_or_clears_marked_bits() -> None:
    bench = Bench()
    bench.write(reg.COM_IRQ, 0x80 | 0x21)
    assert bench.read(reg.COM_IRQ) == 0x35
    bench.write(reg.COM_IRQ, 0x24)
    assert bench.read(reg.COM_IRQ) == 0x11


def test_irq_pin_follows_enabled_requests_and_inversion() -> None:
    bench = Bench()
    levels: list[int] = []
    bench.chip.on_irq = levels.append
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.COM_IEN, 0x80 | reg.TIMER_IRQ)
    assert bench.chip.irq == 1
    bench.write(reg.COM_IRQ, 0x80 | reg.TIMER_IRQ)
    assert bench.chip.irq == 0 and bench.read(reg.STATUS1) & 0x10
    bench.write(reg.COM_IEN, reg.TIMER_IRQ)
    assert bench.chip.irq == 1
    assert levels[-2:] == [0, 1]


def test_unknown_command_ends_at_once_and_idle_does_not_interrupt() -> None:
    bench = Bench()
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.COMMAND, reg.IDLE)
    assert bench.read(reg.COM_IRQ) == 0
    bench.write(reg.COMMAND, 0x05)
    assert bench.read(reg.COM_IRQ) == reg.IDLE_IRQ
    assert bench.read(reg.COMMAND) & 0x0F == reg.IDLE


def test_memory_command_both_ways() -> None:
    bench = Bench()
    bench.write(reg.FIFO_DATA, *range(25))
    bench.write(reg.COMMAND, reg.MEM)
    assert bench.read(reg.FIFO_LEVEL) == 0
    bench.write(reg.COMMAND, reg.GENERATE_RANDOM_ID)
    bench.write(reg.COMMAND, reg.MEM)
    memory = bench.fifo()
    assert memory[:10] != bytes(range(10)) and memory[10:] == bytes(range(10, 25))


# CRC coprocessor


@pytest.mark.parametrize(
    ("mode", "data", "high_low"),
    [
        (0x3D, "0000", "1EA0"),  # ISO/IEC 14443-3 annex B
        (0x3D, "1234", "CF26"),
        (0x3D, "5000", "CD57"),  # HLTA 50 00 57 CD
        (0x3F, "313233343536373839", "6F91"),  # CRC-16/MCRF4XX
        (0xBF, "313233343536373839", "29B1"),  # most significant bit first: CRC-16/IBM-3740
        (0x3C, "313233343536373839", "2189"),  # CRC-16/KERMIT
    ],
)
def test_crc_coprocessor(mode: int, data: str, high_low: str) -> None:
    bench = Bench()
    bench.write(reg.MODE, mode)
    bench.write(reg.DIV_IRQ, 0x04)
    bench.write(reg.FIFO_DATA, *bytes.fromhex(data))
    bench.write(reg.COMMAND, reg.CALC_CRC)
    assert not bench.read(reg.DIV_IRQ) & reg.CRC_IRQ
    bench.time.advance(0.001)
    assert bench.read(reg.DIV_IRQ) & reg.CRC_IRQ
    assert f"{bench.read(0x21):02X}{bench.read(0x22):02X}" == high_low
    assert bench.read(reg.COMMAND) & 0x0F == reg.CALC_CRC


def test_bytes_written_during_calc_crc_are_added() -> None:
    bench = Bench()
    bench.write(reg.MODE, 0x3D)
    bench.write(reg.COMMAND, reg.CALC_CRC)
    bench.write(reg.FIFO_DATA, 0x12)
    bench.time.advance(0.001)
    bench.write(reg.FIFO_DATA, 0x34)
    bench.time.advance(0.001)
    assert (bench.read(0x21), bench.read(0x22)) == (0xCF, 0x26)


@pytest.mark.parametrize(
    ("version", "genuine"), [(0x92, True), (0xB2, False), (0x88, False), (0x12, False)]
)
def test_self_test_tells_a_genuine_chip(version: int, genuine: bool) -> None:
    bench = Bench(version=version)
    bench.write(reg.FIFO_DATA, *bytes(25))
    bench.write(reg.COMMAND, reg.MEM)
    bench.write(reg.AUTO_TEST, 0x09)
    bench.write(reg.FIFO_DATA, 0x00)
    bench.write(reg.COMMAND, reg.CALC_CRC)
    result = bench.fifo()
    assert len(result) == 64
    assert result.startswith(bytes.fromhex("00EB66BA57BF2395")) is genuine


# Timer


def test_timer_counts_down_and_interrupts_at_its_moment() -> None:
    bench = Bench()
    bench.write(reg.T_MODE, 0x0D)
    bench.write(reg.T_PRESCALER, 0x3E)  # 6781 / 13.56 MHz = 0.5 ms
    bench.write(reg.T_RELOAD_L, 99)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.CONTROL, 0x40)
    bench.time.advance(0.025)
    assert bench.read(reg.STATUS1) & 0x08
    assert bench.read(reg.T_COUNTER_L) == pytest.approx(50, abs=1)
    bench.time.advance(0.0249)
    assert not bench.read(reg.COM_IRQ) & reg.TIMER_IRQ
    bench.time.advance(0.0002)
    assert bench.read(reg.COM_IRQ) & reg.TIMER_IRQ
    assert not bench.read(reg.STATUS1) & 0x08


def test_timer_restarts_by_itself_and_stops_on_demand() -> None:
    bench = Bench()
    bench.write(reg.T_MODE, 0x1D)
    bench.write(reg.T_PRESCALER, 0x3E)
    bench.write(reg.T_RELOAD_L, 9)
    bench.write(reg.CONTROL, 0x40)
    for _ in range(2):
        bench.write(reg.COM_IRQ, 0x7F)
        bench.time.advance(0.0051)
        assert bench.read(reg.COM_IRQ) & reg.TIMER_IRQ
    bench.write(reg.CONTROL, 0x80)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.time.advance(1)
    assert not bench.read(reg.COM_IRQ) & reg.TIMER_IRQ


@pytest.mark.parametrize("answered", [True, False])
def test_automatic_timer_runs_from_the_last_bit_to_the_answer(answered: bool) -> None:
    bench = Reader(*([card()] if answered else []))
    bench.write(reg.T_MODE, 0x8D)
    bench.write(reg.T_PRESCALER, 0x3E)
    bench.write(reg.T_RELOAD_L, 9)
    bench.ask("26", 7)
    irq = bench.read(reg.COM_IRQ)
    assert bool(irq & reg.TIMER_IRQ) is not answered
    assert bool(irq & reg.RX_IRQ) is answered


# Anticollision


def test_reqa_gives_atqa_at_its_time() -> None:
    bench = Reader(card())
    bench.send(b"\x26", 7)
    bench.time.advance(0.00008)
    assert not bench.read(reg.COM_IRQ) & reg.TX_IRQ  # nine bit times
    bench.time.advance(0.00001)
    assert bench.read(reg.COM_IRQ) & reg.TX_IRQ
    bench.time.advance(0.0003)
    assert bench.read(reg.COM_IRQ) & reg.RX_IRQ
    assert bench.fifo() == bytes.fromhex("0400")
    assert bench.read(reg.CONTROL) & 0x07 == 0


def test_no_card_no_answer() -> None:
    bench = Reader()
    assert bench.ask("26", 7) == b""
    assert bench.read(reg.COM_IRQ) & 0x70 == reg.TX_IRQ


@pytest.mark.parametrize("spoil", ["field", "ask", "bits", "early"])
def test_what_a_card_needs_to_hear(spoil: str) -> None:
    bench = Reader(card())
    if spoil == "field":
        bench.write(reg.TX_CONTROL, 0x80)
    elif spoil == "ask":
        bench.write(reg.TX_ASK, 0x00)
    elif spoil == "early":
        bench.write(reg.TX_CONTROL, 0x80)
        bench.write(reg.TX_CONTROL, 0x83)
        bench.time.advance(0.004)
    assert bench.ask("26", 8 if spoil == "bits" else 7) == b""


def test_uid_and_selection_of_one_card() -> None:
    bench = Reader(card())
    bench.ask("26", 7)
    assert bench.ask("9320") == bytes.fromhex("0102030404")
    assert bench.ask("9370 0102030404" + crc_a(bytes.fromhex("93700102030404")).hex()) == (
        b"\x20" + crc_a(b"\x20")
    )
    assert bench.block("E080") == ATS


def test_cascade_levels_of_a_long_uid() -> None:
    uid = bytes.fromhex("04112233445566")
    bench = Reader(card(uid))
    assert bench.ask("52", 7) == bytes.fromhex("4400")
    first = bench.ask("9320")
    assert first == bytes.fromhex("88041122") + bytes([0x88 ^ 0x04 ^ 0x11 ^ 0x22])
    frame = b"\x93\x70" + first
    assert bench.ask((frame + crc_a(frame)).hex())[:1] == b"\x04"
    second = bench.ask("9520")
    assert second[:4] == uid[3:]
    frame = b"\x95\x70" + second
    assert bench.ask((frame + crc_a(frame)).hex())[:1] == b"\x20"


def test_halted_card_hears_wupa_only() -> None:
    bench = Reader(card())
    bench.select(A)
    assert bench.ask("5000" + crc_a(b"\x50\x00").hex()) == b""
    assert bench.ask("26", 7) == b""
    assert bench.ask("52", 7) == bytes.fromhex("0400")


def test_wrong_crc_or_check_byte_is_not_selected() -> None:
    bench = Reader(card())
    bench.ask("26", 7)
    assert bench.ask("9370 0102030404 0000") == b""
    bench.ask("26", 7)
    bad = bytes.fromhex("93700102030405")
    assert bench.ask((bad + crc_a(bad)).hex()) == b""


def test_collision_is_placed_and_resolved_bit_by_bit() -> None:
    # 01 02 03 04 and 01 0A 03 04 differ in bit 12 of the level (the fourth of the second byte).
    bench = Reader(card(), card(bytes.fromhex("010A0304")))
    assert bench.ask("26", 7) == bytes.fromhex("0400")
    assert bench.ask("9320") == bytes.fromhex("0102000000")
    assert bench.read(reg.ERROR) & reg.COLL_ERR
    assert bench.read(reg.COLL) == 12
    # 12 known bits, the last one 1: NVB 34, four bits of the last byte, answer from bit 4 on.
    assert bench.ask("9334 010A", 4, 4) == bytes.fromhex("0003040C")
    assert not bench.read(reg.ERROR)
    assert bench.read(reg.COLL) & 0x20
    assert bench.ask("9334 0102", 4, 4) == bytes.fromhex("00030404")


def test_with_values_after_collision_both_cards_are_seen() -> None:
    bench = Reader(card(), card(bytes.fromhex("010A0304")))
    bench.ask("26", 7)
    bench.send(b"\x93\x20")
    bench.write(reg.COLL, 0x80)
    bench.time.advance(0.01)
    assert bench.fifo() == bytes.fromhex("010A03040C")
    assert bench.read(reg.COLL) == 0x80 | 12


def test_collision_position_counts_from_the_fifo_bit() -> None:
    bench = Reader(card(bytes.fromhex("10020304")), card(bytes.fromhex("90020304")))
    bench.ask("26", 7)
    bench.ask("9320")
    assert bench.read(reg.COLL) == 8
    bench.ask("9324 00", 4, 4)  # the answer begins at bit 4 of the FIFO's first byte
    assert bench.read(reg.COLL) == 8


def test_collision_in_atqa() -> None:
    bench = Reader(card(), card(bytes.fromhex("04112233445566")))
    bench.ask("26", 7)
    assert bench.read(reg.ERROR) == reg.COLL_ERR
    assert bench.read(reg.COLL) == 7


# ISO-DEP


def activated(*cards_: cards.Card, rats: str = "E080") -> Reader:
    bench = Reader(*cards_)
    bench.select(cards_[0].uid)
    bench.block(rats)
    return bench


def test_apdu_and_deselect() -> None:
    bench = activated(cards.make("empty"))
    assert bench.block("0200A4040000") == bytes.fromhex("026A82")
    assert bench.block("C2") == b"\xc2"
    assert bench.ask("26", 7) == b""
    assert bench.ask("52", 7) == bytes.fromhex("0400")


def test_a_card_in_iso_dep_is_deaf_to_polls_until_the_field_goes() -> None:
    bench = activated(cards.make("empty"))
    assert bench.ask("52", 7) == b""
    bench.write(reg.TX_CONTROL, 0x80)
    bench.write(reg.TX_CONTROL, 0x83)
    bench.time.advance(0.006)
    assert bench.ask("26", 7) == bytes.fromhex("0400")


def test_a_long_answer_overflows_a_fifo_that_nobody_empties() -> None:
    bench = activated(Probe())
    bench.send(bytes.fromhex("0280CA0050"), crc=True)
    bench.time.advance(0.05)
    assert bench.read(reg.FIFO_LEVEL) == 64
    assert bench.read(reg.ERROR) & reg.BUFFER_OVFL


def test_a_long_answer_drained_in_time() -> None:
    bench = activated(Probe())
    assert bench.block("0280CA00FB") == b"\x02" + bytes(range(251)) + b"\x90\x00"
    assert bench.read(reg.ERROR) == 0


def test_a_long_command_fed_while_it_is_sent() -> None:
    probe = Probe(size=0)
    bench = activated(probe)
    frame = b"\x02" + bytes(range(150))
    bench.send(frame[:50], crc=True)
    for at in range(50, len(frame), 10):
        bench.time.advance(0.0008)
        bench.write(reg.FIFO_DATA, *frame[at : at + 10])
    bench.time.advance(0.05)
    assert probe.commands == [frame[1:]]
    assert bench.fifo() == bytes.fromhex("029000")


def test_pps_changes_both_rates() -> None:
    bench = activated(Probe(rates=0x33))
    assert bench.block("D0 11 05") == b"\xd0"
    assert bench.block("0280CA0002") == b""
    for rate, answer in ((0x10, "02 00 01 90 00"), (0x20, "")):
        bench.write(reg.COMMAND, reg.IDLE)
        bench.write(reg.FIFO_LEVEL, 0x80)
        bench.write(reg.TX_MODE, 0x80 | rate)
        bench.write(reg.RX_MODE, 0x80 | rate)
        bench.write(reg.FIFO_DATA, *bytes.fromhex("0280CA0002"))
        bench.write(reg.COMMAND, reg.TRANSCEIVE)
        bench.write(reg.BIT_FRAMING, 0x80)
        bench.time.advance(0.05)
        assert bench.fifo() == bytes.fromhex(answer)


def test_an_answer_at_another_rate_is_not_received() -> None:
    bench = activated(Probe(rates=0x33))
    bench.block("D0 11 05")
    for rx_rate, answer in ((0x00, ""), (0x10, "03 00 90 00")):
        bench.write(reg.COMMAND, reg.IDLE)
        bench.write(reg.FIFO_LEVEL, 0x80)
        bench.write(reg.TX_MODE, 0x80 | 0x10)
        bench.write(reg.RX_MODE, 0x80 | rx_rate)
        bench.write(reg.FIFO_DATA, *bytes.fromhex("0280CA0001" if not rx_rate else "0380CA0001"))
        bench.write(reg.COMMAND, reg.TRANSCEIVE)
        bench.write(reg.BIT_FRAMING, 0x80)
        bench.time.advance(0.05)
        assert bench.fifo() == bytes.fromhex(answer)


def test_a_new_command_clears_the_errors_of_the_last() -> None:
    bench = Bench()
    bench.write(reg.FIFO_DATA, *bytes(65))
    bench.write(reg.COMMAND, reg.IDLE)
    assert bench.read(reg.ERROR) == 0


def test_a_restarting_timer_keeps_counting() -> None:
    bench = Bench()
    bench.write(reg.T_MODE, 0x10)  # the shortest: 74 ns a tick
    bench.write(reg.T_RELOAD_L, 0)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.CONTROL, 0x40)
    bench.time.advance(0.5)
    assert bench.read(reg.COM_IRQ) & reg.TIMER_IRQ
    assert bench.read(reg.STATUS1) & 0x08
    bench.write(reg.T_RELOAD_L, 99)
    bench.time.advance(0.001)
    values = set()
    for _ in range(20):
        bench.time.advance(0.0000023)
        values.add(bench.read(reg.T_COUNTER_L))
    assert len(values) > 5 and max(values) <= 99


def test_time_scale_stretches_an_answer_and_is_never_nothing() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Bench(time_scale=0)
    bench = Reader(card(), time_scale=10)
    bench.time.advance(0.06)
    assert bench.ask("26", 7, seconds=0.002) == b""
    bench.time.advance(0.003)
    assert bench.fifo() == bytes.fromhex("0400")


def test_mf_authent_goes_on_until_the_timer_and_sets_no_crypto() -> None:
    bench = Reader(cards.make("mifare"))
    bench.select(bytes.fromhex("5A17C3E9"))
    bench.write(reg.T_MODE, 0x8D)
    bench.write(reg.T_PRESCALER, 0x3E)
    bench.write(reg.T_RELOAD_L, 9)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.COMMAND, reg.IDLE)
    bench.write(reg.FIFO_DATA, 0x60, 0x04, *b"\xff" * 6, *bytes.fromhex("5A17C3E9"))
    bench.write(reg.COMMAND, reg.MF_AUTHENT)
    bench.time.advance(0.02)
    assert bench.read(reg.COM_IRQ) & (reg.TIMER_IRQ | reg.IDLE_IRQ) == reg.TIMER_IRQ
    assert not bench.read(reg.STATUS2) & 0x08
    bench.write(reg.FIFO_DATA, 0x00)
    assert bench.read(reg.ERROR) & reg.WR_ERR


def test_transmit_then_receive_ends_by_itself() -> None:
    bench = Reader(card())
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.BIT_FRAMING, 0x07)
    bench.write(reg.FIFO_DATA, 0x26)
    bench.write(reg.COMMAND, reg.TRANSMIT)
    bench.time.advance(0.0001)
    assert bench.read(reg.COM_IRQ) & (reg.TX_IRQ | reg.IDLE_IRQ) == reg.TX_IRQ | reg.IDLE_IRQ
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.COMMAND, reg.RECEIVE)
    bench.time.advance(0.001)
    assert bench.read(reg.COM_IRQ) & (reg.RX_IRQ | reg.IDLE_IRQ) == reg.RX_IRQ | reg.IDLE_IRQ
    assert bench.fifo() == bytes.fromhex("0400")


def test_a_card_that_leaves_and_comes_back_starts_anew() -> None:
    lying = cards.make("empty", uid=A)
    bench = activated(lying)
    bench.chip.field_remove(lying)
    assert bench.block("0200A4040000") == b""
    bench.chip.field_present(lying)
    bench.time.advance(0.006)
    assert bench.ask("26", 7) == bytes.fromhex("0400")


def test_lose_at_apdu_counts_commands_of_a_presentation() -> None:
    probe = Probe()
    bench = Reader()
    bench.chip.field_present(probe, lose_at_apdu=2, lose="after")
    bench.time.advance(0.006)
    bench.select(probe.uid)
    bench.block("E080")
    assert bench.block("0280CA0000") == bytes.fromhex("029000")
    assert bench.block("0380CA0001") == b""
    assert len(probe.commands) == 2
