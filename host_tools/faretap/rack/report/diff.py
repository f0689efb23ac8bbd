"""Two runs compared: what became slower or faster, which riders ended differently.

    comparison = compare(before, after, limits(["p95.own=10%"]))
    assert comparison.ok, comparison.broken

A limit is a share, so that it means the same on every validator:

    p95.own=10%            this percentile of the own share may grow by a tenth, over all media
    p95.own.quickpass=10%  of one medium; * stands for each medium
    outcomes=0%            so many of all taps may end otherwise than before (riders by name), if
                           that is not what is expected of them
    failures=0%            of all taps, so many more may be not as expected
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from faretap.errors import FaretapError
from faretap.rack.report import figures
from faretap.rack.report.text import number
from faretap.rack.results import Run

DEFAULT = (
    "p50.own=10%",
    "p95.own=15%",
    "p99.own=25%",
    "p50.own.*=15%",
    "p95.total=15%",
    "outcomes=0%",
    "failures=0%",
)
"""What fails a release, unless it is told other limits."""

# So many taps at least say something about the percentile.
_ENOUGH = {"p50": 5, "p95": 20, "p99": 100}

# A phase is told in whole ms: of a difference that is not longer than that, nothing is known. The
# own share comes in µs.
_RESOLUTION_MS = {"own": 0.0, "card": 0.0, "wall": 0.0}

_LIMIT = re.compile(r"([a-z0-9]+)(?:\.([a-z]+))?(?:\.([A-Za-z0-9_*-]+))? *= *(?:([0-9.]+) *%|off)")


class LimitError(FaretapError):
    """A limit that cannot be understood."""


@dataclass(frozen=True)
class Limit:
    """`what` is p50, p95, p99, outcomes or failures; `share` 0.1 for 10 %, None to take a default
    one away. `medium` "" is all of them together, "*" each by itself. One that was `asked` for
    fails when it cannot be judged."""

    what: str
    series: str = ""
    medium: str = ""
    share: float | None = None
    asked: bool = False

    @property
    def key(self) -> str:
        return ".".join(filter(None, (self.what, self.series, self.medium)))


def parse_limit(text: str) -> Limit:
    """LimitError says what would be right."""
    match = _LIMIT.fullmatch(text.strip())
    if match:
        what, series, medium, percent = match.groups()
        share = None if percent is None else _percent(percent)
        if what in figures.SHARES and series in figures.SERIES:
            return Limit(what, series, medium or "", share)
        if what in ("outcomes", "failures") and not series:
            return Limit(what, share=share)
    raise LimitError(
        f"{text!r} is no limit.",
        "Write p50, p95 or p99, a point, and one of "
        f"{', '.join(figures.SERIES)}, and what it may grow by: p95.own=10%; with a medium "
        "p95.own.quickpass=10%; or outcomes=1%, failures=0%; off takes a default limit away.",
    )


def _percent(text: str) -> float:
    try:
        return float(text) / 100
    except ValueError:
        raise LimitError(
            f"{text!r} is no number of percent.", "For example 10% or 2.5%."
        ) from None


def limits(given: Iterable[str] = (), defaults: Sequence[str] = DEFAULT) -> list[Limit]:
    """The default ones, replaced and completed by those that are given."""
    found = {limit.key: limit for limit in map(parse_limit, defaults)}
    for limit in map(parse_limit, given):
        found[limit.key] = replace(limit, asked=True)
    return [limit for limit in found.values() if limit.share is not None]


@dataclass(frozen=True)
class Change:
    """One time in ms, before and after. `ratio` is after by before, None where that was 0.
    `limit` is the share that it may grow by, None if it is not limited."""

    what: str
    series: str
    medium: str
    before: float
    after: float
    n: int
    ratio: float | None
    limit: float | None = None
    broken: bool = False
    note: str = ""

    @property
    def key(self) -> str:
        return ".".join(filter(None, (self.what, self.series, self.medium)))

    @property
    def verdict(self) -> str:
        """ "slower", "faster", "same"; by 5 % and more than the clock's resolution."""
        if abs(self.after - self.before) <= _RESOLUTION_MS.get(self.series, 1.0):
            return "same"
        if self.after > self.before * 1.05:
            return "slower"
        return "faster" if self.after < self.before * 0.95 else "same"


@dataclass(frozen=True)
class Otherwise:
    """Riders of one name that ended otherwise: taps by result, before and after; how many of
    those after ended as none of before did."""

    rider: str
    before: dict[str, int]
    after: dict[str, int]
    moved: float


@dataclass
class Comparison:
    """`broken` are the sentences that fail a release; `notes` say what could not be compared."""

    before: str
    after: str
    changes: list[Change] = field(default_factory=list)
    otherwise: list[Otherwise] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.broken

    def to_json(self) -> dict[str, Any]:
        changes = [{**asdict(c), "key": c.key, "verdict": c.verdict} for c in self.changes]
        return {**asdict(self), "changes": changes, "ok": self.ok}


def compare(before: Run, after: Run, wanted: Sequence[Limit] | None = None) -> Comparison:
    """`after` against `before`, with the default limits unless others are given."""
    wanted = limits() if wanted is None else wanted
    found = Comparison(before.name, after.name)
    if before.name != after.name:
        found.notes.append(f"two runs of different names: {before.name!r} and {after.name!r}")
    if before.seed != after.seed:
        found.notes.append(f"different seeds: {before.seed} and {after.seed}")
    for run, which in ((before, "first"), (after, "second")):
        if not run.taps:
            found.broken.append(f"the {which} run holds no tap")
    _times(before, after, wanted, found)
    _endings(before, after, wanted, found)
    _failures(before, after, wanted, found)
    return found


def _times(before: Run, after: Run, wanted: Sequence[Limit], found: Comparison) -> None:
    media = [m for m in figures.media(before) if m in figures.media(after)]
    by_key = {(limit.what, limit.series, limit.medium): limit for limit in wanted}
    seen: set[tuple[str, str, str]] = set()
    for medium in ("", *media):
        one = figures.spreads(before, medium or None)
        two = figures.spreads(after, medium or None)
        for series in figures.SERIES:
            if series not in one or series not in two:
                continue
            for what in figures.SHARES:
                limit = by_key.get((what, series, medium))
                if limit is None and medium:
                    limit = by_key.get((what, series, "*"))
                if limit is not None:
                    seen.add((what, series, limit.medium))
                elif medium and what != "p50":
                    continue  # too much to read, for what nobody asked
                old, new = getattr(one[series], what), getattr(two[series], what)
                n = min(one[series].n, two[series].n)
                found.changes.append(_change(what, series, medium, old, new, n, limit))
    for change in found.changes:
        if change.broken and change.note:
            found.broken.append(f"{change.key} cannot be judged: {change.note}")
        elif change.broken:
            assert change.limit is not None
            ratio = "from nothing" if change.ratio is None else f"{change.ratio - 1:+.1%}"
            found.broken.append(
                f"{change.key} went from {number(change.before)} to {number(change.after)} ms: "
                f"{ratio}, allowed is +{change.limit:.1%}"
            )
    for key, limit in by_key.items():
        if limit.series and key not in seen:
            where = found.broken if limit.asked else found.notes
            where.append(f"{limit.key} was not measured in both runs")


def _change(
    what: str, series: str, medium: str, old: float, new: float, n: int, limit: Limit | None
) -> Change:
    ratio = new / old if old > 0 else None
    share = limit.share if limit is not None else None
    broken, note = False, ""
    if share is not None:
        if n < _ENOUGH[what]:
            note = f"{n} taps are too few for {what}"
            broken = limit is not None and limit.asked
        elif new - old > _RESOLUTION_MS.get(series, 1.0):
            broken = new > old * (1 + share) + 1e-9
    return Change(what, series, medium, old, new, n, ratio, share, broken, note)


def _endings(before: Run, after: Run, wanted: Sequence[Limit], found: Comparison) -> None:
    one, two = _results(before), _results(after)
    for missing, where in (
        (one.keys() - two.keys(), "first"),
        (two.keys() - one.keys(), "second"),
    ):
        if missing:
            found.notes.append(f"riders of the {where} run only: {', '.join(sorted(missing))}")
    # What a rider should come to is no change for the worse, however many more come to it.
    right = {(t.rider, t.result) for t in after.taps if t.ok and t.expected}
    worse = compared = 0.0
    riders = []
    for rider in sorted(one.keys() & two.keys()):
        a, b = one[rider], two[rider]
        compared += b.total()
        # By how much the share of a result grew, in taps of the second run: with as many taps as
        # before, the number of those that changed over to it.
        grown = {r: b[r] - a[r] * b.total() / a.total() for r in b}
        moved = sum(g for g in grown.values() if g > 1e-9)
        if moved > 1e-9:
            found.otherwise.append(Otherwise(rider, dict(a), dict(b), round(moved, 3)))
        bad = sum(g for r, g in grown.items() if g > 1e-9 and (rider, r) not in right)
        if bad > 1e-9:
            worse += bad
            riders.append(rider)
    for limit in wanted:
        allowed = limit.share
        if limit.what != "outcomes" or allowed is None or not compared:
            continue
        if worse / compared > allowed + 1e-9:
            found.broken.append(
                f"{worse:.4g} of {compared:g} taps ended otherwise ({', '.join(riders)}), "
                f"allowed is {allowed:.1%}"
            )


def _results(run: Run) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for tap in run.taps:
        found.setdefault(tap.rider, Counter())[tap.result] += 1
    return found


def _failures(before: Run, after: Run, wanted: Sequence[Limit], found: Comparison) -> None:
    for limit in wanted:
        if limit.what != "failures" or limit.share is None:
            continue
        if after.taps and before.taps:
            old = len(before.failed_taps) / len(before.taps)
            new = len(after.failed_taps) / len(after.taps)
            if new - old > limit.share + 1e-9:
                found.broken.append(
                    f"{len(after.failed_taps)} of {len(after.taps)} taps are not as expected, "
                    f"before {len(before.failed_taps)} of {len(before.taps)}"
                )
        failed = {(c.name, c.slot) for c in before.failed_checks}
        for check in after.failed_checks:
            if (check.name, check.slot) not in failed:
                where = f" ({check.slot})" if check.slot else ""
                found.broken.append(
                    f"check failed: {check.name}{where}: {check.text}".rstrip(": ")
                )
