"""The figures of a run: outcomes counted, times sorted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faretap.rack.results import PHASES, Run, Tap

SERIES = (*PHASES, "total", "own", "card", "wall")
"""Names of what is timed: the phases, all of them together, the validator's own share, what card,
air and reader chip took, and what the host saw. All in ms."""

SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_ENDED = ("accepted", "declined")


@dataclass(frozen=True)
class Spread:
    """Some times in ms; percentiles by nearest rank: a time that was really measured."""

    n: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None if there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        ranks = {name: percentile(ordered, share) for name, share in SHARES.items()}
        return cls(len(ordered), max=ordered[-1], **ranks)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the sorted values that at least that share of them does not exceed."""
    rank = math.ceil(round(share * len(ordered), 9))  # 0.95 * 20 is a little more than 19
    return ordered[max(rank, 1) - 1]


def value(tap: Tap, series: str) -> float | None:
    """That time of that tap in ms, None if it was not measured."""
    if series == "total":
        return tap.total_ms
    if series == "own":
        return None if tap.own_us is None else tap.own_us / 1000
    if series == "card":
        return None if tap.card_us is None else tap.card_us / 1000
    if series == "wall":
        return tap.wall_ms
    return tap.phases.get(series)


def timed(run: Run, medium: str | None = None) -> list[Tap]:
    """The taps whose times count: those that came to an end, of one medium or of all. One that
    has to be repeated waited for a card that was gone."""
    return [
        tap
        for tap in run.taps
        if tap.outcome in _ENDED and (medium is None or tap.medium == medium)
    ]


def values(run: Run, series: str, medium: str | None = None) -> list[float]:
    """Those times in ms, in the order of the taps."""
    found = (value(tap, series) for tap in timed(run, medium))
    return [v for v in found if v is not None]


def spreads(run: Run, medium: str | None = None) -> dict[str, Spread]:
    """By series, those that were measured."""
    found = {series: Spread.of(values(run, series, medium)) for series in SERIES}
    return {series: spread for series, spread in found.items() if spread is not None}


def media(run: Run) -> list[str]:
    """The media of the taps whose times count, in the order of their names."""
    return sorted({tap.medium for tap in timed(run) if tap.medium})


@dataclass(frozen=True)
class Riders:
    """All taps of riders of one name with one expectation: how they ended, and how many of them
    not as expected."""

    rider: str
    expected: str
    n: int
    results: dict[str, int]
    wrong: int


def riders(run: Run) -> list[Riders]:
    """Those with wrong ends first, then by name."""
    groups: dict[tuple[str, str], list[Tap]] = {}
    for tap in run.taps:
        groups.setdefault((tap.rider, tap.expected), []).append(tap)
    found = [
        Riders(
            rider,
            expected,
            len(taps),
            dict(sorted(Counter(t.result for t in taps).items(), key=lambda e: (-e[1], e[0]))),
            sum(not t.ok for t in taps),
        )
        for (rider, expected), taps in groups.items()
    ]
    return sorted(found, key=lambda r: (-r.wrong, r.rider, r.expected))


def outcomes(run: Run) -> dict[str, int]:
    """How many taps ended how, the most frequent first."""
    counted = Counter(tap.result for tap in run.taps)
    return dict(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])))


def rate(run: Run) -> float | None:
    """Taps per second by the host's clock; None if that is not known."""
    return len(run.taps) / run.seconds if run.seconds and run.taps else None


@dataclass(frozen=True)
class Bin:
    """`count` values from `low` up to, but not including, `high`."""

    low: float
    high: float
    count: int


def histogram(numbers: Sequence[float], wanted: int = 24) -> list[Bin]:
    """Bins of one round width over all values; [] for no values. Whole numbers get bins of whole
    numbers: a phase is told in whole ms."""
    if not numbers:
        return []
    low, high = min(numbers), max(numbers)
    width = round_width((high - low) / wanted)
    if all(n == int(n) for n in numbers):
        width = max(width, 1.0)
    first = math.floor(low / width)
    counts = Counter(math.floor(number / width) for number in numbers)
    last = max(counts)
    return [Bin(at * width, (at + 1) * width, counts[at]) for at in range(first, last + 1)]


def round_width(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 … (and 0.5, 0.2 …) that is not below `least`; 1 for 0."""
    if least <= 0:
        return 1.0
    power = math.floor(math.log10(least))
    for digit in (1, 2, 5, 10):
        width = digit * 10.0**power
        if width >= least * (1 - 1e-9):
            return width
    raise AssertionError("10 is above all")
