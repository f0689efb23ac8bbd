"""The firmware's driver, poller and card media against the simulated PN532, in virtual time."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from faretap.sim import cards as sim_cards
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.virtual_time import VirtualTime
from validator.media import cards
from validator.media.phases import Phases
from validator.nfc.pn532 import Pn532Reader
from validator.nfc.poller import Poller


class Bench:
    """Clock and serial line of the firmware, both driven by the simulator's virtual time."""

    def __init__(self, **options: Any) -> None:
        self.time = VirtualTime()
        self.chip = Pn532(paced=True)
        self.received = bytearray()
        self.chip.attach(self.received.extend, self.time.call_later)
        self.reader = Pn532Reader(self, self, reset_pin=self.reset_pin, **options)
        self.poller = Poller(self.reader, self)
        self.phases = Phases(self)
        self.apdus: list[bytes] = []
        self.chip.trace = lambda kind, data: self.apdus.append(data) if kind == "apdu" else None

    def reset_pin(self, level: int) -> None:
        if not level:
            self.chip.reset()

    # What validator.hal.Clock has.

    def ticks_us(self) -> int:
        return round(self.time.now * 1e6)

    def ticks_ms(self) -> int:
        return self.ticks_us() // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    async def sleep_ms(self, ms: int) -> None:
        self.time.advance(ms / 1000 or 0.00005)

    def unix(self) -> int:
        return 1893456000

    # What validator.hal.Serial has.

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
        end = self.time.now + timeout_ms / 1000
        while not self.received:
            due = self.time.next_due()
            if due is None or due > end:
                self.time.advance(max(0.0, end - self.time.now))
                break
            self.time.advance(max(0.0, due - self.time.now))
        n = min(len(buf), len(self.received))
        buf[:n] = self.received[:n]
        del self.received[:n]
        return n

    # What an application does.

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value
        raise AssertionError("waits for something outside virtual time")

    def tap(self) -> Any:
        """One card from the first poll to its removal; whoever lies there is taken away after."""
        target = self.run(self.poller.next())
        card = self.poller.card(target)
        self.phases.start()
        result = self.run(cards.run(card, self, self.phases))
        self.chip.field_remove()
        assert self.run(self.poller.finish(target))
        return result


def opened(**options: Any) -> Bench:
    bench = Bench(**options)
    assert bench.run(bench.reader.open())["firmware"] == "1.6"
    return bench


MEDIA = {
    "tunion": ("tunion", "unverified"),
    "tunion-student": ("tunion", "unverified"),
    "tunion-low": ("tunion", "unverified"),
    "quickpass-debit": ("quickpass", "unverified"),
    "quickpass-credit": ("quickpass", "unverified"),
    "quickpass-phone": ("quickpass", "unverified"),
    "phone-not-ready": ("quickpass", "unverified"),
    "mifare": ("unknown_card", "unsupported"),
    "empty": ("unknown_card", "unsupported"),
}


@pytest.mark.parametrize("name", MEDIA)
def test_every_card(name: str) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make(name))
    result = bench.tap()
    assert (result.medium, result.reason) == MEDIA[name], result.detail
    assert result.outcome == "declined"
    if result.reason == "unverified":
        assert result.token_source.isdigit() and "******" in result.masked
        assert len(result.expiry) == 4


def test_card_of_noise() -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make("garbage"))
    assert bench.tap().outcome == "declined"


def test_balances() -> None:
    for name, balance in (("tunion", 5000), ("tunion-low", 80)):
        bench = opened()
        bench.chip.field_present(sim_cards.make(name))
        assert bench.tap().balance == balance


def test_same_rider_same_token_source() -> None:
    bench = opened()
    seen = []
    for _ in range(2):
        bench.chip.field_present(sim_cards.make("quickpass-debit"))
        seen.append(bench.tap().token_source)
    assert seen[0] == seen[1]


def test_card_that_comes_while_the_poller_waits() -> None:
    bench = opened()
    bench.time.call_later(1.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    assert bench.tap().reason == "unverified"
    assert bench.poller.counters["polls"] > 10


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["tunion", "quickpass-debit"])
def test_q20_card_lost_at_every_apdu(name: str, when: Any) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make(name))
    bench.tap()
    total = len(bench.apdus)
    assert total >= 4
    for n in range(1, total + 1):
        bench.chip.field_present(sim_cards.make(name), lose_at_apdu=n, lose=when)
        result = bench.tap()
        if when == "after" and n == total:
            continue  # the last answer is lost as well, or it got through: both are right
        assert (result.outcome, result.reason) == ("retry", "card_lost"), n
    bench.chip.field_present(sim_cards.make(name))
    assert bench.tap().reason == "unverified"


FAULTS: dict[str, list[dict[str, Any]]] = {
    "Q02": [{"delay_ms": d} for d in (None, 14, 16, 100)],
    "Q03": [{"extra": n} for n in range(6)],
    "Q04": [{"order": order} for order in ("burst", "before", "bytes")],
    "Q05": [{"kind": "again"}, {"kind": "late"}],
    "Q06": [{}],
    "Q07": [{"kind": k} for k in ("lcs", "dcs", "tfi", "code", "length")],
    "Q26": [{"status": 0x27}],
    "Q27": [{"size": n} for n in (1, 16, 64)],
}
CASES = [(q, o) for q, variants in FAULTS.items() for o in variants]


@pytest.mark.parametrize(("quirk", "options"), CASES, ids=lambda v: str(v))
def test_one_fault_somewhere_and_then_the_reader_works(quirk: str, options: Any) -> None:
    for skip in range(8):
        bench = opened()
        bench.chip.faults.arm(quirk, skip=skip, **options)
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert result.outcome in ("declined", "retry"), (skip, result)
        if result.reason == "malformed" and options.get("kind") == "again":
            # An old answer to a new command is nonsense before the right one behind it is seen.
            assert result.token_source is None
        elif result.outcome == "declined":
            assert result.reason == "unverified" and result.balance == 5000, (skip, result.detail)
        bench.chip.faults.disarm()
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert result.reason == "unverified" and result.balance == 5000, skip


@pytest.mark.parametrize("quirk", ["Q03", "Q04"])
def test_faults_that_cost_nothing_when_they_never_end(quirk: str) -> None:
    bench = opened()
    bench.chip.faults.arm(quirk, times=0)
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().balance == 5000


def test_q01_chip_that_falls_asleep() -> None:
    bench = opened()
    bench.chip.faults.arm("Q01")
    bench.chip.field_present(sim_cards.make("tunion"))
    # Woken by the polls it answers none of them before it is configured again.
    assert bench.tap().reason == "unverified"
    assert bench.time.now < 3.0


def test_q08_chip_at_another_rate() -> None:
    bench = Bench()
    bench.chip.faults.arm("Q08", baud=460800)
    assert bench.run(bench.reader.open())["baud"] == 115200
    assert bench.chip.baud == 115200


def test_q08_raised_rate_and_back() -> None:
    bench = opened(baud=460800)
    assert bench.chip.baud == 460800
    bench.chip.field_present(sim_cards.make("quickpass-debit"))
    assert bench.tap().reason == "unverified"
    bench.run(bench.reader.close())
    assert bench.chip.baud == 115200


def test_q10_polls_without_answers() -> None:
    bench = opened()
    bench.chip.faults.arm("Q10", times=0)
    bench.time.call_later(3.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    assert bench.tap().reason == "unverified"
    assert bench.time.now < 5.0


def test_q16_dead_chip_is_reset() -> None:
    bench = opened()
    bench.chip.faults.arm("Q16")
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().reason == "unverified"
    assert bench.poller.counters["recoveries"] == 1


def test_q21_card_that_lies_there_taps_once() -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make("tunion"))
    target = bench.run(bench.poller.next())
    bench.run(cards.run(bench.poller.card(target), bench, bench.phases))
    bench.chip.faults.arm("Q21", times=2)
    assert not bench.run(bench.poller.finish(target))
    assert bench.poller.state == "removal"
    once = len(bench.apdus)
    bench.time.call_later(5.0, bench.chip.field_remove)
    bench.time.call_later(6.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    bench.run(bench.poller.next())
    assert len(bench.apdus) == once and bench.time.now > 6.0


def test_q22_two_cards() -> None:
    for kind in ("two", "collision"):
        bench = opened()
        bench.chip.faults.arm("Q22", kind=kind)
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert (result.outcome, result.reason) == ("retry", "multiple_media"), kind


@pytest.mark.parametrize("status", [0x2D, 0x0D])
def test_q34_overload(status: int) -> None:
    bench = opened()
    bench.chip.faults.arm("Q34", status=status)
    bench.chip.field_present(sim_cards.make("tunion"))
    result = bench.tap()
    assert (result.outcome, result.reason) == ("retry", "out_of_service")
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().reason == "unverified"
