"""Each fault of the catalogue that an MFRC522 or a card before it can have."""

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim import cards
from faretap.sim.chips import mfrc522_registers as reg
from faretap.sim.chips.picc_a import crc_a
from faretap.sim.chips.probe_card import Probe
from tests.sim.mfrc522_bench import Bench, Reader

GET = "0280CA00"
OK = bytes.fromhex("9000")


@pytest.fixture
def bench() -> Reader:
    """A selected and activated probe card."""
    probe = Probe()
    reader = Reader(probe)
    reader.select(probe.uid)
    reader.block("E080")
    return reader


def commands(bench: Reader) -> int:
    probe = bench.chip.radio.cards[0].presented.card
    assert isinstance(probe, Probe)
    return len(probe.commands)


def test_q15_too_fast_a_clock_loses_bits_by_seed() -> None:
    def run(seed: int, hertz: int) -> list[int]:
        bench = Bench()
        bench.chip.set_clock(hertz)
        bench.arm("Q15", above_hz=4_000_000, chance=0.05, seed=seed)
        return [bench.read(reg.VERSION) for _ in range(200)]

    assert set(run(1, 4_000_000)) == {0x92}
    lossy = run(1, 8_000_000)
    assert 5 < sum(value != 0x92 for value in lossy) < 60
    assert lossy == run(1, 8_000_000) != run(2, 8_000_000)


@pytest.mark.parametrize("until", ["reset", "power"])
def test_q16_dead_until(until: str) -> None:
    bench = Bench()
    bench.arm("Q16", until=until)
    bench.write(reg.COMMAND, reg.IDLE)
    assert bench.read(reg.VERSION) == 0x00
    bench.chip.set_reset(0)
    bench.chip.set_reset(1)
    bench.time.advance(0.01)
    assert (bench.read(reg.VERSION) == 0x92) is (until == "reset")
    bench.chip.power(False)
    bench.chip.power(True)
    bench.time.advance(0.01)
    assert bench.read(reg.VERSION) == 0x92


@pytest.mark.parametrize("at", range(18))
def test_q20_at_each_byte_of_an_exchange(bench: Reader, at: int) -> None:
    # Out: PCB, five bytes, CRC (8 bytes from 0 to 7). Back: PCB, 4 data, SW, CRC (9 bytes).
    probe = bench.chip.radio.cards[0].presented.card
    assert isinstance(probe, Probe)
    bench.arm("Q20", at_byte=at)
    got = bench.block("0280CA000400")
    whole = bytes.fromhex("02000102039000")
    assert len(probe.commands) == (0 if at < 8 else 1)
    if at <= 8:
        assert got == b"" and not bench.read(reg.COM_IRQ) & reg.RX_IRQ
    elif at < 17:
        assert whole.startswith(got) and got != whole
        assert bench.read(reg.ERROR) & reg.CRC_ERR
    else:
        assert got == whole
    assert bench.block("0380CA000400") == b""


def test_q21_every_second_presence_check_is_silent(bench: Reader) -> None:
    bench.block(GET + "00")
    bench.arm("Q21", every=2, times=0)
    answers = [bench.block("B3") for _ in range(6)]
    assert answers == [b"\xa2", b""] * 3


def test_q21_a_poll_is_missed() -> None:
    bench = Reader(Probe())
    bench.arm("Q21")
    assert bench.ask("52", 7) == b""
    assert bench.ask("52", 7) == bytes.fromhex("0400")


def test_q22_a_second_card_collides() -> None:
    bench = Reader(Probe())
    bench.arm("Q22")
    bench.ask("26", 7)
    bench.ask("9320")
    assert bench.read(reg.ERROR) == reg.COLL_ERR
    # 0B and C0: the first bit differs.
    assert bench.read(reg.COLL) == 1


def test_q22_collision_inside_an_exchange(bench: Reader) -> None:
    bench.arm("Q22", kind="collision")
    bench.block(GET + "01")
    assert bench.read(reg.ERROR) & reg.COLL_ERR


@pytest.mark.parametrize("size", [13, 14, 15, 255, 256, 4096])
def test_q23_long_answers_are_chained(size: int) -> None:
    probe = Probe()
    bench = Reader(probe)
    bench.select(probe.uid)
    bench.block("E000")  # FSD 16: 13 bytes a block
    bench.arm("Q23", size=size)
    got = bytearray()
    number = 0
    block = bench.block(GET + "00", 0.005)
    while True:
        assert block[0] & 0x0F == 0x02 | number and len(block) <= 14
        got += block[1:]
        if not block[0] & 0x10:
            break
        number ^= 1
        block = bench.block(f"{0xA2 | number:02X}", 0.005)
    assert bytes(got) == bytes(n & 0xFF for n in range(size)) + OK
    assert len(probe.commands) == 1


@pytest.mark.parametrize("wtxm", [0, 1, 59])
def test_q24_waiting_time_extension(bench: Reader, wtxm: int) -> None:
    bench.arm("Q24", wtxm=wtxm, count=2)
    request = bytes([0xF2, wtxm])
    assert bench.block(GET + "00") == request
    assert bench.block("B3") == b""  # another number
    assert bench.block(f"F2{wtxm ^ 2:02X}") == b""  # another time was asked for
    assert bench.block("B2") == request  # the request was lost: again
    assert bench.block(request.hex()) == request
    assert bench.block(request.hex()) == b"\x02" + OK
    assert commands(bench) == 1


def test_q24_endless(bench: Reader) -> None:
    bench.arm("Q24", count=0)
    bench.block(GET + "00")
    assert {bench.block("F201", 0.003) for _ in range(30)} == {b"\xf2\x01"}


def test_q24_fills_the_time_it_was_granted(bench: Reader) -> None:
    bench.arm("Q24", wtxm=2, fill=0.9)  # FWT 38.7 ms
    bench.block(GET + "00")
    assert bench.block("F202", 0.060) == b""
    bench.time.advance(0.020)
    assert bench.fifo() == b"\x02" + OK


def test_q24_inside_a_chain_and_after_a_nak(bench: Reader) -> None:
    bench.arm("Q24", when="chain")
    assert bench.block("1280CA") == b"\xf2\x01"
    assert bench.block("F201") == b"\xa2"
    bench.arm("Q24", when="nak")
    assert bench.block("030001") == b"\x03\x00" + OK
    assert bench.block("B3") == b"\xf2\x01"
    assert bench.block("F201") == b"\x03\x00" + OK


@pytest.mark.parametrize(
    ("kind", "answer", "repeated"),
    [
        ("number", "03 9000", "02 9000"),
        ("duplicate", "03 00 9000", "02 9000"),
        ("nak", "B2", "02 9000"),
        ("crc", "02 9000", "02 9000"),
        ("mute", "", "02 9000"),
    ],
)
def test_q25_wrong_blocks_and_a_right_repetition(
    bench: Reader, kind: str, answer: str, repeated: str
) -> None:
    bench.block(GET + "00")
    bench.block("0380CA0001")
    bench.arm("Q25", kind=kind)
    assert bench.block(GET + "00") == bytes.fromhex(answer)
    assert bool(bench.read(reg.ERROR) & reg.CRC_ERR) is (kind == "crc")
    assert bench.block("B2") == bytes.fromhex(repeated)
    assert commands(bench) == 3


def test_q29_another_face_at_each_activation() -> None:
    faces = set()
    for seed in (1, 1, 2):
        probe = Probe()
        bench = Reader(probe)
        bench.arm("Q29", seed=seed)
        bench.ask("26", 7)
        part = bench.ask("9320")
        assert part[0] == 0x08 and part[:4] != probe.uid
        frame = b"\x93\x70" + part
        assert bench.ask((frame + crc_a(frame)).hex())[:1] == b"\x28"
        ats = bench.block("E080")
        assert ats[0] == len(ats) > 12
        faces.add((part, ats))
    assert len(faces) == 2


def test_q30_noise_comes_first_and_the_answer_needs_a_new_receive(bench: Reader) -> None:
    bench.arm("Q30")
    bench.send(bytes.fromhex(GET + "00"), crc=True)
    bench.time.advance(0.0015)
    assert bench.read(reg.COM_IRQ) & reg.RX_IRQ
    assert bench.read(reg.ERROR) & reg.CRC_ERR
    bench.write(reg.FIFO_LEVEL, 0x80)
    bench.write(reg.COMMAND, reg.RECEIVE)
    bench.time.advance(0.01)
    assert bench.fifo() == b"\x02" + OK
    assert bench.read(reg.ERROR) == 0


@pytest.mark.parametrize(
    ("kind", "answer"), [("6985", "026985"), ("6A82", "026A82"), ("mute", "")]
)
def test_q31_select_before_the_applet_is_ready(bench: Reader, kind: str, answer: str) -> None:
    bench.arm("Q31", kind=kind)
    assert bench.block("0200A4040000") == bytes.fromhex(answer)
    assert bench.block("0300A4040000") == bytes.fromhex("036D00")


@pytest.mark.parametrize(("off", "reset"), [(0.004, False), (0.0055, True)])
def test_q33_only_a_long_enough_pause_resets_the_card(
    bench: Reader, off: float, reset: bool
) -> None:
    bench.arm("Q33")
    bench.write(reg.TX_CONTROL, 0x80)
    bench.time.advance(off)
    bench.write(reg.TX_CONTROL, 0x83)
    bench.time.advance(0.006)
    assert (bench.ask("52", 7) == bytes.fromhex("0400")) is reset


def test_q34_too_hot_until_reset(bench: Reader) -> None:
    bench.arm("Q34")
    assert bench.block(GET + "00") == b""
    assert bench.read(reg.ERROR) & reg.TEMP_ERR
    bench.write(reg.COMMAND, reg.IDLE)
    assert bench.read(reg.ERROR) == reg.TEMP_ERR
    bench.write(reg.TX_CONTROL, 0x83)
    assert not bench.chip.radio.on
    bench.write(reg.COMMAND, reg.SOFT_RESET)
    bench.time.advance(0.001)
    assert bench.read(reg.ERROR) == 0


def test_q35_registers_work_but_no_card_hears() -> None:
    bench = Reader(Probe())
    bench.arm("Q35")
    assert bench.read(reg.VERSION) == 0x92
    assert bench.ask("26", 7) == bench.ask("52", 7) == b""
    bench.chip.faults.disarm("Q35")
    assert bench.ask("26", 7) == bytes.fromhex("0400")


def test_q37_data_by_get_response_in_two_parts(bench: Reader) -> None:
    bench.arm("Q37")
    assert bench.block(GET + "0A") == bytes.fromhex("02610A")
    assert bench.block("0300C0000004") == bytes.fromhex("03 00010203 6106")
    assert bench.block("0200C0000006") == bytes.fromhex("02 040506070809 9000")
    assert commands(bench) == 1


def test_q37_wrong_le_and_the_same_command_again(bench: Reader) -> None:
    bench.arm("Q37", kind="6C")
    assert bench.block("0280CA000400") == bytes.fromhex("026C04")
    assert bench.block("0380CA000404") == bytes.fromhex("03 00010203 9000")
    assert commands(bench) == 1


def test_q38_an_interrupt_out_of_nowhere() -> None:
    bench = Bench()
    bench.write(reg.COM_IRQ, 0x7F)
    bench.arm("Q38")
    assert bench.read(reg.COM_IRQ) & reg.RX_IRQ
    assert bench.read(reg.FIFO_LEVEL) == 2


def test_faults_combine(bench: Reader) -> None:
    bench.arm("Q24")
    bench.arm("Q37", kind="6C")
    bench.arm("Q30", frames=1)
    bench.send(bytes.fromhex("0280CA000400"), crc=True)
    bench.time.advance(0.0015)
    assert bench.read(reg.ERROR) & reg.CRC_ERR
    bench.write(reg.COMMAND, reg.RECEIVE)
    bench.time.advance(0.01)
    assert bench.fifo() == b"\xf2\x01"
    assert bench.block("F201") == bytes.fromhex("026C04")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("Q01", "serial line"),
        ("Q11", "I²C"),
        ("Q17", "NCI"),
        ("Q27", "host frames"),
        ("Q28", "type A only"),
        ("Q32", "express"),
        ("Q36", "firmware"),
    ],
)
def test_faults_that_belong_elsewhere_say_so(fault: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Bench().arm(fault)


def test_every_id_of_the_catalogue_is_known_or_refused() -> None:
    faults = Bench().chip.faults
    catalogue = {f"Q{n:02}" for n in [*range(1, 18), *range(20, 39)]}
    assert set(faults.known) | set(faults.elsewhere) == catalogue
    assert not set(faults.known) & set(faults.elsewhere)


def test_chance_and_every_are_by_seed_and_checked() -> None:
    def strikes(**options: Any) -> list[bool]:
        faults = Bench().chip.faults
        faults.arm("Q21", times=0, **options)
        return [faults.take("Q21") is not None for _ in range(40)]

    assert strikes(every=3) == [False, False, True] * 13 + [False]
    half = strikes(chance=0.5, seed=3)
    assert 8 < sum(half) < 32
    assert half == strikes(chance=0.5, seed=3) != strikes(chance=0.5, seed=4)
    with pytest.raises(ValueError, match="every is 1 or more"):
        strikes(every=0)


def test_a_card_of_the_catalogue_works_here_too() -> None:
    tunion = cards.make("tunion", balance=1234, uid=bytes.fromhex("01020304"))
    bench = Reader(tunion)
    bench.select(tunion.uid)
    bench.block("E080")
    assert bench.block("0200A4040008A00000063201010500")[:2] == bytes.fromhex("026F")
    assert bench.block("03805C000204") == bytes.fromhex("03 000004D2 9000")
