"""The slot driver against the simulated PSAM at the level of bytes, in virtual time."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim.cards import purse_scheme
from faretap.sim.chips.psam import Psam
from faretap.sim.chips.psam_slot import CLOCK, PsamSlot
from faretap.sim.virtual_time import VirtualTime
from validator import sam
from validator.media import purse_rules
from validator.sam import SlotError
from validator.sam.t0 import Slot

from .bench import Log, run

TERMINAL = bytes.fromhex("00B0960006")
ANSWER = bytes.fromhex(purse_scheme.TERMINAL + "9000")
TOLD = bytes.fromhex(
    "112233440000000000C8062026080112000001012123456789012345" + "01042100FFFFFFFF"
)


class Line:
    """`hal.Serial` and `hal.Clock` at once, in the part's virtual time."""

    def __init__(self, part: PsamSlot) -> None:
        self.part = part
        self.time = VirtualTime()
        self.received = bytearray()
        part.attach(self.received.extend, self.time.call_later)
        part.power(True)

    def ticks_us(self) -> int:
        return int(self.time.now * 1e6)

    def ticks_ms(self) -> int:
        return int(self.time.now * 1e3)

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    async def sleep_ms(self, ms: int) -> None:
        self.time.advance(ms / 1000 if ms else 50e-6)

    def any(self) -> int:
        return len(self.received)

    def write(self, data: bytes) -> None:
        self.part.receive(bytes(data))

    def set_baud(self, baud: int) -> None:
        self.part.set_line_baud(baud)

    def drain(self) -> int:
        count = len(self.received)
        self.received.clear()
        return count

    async def readinto(self, buf: bytearray, timeout_ms: int, spin_ms: int = 4) -> int:
        end = self.time.now + timeout_ms / 1000
        while not self.received:
            due = self.time.next_due()
            if due is None or due > end:
                self.time.advance(max(0.0, end - self.time.now))
                return 0
            self.time.advance(max(0.0, due - self.time.now))
        count = min(len(buf), len(self.received))
        buf[:count] = self.received[:count]
        del self.received[:count]
        return count


def slot(part: PsamSlot, **options: Any) -> Slot:
    line = Line(part)
    return Slot(line, line, part.reset, hz=CLOCK, echo=part.echo, **options)


def ask(module: Slot, command: bytes) -> bytes:
    return bytes(run(module.transceive(command)))


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("ta1", [None, 0x11, 0x13, 0x18, 0x94, 0x95])
@pytest.mark.parametrize("first_baud", [9600, 38400])
def test_every_kind_of_module(ta1: int | None, single: bool, echo: bool, first_baud: int) -> None:
    part = PsamSlot(Psam(), ta1=ta1, single=single, echo=echo, check=single, first_baud=first_baud)
    module = slot(part)
    assert run(module.reset()) == part.atr
    # What is left of it on the line is none: the UART's rate is the card's.
    assert abs(module.baud - part.baud) <= 1
    assert ask(module, TERMINAL) == ANSWER
    assert ask(module, bytes.fromhex("00A40000028011"))[0] == 0x61
    assert ask(module, b"\x80\x70\x00\x00\x24" + TOLD + b"\x08") == b"\x61\x08"
    assert len(ask(module, bytes.fromhex("00C0000008"))) == 10
    assert ask(module, bytes.fromhex("807200000400000000")) == b"\x63\xce"
    assert part.unread == 0


def test_inverse_convention() -> None:
    part = PsamSlot(Psam(), inverse=True)
    module = slot(part)
    run(module.reset())
    assert ask(module, TERMINAL) == ANSWER


def psam_of(part: PsamSlot) -> Any:
    rules = purse_rules.load({"psam": [{"slot": 0}]})
    run(sam.start(rules, {0: slot(part)}, Log()))
    return rules["psams"][0]


def fault(part: PsamSlot, name: str, **options: Any) -> None:
    part.faults.arm(name, **options)


# One fault at a time: at the start it costs another reset, in a command another attempt.
AT_START = [
    ("no_atr", {}),
    ("bad_atr", {"kind": "check"}),
    ("bad_atr", {"kind": "start"}),
    ("bad_atr", {"kind": "cut"}),
    ("bad_atr", {"kind": "noise"}),
    ("pps", {"kind": "silent"}),
    ("pps", {"kind": "old"}),
    ("pps", {"kind": "wrong"}),
]
IN_A_COMMAND = [
    ("silent", {"ins": 0x70}),
    ("procedure", {"ins": 0x70}),
    ("procedure", {"ins": 0x70, "byte": 0x61}),
    ("parity_out", {"ins": 0x70}),
    ("parity_in", {}),
    ("slow", {"ins": 0x70}),
    ("slow", {"ins": 0x70, "nulls": False}),
    ("nulls", {"ins": 0x70, "count": 200}),
    ("short", {"ins": 0xC0, "size": 3}),
]


@pytest.mark.parametrize(("name", "options"), AT_START)
def test_trouble_at_the_start(name: str, options: dict[str, Any]) -> None:
    part = PsamSlot(Psam(), check=True)
    fault(part, name, **options)
    psam = psam_of(part)
    assert psam.fault == "" and psam.terminal.hex() == purse_scheme.TERMINAL
    serial, mac1 = run(psam.mac1(TOLD))
    assert serial == b"\0\0\0\1" and len(mac1) == 4


@pytest.mark.parametrize(("name", "options"), IN_A_COMMAND)
def test_trouble_in_a_command(name: str, options: dict[str, Any]) -> None:
    part = PsamSlot(Psam())
    psam = psam_of(part)
    fault(part, name, **options)
    try:
        run(psam.mac1(TOLD))
    except sam.PsamError:
        # A status word that is wrong is an answer: the next rider asks again.
        assert name in ("procedure", "parity_out")
    assert psam.fault == ""
    assert len(run(psam.mac1(TOLD))[1]) == 4


def test_pulled_out_at_every_byte() -> None:
    for at in range(120):
        part = PsamSlot(Psam())
        psam = psam_of(part)
        fault(part, "removed", at_byte=at)
        try:
            run(psam.mac1(TOLD))
        except sam.PsamError:
            assert psam.fault == "silent", at
        else:
            # It was pulled out behind the command: the next one meets nobody.
            assert run(psam.check(bytes(4))) in (None, False)
            break
        assert not part.present
        part.insert(Psam(serial=500))
        run(psam.open())
        assert run(psam.mac1(TOLD))[0] == (500).to_bytes(4, "big"), at
    else:
        raise AssertionError("never out")
    assert at > 40


def test_empty_slot_is_no_endless_wait() -> None:
    part = PsamSlot(None)
    line = Line(part)
    module = Slot(line, line, part.reset, hz=CLOCK)
    with pytest.raises(SlotError):
        run(module.reset())
    assert line.time.now < 1.0
