"""faretap scenario: run, list, check."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from faretap.cli.common import Json, app, err, out, print_json
from faretap.errors import FaretapError
from faretap.shown import shown
from faretap.writing import check_place, make_folder

if TYPE_CHECKING:
    from faretap.rack.results import Run

# What a scenario needs (pydantic, the simulators) is imported where it is used.

commands = typer.Typer(help="Shifts of riders as files.", no_args_is_help=True)
app.add_typer(commands, name="scenario")

_SHOWN = 20  # riders who saw something else


@commands.command()
def run(
    file: Annotated[str, typer.Argument(help="A .scenario.toml file, or one that ships.")],
    rack: Annotated[
        str,
        typer.Option(
            "--rack", "-r", envvar="FARETAP_RACK", help="A rack file, virtual or virtual:N."
        ),
    ] = "virtual",
    slot: Annotated[
        list[str] | None, typer.Option("--slot", help="This slot; repeatable.")
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all", help="The whole scenario on every slot that can.")
    ] = False,
    short: Annotated[bool, typer.Option("--short", help="The short form.")] = False,
    seed: Annotated[int | None, typer.Option(help="In place of the file's.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for run.json, junit.xml and report.html.")
    ] = None,
    json: Json = False,
) -> None:
    """Play a scenario; exit status 1 if a rider saw something else, or a check failed."""
    from faretap.rack.file import load as load_rack
    from faretap.rack.scenario.file import load
    from faretap.rack.scenario.run import run_on_rack

    if report is not None:
        make_folder(report)  # before the riders come, not after them
        check_place(report / "run.json")
    loaded = load(file)
    with _Bars() as bars:
        done = run_on_rack(
            load_rack(rack),
            loaded,
            short=short,
            seed=seed,
            names=slot or (),
            everywhere=everywhere,
            on_say=bars.said,
        )
    if report is not None:
        from faretap.rack.report import report as write

        written = write(done, report)
        err.print(f"report: {written.html}", highlight=False, soft_wrap=True)
    if json:
        print_json(done.to_json())
    else:
        _print(done)
    raise typer.Exit(0 if done.ok else 1)


@commands.command("list")
def list_(json: Json = False) -> None:
    """The scenarios that ship."""
    from faretap.rack.scenario.file import SUFFIX, load, shipped
    from faretap.rack.scenario.plan import make_plan

    rows: list[dict[str, Any]] = []
    for path in shipped():
        scenario = load(path).scenario
        rows.append(
            {
                "name": path.name.removesuffix(SUFFIX),
                "about": scenario.about,
                "rides": len(make_plan(scenario).rides),
                "short": len(make_plan(scenario, short=True).rides),
                "needs": sorted(make_plan(scenario).needs),
            }
        )
    if json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("name", "rides", "short", "needs", ""):
        table.add_column(name, justify="right" if name in ("rides", "short") else "left")
    for row in rows:
        needs = " ".join(row["needs"])
        table.add_row(row["name"], str(row["rides"]), str(row["short"]), needs, row["about"])
    out.print(table)


@commands.command()
def check(
    files: Annotated[list[str], typer.Argument(help="Scenario files, or names.")],
    json: Json = False,
) -> None:
    """Say everything that is wrong with scenario files, and what is in the others."""
    from faretap.rack.scenario.file import ScenarioError, load
    from faretap.rack.scenario.plan import make_plan

    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            plan = make_plan(load(file).scenario)
        except ScenarioError as e:
            rows.append({"file": file, "problems": list(e.problems) or [str(e)]})
            continue
        rows.append(
            {
                "file": file,
                "problems": [],
                "rides": len(plan.rides),
                "seconds": plan.seconds,
                "media": dict(Counter(ride.person.medium for ride in plan.rides).most_common()),
            }
        )
    if json:
        print_json(rows)
    else:
        for row in rows:
            _print_checked(row)
    raise typer.Exit(1 if any(row["problems"] for row in rows) else 0)


def _print_checked(row: dict[str, Any]) -> None:
    for problem in row["problems"]:
        out.print(f"{row['file']}: {problem}", highlight=False, markup=False, soft_wrap=True)
    if not row["problems"]:
        media = ", ".join(f"{count} {name}" for name, count in row["media"].items())
        out.print(
            f"{row['file']}: {row['rides']} rides in {_clock(row['seconds'])}: {media}",
            highlight=False,
            soft_wrap=True,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _print(run: Run) -> None:
    from faretap.rack.scenario.limits import measured, percentile

    for slot in run.slots:
        words = f"{slot.name}: {slot.board} {slot.version} {slot.hash}".rstrip(" :")
        out.print(words + (f"  {slot.trouble}" if slot.trouble else ""), highlight=False)
    counts = Counter(tap.result for tap in run.taps)
    for result, count in counts.most_common():
        out.print(f"  {count:5}  {result}", highlight=False)
    own = measured(run.taps, "own")
    if own:
        shares = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        text = "  ".join(f"{name} {percentile(own, share):.1f}" for name, share in shares)
        out.print(f"  own ms: {text}", highlight=False)
    for tap in run.failed_taps[:_SHOWN]:
        notes = f" ({'; '.join(tap.notes)})" if tap.notes else ""
        text = f"{tap.rider} at {tap.at:.1f} s: {tap.result}, not {tap.expected}{notes}"
        out.print(Text.assemble(("wrong", "red"), "  ", shown(text)), soft_wrap=True)
    if len(run.failed_taps) > _SHOWN:
        more = len(run.failed_taps) - _SHOWN
        out.print(Text.assemble(("wrong", "red"), f"  and {more} more"))
    for check in run.checks:
        word = "skipped" if check.skipped else "ok" if check.ok else "failed"
        colour = {"ok": "green", "failed": "red", "skipped": "yellow"}[word]
        text = f"  {shown(check.name)}: {shown(check.text)}"
        out.print(Text.assemble((word, colour), text), soft_wrap=True)
    if not run.taps and not run.failed_checks:
        raise FaretapError("Nobody rode.", "See `faretap rack status`.")


class _Bars:
    """A progress line per slot, on stderr."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.fields[slot]:16}", markup=False),
            TextColumn("{task.description:20}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            console=err,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def said(self, slot: str, text: str, done: int, total: int) -> None:
        if slot not in self._tasks:
            self._tasks[slot] = self._bars.add_task("", total=None, slot=slot)
        self._bars.update(self._tasks[slot], description=text, completed=done, total=total or None)

    def __enter__(self) -> _Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
