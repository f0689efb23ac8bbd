"""faretap card read, card dump: what lies on the reader on the desk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from faretap.cli.common import Json, app, out, print_json, say
from faretap.desk import DeskError, Medium, Report, open_reader, read_card
from faretap.shown import shown
from faretap.writing import check_place

card = typer.Typer(help="Read a card on a USB reader at the desk.", no_args_is_help=True)
app.add_typer(card, name="card")

ReaderPath = Annotated[
    str,
    typer.Option(
        "--reader",
        "-r",
        envvar="FARETAP_READER",
        help="usb, usb:VENDOR:PRODUCT, tty:USB0:pn532, com:COM7:pn532, or /dev/ttyUSB0.",
    ),
]
Wait = Annotated[float, typer.Option(help="Seconds to wait for a card.", min=0.0)]


@card.command()
def read(reader: ReaderPath, wait: Wait = 10.0, json: Json = False) -> None:
    """Show which card lies on the reader: medium, masked number, validity, balance."""
    with open_reader(reader) as opened:
        if wait:
            say(f"{opened.name}: lay a card on it")
        session = read_card(opened, wait)
    if session.error:
        raise session.error
    assert session.report is not None
    if json:
        print_json(session.report.to_json())
    else:
        out.print(_table(session.report))


@card.command()
def dump(
    reader: ReaderPath,
    file: Annotated[Path, typer.Option("--out", "-o", help="File to write, JSON lines.")],
    wait: Wait = 10.0,
    with_numbers: Annotated[
        bool,
        typer.Option("--with-numbers", help="Keep card numbers, UID and certificates in clear."),
    ] = False,
    json: Json = False,
) -> None:
    """Write the APDUs that reading a card takes to a file; numbers are masked."""
    check_place(file, DeskError)  # before a person is asked to lay the card
    if with_numbers:
        say(
            "warning: the file will hold the card's number in clear. "
            "Treat it as you would treat the card, and delete it after use."
        )
    with open_reader(reader) as opened:
        if wait:
            say(f"{opened.name}: lay a card on it")
        session = read_card(opened, wait)
    session.trace.write(file, with_numbers=with_numbers)
    if session.error:
        say(f"the {len(session.trace.exchanges)} commands up to here are in {file}")
        raise session.error
    assert session.report is not None
    done = {
        "file": str(file),
        "medium": session.report.medium,
        "commands": len(session.trace.exchanges),
        "numbers": "clear" if with_numbers else "masked",
    }
    if json:
        print_json(done)
    else:
        out.print(
            f"{done['commands']} commands to {done['medium']} in {file}, "
            f"numbers {done['numbers']}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


_MEDIA = {"quickpass": "QuickPass", "tunion": "T-Union"}
_DETAILS = {
    "issuer": "issuer",
    "application_type": "application",
    "card_type": "card type",
    "interoperable": "interoperable",
    "country": "country",
    "province": "province",
    "city": "city",
    "transit_oda": "transit ODA",
    "holder_verified": "holder verified",
    "account_reference": "account reference",
    "transactions": "transactions so far",
}


def _table(report: Report) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for medium in report.media:
        for row in _rows(medium, report):
            table.add_row(*row)
    if not report.media:
        table.add_row("medium", "unknown")
    for aid, label in report.others:
        table.add_row("other application", _plain(f"{aid} {label}".strip()))
    for problem in report.problems:
        table.add_row("problem", _plain(problem))
    radio = report.radio
    table.add_row("UID", radio.uid_type)
    table.add_row("ATQA, SAK", f"{radio.atqa:04x}, {radio.sak:02x}")
    table.add_row("ATS", radio.interface_bytes.hex() or "none")
    return table


def _rows(medium: Medium, report: Report) -> list[tuple[str, str]]:
    name = f"{_MEDIA.get(medium.medium, medium.medium)} {medium.form}"
    rows = [("medium", f"{name}, {medium.scheme}"), ("AID", medium.aid)]
    if medium.label:
        rows.append(("label", medium.label))
    rows.append(("number", medium.number or "unknown"))
    rows.append(("valid", _validity(medium, report)))
    if medium.balance is not None:
        rows.append(("balance", f"{medium.balance / 100:.2f} yuan"))
    for key, label in _DETAILS.items():
        if key in medium.detail:
            rows.append((label, _value(medium.detail[key])))
    rows += [("problem", problem) for problem in medium.problems]
    return [(label, _plain(value)) for label, value in rows]


def _validity(medium: Medium, report: Report) -> str:
    state = medium.state(report.today).replace("_", " ")
    if medium.valid_to is None:
        return state
    start = f"{medium.valid_from} " if medium.valid_from else ""
    return f"{start}to {medium.valid_to}" + ("" if state == "valid" else f" ({state})")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _plain(text: str) -> str:
    return shown(text)
