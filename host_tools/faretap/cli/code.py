"""faretap code make, list, show: ride codes to test with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from faretap.cli.common import Json, app, out, print_json
from faretap.errors import FaretapError
from faretap.reading import CODE, read_bytes
from faretap.sim import codes
from faretap.sim.codes import Code, picture
from faretap.sim.codes.show import Seen, read
from faretap.writing import write_all

code = typer.Typer(help="Make ride codes to test with.", no_args_is_help=True)
app.add_typer(code, name="code")

At = Annotated[
    int | None, typer.Option(help="The moment the code is made for, in unix seconds; now if none.")
]


@code.command()
def make(
    kind: Annotated[str, typer.Argument(help="mot, union, alipay, cpm …; see `code list`.")],
    defect: Annotated[str, typer.Option(help="What is wrong with it; see `code list KIND`.")] = "",
    set: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE, such as limit=100; signed as it should be."),
    ] = None,
    at: At = None,
    file: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the code's bytes.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="File for a picture of the QR code.")] = None,
    hex: Annotated[bool, typer.Option("--hex", help="Print the bytes in hex, alone.")] = False,
    json: Json = False,
) -> None:
    """Make a ride code, in order or with a named defect, as bytes and as a picture."""
    entry = _entry(kind, defect)
    moment = int(time.time()) if at is None else at
    name = _name(entry)
    try:
        data = codes.make(name, at=moment, **_fields(set or []))
    except ValueError as error:
        raise FaretapError(f"This code cannot be made: {error}.") from None
    done: dict[str, Any] = {"name": name, "note": entry.note, "at": moment, "bytes": len(data)}
    if not set:
        done["expected"] = {"outcome": entry.expected[0], "reason": entry.expected[1]}
    written: list[tuple[Path, bytes]] = []
    if file:
        written.append((file, data))
        done["file"] = str(file)
    if png:
        try:
            image, symbol = picture.png(data)
        except ValueError as error:
            raise FaretapError(f"There is no picture of this code: {error}.") from None
        written.append((png, image))
        done |= {"symbol": symbol, "png": str(png)}
    write_all(written)
    if json:
        print_json({**done, "hex": data.hex()})
    elif hex:
        print(data.hex())
    else:
        out.print(_made(done, read(data)))


@code.command(name="list")
def list_codes(
    kind: Annotated[str, typer.Argument(help="Only codes of this kind.")] = "", json: Json = False
) -> None:
    """List the codes that can be made, and what a validator must make of each."""
    kinds = {entry.kind for entry in codes.CODES.values()}
    if kind and kind not in kinds:
        raise FaretapError(f"There is no kind {kind!r}.", f"Kinds: {', '.join(sorted(kinds))}.")
    chosen = {n: e for n, e in codes.CODES.items() if kind in ("", e.kind)}
    if json:
        print_json(
            {
                name: {
                    "kind": entry.kind,
                    "defect": entry.defect,
                    "note": entry.note,
                    "outcome": entry.expected[0],
                    "reason": entry.expected[1],
                    "broken": None if entry.broken is None else list(entry.broken),
                }
                for name, entry in chosen.items()
            }
        )
        return
    rows = [(e.kind, e.defect, e.outcome(), e.note) for e in chosen.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [f"{text:{width}}" for text, width in zip(row, widths, strict=False)]
        out.print("  ".join((*cells, row[3])), highlight=False, markup=False, soft_wrap=True)


@code.command()
def show(
    source: Annotated[str, typer.Argument(help="File with a code's bytes, or its name.")] = "",
    hex: Annotated[str, typer.Option("--hex", help="The code's bytes in hex.")] = "",
    at: At = None,
    json: Json = False,
) -> None:
    """Read a code: its fields, and which signatures are right. Numbers of riders are masked."""
    data = _source(source, hex, at)
    seen = read(data)
    if json:
        print_json(
            {
                "kind": seen.kind,
                "bytes": len(data),
                "fields": seen.fields,
                "signatures": seen.signatures,
                "problem": seen.problem,
            }
        )
    else:
        out.print(_table({"code": f"{seen.kind}, {len(data)} bytes"}, seen))


def _entry(kind: str, defect: str) -> Code:
    name = f"{kind}-{defect}" if defect else kind
    if name in codes.CODES:
        return codes.CODES[name]
    kinds = sorted({entry.kind for entry in codes.CODES.values()})
    if kind in kinds:
        defects = [e.defect for e in codes.CODES.values() if e.kind == kind and e.defect]
        known = ", ".join(defects) or "none"
        raise FaretapError(f"A code {kind} has no defect {defect!r}.", f"It has: {known}.")
    raise FaretapError(f"There is no code {name!r}.", f"Kinds: {', '.join(kinds)}.")


def _name(entry: Code) -> str:
    return f"{entry.kind}-{entry.defect}" if entry.defect else entry.kind


def _fields(pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE as the builders want them: what they hold as numbers is a number."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise FaretapError(f"--set {pair} has no value.", "Write it as FIELD=VALUE.")
        fields[name] = value
    return fields


def _source(source: str, hex: str, at: int | None) -> bytes:
    if bool(source) == bool(hex):
        raise FaretapError("Which code?", "Give a file, the name of a code, or --hex.")
    if hex:
        try:
            return bytes.fromhex(hex)
        except ValueError:
            raise FaretapError(
                "--hex is not a string of hex digits.", "Give an even number of 0-9 and a-f."
            ) from None
    if source in codes.CODES:
        return codes.make(source, at=at)
    try:
        return read_bytes(Path(source), CODE)
    except FaretapError as error:
        raise FaretapError(error.cause, "It is no name of `faretap code list` either.") from None


def _made(done: dict[str, Any], seen: Seen) -> Table:
    head = {"code": f"{done['name']}: {done['note']}", "bytes": str(done["bytes"])}
    if "expected" in done:
        head["expected"] = " ".join(filter(None, done["expected"].values()))
    if "file" in done:
        head["file"] = done["file"]
    if "png" in done:
        head["picture"] = f"{done['png']}, QR {done['symbol']}"
    return _table(head, seen)


def _table(head: dict[str, str], seen: Seen) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    signatures = {f"{name} signature": text for name, text in seen.signatures.items()}
    problem = {"problem": seen.problem} if seen.problem else {}
    for name, text in (head | seen.fields | signatures | problem).items():
        table.add_row(name, _plain(text))
    return table


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "·" for c in text)
