"""faretap flash, boards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from faretap import address
from faretap.cli.common import Json, Port, app, err, out, print_json
from faretap.errors import FaretapError, PortError
from faretap.link.native import number_of, port_of
from faretap.link.port import FAST_BAUD, native_usb
from faretap.session import connect

if TYPE_CHECKING:
    from faretap.flash.flasher import FlashReport

# esptool and pydantic are imported where they are used: together they cost every other command
# 0.2 s.


FlashBaud = Annotated[
    int,
    typer.Option(
        "--baud",
        min=9600,
        max=3000000,
        help="Rate for writing; where the line is dead at it, lower ones are tried.",
    ),
]


@app.command()
def flash(
    port: Port,
    board: Annotated[str, typer.Option(help="Name of the board; see `faretap boards`.")],
    micropython: Annotated[
        Path | None, typer.Option(help="Official MicroPython .bin for the board.")
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
    """Build and write everything, verify, start, and wait for the validator's hello."""
    from faretap.flash.flasher import flash as write_all

    with flash_progress() as bar:
        report = write_all(
            port,
            board,
            micropython,
            progress=bar,
            erase=erase,
            wait_hello=hello_of(port),
            baud=baud,
            force=force,
        )
    if json:
        print_json(report.as_dict())
    else:
        for line in flash_lines(report):
            out.print(line, highlight=False)


def hello_of(port: str) -> Callable[[str], dict[str, Any]]:
    """`wait_hello` for the device that is at `port` before it is flashed: a chip's own USB goes
    away when the chip restarts, and may come back under another name."""
    number = number_of(port) if address.kind(port) == "serial" and native_usb(port) else ""
    return lambda name: wait_hello(name, number=number)


def wait_hello(port: str, seconds: float = 20.0, number: str = "") -> dict[str, Any]:
    """What the freshly started validator says of itself. `number`: its USB serial number, by which
    it is found and waited for."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with connect((number and port_of(number)) or port, wait=seconds) as validator:
                info: dict[str, Any] = validator.link.call("info")
            break
        except PortError:
            if not number or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    if info.get("mode") == "safe":
        raise FaretapError(
            f"The validator at {port} started in safe mode: {info.get('why', 'no reason given')}.",
            "Flash it again; if that does not help, flash with --erase.",
        )
    return info


def flash_lines(report: FlashReport) -> list[str]:
    """What a technician wants to know after flashing."""
    seconds = sum(report.seconds.values())
    if report.written:
        first = f"wrote {report.written:,} bytes to {report.board} at {report.port}"
    else:
        first = f"{report.board} at {report.port} had everything already"
    lines = [f"{first} in {seconds:.1f} s"]
    if report.dead_bauds:
        failed = " and ".join(map(str, report.dead_bauds))
        lines.append(f"  the line failed at {failed} baud; written at {report.baud}")
    for piece in report.pieces:
        what = f"{piece.written:,} of {piece.size:,} bytes" if piece.written else "unchanged"
        lines.append(f"  {piece.name:16} 0x{piece.offset:06x}  {what}")
    if report.moved:
        lines.append(f"  the board has a new flash map; empty now: {', '.join(report.moved)}")
        if "config" in report.moved:
            lines.append(
                "  it needs its configuration again, under a higher version, and its lists"
            )
    if report.unread is None or report.unread:
        count = "an unknown number of" if report.unread is None else f"{report.unread:,}"
        lines.append(f"  lost: {count} records that nobody had read")
    lines.append(f"  MicroPython {report.micropython}, sha256 {report.micropython_sha256}")
    if report.hello:
        hello = report.hello
        lines.append(
            f"running: {hello['board']} {hello['version']} ({hello['hash']}), "
            f"slot {hello['slot']}, serial {hello['serial']}"
        )
    return lines


class flash_progress:  # noqa: N801 - used as a function
    """One bar for all of the flashing, on stderr."""

    def __enter__(self) -> flash_progress:
        self._bar = Progress(
            TextColumn("{task.description:26}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        )
        self._task = self._bar.add_task("connecting", total=None)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=what, completed=done, total=total or None)


@app.command(name="boards")
def list_boards(json: Json = False) -> None:
    """The boards that ship."""
    from faretap import boards

    found = [boards.load(name) for name in boards.names()]
    if json:
        print_json(
            [{"name": b.name, "chip": b.chip, "flash_mb": b.flash_size >> 20} for b in found]
        )
        return
    for b in found:
        out.print(f"{b.name:16} {b.facts.label:10} {b.flash_size >> 20} MB", highlight=False)
