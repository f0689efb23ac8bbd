"""What the commands share: options, output as text or JSON, errors."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from faretap import meant
from faretap.shown import Screen, as_json, as_text, shown

app = typer.Typer(
    name="faretap",
    help="Flash, provision, tap and measure fare validators.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# Tables and results go to stdout, progress and errors to stderr, so that `--json` pipes cleanly.
# Neither obeys markup or control characters in a text: much of it comes from devices and files.
out = Screen()
err = Screen(stderr=True)


def _reach(value: str) -> str:
    """For all of this command: the validator that an access key signs for, and no other."""
    if value:
        from faretap.access import as_serial

        meant.serial = as_serial(value)
    return value


Port = Annotated[
    str,
    typer.Option(
        "--port",
        "-p",
        envvar="FARETAP_PORT",
        help="/dev/ttyUSB0, COM7, rfc2217://…, socket://…, virtual or virtual:DIR.",
    ),
]
Serial = Annotated[
    str,
    typer.Option(
        "--serial",
        callback=_reach,
        help="Serial number of the validator that is meant, from its label; else FARETAP_SERIAL.",
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
    meant.serial = ""
    if debug:
        os.environ["FARETAP_DEBUG"] = "1"
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


def debugging() -> bool:
    return os.environ.get("FARETAP_DEBUG", "") == "1"


def print_json(value: Any) -> None:
    print(as_json(value))


def print_text(text: str) -> None:
    """A document to stdout, as it is but for what a terminal would obey."""
    sys.stdout.write(as_text(text))


def fail(sentence: str) -> NoReturn:
    text = Text.assemble(("error:", "red"), " ", shown(sentence, lines=True))
    err.print(text, highlight=False, soft_wrap=True)
    sys.exit(1)


def say(text: str) -> None:
    err.print(Text(shown(text), "dim"), highlight=False)
