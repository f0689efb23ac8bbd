"""The scan engine driver joined to the simulated engine, in virtual time."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

from fakes import FakeClock, FakeSerial  # type: ignore[import-not-found]
from fakes import run as run_coroutine
from faretap.sim import codes as sim_codes
from faretap.sim.chips.gm65 import Gm65
from faretap.sim.virtual_time import VirtualTime
from validator.qr.scanner import Scanner

MOT = sim_codes.make("mot")


class EngineLine(FakeSerial):  # type: ignore[misc]
    """A line whose other end is a simulated part; time moves in steps that the part can follow."""

    def __init__(self, clock: Any, engine: Gm65) -> None:
        super().__init__(clock, self._write)
        self._engine = engine
        self._time = VirtualTime()
        self._time.now = clock.now_us / 1e6
        engine.attach(self.feed, self._time.call_later)
        engine.set_line_baud(self.baud)
        clock.watchers.append(self._follow)

    def _follow(self, clock: Any) -> None:
        self._time.advance(clock.now_us / 1e6 - self._time.now)

    def _write(self, data: bytes) -> None:
        self._engine.receive(data)

    def set_baud(self, baud: int) -> None:
        super().set_baud(baud)
        self._engine.set_line_baud(baud)

    async def readinto(self, buf: Any, timeout_ms: int, spin_ms: int = 4) -> int:
        end = self.clock.now_us + timeout_ms * 1000
        while not self.any() and self.clock.now_us < end:
            self.clock.advance_us(250)
        return int(await super().readinto(buf, 0)) if self.any() else 0


def joined(version: int = 0x87) -> tuple[Gm65, Scanner, Any]:
    clock = FakeClock()
    engine = Gm65(version=version)
    return engine, Scanner(EngineLine(clock, engine), clock), clock


def test_an_engine_from_the_factory_is_found_set_up_and_saved_once() -> None:
    engine, scanner, clock = joined()
    info = run_coroutine(scanner.open())
    assert info["saved"] is True and info["baud"] == 115200
    assert engine.flash_writes == 1
    again = run_coroutine(scanner.open())
    assert again["saved"] is False
    assert engine.flash_writes == 1


def test_codes_arrive_as_they_were_shown() -> None:
    engine, scanner, clock = joined()
    run_coroutine(scanner.open())
    for name in ("mot", "cpm", "union", "url"):
        code = sim_codes.make(name)
        clock.advance_us(2_000_000)
        assert engine.scan(code)
        assert run_coroutine(scanner.next(2000)) == code
    assert scanner.counters["codes"] == 4
    assert scanner.counters["cut"] == scanner.counters["oversize"] == 0


def test_a_binary_code_with_line_ends_inside() -> None:
    code = MOT[:200] + b"\r\n\x00\r" + MOT[204:-1] + b"\r"
    engine, scanner, clock = joined()
    run_coroutine(scanner.open())
    engine.scan(code)
    assert run_coroutine(scanner.next(2000)) == code


def test_the_version_that_spoils_binary_codes_is_cured() -> None:
    engine, scanner, clock = joined(version=0x69)
    run_coroutine(scanner.open())
    engine.scan(MOT)
    assert run_coroutine(scanner.next(2000)) == MOT


def test_noise_and_nothing() -> None:
    engine, scanner, clock = joined()
    run_coroutine(scanner.open())
    engine.scan(sim_codes.make("empty"))
    assert run_coroutine(scanner.next(500)) is None
    clock.advance_us(1_000_000)
    engine.scan(sim_codes.make("noise-5000"))
    clock.advance_us(1_000_000)
    while run_coroutine(scanner.next(300)) is not None:
        pass
    clock.advance_us(2_000_000)
    engine.scan(MOT)
    assert run_coroutine(scanner.next(2000)) == MOT


def test_a_power_cut_of_the_engine_is_survived() -> None:
    engine, scanner, clock = joined()
    run_coroutine(scanner.open())
    engine.power(False)
    assert run_coroutine(scanner.check()) is False
    engine.power(True)
    clock.advance_us(500_000)
    assert run_coroutine(scanner.check()) is True
    assert engine.flash_writes == 1
    engine.scan(MOT)
    assert run_coroutine(scanner.next(2000)) == MOT
