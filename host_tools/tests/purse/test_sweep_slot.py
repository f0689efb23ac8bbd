"""Purchases with the PSAM behind its slot, T=0 byte by byte, and everything that can fail there.

The firmware's slot driver and PSAM against the simulated chip, in virtual time.
"""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim.chips.psam import Psam
from faretap.sim.chips.psam_slot import PsamSlot
from faretap.sim.virtual_time import VirtualTime
from validator import sam
from validator.sam.t0 import Slot

from .bench import Log, Validator, run
from .cases import SECTIONS, Case, follow


class Uart:
    """What `validator.hal.Serial` and `Clock` have, with the slot at the other end."""

    def __init__(self, chip: PsamSlot) -> None:
        self.time = VirtualTime()
        self.chip = chip
        self.received = bytearray()
        chip.attach(self.received.extend, self.time.call_later)

    def any(self) -> int:
        return len(self.received)

    def write(self, data: bytes) -> None:
        self.chip.receive(bytes(data))

    def set_baud(self, baud: int) -> None:
        self.chip.set_line_baud(baud)

    def drain(self) -> int:
        count = len(self.received)
        self.received.clear()
        return count

    async def readinto(self, buf: Any, timeout_ms: int, spin_ms: int = 4) -> int:
        end = self.time.now + timeout_ms / 1000
        while not self.received:
            due = self.time.next_due()
            if due is None or due > end:
                self.time.advance(max(0.0, end - self.time.now))
                break
            self.time.advance(max(0.0, due - self.time.now))
        count = min(len(buf), len(self.received))
        buf[:count] = self.received[:count]
        del self.received[:count]
        return count

    def ticks_us(self) -> int:
        return round(self.time.now * 1e6)

    def ticks_ms(self) -> int:
        return self.ticks_us() // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    async def sleep_ms(self, ms: int) -> None:
        self.time.advance(ms / 1000 or 0.0001)


class Socket:
    """Makes the slot of a `Validator`, and keeps the chip in it for the test."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.chip = PsamSlot()

    def __call__(self, psam: Psam) -> Slot:
        self.chip = PsamSlot(psam, **self.options)
        uart = Uart(self.chip)
        return Slot(uart, uart, self.chip.reset, echo=self.chip.echo)


KINDS_OF_CHIP: dict[str, dict[str, Any]] = {
    "plain": {},
    "slow rate only": {"ta1": None},
    "fast": {"ta1": 0x95},
    "inverse": {"inverse": True},
    "single bytes": {"single": True},
    "checked": {"check": True},
    "two wires": {"echo": False},
}


@pytest.mark.parametrize("chip", KINDS_OF_CHIP)
@pytest.mark.parametrize("kind", SECTIONS)
def test_a_ride_with_every_kind_of_chip(kind: str, chip: str) -> None:
    socket = Socket(**KINDS_OF_CHIP[chip])
    case = Case(kind, raw=socket)
    case.again()
    assert case.validator.rules["psams"][0].terminal == case.validator.psam.terminal


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("silent", {"ins": 0x70}),
    ("silent", {"ins": 0x72}),
    ("silent", {"ins": 0xC0}),
    ("slow", {"ins": 0x70, "ms": 3000}),
    ("slow", {"ins": 0x70, "ms": 3000, "nulls": False}),
    ("slow", {"ins": 0x72, "ms": 3000, "nulls": False}),
    ("nulls", {"ins": 0x70, "count": 20}),
    ("procedure", {"ins": 0x70, "byte": 0x00}),
    ("procedure", {"ins": 0x72, "byte": 0x11}),
    ("status", {"ins": 0x70, "sw": "6F00"}),
    ("status", {"ins": 0x72, "sw": "6F00"}),
    ("status", {"ins": 0x72, "sw": "6985"}),
    ("short", {"ins": 0x70, "size": 1}),
    ("short", {"ins": 0xC0, "size": 6}),
    ("short", {"ins": 0x72, "size": 1}),
    *[("parity_out", {"ins": 0xC0, "at_byte": n}) for n in range(11)],
    *[("parity_out", {"ins": 0x72, "at_byte": n}) for n in range(2)],
    *[("parity_in", {"skip": n}) for n in range(41 + 5 + 9)],
]


@pytest.mark.parametrize("kind", ["single", "alight"])
def test_a_fault_of_the_slot_costs_no_money_and_no_ride(kind: str) -> None:
    for name, options in FAULTS:
        try:
            socket = Socket()
            case = Case(kind, raw=socket)
            socket.chip.faults.arm(name, **options)
            result = case.validator.tap(case.card)
            made = len(case.card.debits) - len(case.before.debits)
            case.sum()
            if result.outcome == "accepted":
                case.rode()
                continue
            # What the PSAM could not do did not cost anything, or is settled with the next tap.
            assert made <= 1
            if result.outcome == "retry":
                # MAC2 was not checked: nobody rides on it, and the debit counts as torn.
                assert result.reason == "card_lost" and made
            else:
                assert result.reason in ("out_of_service", "card_refused", "bad_signature")
                assert not made or result.reason == "bad_signature"
                if made:
                    continue
            run(sam.check(case.validator.rules, Log()))
            follow(case, "again")
        except AssertionError as e:
            raise AssertionError(f"{kind}, {name} {options}: {e}") from e


@pytest.mark.parametrize("what", ["again", "power-again", "other-again"])
@pytest.mark.parametrize("kind", SECTIONS)
def test_the_psam_is_pulled_out_at_every_byte(kind: str, what: str) -> None:
    """Of every command of a tap to the PSAM; it comes back, and so does the rider."""
    socket = Socket()
    case = Case(kind, raw=socket)
    asked = len(case.validator.psam.commands)
    case.again()
    commands = case.validator.psam.commands[asked:]
    assert [command[1] for command in commands][-3:] == [0x70, 0xC0, 0x72]
    for number in range(len(commands)):
        for byte in range(64):
            try:
                socket = Socket()
                case = Case(kind, raw=socket)
                socket.chip.faults.arm("removed", skip=number, at_byte=byte)
                result = case.validator.tap(case.card)
                through = socket.chip.present
                made = len(case.card.debits) - len(case.before.debits)
                if through:
                    assert result.outcome == "accepted" and made
                    break
                # Whatever the PSAM did not check is torn, and nobody rides on it.
                at_check = number == len(commands) - 1
                assert made == at_check
                expected = ("retry", "card_lost") if made else ("declined", "out_of_service")
                assert (result.outcome, result.reason) == expected
                case.sum()
                socket.chip.insert(case.validator.psam)
                run(sam.check(case.validator.rules, Log()))
                case.validator.clock.seconds += 60
                follow(case, what)
                case.sum()
            except AssertionError as e:
                where = f"{kind}, command {number}, byte {byte}, then {what}"
                raise AssertionError(f"{where}: {e}") from e
        else:
            raise AssertionError("a command without end")


def test_a_psam_that_is_dead_at_boot_is_reported_and_comes_to_life() -> None:
    lines: list[tuple[str, ...]] = []

    class Noting(Log):
        def __getattr__(self, level: str) -> Any:
            return lambda *words: lines.append((level, *words))

    socket = Socket()
    slot = socket(Psam())
    socket.chip.remove()
    from validator.media import purse_rules

    rules = purse_rules.load(SECTIONS["single"])
    run(sam.start(rules, {0: slot}, Noting()))
    assert [line for line in lines if line[0] == "error"]
    assert socket.chip.psam is not None
    socket.chip.insert(socket.chip.psam)
    assert run(sam.check(rules, Noting()))
    assert rules["psams"][0].fault == ""


def test_without_any_psam_other_cards_go_on_and_purses_are_declined() -> None:
    validator = Validator({**SECTIONS["single"], "psam": []})
    case = Case("single")
    result = validator.tap(case.card)
    assert (result.outcome, result.reason) == ("declined", "out_of_service")
    assert case.card.debits == ()
