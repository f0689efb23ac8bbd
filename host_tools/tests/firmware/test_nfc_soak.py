"""Thousands of taps with faults at random, several at once: driver, poller and media in one."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import random
from typing import Any

import pytest

from faretap.sim import cards as sim_cards

NAMES = ("tunion", "tunion-student", "quickpass-debit", "quickpass-credit")
WEIGHTS = (5, 4, 1, 1)  # a simulated QuickPass card takes its time to sign
CLEAN_EVERY = 25  # after so many taps, one without any fault has to be right

EVERYWHERE: list[tuple[str, dict[str, Any]]] = [
    ("Q01", {}),
    *[("Q02", {"delay_ms": d}) for d in (None, 14, 16, 100)],
    ("Q02", {"delay_ms": 40, "stray": True}),
    *[("Q03", {"extra": n}) for n in (1, 5)],
    ("Q05", {"kind": "late", "delay_ms": 3}),
    ("Q05", {"kind": "again"}),
    ("Q06", {}),
    *[("Q07", {"kind": k}) for k in ("lcs", "dcs", "tfi", "code", "length")],
    ("Q10", {}),
    ("Q16", {"until": "reset"}),
    ("Q16", {"until": "power"}),
    *[("Q20", {"when": w, "status": s}) for w in ("before", "after") for s in (0x01, 0x02, 0x2B)],
    ("Q21", {}),
    ("Q22", {"kind": "two"}),
    ("Q22", {"kind": "collision"}),
    ("Q23", {"size": 256}),
    ("Q24", {"wtxm": 59}),
    *[("Q25", {"kind": k}) for k in ("duplicate", "number", "nak", "crc", "mute")],
    ("Q26", {"status": 0x27}),
    ("Q26", {"status": 0x14}),
    ("Q27", {"size": 16}),
    ("Q28", {}),
    ("Q29", {"what": "all"}),
    ("Q30", {}),
    ("Q31", {"kind": "6985"}),
    ("Q31", {"kind": "mute"}),
    ("Q33", {}),
    ("Q34", {"status": 0x2D}),
    ("Q34", {"status": 0x0D}),
    ("Q35", {"times": 5}),
    ("Q37", {"kind": "61"}),
    ("Q38", {"listed": 0}),
    ("Q38", {"listed": 1}),
]
ON_THE_BUS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "uart": [
        *[("Q04", {"order": order}) for order in ("burst", "before", "bytes")],
        ("Q08", {"baud": 460800}),
    ],
    "spi": [("Q15", {"times": 20, "chance": 0.01})],
    "i2c": [
        ("Q11", {"stretch_us": 20000, "times": 5}),
        ("Q11", {"stretch_us": 30000, "times": 3}),
        ("Q12", {"line": "sda"}),
        ("Q12", {"line": "scl"}),
        ("Q13", {"block_ms": 25, "times": 10}),
        ("Q14", {"times": 5}),
    ],
}
# What a fault may turn a tap into; otherwise it is what it would have been without.
FAILED = {
    ("declined", "malformed"),
    ("declined", "unsupported"),
    ("retry", "card_lost"),
    ("retry", "multiple_media"),
    ("retry", "out_of_service"),
}


def summary(result: Any) -> tuple[str, str]:
    return result.outcome, result.reason


class Soak:
    def __init__(self, bench: Any, bus: str, seed: int) -> None:
        self.bench = bench
        self.random = random.Random(seed)
        self.faults = EVERYWHERE + ON_THE_BUS[bus]
        self.seen: dict[str, int] = {}
        self.clean_results: dict[str, Any] = {}
        self.cards = {name: sim_cards.make(name) for name in NAMES}
        self.generation = 0
        for name in NAMES:
            self.clean(name)
        numbers = {result.token_source for result in self.clean_results.values()}
        assert len(numbers) == len(NAMES) and None not in numbers

    def clean(self, name: str) -> None:
        """A tap without faults: always the same result."""
        bench = self.bench
        bench.chip.faults.disarm()
        bench.chip.field_present(self.cards[name])
        result = bench.tap()
        expected = self.clean_results.setdefault(name, result)
        assert summary(result) == summary(expected), (name, result.detail)
        assert result.token_source == expected.token_source

    def faulty(self) -> None:
        """A tap with whatever comes: ends in an outcome that may be, with nobody else's number."""
        bench, rng = self.bench, self.random
        name = rng.choices(NAMES, WEIGHTS)[0]
        for _ in range(rng.randrange(4)):
            fault, options = rng.choice(self.faults)
            times = {"times": rng.choice((1, 1, 2)), "skip": rng.randrange(25)}
            bench.chip.faults.arm(fault, **{**times, **options})
        self.generation += 1
        self.lay(name, self.generation)
        target, result = bench.begin()
        self.generation += 1
        expected = self.clean_results[name]
        right = summary(expected)
        assert summary(result) == right or summary(result) in FAILED, (right, result.detail)
        assert result.token_source in (None, expected.token_source), (name, result.detail)
        what = "right" if summary(result) == right else result.reason
        self.seen[what] = self.seen.get(what, 0) + 1
        if rng.random() < 0.2:
            # The rider is slow to take the card away, but taps once.
            before = len(bench.apdus)
            self.take_away(rng.uniform(0.1, 2.0))
            gone = bench.run(bench.poller.finish(target))
            assert len(bench.apdus) == before
        else:
            bench.chip.field_remove()
            gone = bench.run(bench.poller.finish(target))
        # A reader that has to cool down, or that only its rail brings back, may take longer.
        assert bench.poller.state == ("idle" if gone else "removal")
        bench.chip.field_remove()
        self.generation += 1
        if rng.random() < 0.5:
            bench.chip.faults.disarm()

    def take_away(self, seconds: float) -> None:
        """The card leaves in a while, unless the next one is there by then."""
        generation = self.generation

        def leave() -> None:
            if generation == self.generation:
                self.bench.chip.field_remove()

        self.bench.time.call_later(seconds, leave)

    def lay(self, name: str, generation: int) -> None:
        """The rider lays the card on the reader, again and again until something happens."""
        if generation != self.generation:
            return
        bench, rng = self.bench, self.random
        bench.chip.field_remove()
        loss = {"lose_at_apdu": rng.randrange(1, 8)} if rng.random() < 0.2 else {}
        bench.chip.field_present(
            sim_cards.make(name), **loss, lose=rng.choice(("before", "after"))
        )
        if rng.random() < 0.2:
            self.take_away(rng.uniform(0.0, 0.3))
        bench.time.call_later(rng.uniform(1.0, 3.0), lambda: self.lay(name, generation))


@pytest.mark.parametrize(
    ("bus", "taps", "seed"),
    [("uart", 800, 1), ("uart", 800, 2), ("i2c", 200, 3), ("spi", 200, 4)],
)
def test_taps_with_random_faults(opened: Any, bus: str, taps: int, seed: int) -> None:
    options: dict[str, Any] = {"baud": 921600} if bus == "uart" else {"irq": seed % 2 == 0}
    bench = opened(bus=bus, **options)
    soak = Soak(bench, bus, seed)
    for n in range(taps):
        soak.faulty()
        if n % CLEAN_EVERY == 0:
            soak.clean(soak.random.choice(NAMES))
    soak.clean("tunion")
    assert bench.poller.counters["cards"] >= taps
    # It was no walk in the park, and most riders got what they came for.
    assert {"right", "card_lost", "multiple_media", "out_of_service"} <= soak.seen.keys()
    assert soak.seen["right"] > taps // 3
    assert bench.poller.counters["recoveries"] > taps // 100
    assert len(bench.chip.faults.struck) >= 20
