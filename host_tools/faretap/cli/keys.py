"""faretap keys: the operator's key, and a fleet's key for tokens."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from faretap.cli.common import Json, app, out, print_json, say
from faretap.reading import read_passphrase

# `cryptography` is imported where it is used: it costs every other command 0.1 s.

keys = typer.Typer(help="Make and show the operator's key.", no_args_is_help=True)
app.add_typer(keys, name="keys")

PassphraseFile = Annotated[
    Path | None, typer.Option(help="Holds the passphrase; else FARETAP_PASSPHRASE, else asked.")
]
Out = Annotated[Path, typer.Option("--out", help="A file that does not exist yet.")]


@keys.command()
def new(to: Out, passphrase_file: PassphraseFile = None, json: Json = False) -> None:
    """Make an operator key; its public half goes into FILE.pub."""
    from faretap.config.keys import create, public_path

    key = create(to, passphrase(passphrase_file, new=True))
    say(f"wrote {to} and {public_path(to)}")
    _tell(key.public_key(), json)


@keys.command()
def show(
    file: Annotated[Path, typer.Argument(help="A key, or its .pub file.")], json: Json = False
) -> None:
    """Show a public key and its fingerprint. Needs no passphrase: the .pub file is read."""
    from faretap.config.keys import load_public

    _tell(load_public(file), json)


@keys.command()
def token(to: Out) -> None:
    """Make a key for tokens: the same rider has the same token wherever it is configured."""
    from faretap.config.keys import create_token

    create_token(to)
    say(f"wrote {to}")


def passphrase(file: Path | None, *, new: bool = False) -> str:
    """From the file, the environment or the terminal, in this order."""
    from faretap.config.errors import KeyFileError

    if file is not None:
        return read_passphrase(file, KeyFileError)
    if "FARETAP_PASSPHRASE" in os.environ:
        return os.environ["FARETAP_PASSPHRASE"]
    if not sys.stdin.isatty():
        raise KeyFileError(
            "The key needs its passphrase.", "Give --passphrase-file, or FARETAP_PASSPHRASE."
        )
    text: str = typer.prompt("Passphrase", hide_input=True, err=True, confirmation_prompt=new)
    return text


def _tell(public: Any, json: bool) -> None:
    from faretap.config.keys import compressed, fingerprint, public_pem

    facts = {"fingerprint": fingerprint(public), "public": compressed(public).hex()}
    if json:
        print_json(facts)
        return
    out.print(f"fingerprint  {facts['fingerprint']}", highlight=False)
    out.print(f"public       {facts['public']}", highlight=False, soft_wrap=True)
    out.print(public_pem(public).decode().strip(), highlight=False)
