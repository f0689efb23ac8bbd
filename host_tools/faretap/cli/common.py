"""What the commands share: options, output as text or JSON, errors."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

app = typer.Typer(
    name="faretap",
    help="Flash, provision, tap and measure fare validators.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# Tables and results go to stdout, progress and errors to stderr, so that `--json` pipes cleanly.
out = Console()
err = Console(stderr=True)

Port = Annotated[
    str,
    typer.Option(
        "--port",
        "-p",
        envvar="FARETAP_PORT",
        help="/dev/ttyUSB0, COM7, rfc2217://…, socket://…, virtual or virtual:DIR.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Via = Annotated[
    str,
    typer.Option(help="wire: through the reader chip or scan engine; link: over the link."),
]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and traffic.")] = False,
) -> None:
    if debug:
        os.environ["FARETAP_DEBUG"] = "1"
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


def debugging() -> bool:
    return os.environ.get("FARETAP_DEBUG", "") == "1"


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def fail(sentence: str) -> NoReturn:
    err.print(f"[red]error:[/red] {_plain(sentence)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def say(text: str) -> None:
    err.print(f"[dim]{_plain(text)}[/dim]", highlight=False)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
