"""faretap records: read back what the validator recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from faretap.cli.common import Json, Port, app, out, print_json
from faretap.records.pull import pull
from faretap.records.table import fitted
from faretap.session import connect


@app.command()
def records(
    port: Port,
    first: Annotated[int, typer.Option("--from", help="First sequence number wanted.")] = 0,
    last: Annotated[int, typer.Option("--last", help="Only the last so many.")] = 0,
    json: Json = False,
) -> None:
    """Read the records of taps, oldest first."""
    with connect(port) as validator:
        read = pull(validator.link, first)
    chosen = read[-last:] if last else read
    if json:
        print_json([r.to_json() for r in chosen])
    else:
        out.print(fitted(chosen, out.width))
