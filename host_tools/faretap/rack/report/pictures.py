"""The pictures of a report, as SVG that stands inside the page and takes its colours from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from faretap.rack.report.figures import Spread, histogram, percentile, round_width
from faretap.rack.report.text import number
from faretap.rack.results import PHASES, Event, Run, Tap

_LANE = 84  # height of a slot's lane in the timeline
_MANY = 1000  # taps in a lane above which columns stand for them
_COLUMNS = 140
_LEFT, _RIGHT = 44, 12
_WIDTH = 760
_RING = 6.5

Scale = Callable[[float], float]


def histogram_picture(numbers: Sequence[float], spread: Spread, name: str) -> str:
    """How often which time, with marks at the percentiles. `spread` is of the same numbers."""
    width, height, base, edge = 340, 150, 122, 16
    bins = histogram(numbers)
    low, high = bins[0].low, bins[-1].high
    tallest = max(b.count for b in bins)

    def x(ms: float) -> float:
        return edge + (width - 2 * edge) * (ms - low) / (high - low)

    parts = []
    for b in bins:
        if b.count:
            tall = max(1.5, 92 * b.count / tallest)
            parts.append(
                f'<rect class="bar" x="{x(b.low) + 0.5:.1f}" y="{base - tall:.1f}" '
                f'width="{max(1.0, x(b.high) - x(b.low) - 1):.1f}" height="{tall:.1f}">'
                f"<title>{number(b.low)} to {number(b.high)} ms: {b.count}</title></rect>"
            )
    marks = (("p50", spread.p50), ("p95", spread.p95), ("p99", spread.p99))
    for row, (label, ms) in enumerate(marks):
        at = x(ms)
        side = ("end", -3) if at > width * 0.6 else ("start", 3)
        parts.append(
            f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{6 + 9 * row}" y2="{base}"/>'
            f'<text x="{at + side[1]:.1f}" y="{13 + 9 * row}" text-anchor="{side[0]}">'
            f"{label}</text>"
        )
    parts.append(f'<line class="axis" x1="{edge}" x2="{width - edge}" y1="{base}" y2="{base}"/>')
    for tick in _ticks(low, high, 5):
        at = x(tick)
        parts.append(
            f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 4}"/>'
            f'<text x="{at:.1f}" y="{base + 15}" text-anchor="middle">{number(tick)}</text>'
        )
    return _svg(width, height, f"Histogram of {name}, ms", parts)


def phases_picture(rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    """A bar a row: (name, ms by phase) side by side."""
    width, each, left = _WIDTH, 30, 110
    longest = max((sum(phases.values()) for _, phases in rows), default=0) or 1
    parts = []
    for i, (name, phases) in enumerate(rows):
        top = 6 + i * each
        parts.append(
            f'<text class="name" x="{left - 6}" y="{top + 14}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        at = float(left)
        for phase in PHASES:
            ms = phases.get(phase, 0)
            long = (width - left - 60) * ms / longest
            if ms <= 0:
                continue
            parts.append(
                f'<rect class="phase {phase}" x="{at:.1f}" y="{top}" '
                f'width="{max(0.5, long - 0.5):.1f}" height="20">'
                f"<title>{phase}: {number(ms)} ms</title></rect>"
            )
            at += long
        parts.append(
            f'<text x="{at + 5:.1f}" y="{top + 14}">{number(sum(phases.values()))} ms</text>'
        )
    return _svg(width, 10 + each * len(rows), "Phases of a tap, mean ms", parts)


def timeline_picture(run: Run) -> str:
    """A lane a slot: each tap at its time, as high as it took long; what happened as lines."""
    names = [slot.name for slot in run.slots]
    for tap in run.taps:
        if tap.slot not in names:
            names.append(tap.slot)
    end = max(
        [t.at + (t.wall_ms or t.total_ms or 0) / 1000 for t in run.taps]
        + [e.at for e in run.events]
        + [run.seconds or 0, 0.001]
    )
    top_ms = _ceiling([t.total_ms for t in run.taps if t.total_ms is not None])

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(at, 0), end) / end

    parts = []
    for i, name in enumerate(names):
        top = 22 + i * (_LANE + 22)
        base = top + _LANE

        def y(ms: float, base: float = base) -> float:
            return base - (_LANE - 8) * min(ms, top_ms) / top_ms

        parts.append(f'<text class="name" x="{_LEFT}" y="{top - 6}">{escape(name)}</text>')
        parts.append(_lane_axis(base, y(top_ms), top_ms))
        for n, event in enumerate(run.events, 1):
            if event.slot in ("", name):
                parts.append(_event(n, event, x(event.at), top, base))
        taps = [t for t in run.taps if t.slot == name]
        if len(taps) > _MANY:
            parts.append(_columns(taps, end, x, y))
            taps = [t for t in taps if not t.ok][:_MANY]
        parts += [_tap(tap, x(tap.at), y(tap.total_ms or 0)) for tap in taps]
    bottom = 22 + len(names) * (_LANE + 22)
    for tick in _ticks(0, end, 8):
        parts.append(
            f'<text x="{x(tick):.1f}" y="{bottom}" text-anchor="middle">{number(tick)} s</text>'
        )
    return _svg(_WIDTH, bottom + 8, "Timeline of the taps", parts)


def _lane_axis(base: float, top: float, ms: float) -> str:
    right = _WIDTH - _RIGHT
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{base}" y2="{base}"/>'
        f'<line class="guide" x1="{_LEFT}" x2="{right}" y1="{top:.1f}" y2="{top:.1f}"/>'
        f'<text x="{_LEFT - 4}" y="{top + 4:.1f}" text-anchor="end">{number(ms)}</text>'
        f'<text x="{_LEFT - 4}" y="{base}" text-anchor="end">0 ms</text>'
    )


def _event(n: int, event: Event, at: float, top: float, base: float) -> str:
    return (
        f'<line class="event" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{base}">'
        f"<title>{escape(f'{event.kind}: {event.text}')}</title></line>"
        f'<text class="event" x="{at + 2:.1f}" y="{top + 8}">{n}</text>'
    )


def _tap(tap: Tap, x: float, y: float) -> str:
    """A circle is accepted, a square declined, a triangle to be repeated, a cross nothing; with
    a ring round it if it is not as expected."""
    kind = tap.outcome if tap.outcome in ("accepted", "declined", "retry") else "nothing"
    if kind == "accepted":
        shape = f'<circle class="accepted" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
    elif kind == "declined":
        left, top = x - 2.4, y - 2.4
        shape = f'<rect class="declined" x="{left:.1f}" y="{top:.1f}" width="4.8" height="4.8"/>'
    elif kind == "retry":
        points = f"{x:.1f},{y - 3.2:.1f} {x + 3:.1f},{y + 2.4:.1f} {x - 3:.1f},{y + 2.4:.1f}"
        shape = f'<polygon class="retry" points="{points}"/>'
    else:
        left, right, top, low = x - 3, x + 3, y - 3, y + 3
        path = (
            f"M{left:.1f} {top:.1f}L{right:.1f} {low:.1f}"
            f"M{left:.1f} {low:.1f}L{right:.1f} {top:.1f}"
        )
        shape = f'<path class="nothing" d="{path}"/>'
    if not tap.ok:
        shape += f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{_RING}"/>'
    ms = "" if tap.total_ms is None else f", {number(tap.total_ms)} ms"
    title = f"{number(tap.at)} s {tap.rider}: {tap.result}{ms}"
    return f"<g><title>{escape(title)}</title>{shape}</g>"


def _columns(taps: list[Tap], end: float, x: Scale, y: Scale) -> str:
    """From the shortest to the longest time in each stretch, a line at the median."""
    stretches: dict[int, list[float]] = {}
    for tap in taps:
        if tap.total_ms is not None:
            at = min(_COLUMNS - 1, int(_COLUMNS * max(tap.at, 0) / end))
            stretches.setdefault(at, []).append(tap.total_ms)
    parts = []
    for at, times in sorted(stretches.items()):
        times.sort()
        left, right = x(end * at / _COLUMNS), x(end * (at + 1) / _COLUMNS)
        top, low, middle = y(times[-1]), y(times[0]), y(percentile(times, 0.5))
        title = f"{len(times)} taps, {number(times[0])} to {number(times[-1])} ms"
        parts.append(
            f'<g><title>{title}</title><rect class="column" x="{left:.1f}" y="{top:.1f}" '
            f'width="{max(1.0, right - left - 0.5):.1f}" height="{max(1.0, low - top):.1f}"/>'
            f'<line class="median" x1="{left:.1f}" x2="{right - 0.5:.1f}" y1="{middle:.1f}" '
            f'y2="{middle:.1f}"/></g>'
        )
    return "".join(parts)


def _ceiling(times: list[float]) -> float:
    """A round number that nearly all times stay below: one that took ages hides no others."""
    if not times:
        return 1.0
    times.sort()
    high = min(times[-1], 2 * percentile(times, 0.95)) or 1.0
    width = round_width(high / 4)
    return width * math.ceil(high / width - 1e-9)


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    step = round_width((high - low) / wanted)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _svg(width: float, height: float, label: str, parts: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" '
        f'preserveAspectRatio="xMidYMid meet">{"".join(parts)}</svg>'
    )
