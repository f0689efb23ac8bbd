"""faretap records: see what the validator recorded, bring it home, acknowledge, export, open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from faretap.cli.common import Json, Port, app, err, out, print_json, print_text, say
from faretap.errors import FaretapError
from faretap.records import export as exports
from faretap.records.collection import Collection, collect
from faretap.records.evidence import load_key
from faretap.records.pull import pull as read_records
from faretap.records.table import fitted
from faretap.session import connect
from faretap.writing import write_text

records_app = typer.Typer(
    help="Records of taps: list, pull, ack, export, open.", invoke_without_command=True
)
app.add_typer(records_app, name="records")

File = Annotated[Path, typer.Argument(help="SERIAL.records.jsonl, from `faretap records pull`.")]


@records_app.callback()
def records(
    context: typer.Context,
    port: Port = "",
    first: Annotated[int, typer.Option("--from", help="First sequence number wanted.")] = 0,
    last: Annotated[int, typer.Option("--last", help="Only the last so many.")] = 0,
    json: Json = False,
) -> None:
    """Without a command: list the records of taps, oldest first."""
    if context.invoked_subcommand is not None:
        return
    _need(port)
    with connect(port) as validator:
        read = read_records(validator.link, first)
    chosen = read[-last:] if last else read
    if json:
        print_json([r.to_json() for r in chosen])
    else:
        out.print(fitted(chosen, out.width))


@records_app.command()
def pull(
    port: Port = "",
    directory: Annotated[
        Path, typer.Option("--out", help="Folder; each validator has a file of its own in it.")
    ] = Path("records"),
    acknowledge: Annotated[
        bool, typer.Option("--ack", help="Acknowledge what is safely in the file afterwards.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring records home: what the file has not yet, each once, its chain verified."""
    _need(port)
    with connect(port) as validator:
        serial = validator.link.call("info")["serial"]
        collection = Collection.open(directory, serial)
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("records", total=None)
            report = collect(
                validator,
                collection,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        data: dict[str, Any] = {"file": str(collection.path), **report.to_json()}
        if acknowledge and collection.last:
            data["acked"] = validator.link.call("records.ack", {"to": collection.last})["acked"]
    if json:
        print_json(data)
    else:
        numbers = f" ({report.first} to {report.last})" if report.new else ""
        out.print(f"{report.new} new records{numbers} in {collection.path}", highlight=False)
        if "acked" in data:
            out.print(f"acknowledged up to {data['acked']}", highlight=False)
    for problem in report.breaks:
        say(problem.sentence())
    if report.breaks:
        sys.exit(2)


@records_app.command()
def ack(
    port: Port = "",
    to: Annotated[int, typer.Option(help="The number up to which the operator has them.")] = 0,
    json: Json = False,
) -> None:
    """Tell the validator that it may use the flash of these records again."""
    _need(port)
    with connect(port) as validator:
        answer = validator.link.call("records.ack", {"to": to})
    print_json(answer) if json else out.print(f"acknowledged up to {answer['acked']}")


@records_app.command()
def export(
    file: File,
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    target: Annotated[
        Path | None, typer.Option("--out", help="Write there, not to the terminal.")
    ] = None,
) -> None:
    """Print collected records as JSON Lines or CSV."""
    collection = _collection(file)
    if form == "csv":
        text = exports.as_csv(collection.records(), collection.serial)
    elif form == "jsonl":
        text = exports.as_json_lines(collection.records(), collection.serial)
    else:
        raise FaretapError(f"There is no format {form!r}.", "Use jsonl or csv.")
    if target is None:
        print_text(text)
        return
    write_text(target, text)
    say(f"{target}: {len(collection.records())} records")


@records_app.command(name="open")
def open_evidence(
    file: File,
    key: Annotated[Path, typer.Option(help="The acquirer's RSA private key, PEM.")],
) -> None:
    """Open the evidence of collected records, as JSON: for the acquirer alone."""
    collection = _collection(file)
    found = list(exports.opened(collection.records(), load_key(key), collection.key_blocks()))
    print_json(found)
    if any("problem" in entry for entry in found):
        sys.exit(2)


def _collection(file: Path) -> Collection:
    if not file.exists():
        raise FaretapError(f"There is no file {file}.", "Make one with `faretap records pull`.")
    return Collection(file, file.name.partition(".")[0])


def _need(port: str) -> None:
    if not port:
        raise FaretapError("Which validator?", "Give --port, or set FARETAP_PORT.")
