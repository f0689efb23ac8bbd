"""faretap virtual: a validator without hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faretap.cli.common import app
from faretap.errors import FaretapError


@app.command()
def virtual(
    state: Annotated[Path, typer.Option(help="Folder that keeps its flash.")],
    listen: Annotated[
        str, typer.Option(help="HOST:PORT of its RFC 2217 serial port; port 0 takes a free one.")
    ] = "127.0.0.1:4000",
    heap: Annotated[
        str,
        typer.Option(help="Heap of the interpreter as a 32-bit chip would have it, e.g. 160K."),
    ] = "160K",
    unpaced: Annotated[
        bool, typer.Option("--unpaced", help="Carry bytes at once instead of at the baud rate.")
    ] = False,
) -> None:
    """Run a virtual validator in the foreground until Ctrl-C."""
    from faretap.virtual import BoardError, run_foreground

    host, number = _address(listen)
    try:
        run_foreground(state, host=host, port=number, heap=_bytes(heap), unpaced=unpaced)
    except BoardError as e:
        raise FaretapError(str(e)) from e


def _address(text: str) -> tuple[str, int]:
    from faretap.address import host_port

    found = host_port(text)
    if found is None:
        raise FaretapError(
            f"--listen {text} is not HOST:PORT.", "For example 127.0.0.1:4000 or [::1]:4000."
        )
    return found[0] or "127.0.0.1", found[1]


def _bytes(text: str) -> int:
    unit = {"K": 1024, "M": 1024 * 1024}.get(text[-1:].upper(), 1)
    number = text[:-1] if unit > 1 else text
    if not number.isdigit() or int(number) == 0:
        raise FaretapError(f"--heap {text} is not a size.", "For example 160K or 4M.")
    return int(number) * unit
