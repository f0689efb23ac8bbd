"""faretap image: application images for updates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from faretap.cli.common import Json, app, out, print_json, say
from faretap.cli.keys import PassphraseFile
from faretap.image.container import Container, load, make
from faretap.image.errors import ImageError
from faretap.writing import write_bytes

image = typer.Typer(help="Build, sign and show application images.", no_args_is_help=True)
app.add_typer(image, name="image")

File = Annotated[Path, typer.Argument(help="A .ftu file.")]
Key = Annotated[Path | None, typer.Option("--key", help="The operator's private key, PEM.")]
Downgrade = Annotated[
    bool, typer.Option("--downgrade", help="Validators may go back to it from a newer version.")
]


@image.command()
def build(
    board: Annotated[str, typer.Option(help="Name of the board; see `faretap boards`.")],
    to: Annotated[Path | None, typer.Option("--out", help="Default: BOARD-VERSION.ftu.")] = None,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    downgrade: Downgrade = False,
    json: Json = False,
) -> None:
    """Compile the application into an image, and sign it if a key is given."""
    from faretap import boards
    from faretap.image.app import build_app

    container = make(build_app(boards.load(board)))
    if key is not None:
        container = _signed(container, key, passphrase_file, downgrade)
    elif downgrade:
        raise ImageError("Only a signature can allow a downgrade.", "Give --key as well.")
    path = to or Path(f"{container.board}-{container.version}.ftu")
    _write(path, container)
    _tell(path, container, json)


@image.command()
def sign(
    file: File,
    key: Annotated[Path, typer.Option("--key", help="The operator's private key, PEM.")],
    passphrase_file: PassphraseFile = None,
    downgrade: Downgrade = False,
    to: Annotated[Path | None, typer.Option("--out", help="Default: the same file.")] = None,
    json: Json = False,
) -> None:
    """Put the operator's signature on an image."""
    container = _signed(load(file), key, passphrase_file, downgrade)
    _write(to or file, container)
    _tell(to or file, container, json)


@image.command()
def show(
    file: File,
    trust: Annotated[
        Path | None, typer.Option(help="The operator's public key: was it that one?")
    ] = None,
    json: Json = False,
) -> None:
    """Check an image, and show what it is."""
    container = load(file)
    good = None
    if trust is not None:
        from faretap.config.keys import load_public
        from faretap.image.sign import verify

        verify(container, load_public(trust))
        good = True
    _tell(file, container, json, good)


def _signed(
    container: Container, key: Path, passphrase_file: Path | None, downgrade: bool
) -> Container:
    from faretap.cli.keys import passphrase
    from faretap.config.keys import load as load_key
    from faretap.image.sign import sign as put_signature

    opened = load_key(key, lambda: passphrase(passphrase_file))
    return put_signature(container, opened, downgrade)


def _write(path: Path, container: Container) -> None:
    write_bytes(path, container.to_bytes(), ImageError)
    say(f"wrote {path}")


def _tell(path: Path, container: Container, json: bool, good: bool | None = None) -> None:
    facts = describe(container)
    facts["size"] = len(container.to_bytes())
    if good is not None:
        facts["verified"] = good
    if json:
        print_json({"file": str(path), **facts})
        return
    for name, value in facts.items():
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        out.print(f"{name.replace('_', ' '):16} {text}", highlight=False, soft_wrap=True)


def describe(container: Container) -> dict[str, Any]:
    """What a person wants to know of an image."""
    return {
        "board": container.board,
        "version": container.version,
        "id": container.id,
        "min_micropython": container.min_micropython,
        "signed": bool(container.signature),
        "downgrade": container.downgrade,
        "slot_bytes": len(container.image),
        "sent_bytes": sum(len(block) for block in container.packed().blocks),
        "files": len(container.app.files),
        "sha256": container.head.digest.hex(),
    }
