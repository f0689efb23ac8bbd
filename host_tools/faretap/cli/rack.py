"""faretap rack: scan, check, status, flash, quarantine, release."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from faretap.cli.common import Json, app, err, out, print_json
from faretap.cli.flashing import FlashBaud
from faretap.errors import FaretapError
from faretap.link.port import FAST_BAUD
from faretap.shown import shown

if TYPE_CHECKING:
    from faretap.rack.file import Rack, SlotSpec
    from faretap.rack.status import Row
    from faretap.rack.workers import Done

# What a rack needs (esptool, pydantic, tomlkit, the simulators) is imported where it is used.

commands = typer.Typer(help="A rack of validators under test.", no_args_is_help=True)
app.add_typer(commands, name="rack")

RackOption = Annotated[
    str,
    typer.Option("--rack", "-r", envvar="FARETAP_RACK", help="A rack file, virtual or virtual:N."),
]
Slots = Annotated[list[str] | None, typer.Option("--slot", help="Only this slot; repeatable.")]

_COLOURS = {"ready": "green", "in use": "cyan", "on demand": "blue", "quarantine": "red"}


@commands.command()
def scan(
    file: Annotated[
        Path, typer.Option("--out", help="The rack file, made or merged into.")
    ] = Path("rack.toml"),
    board: Annotated[
        str | None, typer.Option(help="What those are on which nothing runs yet.")
    ] = None,
    json: Json = False,
) -> None:
    """Write what is plugged in into a rack file; what stands there stays."""
    from dataclasses import asdict

    from faretap import boards
    from faretap.rack.scan import scan as scan_ports

    if board is not None:
        boards.load(board)
    found = scan_ports(file, board=board)
    if json:
        print_json(asdict(found))
        return
    for what in ("added", "moved", "kept", "missing"):
        names = getattr(found, what)
        if names:
            out.print(f"{what}: {', '.join(names)}", highlight=False)
    for note in found.notes:
        out.print(f"left out: {note}", highlight=False, markup=False)
    if not (found.added or found.moved or found.kept or found.missing):
        raise FaretapError(
            "No validator is plugged in.", f"{file} was not written; plug one in and scan again."
        )


@commands.command()
def check(rack: RackOption = "rack.toml", json: Json = False) -> None:
    """Check a rack file, and say what each slot can do."""
    loaded = _load(rack)
    rows = [
        {"slot": spec.name, "board": spec.board, "kind": spec.kind,
         "can": sorted(loaded.capabilities(spec))}
        for spec in loaded.slots
    ]  # fmt: skip
    if json:
        print_json(rows)
        return
    for row in rows:
        out.print(f"{row['slot']:20} {row['board']:14} {row['kind']:9} {', '.join(row['can'])}",
                  highlight=False, soft_wrap=True)  # fmt: skip


@commands.command()
def status(
    rack: RackOption = "rack.toml",
    slot: Slots = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    json: Json = False,
) -> None:
    """How the slots are, until Ctrl-C."""
    from faretap.rack.status import rows

    loaded = _load(rack)
    chosen = _chosen(loaded, slot)
    if json:
        print_json([row.as_dict() for row in rows(loaded, chosen)])
        return
    if once or not out.is_terminal:
        out.print(_table(loaded, rows(loaded, chosen)))
        return
    with Live(console=out, auto_refresh=False) as live:
        while True:
            live.update(_table(loaded, rows(loaded, chosen)), refresh=True)
            time.sleep(max(0.2, every))


def _table(rack: Rack, rows: list[Row]) -> Table:
    table = Table(title=f"rack {rack.name}", title_justify="left", box=None, pad_edge=False)
    for name in ("slot", "board", "state", "port", "firmware", "present", "taps", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        colour = _COLOURS.get(row.state, "yellow")
        firmware = f"{row.version} {row.hash}".strip()
        table.add_row(
            row.slot,
            row.board,
            Text(row.state, colour),
            row.port,
            firmware,
            " ".join(row.present),
            "" if row.taps is None else str(row.taps),
            Text(shown(row.text)),
        )
    return table


@commands.command()
def flash(
    rack: RackOption = "rack.toml",
    slot: Slots = None,
    image: Annotated[
        str, typer.Option(help="current: the application of this installation; or an .ftu file.")
    ] = "current",
    micropython: Annotated[
        list[str] | None,
        typer.Option(help="BOARD=FILE: official MicroPython .bin for a board; repeatable."),
    ] = None,
    erase: Annotated[
        bool, typer.Option("--erase", help="Erase all first: records and configuration too.")
    ] = False,
    baud: FlashBaud = FAST_BAUD,
    force: Annotated[
        bool,
        typer.Option("--force", help="Lose unread records, or go back to an older version."),
    ] = False,
    json: Json = False,
) -> None:
    """Flash all slots at once; exit status 1 if one of them failed."""
    from faretap.rack.flashing import flash_all

    loaded = _load(rack)
    chosen = _chosen(loaded, slot)
    lines = _Lines([spec.name for spec in chosen])
    with lines:
        ends = flash_all(
            loaded,
            chosen,
            image=None if image == "current" else Path(image),
            micropython=_files(micropython),
            erase=erase,
            baud=baud,
            force=force,
            on_say=lines.said,
        )
    if json:
        print_json([_as_dict(end) for end in ends])
    else:
        for end in ends:
            failed = Text.assemble(("failed", "red"), "  ", shown(end.error))
            text = failed if end.error else _wrote(end.result)
            out.print(Text.assemble(f"{end.slot:16} ", text), highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(end.error for end in ends) else 0)


class _Lines:
    """A progress line per slot, on stderr."""

    def __init__(self, names: list[str]) -> None:
        self._bars = Progress(
            TextColumn("{task.fields[slot]:16}", markup=False),
            TextColumn("{task.description:26}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {
            name: self._bars.add_task("waiting", total=None, slot=name) for name in names
        }

    def said(self, slot: str, text: str, done: int, total: int) -> None:
        self._bars.update(self._tasks[slot], description=text, completed=done, total=total or None)

    def __enter__(self) -> _Lines:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def _wrote(report: dict[str, Any]) -> str:
    hello = report["hello"]
    what = f"wrote {report['written']:,} bytes" if report["written"] else "had everything already"
    if report.get("dead_bauds"):
        what += f" at {report['baud']} baud"
    return f"{what}; runs {hello['version']} ({hello['hash']}), serial {hello['serial']}"


def _as_dict(end: Done) -> dict[str, Any]:
    return {"slot": end.slot, "ok": not end.error, "error": end.error, "report": end.result}


@commands.command()
def quarantine(
    slot: str,
    reason: Annotated[str, typer.Option(help="What is wrong with it; others will read it.")],
    rack: RackOption = "rack.toml",
) -> None:
    """Take a slot out of use."""
    loaded = _kept(rack)
    loaded.state.quarantine(loaded.slot(slot).name, reason)


@commands.command()
def release(slot: str, rack: RackOption = "rack.toml") -> None:
    """Put a slot that was mended back into use."""
    loaded = _kept(rack)
    if not loaded.state.release(loaded.slot(slot).name):
        raise FaretapError(f"The slot {slot} is not in quarantine.")


def _kept(source: str) -> Rack:
    loaded = _load(source)
    if loaded.path is None:
        raise FaretapError(
            f"The rack {source} exists for one command only, and so does its quarantine."
        )
    return loaded


def _load(source: str) -> Rack:
    from faretap.rack.file import load

    return load(source)


def _chosen(rack: Rack, names: list[str] | None) -> list[SlotSpec]:
    return [rack.slot(name) for name in names] if names else list(rack.slots)


def _files(pairs: list[str] | None) -> dict[str, Path]:
    from faretap import boards

    found = {}
    for pair in pairs or []:
        board, equals, file = pair.partition("=")
        if not equals:
            raise FaretapError(f"--micropython {pair} is not BOARD=FILE.")
        found[boards.load(board).name] = Path(file)
    return found
