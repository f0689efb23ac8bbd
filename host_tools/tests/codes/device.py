"""The firmware's decision on a code, at a moment of the test's choice."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from functools import cache
from typing import Any

from faretap.sim.codes import AMOUNT, configuration
from riders_bench import memory  # type: ignore[import-not-found]
from validator.guarded import GuardedTime
from validator.media import code_rules, codes
from validator.media.code_replay import Presentation
from validator.media.phases import Phases

NOW = 1893456000


class Clock:
    """What validator.hal.Clock has, stopped at a moment; `pass_s` moves it."""

    def __init__(self, now: int = NOW, trusted: bool = True) -> None:
        self.now, self.trusted, self.us = now, trusted, 0

    def ticks_us(self) -> int:
        return self.us

    def ticks_ms(self) -> int:
        return self.us // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    def unix(self) -> int:
        return self.now

    def pass_s(self, seconds: int) -> None:
        self.now += seconds
        self.us += seconds * 1000000


def load(riders: Any = None, **changes: Any) -> dict[str, Any]:
    rules: dict[str, Any] = code_rules.load(configuration(**changes), riders=riders)
    return rules


@cache
def _loaded() -> dict[str, Any]:
    return load()


def fresh(rules: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Rules, those for the catalogue if not given, of a validator that has seen no code yet."""
    known = {"riders": memory(Clock()), "seen": Presentation()}
    return {**(rules or _loaded()), **known, **changes}


def show(code: bytes, clock: Clock, rules: dict[str, Any], amount: int = AMOUNT) -> Any:
    at(rules["riders"], clock)
    return codes.run(code, clock, Phases(clock), rules, amount)


def at(riders: Any, clock: Clock) -> None:
    """Let a memory of riders go by this clock from now on; guarded time does not go back."""
    if riders is not None and riders.time._clock is not clock:
        before = riders.time.now()
        riders.time = riders._upkeep._time = GuardedTime(clock)
        riders.time.reach(before)
