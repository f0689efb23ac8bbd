"""faretap records: what the validator recorded: see it, bring it home, verify, export, open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from faretap.cli.common import Json, Port, Serial, app, err, out, print_json, print_text, say
from faretap.errors import FaretapError
from faretap.records import export as exports
from faretap.records.archive import Archive, Problem, read_files
from faretap.records.collection import Collection, CollectionError, collect
from faretap.records.collection import acknowledge as receipt
from faretap.records.debits import line as debit_line
from faretap.records.debits import open_debits
from faretap.records.debits import settle as settle_debit
from faretap.records.evidence import load_key
from faretap.records.model import linked
from faretap.records.pull import pull as read_records
from faretap.records.table import fitted
from faretap.session import connect
from faretap.shown import as_json
from faretap.writing import replacing, write_text

records_app = typer.Typer(
    help="Records of taps: list, pull, ack, verify, export, open; open debits.",
    invoke_without_command=True,
)
app.add_typer(records_app, name="records")

Files = Annotated[
    list[Path],
    typer.Argument(help="SERIAL.records.jsonl, from `faretap records pull`; several of one "
                   "validator or of many."),
]  # fmt: skip


@records_app.callback()
def records(
    context: typer.Context,
    port: Port = "",
    first: Annotated[int, typer.Option("--from", help="First sequence number wanted.")] = 0,
    last: Annotated[int, typer.Option("--last", help="Only the last so many.")] = 0,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Without a command: list the records of taps, oldest first."""
    if context.invoked_subcommand is not None:
        return
    _need(port)
    with connect(port) as validator:
        read = linked(read_records(validator.link, first))
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
    accept_gone: Annotated[
        bool,
        typer.Option(
            "--accept-gone", help="Note in the file what the validator has lost: it goes on."
        ),
    ] = False,
    serial: Serial = "",
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
                accept_gone=accept_gone,
            )
        data: dict[str, Any] = {"file": str(collection.path), **report.to_json()}
        archive = collection.read()
        if acknowledge and archive.count and not report.breaks:
            data["acked"] = receipt(validator.link, archive)["acked"]
    if json:
        print_json(data)
    else:
        numbers = f" ({report.first} to {report.last})" if report.new else ""
        out.print(f"{report.new} new records{numbers} in {collection.path}", highlight=False)
        if report.filled:
            out.print(f"{report.filled} that the file lacked", highlight=False)
        if "acked" in data:
            out.print(f"acknowledged up to {data['acked']}", highlight=False)
    if report.began_again:
        say(
            "The validator's journal was erased since the last pull: its numbers begin again, in "
            f"epoch {report.epoch}. What it had not given out before is lost."
        )
    for first, last in report.noted:
        say(f"noted as gone: {_numbers(first, last)}")
    if report.breaks:
        lost = ", ".join(_numbers(b.seq - b.missing, b.seq - 1) for b in report.breaks)
        raise CollectionError(
            f"{collection.path}: {lost} gone for ever: the validator does not have them.",
            "Nothing is acknowledged past them, until `faretap records pull --accept-gone` notes "
            "it in the file.",
        )


def _numbers(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


@records_app.command()
def ack(
    files: Annotated[list[Path], typer.Argument(help="The files that have the records.")],
    port: Port = "",
    to: Annotated[int, typer.Option(help="Only up to this number. Default: all of them.")] = 0,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Tell the validator that it may use the flash of these records again."""
    _need(port)
    archives = {archive.serial: archive for archive in read_files(files)}
    # The records of one validator say which one is meant.
    only = next(iter(archives)) if len(archives) == 1 and not serial else ""
    with connect(port, serial=only) as validator:
        found = str(validator.link.call("info")["serial"])
        archive = archives.get(found)
        if archive is None:
            raise CollectionError(
                f"These files have no records of validator {found}.",
                f"They are of {', '.join(archives) or 'nobody'}.",
            )
        answer = receipt(validator.link, archive, to)
    _notes(archive)
    print_json(answer) if json else out.print(f"acknowledged up to {answer['acked']}")


@records_app.command()
def debits(port: Port = "", serial: Serial = "", json: Json = False) -> None:
    """List debits that are still open: torn, and not settled by their riders."""
    _need(port)
    with connect(port) as validator:
        found = open_debits(validator.link)
    if json:
        print_json(found)
        return
    for debit in found:
        print_text(debit_line(debit))
    say(f"{len(found)} open")


@records_app.command()
def settle(
    seq: Annotated[int, typer.Argument(help="The number of the debit's record.")],
    token: Annotated[str, typer.Argument(help="Its token, 16 hex digits.")],
    port: Port = "",
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Let the validator forget an open debit that the ledger has settled."""
    _need(port)
    with connect(port) as validator:
        count = settle_debit(validator.link, seq, token)
    print_json({"settled": count}) if json else out.print(f"settled: {count} of record {seq}")


@records_app.command()
def verify(files: Files, json: Json = False) -> None:
    """Check numbers and chain of collected records, and what they refer to; exit status 1 if one
    is bad, 2 if evidence or places cannot be read because a block is missing."""
    archives = read_files(files)
    bad = [(archive, archive.first_problem()) for archive in archives]
    lacking = {archive.serial: archive.lacking() for archive, problem in bad if problem is None}
    if json:
        print_json(
            {
                "ok": not any(problem for _, problem in bad),
                "validators": [
                    {
                        **archive.to_json(),
                        "problem": None if problem is None else problem.to_json(),
                        "lacking": {
                            name: list(which)
                            for name, which in lacking.get(archive.serial, {}).items()
                        },
                    }
                    for archive, problem in bad
                ],
            }
        )
    for archive, problem in bad:
        if not json:
            _verdict(archive, problem)
        _notes(archive)
        for name, (first, last) in lacking.get(archive.serial, {}).items():
            which = f"record {first}" if first == last else f"records {first} to {last}"
            say(
                f"{archive.serial}: block {name}, which {which} need, is not in the files: their "
                "evidence or place stays unknown. Pull from the beginning into another folder: "
                "it stands before them."
            )
    for archive, problem in bad:
        if problem is not None:
            raise archive.error(problem)
    if any(lacking.values()):
        sys.exit(2)


def _verdict(archive: Archive, problem: Problem | None) -> None:
    for epoch in archive.epochs:
        if not epoch.entries:
            continue
        where = f", epoch {epoch.number}" if len(archive.epochs) > 1 else ""
        twice = f", {archive.duplicates} twice" if archive.duplicates else ""
        word = "bad" if problem is not None and problem.epoch == epoch.number else "right"
        out.print(
            f"{archive.serial}{where}: {len(epoch.entries)} records, {epoch.first} to "
            f"{epoch.last}{twice}: {word}",
            highlight=False,
            soft_wrap=True,
        )
        for first, last in epoch.skipped:
            out.print(f"  never used, by a power cut: {first} to {last}", highlight=False)
        for first, last in epoch.gone:
            out.print(f"  gone, as the file notes: {first} to {last}", highlight=False)


def _notes(archive: Archive) -> None:
    for note in archive.notes:
        say(note)


@records_app.command()
def export(
    files: Files,
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    target: Annotated[
        Path | None, typer.Option("--out", help="Write there, not to the terminal.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print what was written, with --out, as JSON.")
    ] = False,
) -> None:
    """Print collected records as JSON Lines or CSV; nothing, if one of them is bad."""
    if form not in ("csv", "jsonl"):
        raise FaretapError(f"There is no format {form!r}.", "Use jsonl or csv.")
    archives = _checked(files)
    if target is None:
        for line in _exported(archives, form):
            print_text(line)
        return
    with replacing(target) as file:
        for line in _exported(archives, form):
            file.write(line.encode("utf-8", "backslashreplace"))
    count = sum(archive.count for archive in archives)
    if json:
        print_json(
            {
                "file": str(target),
                "records": count,
                "validators": [archive.to_json() for archive in archives],
            }
        )
    else:
        say(f"{target}: {count} records")


def _exported(archives: list[Archive], form: str) -> Iterator[str]:
    header = True
    for archive in archives:
        if form == "jsonl":
            yield from exports.json_lines(archive.records(), archive.serial)
        else:
            for line in exports.csv_lines(archive.records(), archive.serial, header=header):
                header = False
                yield line


@records_app.command(name="open")
def open_evidence(
    files: Files,
    key: Annotated[Path, typer.Option(help="The acquirer's RSA private key, PEM.")],
    target: Annotated[
        Path | None,
        typer.Option("--out", help="Write there, for your eyes only, not to the terminal."),
    ] = None,
) -> None:
    """Open the evidence of collected records, as JSON: for the acquirer alone."""
    private = load_key(key)
    found = [
        entry
        for archive in _checked(files)
        for entry in exports.opened(archive.records(), archive.serial, private, archive.blocks)
    ]
    if target is None:
        print_json(found)
    else:
        write_text(target, as_json(found) + "\n", secret=True)
        say(f"{target}: the evidence of {len(found)} records")
    if any("problem" in entry for entry in found):
        sys.exit(2)


def _checked(files: list[Path]) -> list[Archive]:
    """Their records; the first bad one of any of them is the command's end."""
    archives = read_files(files)
    for archive in archives:
        _notes(archive)
    for archive in archives:
        archive.check()
    return archives


def _need(port: str) -> None:
    if not port:
        raise FaretapError("Which validator?", "Give --port, or set FARETAP_PORT.")
