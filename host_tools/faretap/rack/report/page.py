"""A run as one page: nothing is loaded, no script is needed, and a phone can read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from faretap.rack.report import figures
from faretap.rack.report.pictures import (
    histogram_picture,
    phases_picture,
    timeline_picture,
)
from faretap.rack.report.style import STYLE
from faretap.rack.report.text import legal, number
from faretap.rack.results import PHASES, Run

_ROWS = 200  # wrong taps that are shown one by one

_WHAT = {
    "total": "all phases",
    "own": "the validator's own share",
    "card": "card, air and reader chip",
    "wall": "as the host saw it",
}


def page(run: Run) -> str:
    """The text of the file. Every text of the run is escaped."""
    title = f"{run.name or 'Run'}: {'passed' if run.ok else 'failed'}"
    parts = [
        _head(run),
        _failures(run),
        _outcomes(run),
        _phases(run),
        _histograms(run),
        _timeline(run),
        _checks(run),
        _slots(run),
    ]
    return legal(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        '<meta name="color-scheme" content="light dark"/>\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def _head(run: Run) -> str:
    at = datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    facts = [at]
    if run.seconds is not None:
        facts.append(f"{number(run.seconds)} s")
    if run.compressed != 1:
        facts.append(f"time compressed {number(run.compressed)} times")
    if run.seed is not None:
        facts.append(f"seed {run.seed}")
    if run.source:
        facts.append(run.source)
    wrong, failed = len(run.failed_taps), len(run.failed_checks)
    rate = figures.rate(run)
    tiles = [
        ("taps", str(len(run.taps)), False),
        ("not as expected", str(wrong), bool(wrong)),
        ("checks failed", f"{failed} of {len(run.checks)}", bool(failed)),
        ("slots", str(len(run.slots)), False),
    ]
    if rate is not None:
        tiles.append(("taps per second", number(rate), False))
    own = figures.Spread.of(figures.values(run, "own"))
    if own:
        tiles.append(("own share, p95", f"{number(own.p95)} ms", False))
    shown = "".join(
        f'<div class="tile{" bad" if bad else ""}"><b>{escape(value)}</b>{escape(name)}</div>'
        for name, value, bad in tiles
    )
    verdict = "passed" if run.ok else "failed"
    return (
        f'<header><h1>{escape(run.name or "Run")} <span class="verdict {verdict}">{verdict}</span>'
        f'</h1>\n<p class="facts">{escape(" · ".join(facts))}</p>\n'
        f'<div class="tiles">{shown}</div></header>'
    )


def _failures(run: Run) -> str:
    """First of all, and not there if there are none."""
    parts = []
    if run.failed_checks:
        found = [(c.name, c.slot, c.text or "failed") for c in run.failed_checks]
        parts.append(_table("failed-checks", ("check", "slot", "found"), found))
    if wrong := run.failed_taps:
        rows = [
            (
                f"{number(t.at)} s",
                t.slot,
                t.rider,
                t.expected,
                t.result,
                "" if t.seq is None else str(t.seq),
                "; ".join(t.notes),
            )
            for t in wrong[:_ROWS]
        ]
        head = ("at", "slot", "rider", "expected", "was", "record", "notes")
        parts.append(_table("failed-taps", head, rows))
        if len(wrong) > _ROWS:
            parts.append(f"<p>… and {len(wrong) - _ROWS} more; run.json has them all.</p>")
    for slot in run.slots:
        if slot.trouble:
            parts.append(f"<p><b>{escape(slot.name)}</b>: {escape(slot.trouble)}</p>")
    if not parts:
        return ""
    return '<section class="failures"><h2>Failures</h2>\n' + "\n".join(parts) + "</section>"


def _outcomes(run: Run) -> str:
    if not run.taps:
        return ""
    groups = figures.riders(run)
    columns = list(figures.outcomes(run))
    head = ("rider", "expected", "taps", "wrong", *columns)
    rows = [
        (
            g.rider,
            g.expected,
            str(g.n),
            str(g.wrong) if g.wrong else "",
            *(str(g.results.get(c, "")) for c in columns),
        )
        for g in groups
    ]
    counted = figures.outcomes(run)
    wrong = len(run.failed_taps)
    total = ("all", "", str(len(run.taps)), str(wrong) if wrong else "")
    rows.append((*total, *(str(counted[c]) for c in columns)))
    marked = [i for i, g in enumerate(groups) if g.wrong]
    table = _table("outcomes", head, rows, numbers=2, bad=marked, last="total")
    return f"<section><h2>Outcomes</h2>\n{table}</section>"


def _phases(run: Run) -> str:
    parts = []
    everything = figures.spreads(run)
    if not everything:
        return ""
    parts.append(_spread_table("phases", everything))
    rows = []
    for medium in figures.media(run):
        means = _means(run, medium)
        if means:
            rows.append((medium, means))
    if rows:
        legend = "".join(f'<span class="key {p}">{p}</span>' for p in PHASES)
        parts.append(
            "<h3>Mean of each phase by medium</h3>\n"
            f'<div class="wide">{phases_picture(rows)}</div>'
            f'<p class="legend">{legend}</p>'
        )
    media = figures.media(run)
    for medium in media if len(media) > 1 else ():
        found = {s: v for s, v in figures.spreads(run, medium).items() if s in _WHAT}
        if found:
            parts.append(f"<h3>{escape(medium)}</h3>")
            parts.append(_spread_table(f"phases-{medium}", found))
    return (
        "<section><h2>Times</h2>\n<p>In ms, by the validator's clock, over the taps that were "
        "accepted or declined. Percentiles by nearest rank.</p>\n"
        + "\n".join(parts)
        + "</section>"
    )


def _means(run: Run, medium: str) -> dict[str, float]:
    found = {}
    for phase in PHASES:
        numbers = figures.values(run, phase, medium)
        if numbers:
            found[phase] = sum(numbers) / len(numbers)
    return found


def _spread_table(name: str, spreads: dict[str, figures.Spread]) -> str:
    rows = []
    for series, s in spreads.items():
        label = f"{series}: {_WHAT[series]}" if series in _WHAT else series
        times = (number(v) for v in (s.p50, s.p95, s.p99, s.max))
        rows.append((label, str(s.n), *times))
    return _table(name, ("", "taps", "p50", "p95", "p99", "max"), rows, numbers=1)


def _histograms(run: Run) -> str:
    parts = []
    for series in ("own", "total", *PHASES, "card", "wall"):
        numbers = figures.values(run, series)
        spread = figures.Spread.of(numbers)
        if spread is None or spread.max == 0:
            continue
        picture = histogram_picture(numbers, spread, series)
        parts.append(f"<figure><figcaption>{series}, ms</figcaption>{picture}</figure>")
    if not parts:
        return ""
    return f'<section><h2>Histograms</h2>\n<div class="grid">{"".join(parts)}</div></section>'


def _timeline(run: Run) -> str:
    if not run.taps and not run.events:
        return ""
    legend = (
        '<span class="key accepted">accepted ●</span><span class="key declined">declined ■</span>'
        '<span class="key retry">retry ▲</span><span class="key nothing">no reaction ✕</span>'
        '<span class="key ring">not as expected ◯</span>'
    )
    parts = [f'<div class="wide">{timeline_picture(run)}</div>', f'<p class="legend">{legend}</p>']
    if run.events:
        rows = [
            (str(n), f"{number(e.at)} s", e.slot or "all", e.kind, e.text)
            for n, e in enumerate(run.events, 1)
        ]
        parts.append(_table("events", ("", "at", "slot", "what", ""), rows))
    return (
        "<section><h2>Timeline</h2>\n<p>A lane a slot. A tap stands as high as it took long."
        "</p>\n" + "\n".join(parts) + "</section>"
    )


def _checks(run: Run) -> str:
    if not run.checks:
        return ""
    rows = [
        (c.name, c.slot, "skipped" if c.skipped else "ok" if c.ok else "failed", c.text)
        for c in run.checks
    ]
    bad = [i for i, c in enumerate(run.checks) if not c.ok and not c.skipped]
    table = _table("checks", ("check", "slot", "", "found"), rows, bad=bad)
    return f"<section><h2>Checks</h2>\n{table}</section>"


def _slots(run: Run) -> str:
    if not run.slots:
        return ""
    taps: Counter[str] = Counter(t.slot for t in run.taps)
    wrong: Counter[str] = Counter(t.slot for t in run.taps if not t.ok)
    rows = [
        (
            s.name,
            s.board,
            s.version,
            s.hash,
            s.micropython,
            s.serial,
            s.via,
            s.port,
            str(taps[s.name]),
            str(wrong[s.name] or ""),
        )
        for s in run.slots
    ]
    head = ("slot", "board", "version", "hash", "MicroPython", "serial", "via", "port", "taps")
    bad = [i for i, s in enumerate(run.slots) if s.trouble]
    return (
        "<section><h2>Slots</h2>\n"
        + _table("slots", (*head, "wrong"), rows, numbers=8, bad=bad)
        + "</section>"
    )


def _table(
    name: str,
    head: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    numbers: int | None = None,
    bad: list[int] | None = None,
    last: str = "",
) -> str:
    """`numbers`: the first column that holds some. `bad`: rows to mark. `last`: class of the last
    row. Wide ones scroll by themselves."""
    lines = ["<tr>" + "".join(_cell("th", h, i, numbers) for i, h in enumerate(head)) + "</tr>"]
    for r, row in enumerate(rows):
        kind = "bad" if bad and r in bad else last if r == len(rows) - 1 else ""
        opening = f'<tr class="{kind}">' if kind else "<tr>"
        cells = "".join(_cell("td", cell, i, numbers) for i, cell in enumerate(row))
        lines.append(f"{opening}{cells}</tr>")
    return f'<div class="wide"><table id="{escape(name)}">{"".join(lines)}</table></div>'


def _cell(kind: str, text: str, column: int, numbers: int | None) -> str:
    right = ' class="n"' if numbers is not None and column >= numbers else ""
    return f"<{kind}{right}>{escape(text)}</{kind}>"
