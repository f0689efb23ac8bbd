"""pi-rc522, a driver that nobody here wrote, reads cards through the simulated MFRC522."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from faretap.sim import cards
from tests.sim.mfrc522_bench import Bench

# A Raspberry Pi's ioctl takes about so long; the driver looks at ComIrqReg only once and relies
# on it that the chip is through by then.
TRANSFER_SECONDS = 0.0005


class Pins(ModuleType):
    """RPi.GPIO, as far as the driver uses it: the reset pin is wired to RST."""

    BOARD, BCM, OUT, IN, PUD_UP, FALLING = 10, 11, 0, 1, 22, 32

    def __init__(self, bench: Bench) -> None:
        super().__init__("RPi.GPIO")
        self._bench = bench

    def output(self, pin: int, level: int) -> None:
        if pin == 22:
            self._bench.chip.set_reset(level)
            self._bench.time.advance(0.002)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class SpiDev:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def open(self, bus: int, device: int) -> None:
        return None

    def xfer2(self, data: list[int]) -> list[int]:
        self._bench.chip.set_clock(self.max_speed_hz)
        answer = self._bench.chip.transfer(bytes(value & 0xFF for value in data))
        self._bench.time.advance(TRANSFER_SECONDS)
        return list(answer)

    max_speed_hz = 0


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def reader(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pins = Pins(bench)
    package, spidev = ModuleType("RPi"), ModuleType("spidev")
    package.GPIO = pins  # type: ignore[attr-defined]
    spidev.SpiDev = lambda: SpiDev(bench)  # type: ignore[attr-defined]
    for name, module in (("RPi", package), ("RPi.GPIO", pins), ("spidev", spidev)):
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("pirc522", "pirc522.rfid", "pirc522.util"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    pytest.importorskip("pirc522")
    yield importlib.import_module("pirc522.rfid").RFID()
    for name in ("pirc522", "pirc522.rfid", "pirc522.util"):
        sys.modules.pop(name, None)


def test_init_switches_the_field_on(bench: Bench, reader: Any) -> None:
    assert bench.chip.radio.on
    assert reader.dev_read(0x37) == 0x92


def test_crc_by_the_coprocessor(reader: Any) -> None:
    assert reader.calculate_crc([0x00, 0x00]) == [0xA0, 0x1E]
    reader.dev_write(0x01, reader.mode_idle)  # CalcCRC goes on until another command
    assert reader.calculate_crc([0x12, 0x34]) == [0x26, 0xCF]


def test_no_card(bench: Bench, reader: Any) -> None:
    assert reader.request() == (True, None)
    assert reader.read_id() is None


@pytest.mark.parametrize("uid", ["5A17C3E9", "04112233445566"])
def test_uid_of_a_card(bench: Bench, reader: Any, uid: str) -> None:
    bench.chip.field_present(cards.make("tunion", uid=bytes.fromhex(uid)))
    bench.time.advance(0.01)
    assert bytes(reader.read_id()) == bytes.fromhex(uid)


def test_selection_activation_and_an_apdu(bench: Bench, reader: Any) -> None:
    bench.chip.field_present(cards.make("tunion", uid=bytes.fromhex("5A17C3E9")))
    bench.time.advance(0.01)
    assert reader.request() == (False, 0x10)
    error, uid = reader.anticoll()
    assert not error and reader.select_tag(uid) is False

    def crc(data: list[int]) -> list[int]:
        reader.dev_write(0x01, reader.mode_idle)  # CalcCRC goes on until another command
        return list(reader.calculate_crc(data))

    def exchange(text: str) -> bytes:
        frame = list(bytes.fromhex(text))
        error, data, bits = reader.card_write(reader.mode_transrec, frame + crc(frame))
        assert not error and bits == 8 * len(data)
        assert crc(data[:-2]) == data[-2:]
        return bytes(data[:-2])

    assert exchange("E000") == bytes.fromhex("0578807002")
    bench.chip.radio.cards[0].presented.card.seconds = 0.0
    # The driver waits two milliseconds and takes 16 bytes: RATS asked for frames of 16.
    assert exchange("02805C000204") == bytes.fromhex("026D00")


def test_two_cards_are_an_error(bench: Bench, reader: Any) -> None:
    for uid in ("01020304", "010A0304"):
        bench.chip.field_present(cards.make("empty", uid=bytes.fromhex(uid)))
    bench.time.advance(0.01)
    assert reader.request() == (False, 0x10)
    assert reader.anticoll()[0] is True


def test_halt_and_wake_up(bench: Bench, reader: Any) -> None:
    bench.chip.field_present(cards.make("empty", uid=bytes.fromhex("01020304")))
    bench.time.advance(0.01)
    reader.request()
    reader.select_tag(reader.anticoll()[1])
    # The driver's own halt() leaves the CRC out; a card does not obey that.
    reader.card_write(reader.mode_transrec, [0x50, 0x00, 0x57, 0xCD])
    assert reader.request() == (True, None)
    assert reader.request(0x52) == (False, 0x10)
