"""faretap report show, report diff: what runs on a rack gave."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from faretap.cli.common import Json, app, out, print_json
from faretap.rack.report import figures
from faretap.rack.report import report as write_report
from faretap.rack.report.diff import Change, Comparison, compare, limits
from faretap.rack.report.text import number
from faretap.rack.results import Run, load
from faretap.shown import shown

report = typer.Typer(help="Look at runs of a rack, and compare two.", no_args_is_help=True)
app.add_typer(report, name="report")

RunPath = Annotated[Path, typer.Argument(help="A report's folder, or its run.json.")]

_WRONG = 20  # taps that are shown one by one


@report.command()
def show(
    run: RunPath,
    html: Annotated[
        Path | None, typer.Option("--write", help="Write the report anew into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Show outcomes, times and failures of a run; exit status 1 if it failed."""
    loaded = load(run)
    if html is not None:
        write_report(loaded, html)
    if json:
        print_json(_summary(loaded))
    else:
        _show(loaded)
    if not loaded.ok:
        raise typer.Exit(1)


@report.command()
def diff(
    before: RunPath,
    after: RunPath,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="What may grow by how much: p95.own=10%, p95.own.quickpass=10%, outcomes=1%, "
            "failures=0%; p99.own=off takes a default limit away. Repeatable."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare two runs; exit status 1 if a limit is broken."""
    comparison = compare(load(before), load(after), limits(limit or ()))
    if json:
        print_json(comparison.to_json())
    else:
        _show_diff(comparison)
    if not comparison.ok:
        raise typer.Exit(1)


def _summary(run: Run) -> dict[str, object]:
    return {
        "name": run.name,
        "ok": run.ok,
        "taps": len(run.taps),
        "wrong": len(run.failed_taps),
        "outcomes": figures.outcomes(run),
        "taps_per_second": figures.rate(run),
        "times_ms": {
            medium or "all": {
                series: {"n": s.n, "p50": s.p50, "p95": s.p95, "p99": s.p99, "max": s.max}
                for series, s in figures.spreads(run, medium or None).items()
            }
            for medium in ("", *figures.media(run))
        },
        "failed_checks": [{"name": c.name, "text": c.text} for c in run.failed_checks],
    }


def _plain(text: str) -> Text:
    return Text(shown(text))


def _show(run: Run) -> None:
    verdict = Text("passed", "green") if run.ok else Text("failed", "red")
    out.print(_plain(run.name or "Run"), "·", f"{len(run.taps)} taps ·", verdict)
    for check in run.failed_checks:
        line = f"  failed: {check.name} {check.text}".rstrip()
        out.print(_plain(line), style="red", soft_wrap=True)
    for tap in run.failed_taps[:_WRONG]:
        notes = f" ({'; '.join(tap.notes)})" if tap.notes else ""
        line = f"  {number(tap.at)} s {tap.slot} {tap.rider}: {tap.result}, not {tap.expected}"
        out.print(_plain(line + notes), style="red", soft_wrap=True)
    if len(run.failed_taps) > _WRONG:
        out.print(f"  … and {len(run.failed_taps) - _WRONG} more", style="red")
    outcomes = Table(title="Outcomes", title_justify="left")
    outcomes.add_column("result")
    outcomes.add_column("taps", justify="right")
    for result, count in figures.outcomes(run).items():
        outcomes.add_row(_plain(result), str(count))
    times = Table(title="Times, ms", title_justify="left")
    times.add_column("")
    for column in ("taps", "p50", "p95", "p99", "max"):
        times.add_column(column, justify="right")
    for series, s in figures.spreads(run).items():
        times.add_row(_plain(series), str(s.n), *(number(v) for v in (s.p50, s.p95, s.p99, s.max)))
    for table in (outcomes, times):
        if table.row_count:
            out.print(table)
    for slot in run.slots:
        said = (slot.name, slot.board, slot.version, slot.hash, slot.serial, slot.trouble)
        out.print(_plain("  ".join(filter(None, said))), highlight=False)


def _show_diff(comparison: Comparison) -> None:
    table = Table(title=f"{len(comparison.changes)} times compared, ms", title_justify="left")
    table.add_column("time")
    for column in ("before", "after", "change", "limit"):
        table.add_column(column, justify="right")
    table.add_column("")
    for change in comparison.changes:
        if change.limit is not None or change.verdict != "same":
            table.add_row(*_row(change))
    if table.row_count:
        out.print(table)
    for other in comparison.otherwise:
        line = f"{other.rider}: {_counts(other.before)} became {_counts(other.after)}"
        out.print(_plain(line), soft_wrap=True)
    for note in comparison.notes:
        out.print(_plain(f"note: {note}"), style="dim", soft_wrap=True)
    for sentence in comparison.broken:
        out.print(_plain(f"broken: {sentence}"), style="red", soft_wrap=True)
    if comparison.ok:
        out.print(Text("within the limits", "green"))


def _row(change: Change) -> tuple[Text, ...]:
    ratio = "" if change.ratio is None else f"{change.ratio - 1:+.1%}"
    limit = "" if change.limit is None else f"+{change.limit:.0%}"
    style = {"slower": "yellow", "faster": "green"}.get(change.verdict, "")
    word = "too slow" if change.broken else change.note or change.verdict
    return (
        _plain(change.key),
        _plain(number(change.before)),
        _plain(number(change.after)),
        _plain(ratio),
        _plain(limit),
        Text(word, style="red" if change.broken else style),
    )


def _counts(results: dict[str, int]) -> str:
    return ", ".join(f"{count} {result}" for result, count in sorted(results.items()))
