"""The simulated PN532 on SPI and I²C, byte for byte, and the faults of these buses."""

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim import cards
from faretap.sim.chips.pn532_i2c import BusError, Pn532I2c
from faretap.sim.chips.pn532_spi import Pn532Spi, lsb_first
from faretap.sim.virtual_time import VirtualTime

ACK = bytes.fromhex("0000FF00FF00")
GET_VERSION = bytes.fromhex("0000FF02FED4022A00")
VERSION = bytes.fromhex("0000FF06FAD50332010607E800")
SAM = bytes.fromhex("0000FF05FBD4140100001700")
SAM_OK = bytes.fromhex("0000FF02FED5151600")


class SpiBench:
    def __init__(self) -> None:
        self.time = VirtualTime()
        self.chip = Pn532Spi()
        self.chip.attach(self.time.call_later, lambda: self.time.now)
        self.irq: list[int] = []
        self.chip.on_irq = self.irq.append
        self.chip.transfer(b"\x00")  # wakes it
        self.time.advance(0.003)

    def write(self, frame: bytes) -> None:
        self.chip.transfer(lsb_first(b"\x01" + frame))
        self.time.advance(0.1)

    def status(self) -> int:
        return lsb_first(self.chip.transfer(lsb_first(b"\x02\x00")))[1]

    def read(self, size: int) -> bytes:
        return lsb_first(self.chip.transfer(lsb_first(b"\x03" + bytes(size))))[1:]


class I2cBench:
    def __init__(self, **options: Any) -> None:
        self.time = VirtualTime()
        self.chip = Pn532I2c(**options)
        self.chip.attach(self.time.call_later, lambda: self.time.now)
        self.irq: list[int] = []
        self.chip.on_irq = self.irq.append

    def write(self, frame: bytes) -> None:
        self.chip.write(0x24, frame)
        self.time.advance(0.1)

    def read(self, size: int) -> bytes:
        return self.chip.read(0x24, size)


@pytest.fixture
def spi() -> SpiBench:
    return SpiBench()


@pytest.fixture
def i2c() -> I2cBench:
    bench = I2cBench()
    bench.chip.h_req(0)
    return bench


# SPI


def test_spi_bits_go_least_significant_first(spi: SpiBench) -> None:
    assert lsb_first(b"\x01\x02\x03\xd4") == bytes.fromhex("8040C02B")
    wire = bytes.fromhex("80 00 00 FF 40 7F 2B 40 54 00")  # data write, GetFirmwareVersion
    spi.chip.transfer(wire)
    spi.time.advance(0.1)
    assert spi.chip.transfer(bytes.fromhex("4000")) == bytes.fromhex("0080")
    assert spi.chip.transfer(bytes.fromhex("C0000000000000")) == bytes.fromhex("000000FF00FF00")


def test_spi_status_acknowledgement_response(spi: SpiBench) -> None:
    assert spi.status() == 0
    spi.write(GET_VERSION)
    assert spi.status() == 1
    assert spi.read(6) == ACK
    assert spi.read(16) == VERSION + bytes(3)
    assert spi.status() == 0
    assert spi.irq == [0, 1]


def test_spi_frame_read_in_part_is_gone_status_takes_nothing(spi: SpiBench) -> None:
    spi.write(GET_VERSION)
    spi.read(3)
    assert spi.status() == spi.status() == 1
    assert spi.read(13) == VERSION


def test_spi_status_goes_on_while_selected(spi: SpiBench) -> None:
    spi.chip.transfer(lsb_first(b"\x01" + GET_VERSION))
    spi.chip.select()
    assert spi.chip.exchange(lsb_first(b"\x02\x00")) == b"\x00\x00"
    spi.time.advance(0.01)
    assert lsb_first(spi.chip.exchange(b"\x00")) == b"\x01"


def test_spi_sleeping_chip_needs_its_time(spi: SpiBench) -> None:
    time, chip = VirtualTime(), Pn532Spi()
    chip.attach(time.call_later, lambda: time.now)
    chip.transfer(lsb_first(b"\x01" + GET_VERSION))  # wakes, and is lost
    time.advance(0.0019)
    chip.transfer(lsb_first(b"\x01" + GET_VERSION))
    time.advance(0.1)
    assert chip.irq == 1
    chip.transfer(lsb_first(b"\x01" + GET_VERSION))
    time.advance(0.1)
    assert chip.irq == 0


def test_spi_new_command_replaces_what_nobody_read(spi: SpiBench) -> None:
    spi.write(GET_VERSION)
    spi.write(SAM)
    assert (spi.read(6), spi.read(9)) == (ACK, SAM_OK)


def test_q15_spi_loses_bits_above_a_clock_by_seed() -> None:
    def run(seed: int, hertz: int) -> list[bytes]:
        bench = SpiBench()
        bench.chip.set_clock(hertz)
        bench.chip.faults.arm("Q15", above_hz=1_000_000, chance=0.05, seed=seed)
        answers = []
        for _ in range(20):
            bench.write(GET_VERSION)
            bench.read(6)
            answers.append(bench.read(13))
        return answers

    assert set(run(1, 1_000_000)) == {VERSION}
    lossy = run(1, 5_000_000)
    assert any(answer != VERSION for answer in lossy)
    assert lossy == run(1, 5_000_000) != run(2, 5_000_000)


def test_q16_dead_chip_on_spi_until_power(spi: SpiBench) -> None:
    spi.chip.faults.arm("Q16", until="power")
    spi.write(GET_VERSION)
    spi.chip.reset()
    assert spi.status() == 0 and spi.read(6) == bytes(6)
    spi.chip.power(False)
    spi.chip.power(True)
    spi.chip.transfer(b"\x00")
    spi.time.advance(0.003)
    spi.write(GET_VERSION)
    assert spi.read(6) == ACK


@pytest.mark.parametrize("fault", ["Q03", "Q06", "Q07"])
def test_frame_faults_work_on_spi_too(spi: SpiBench, fault: str) -> None:
    spi.chip.faults.arm(fault)
    spi.write(GET_VERSION)
    assert spi.read(6) == ACK
    wire = {
        "Q03": bytes(3) + VERSION,
        "Q06": bytes.fromhex("0000FF01FF7F8100").ljust(16, b"\x00"),
        "Q07": (VERSION[:-2] + b"\xe9\x00").ljust(16, b"\x00"),
    }
    assert spi.read(16) == wire[fault]


# I²C


def test_i2c_ready_byte_before_each_read(i2c: I2cBench) -> None:
    assert i2c.read(1) == b"\x00"
    i2c.write(GET_VERSION)
    assert i2c.irq == [0]
    assert i2c.read(1) == b"\x01"
    assert i2c.read(7) == b"\x01" + ACK
    assert i2c.read(15) == b"\x01" + VERSION + b"\x00"
    assert i2c.read(3) == bytes(3)
    assert i2c.irq == [0, 1]


def test_i2c_other_addresses_are_nobody(i2c: I2cBench) -> None:
    with pytest.raises(BusError) as caught:
        i2c.chip.write(0x25, b"")
    assert isinstance(caught.value, OSError)
    i2c.chip.write(0x24, b"")


def test_i2c_address_wakes_the_chip_and_holds_the_clock() -> None:
    bench = I2cBench()
    bench.write(GET_VERSION)
    assert bench.chip.stretched == pytest.approx(0.001)
    assert bench.read(7) == b"\x01" + ACK
    assert bench.chip.stretched == 0


@pytest.mark.parametrize(
    ("stretch_us", "limit_us", "works"),
    [(440, 100, False), (440, 1000, True), (20_000, 13_000, False)],
)
def test_q11_clock_stretching(i2c: I2cBench, stretch_us: int, limit_us: int, works: bool) -> None:
    i2c.chip.limit = limit_us / 1e6
    i2c.chip.faults.arm("Q11", stretch_us=stretch_us)
    if works:
        i2c.write(GET_VERSION)
        assert i2c.read(7) == b"\x01" + ACK
        assert i2c.chip.stretched == pytest.approx(stretch_us / 1e6)
    else:
        with pytest.raises(BusError) as caught:
            i2c.write(GET_VERSION)
        assert caught.value.seconds == pytest.approx(limit_us / 1e6)


@pytest.mark.parametrize(("line", "cure"), [("sda", "clocks"), ("sda", "reset"), ("scl", "reset")])
def test_q12_stuck_bus(i2c: I2cBench, line: str, cure: str) -> None:
    i2c.chip.faults.arm("Q12", line=line)
    assert getattr(i2c.chip, line) == 0
    with pytest.raises(BusError):
        i2c.read(1)
    i2c.chip.clock_pulses(8)
    assert getattr(i2c.chip, line) == 0
    if cure == "clocks" or line == "scl":
        i2c.chip.clock_pulses(9)
    assert getattr(i2c.chip, line) == (1 if cure == "clocks" else 0)
    if cure == "reset":
        i2c.chip.reset()
    assert i2c.read(1) == b"\x00"


def test_q13_dead_bus_blocks_its_caller_until_disarmed(i2c: I2cBench) -> None:
    i2c.chip.faults.arm("Q13", block_ms=1000)
    for _ in range(3):
        with pytest.raises(BusError) as caught:
            i2c.read(1)
        assert caught.value.seconds == 1.0
    i2c.chip.faults.disarm("Q13")
    assert i2c.read(1) == b"\x00"


def test_q14_not_ready_reads_garbage_by_seed(i2c: I2cBench) -> None:
    i2c.chip.faults.arm("Q14", seed=5)
    first = i2c.read(12)
    assert first[0] == 0x00 and first[1:] != bytes(11)
    assert i2c.read(12) != first
    i2c.chip.faults.arm("Q14", seed=5)
    assert i2c.read(12) == first
    i2c.write(GET_VERSION)
    assert i2c.read(7) == b"\x01" + ACK


@pytest.mark.parametrize("bus", [Pn532Spi, Pn532I2c])
def test_faults_of_other_buses_are_refused_with_a_reason(bus: Any) -> None:
    faults = bus().faults
    foreign = "Q11" if bus is Pn532Spi else "Q15"
    for fault, reason in ((foreign, "bus"), ("Q08", "serial line"), ("Q32", "express")):
        with pytest.raises(ValueError, match=reason):
            faults.arm(fault)
    catalogue = {f"Q{n:02}" for n in [*range(1, 18), *range(20, 39)]}
    assert set(faults.known) | set(faults.elsewhere) == catalogue


def test_cards_are_read_over_i2c(i2c: I2cBench) -> None:
    i2c.write(SAM)
    assert (i2c.read(7), i2c.read(10)) == (b"\x01" + ACK, b"\x01" + SAM_OK)
    i2c.chip.field_present(cards.make("empty", uid=bytes.fromhex("33F04A81")))
    i2c.write(bytes.fromhex("0000FF04FCD44A0100E100"))
    assert i2c.read(7) == b"\x01" + ACK
    target = "D54B01010004200433F04A810578807002"
    assert i2c.read(26)[6:23] == bytes.fromhex(target)
