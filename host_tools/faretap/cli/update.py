"""faretap update: a new application image into the idle slot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from faretap import address
from faretap.cli.common import Json, Port, Serial, app, out, print_json, say
from faretap.cli.flashing import flash_lines, flash_progress, hello_of
from faretap.errors import FaretapError
from faretap.image.container import Container, load
from faretap.link.port import FAST_BAUD
from faretap.session import connect
from faretap.update.errors import UpdateError
from faretap.update.link import Report, history
from faretap.update.link import update as update_by_link


@app.command()
def update(
    port: Port,
    image: Annotated[Path | None, typer.Argument(help="A signed .ftu file.")] = None,
    via: Annotated[
        str, typer.Option(help="link: while riders go on; rom: by the ROM loader, with a reset.")
    ] = "link",
    baud: Annotated[
        int | None,
        typer.Option(
            min=9600,
            max=3000000,
            help="Rate for the transfer; lower ones where the line is dead at it.",
        ),
    ] = None,
    later: Annotated[
        bool, typer.Option("--later", help="Do not restart: the next start of the validator does.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also if that image runs already.")
    ] = False,
    trust: Annotated[
        Path | None,
        typer.Option(help="The operator's public key, where the validator cannot name it (rom)."),
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Take it unverified: no operator key yet (rom).")
    ] = False,
    show_history: Annotated[
        bool, typer.Option("--history", help="Show which version ran when, and do nothing.")
    ] = False,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Update the application of a validator, or show which one ran when."""
    if show_history:
        with connect(port) as validator:
            ran = history(validator)
        print_json(ran) if json else out.print(_table(ran))
        return
    if image is None:
        raise UpdateError("Which image?", "faretap update --port PORT IMAGE.ftu")
    container = load(image)
    if via == "link":
        if trust or unsigned:
            raise UpdateError(
                "Over the link, the validator itself decides whose images it takes.",
                "Leave out --trust and --unsigned, or take --via rom.",
            )
        _by_link(port, container, baud, later, again, json)
    elif via == "rom":
        _by_rom(port, container, trust, unsigned, baud or FAST_BAUD, json)
    else:
        raise UpdateError(f"There is no way {via!r}.", "Take --via link or --via rom.")


def _by_link(
    port: str, container: Container, baud: int | None, later: bool, again: bool, json: bool
) -> None:
    with connect(port) as validator, flash_progress() as bar:
        if baud is not None:
            got = validator.link.raise_baud(baud)
            if got != baud:
                say(f"The line does not carry {baud} baud; going on at {got}.")
        report = update_by_link(
            validator,
            container,
            lambda done, total: bar("sending", done, total),
            restart=not later,
            again=again,
        )
    if json:
        print_json(report.as_dict())
    else:
        for line in _lines(report):
            out.print(line, highlight=False)


def _by_rom(
    port: str, container: Container, trust: Path | None, unsigned: bool, baud: int, json: bool
) -> None:
    from faretap.config.keys import load_public
    from faretap.update.rom import update_by_rom

    if address.kind(port) == address.VIRTUAL:
        raise FaretapError(
            f"{port} starts a board for one command.",
            "Start one with `faretap virtual` and give its rfc2217:// port.",
        )
    with flash_progress() as bar:
        report = update_by_rom(
            port,
            container,
            trust=load_public(trust) if trust else None,
            unsigned=unsigned,
            progress=bar,
            wait_hello=hello_of(port),
            baud=baud,
        )
    if json:
        print_json(report.as_dict())
    else:
        for line in flash_lines(report):
            out.print(line, highlight=False)


def _lines(report: Report) -> list[str]:
    what = f"version {report.version} ({report.id}) in slot {report.slot}"
    if not report.sent and not report.restarted:
        return [f"{what} runs already"]
    return [
        f"sent {report.sent:,} of {report.size:,} bytes in {report.seconds:.1f} s "
        f"({report.rate:,.0f} a second)",
        f"running: {what}; before: {report.before}"
        if report.restarted
        else f"the next start runs {what}",
    ]


def _table(ran: list[dict[str, Any]]) -> Table:
    table = Table()
    for column in ("since", "boot", "slot", "version", "id", "why"):
        table.add_column(column)
    for entry in ran:
        table.add_row(
            _when(entry),
            str(entry["boot"]),
            entry["slot"],
            entry["version"],
            entry["id"],
            entry["why"],
        )
    return table


def _when(entry: dict[str, Any]) -> str:
    if entry["unix"] is None:
        return "unknown"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["unix"]))
    return f"{at} or before" if entry["before"] else at
