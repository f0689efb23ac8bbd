"""faretap lists: deny lists of tokens."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faretap.cli.common import Json, Port, Serial, app, err, out, print_json, say
from faretap.reading import LIST, read_bytes
from faretap.writing import write_bytes

if TYPE_CHECKING:
    from faretap.lists import Changes, DenyList

lists = typer.Typer(help="Build, sign, compare and send deny lists.", no_args_is_help=True)
app.add_typer(lists, name="lists")

File = Annotated[Path, typer.Argument(help="A list file (.ftl).")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
KeyFile = Annotated[
    Path, typer.Option(help="The fleet's token key, 32 hex digits; as `token_key` configures.")
]


@lists.command()
def build(
    tokens: Annotated[
        Path, typer.Argument(help="16 hex digits a line, or a CSV file with a column `token`.")
    ],
    to: Out,
    version: Annotated[int, typer.Option(help="Higher than that of any list before.")],
    key: Annotated[Path, typer.Option("--key", help="The operator's private key, PEM.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Holds the key's passphrase; else it is asked for.")
    ] = None,
    exempt: Annotated[
        Path | None,
        typer.Option(help="Tokens that are let through though they look like a listed one."),
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(help="Boards that it is for; the smallest counts. Default: all."),
    ] = None,
    token_key_file: Annotated[
        Path | None,
        typer.Option(help="Validators with another token key than this refuse the list."),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="Lay it out as this list, so that changes can be sent.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a signed list of tokens."""
    from faretap import lists as library
    from faretap.cli.keys import passphrase
    from faretap.config.keys import load as load_key
    from faretap.lists.builder import signer
    from faretap.lists.tokens import key_check, read_key

    layout = _full(like).layout if like else None
    data = library.build(
        library.read_tokens(tokens),
        version=version,
        sign=signer(load_key(key, lambda: passphrase(passphrase_file))),
        space=_space(board),
        issued=int(time.time()),
        exempt=library.read_tokens(exempt) if exempt else (),
        key_check=key_check(read_key(token_key_file)) if token_key_file else bytes(4),
        layout=layout,
    )
    _write(to, data)
    _tell(to, library.DenyList.parse(data), json)


@lists.command()
def delta(
    old: Annotated[Path, typer.Argument(help="The list that validators have.")],
    new: Annotated[Path, typer.Argument(help="The list that they are to have.")],
    to: Out,
    json: Json = False,
) -> None:
    """Make a file of what changes from one list to the next."""
    from faretap import lists as library

    after = _full(new)
    data = library.delta(_full(old), after)
    _write(to, data)
    if len(data) > len(after.data):
        say(f"{new} itself is smaller: send that.")
    _tell(to, library.Changes.parse(data), json)


@lists.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A list file (.ftl).")] = None,
    port: Annotated[str | None, typer.Option("--port", "-p", help="A validator's list.")] = None,
    trust: Annotated[
        Path | None, typer.Option(help="The operator's public key: was it that one?")
    ] = None,
    find: Annotated[
        str, typer.Option(help="A token: is it turned away? Exit status 2 if it is.")
    ] = "",
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Check a list and show what it is; or show what a validator has in force."""
    from faretap.lists import DenyList, ListFileError
    from faretap.lists.tokens import parse_token

    token = parse_token(find) if find else None
    if (file is None) == (port is None):
        raise ListFileError("Which list?", "Give a file, or --port.")
    if port is not None:
        from faretap.lists.push import info
        from faretap.session import connect

        with connect(port) as validator:
            facts = info(validator.link)
            if token:
                answer = validator.link.call("lists.contains", {"token": token.hex()})
                facts["denied"] = answer["denied"]
    else:
        assert file is not None
        read = _parsed(file)
        facts = {"file": str(file), **read.to_json()}
        if trust is not None:
            from faretap.config.keys import load_public

            facts["signed"] = read.signed_by(load_public(trust))
        if token:
            if not isinstance(read, DenyList):
                raise ListFileError("Changes do not say who is listed.", "Ask the full list.")
            facts["denied"] = read.contains(token)
    _print(facts, json)
    if facts.get("signed") is False:
        raise ListFileError(f"{file} is not signed with that key.")
    if facts.get("denied"):
        raise typer.Exit(2)


@lists.command()
def push(file: File, port: Port, json: Json = False, serial: Serial = "") -> None:
    """Send a list, or changes, to a validator; riders go on meanwhile."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from faretap.lists.push import push as send
    from faretap.session import connect

    data = _read(file)
    _parsed(file)
    with (
        connect(port) as validator,
        Progress(
            TextColumn("list"), BarColumn(), DownloadColumn(), console=err, transient=True
        ) as bar,
    ):
        task = bar.add_task("list", total=len(data))
        facts = send(
            validator, data, lambda done, total: bar.update(task, completed=done, total=total)
        )
    _print(facts, json)


@lists.command()
def token(
    number: Annotated[
        str,
        typer.Argument(
            help="A card number or PAR; - reads one a line, so that no shell keeps it."
        ),
    ],
    key_file: KeyFile,
    account: Annotated[
        bool, typer.Option("--account", help="It is an account of a code issuer, not a card.")
    ] = False,
) -> None:
    """The token of a card under the fleet's token key. The number is not shown again."""
    from faretap.lists.tokens import read_key, token_of

    key = read_key(key_file)
    numbers = (
        [line for line in sys.stdin.read().split("\n") if line] if number == "-" else [number]
    )
    for one in numbers:
        print(token_of(key, one.strip(), "account" if account else "card").hex())


def _space(names: list[str] | None) -> int:
    from faretap import boards
    from faretap.lists import room

    tables = [boards.load(name).partitions for name in names or boards.names()]
    return min(room(table["lists"].size) for table in tables)


def _read(path: Path) -> bytes:
    from faretap.lists import ListFileError

    return read_bytes(path, LIST, ListFileError)


def _parsed(path: Path) -> DenyList | Changes:
    from faretap.lists import ListFileError
    from faretap.lists.model import parse

    try:
        return parse(_read(path))
    except ListFileError as e:
        raise ListFileError(f"{path}: {e.cause}", e.next_step) from None


def _full(path: Path) -> DenyList:
    from faretap.lists import DenyList, ListFileError

    read = _parsed(path)
    if not isinstance(read, DenyList):
        raise ListFileError(f"{path} holds changes only.", "Give the full list.")
    return read


def _write(path: Path, data: bytes) -> None:
    from faretap.lists import ListFileError

    write_bytes(path, data, ListFileError)


def _tell(path: Path, read: DenyList | Changes, json: bool) -> None:
    _print({"file": str(path), **read.to_json()}, json)


def _print(facts: dict[str, Any], json: bool) -> None:
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        out.print(f"{name:15} {value}", highlight=False, soft_wrap=True)
