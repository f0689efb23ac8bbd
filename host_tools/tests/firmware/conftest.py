"""The firmware's PN532 driver and poller on a simulated chip, on any bus, in virtual time."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from faretap.sim.chips.pn532 import Pn532
from faretap.sim.chips.pn532_i2c import BusError, Pn532I2c
from faretap.sim.chips.pn532_spi import Pn532Spi, lsb_first
from faretap.sim.virtual_time import VirtualTime
from validator.media import cards
from validator.media.phases import Phases
from validator.nfc.pn532 import Pn532Reader
from validator.nfc.pn532_i2c import TIMEOUT_US, I2cLine
from validator.nfc.pn532_spi import SpiLine
from validator.nfc.poller import Poller


class Clock:
    """What validator.hal.Clock has; `turns` notes how long nobody else had one (microseconds)."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.since = 0.0
        self.longest_us = 0

    def ticks_us(self) -> int:
        return round(self.time.now * 1e6)

    def ticks_ms(self) -> int:
        return self.ticks_us() // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    async def sleep_ms(self, ms: int) -> None:
        self.turn()
        self.time.advance(ms / 1000 or 0.00005)
        self.since = self.time.now

    def turn(self) -> None:
        self.longest_us = max(self.longest_us, round((self.time.now - self.since) * 1e6))

    def unix(self) -> int:
        return 1893456000


class Uart:
    """What validator.hal.Serial has, with the chip at the other end."""

    def __init__(self, clock: Clock, chip: Pn532) -> None:
        self.clock, self.time, self.chip = clock, clock.time, chip
        self.received = bytearray()
        chip.attach(self.received.extend, self.time.call_later)

    def any(self) -> int:
        return len(self.received)

    def write(self, data: bytes) -> None:
        self.chip.receive(bytes(data))

    def set_baud(self, baud: int) -> None:
        self.chip.set_line_baud(baud)

    def drain(self) -> int:
        n = len(self.received)
        self.received.clear()
        return n

    async def readinto(self, buf: Any, timeout_ms: int, spin_ms: int = 4) -> int:
        self.clock.turn()
        end = self.time.now + timeout_ms / 1000
        while not self.received:
            due = self.time.next_due()
            if due is None or due > end:
                self.time.advance(max(0.0, end - self.time.now))
                break
            self.time.advance(max(0.0, due - self.time.now))
        self.clock.since = self.time.now
        n = min(len(buf), len(self.received))
        buf[:n] = self.received[:n]
        del self.received[:n]
        return n


class Spi:
    """A `machine.SPI` that sends the lowest bit first, and the select line."""

    def __init__(self, time: VirtualTime, chip: Pn532Spi) -> None:
        self.time, self.chip = time, chip
        chip.attach(time.call_later, lambda: time.now)
        self.init(2000000)

    def init(self, baudrate: int) -> None:
        self.hertz = baudrate
        self.chip.set_clock(baudrate)

    def cs(self, level: int) -> None:
        if level:
            self.chip.deselect()
        else:
            self.chip.select()

    def write(self, data: bytes) -> None:
        self.readinto(bytearray(len(data)), data)

    def readinto(self, buf: Any, out: bytes = b"") -> None:
        miso = self.chip.exchange(lsb_first(bytes(out) or bytes(len(buf))))
        self.time.advance(len(buf) * 8 / self.hertz)
        buf[:] = lsb_first(miso)


class I2c:
    """A `machine.I2C` and its two pins."""

    OPEN_DRAIN = 3

    def __init__(self, time: VirtualTime, chip: Pn532I2c) -> None:
        self.time, self.chip = time, chip
        chip.attach(time.call_later, lambda: time.now)
        chip.limit = TIMEOUT_US / 1e6
        self.pulses = 0

    def _take(self, size: int, transfer: Callable[[], Any]) -> Any:
        try:
            result = transfer()
        except BusError as e:
            self.time.advance(e.seconds)
            raise
        self.time.advance((size + 1) * 9 / 400000 + self.chip.stretched)
        return result

    def writeto(self, address: int, data: bytes) -> None:
        self._take(len(data), lambda: self.chip.write(address, bytes(data)))

    def readfrom_into(self, address: int, buf: Any) -> None:
        buf[:] = self._take(len(buf), lambda: self.chip.read(address, len(buf)))

    def pin(self, name: str) -> Any:
        return Pin(self, name)


class Pin:
    OPEN_DRAIN = 3

    def __init__(self, bus: I2c, name: str) -> None:
        self.bus, self.name = bus, name

    def init(self, mode: int, value: int = 1) -> None:
        self.bus.pulses = 0

    def __call__(self, level: int | None = None) -> Any:
        if level is None:
            return getattr(self.bus.chip, self.name)
        if level and self.name == "scl":
            self.bus.pulses += 1
            self.bus.chip.clock_pulses(self.bus.pulses)
        return None


class Bench:
    """Chip, reader, poller. `options` go to the reader; `irq` wires the interrupt pin."""

    def __init__(self, bus: str = "uart", irq: bool = False, **options: Any) -> None:
        self.time = VirtualTime()
        self.clock = Clock(self.time)
        self.chip: Any
        line: Any
        if bus == "uart":
            self.chip = self.core = Pn532(paced=True)
            line = Uart(self.clock, self.chip)
        elif bus == "spi":
            self.chip = Pn532Spi()
            self.core = self.chip.core
            spi = Spi(self.time, self.chip)
            line = SpiLine(spi, spi.cs, self.clock, irq=self.irq if irq else None)
        else:
            self.chip = Pn532I2c()
            self.core = self.chip.core
            i2c = I2c(self.time, self.chip)
            pins = i2c.pin("sda"), i2c.pin("scl")
            line = I2cLine(lambda: i2c, *pins, self.clock, irq=self.irq if irq else None)
        wired = {"reset_pin": self.reset_pin, "power_pin": self.power_pin}
        self.reader = Pn532Reader(line, self.clock, **{**wired, **options})
        self.poller = Poller(self.reader, self.clock)
        self.phases = Phases(self.clock)
        self.apdus: list[bytes] = []
        self.commands: list[bytes] = []
        self.core.trace = self._trace

    def _trace(self, kind: str, data: bytes) -> None:
        if kind == "apdu":
            self.apdus.append(data)
        elif kind == "command":
            self.commands.append(data)

    def irq(self) -> int:
        return int(self.chip.irq)

    def reset_pin(self, level: int) -> None:
        if not level:
            self.chip.reset()

    def power_pin(self, level: int) -> None:
        self.chip.power(bool(level))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value
        raise AssertionError("waits for something outside virtual time")

    def begin(self) -> tuple[Any, Any]:
        """Poll until a card is found and do its tap: (target, result)."""
        target = self.run(self.poller.next())
        self.phases.start()
        card = self.poller.card(target)
        return target, self.run(cards.run(card, self.clock, self.phases))

    def tap(self) -> Any:
        """One card from the first poll to its removal; whoever lies there is taken away after."""
        target, result = self.begin()
        self.chip.field_remove()
        assert self.run(self.poller.finish(target))
        return result


@pytest.fixture
def unopened() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def opened() -> Callable[..., Bench]:
    def make(**options: Any) -> Bench:
        bench = Bench(**options)
        assert bench.run(bench.reader.open())["firmware"] == "1.6"
        return bench

    return make
