"""Adafruit's PN532 driver, which nobody here wrote, over the UART, SPI and I²C simulators."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from faretap.sim import cards
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.chips.pn532_i2c import Pn532I2c
from faretap.sim.chips.pn532_spi import Pn532Spi
from faretap.sim.virtual_time import VirtualTime, Wire

UID = bytes.fromhex("04112233445566")
BALANCE = bytes.fromhex("805C000204")
SELECT = bytes.fromhex("00A4040008A00000063201010500")


class Pin:
    """digitalio.DigitalInOut: tells `changed` what was written."""

    def __init__(self, changed: Any = lambda value: None) -> None:
        self._changed = changed
        self.direction: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "value":
            self._changed(value)

    def switch_to_output(self, value: bool) -> None:
        self.value = value


class Bus:
    """What every busio object has."""

    def try_lock(self) -> bool:
        return True

    def unlock(self) -> None:
        return None

    def configure(self, **settings: Any) -> None:
        self.settings = settings


class Uart:
    def __init__(self, chip: Pn532) -> None:
        self._wire = Wire(chip)
        self.time = self._wire.time

    @property
    def in_waiting(self) -> int:
        return len(self._wire.sent)

    def read(self, count: int) -> bytes:
        """As with a timeout of 0.1 s: less than `count` when the line falls silent."""
        if len(self._wire.sent) < count:
            self.time.advance(0.1)
        data = bytes(self._wire.sent[:count])
        del self._wire.sent[:count]
        return data

    def write(self, data: bytes) -> None:
        self._wire.part.receive(bytes(data))

    def reset_input_buffer(self) -> None:
        self._wire.sent.clear()


class Spi(Bus):
    def __init__(self, chip: Pn532Spi) -> None:
        self._chip = chip

    def write(self, data: bytes) -> None:
        self._chip.exchange(bytes(data))

    def write_readinto(self, out: bytearray, into: bytearray) -> None:
        into[:] = self._chip.exchange(bytes(out))


class I2c(Bus):
    def __init__(self, chip: Pn532I2c) -> None:
        self._chip = chip

    def writeto(self, address: int, data: bytes, *, start: int = 0, end: int = 0) -> None:
        self._chip.write(address, bytes(data[start : end or len(data)]))

    def readfrom_into(
        self, address: int, into: bytearray, *, start: int = 0, end: int = 0
    ) -> None:
        end = end or len(into)
        into[start:end] = self._chip.read(address, end - start)


class Setup:
    """A driver on one of the three buses; time passes when the driver sleeps or looks at it."""

    def __init__(self, bus: str, load: Any) -> None:
        self.bus = bus
        self.time = VirtualTime()
        self.chip: Any
        if bus == "uart":
            self.chip = Pn532()
            port = Uart(self.chip)
            self.time = port.time
        else:
            self.chip = Pn532Spi() if bus == "spi" else Pn532I2c()
            self.chip.attach(self.time.call_later, lambda: self.time.now)
        self.core: Pn532 = getattr(self.chip, "core", self.chip)
        module = load(bus, SimpleNamespace(monotonic=self._monotonic, sleep=self.time.advance))
        reset = Pin(lambda value: self.core.reset() if not value else None)
        if bus == "uart":
            self.driver = module.PN532_UART(port, reset=reset)
        elif bus == "spi":
            select = Pin(lambda high: self.chip.deselect() if high else self.chip.select())
            self.driver = module.PN532_SPI(Spi(self.chip), select, reset=reset)
        else:
            self.driver = module.PN532_I2C(I2c(self.chip), reset=reset, req=Pin(self.chip.h_req))
        self.driver.SAM_configuration()

    def _monotonic(self) -> float:
        self.time.advance(0.0001)
        return self.time.now

    def exchange(self, apdu: bytes) -> bytes:
        answer = self.driver.call_function(0x40, 64, params=b"\x01" + apdu)
        assert answer is not None and answer[0] == 0x00
        return bytes(answer[1:])


def _forget() -> None:
    for name in [n for n in sys.modules if n.startswith(("adafruit_pn532", "adafruit_bus"))]:
        del sys.modules[name]


@pytest.fixture(params=["uart", "spi", "i2c"])
def setup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    direction = SimpleNamespace(OUTPUT="out", INPUT="in")
    stubs: dict[str, dict[str, Any]] = {
        "digitalio": {"Direction": direction, "DigitalInOut": Pin},
        "busio": {"UART": Uart, "SPI": Spi, "I2C": I2c},
        "circuitpython_typing": {"ReadableBuffer": bytes, "WriteableBuffer": bytearray},
        "micropython": {"const": lambda value: value},
    }
    for name, members in stubs.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    _forget()
    pytest.importorskip("adafruit_pn532.adafruit_pn532")

    def load(bus: str, clock: Any) -> Any:
        module = importlib.import_module(f"adafruit_pn532.{bus}")
        core = importlib.import_module("adafruit_pn532.adafruit_pn532")
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(core, "time", clock)
        return module

    yield Setup(request.param, load)
    _forget()


def test_firmware_version(setup: Setup) -> None:
    assert setup.driver.firmware_version == (0x32, 0x01, 0x06, 0x07)
    assert not setup.core.low_vbat


def test_no_card(setup: Setup) -> None:
    assert setup.driver.read_passive_target(timeout=0.2) is None


def test_uid_of_a_card(setup: Setup) -> None:
    setup.chip.field_present(cards.make("tunion", uid=UID))
    assert bytes(setup.driver.read_passive_target()) == UID


def test_a_card_that_comes_while_the_driver_waits(setup: Setup) -> None:
    card = cards.make("tunion", uid=UID)
    setup.time.call_later(0.3, lambda: setup.chip.field_present(card))
    assert bytes(setup.driver.read_passive_target(timeout=1)) == UID


def test_apdus(setup: Setup) -> None:
    setup.chip.field_present(cards.make("tunion", uid=UID, balance=1234))
    setup.driver.read_passive_target()
    assert setup.exchange(SELECT)[:2] == b"\x6f\x31"
    assert setup.exchange(BALANCE) == (1234).to_bytes(4, "big") + b"\x90\x00"


def test_power_down_and_waking(setup: Setup) -> None:
    setup.driver.power_down()
    assert setup.driver.firmware_version == (0x32, 0x01, 0x06, 0x07)


def test_a_card_pulled_away(setup: Setup) -> None:
    setup.chip.field_present(cards.make("tunion", uid=UID), lose_at_apdu=1)
    setup.driver.read_passive_target()
    answer = setup.driver.call_function(0x40, 64, params=b"\x01" + SELECT)
    assert bytes(answer) == b"\x01"
