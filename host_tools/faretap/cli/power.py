"""faretap power: the supply of a virtual validator."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from faretap.cli.common import Json, Port, app, out, print_json
from faretap.errors import FaretapError


class Do(StrEnum):
    """What is done to the supply."""

    status = "status"
    on = "on"
    off = "off"
    cycle = "cycle"
    cut = "cut"


class How(StrEnum):
    """How far a flash operation gets in which the supply goes."""

    undone = "undone"
    half = "half"
    done = "done"


@app.command()
def power(
    do: Annotated[Do, typer.Argument(help="status, on, off, cycle (off and on), or cut.")],
    port: Port = "",
    operation: Annotated[
        int,
        typer.Option(
            help="cut: which flash operation of the firmware from now, 1 is the next; 0 takes the "
            "order back."
        ),
    ] = 1,
    how: Annotated[
        How, typer.Option(help="cut: what becomes of that operation: undone, half, done.")
    ] = How.half,
    json: Json = False,
) -> None:
    """Switch a virtual validator off and on, or let its supply go in the middle of writing."""
    from faretap.virtual.bench import BenchClient, BenchError

    if not port:
        raise FaretapError("Which validator?", "Give --port, or set FARETAP_PORT.")
    if operation < 0:
        raise FaretapError(f"--operation {operation} is not a number of operations.")
    if do is Do.cut and operation == 0:
        done = "the supply stays"
    elif do is Do.cut:
        done = f"the supply will go at flash operation {operation} from now, {how.value}, "
        done += "whatever makes it; --operation 0 takes the order back"
    else:
        done = ""
    try:
        with BenchClient(port) as bench:
            if do is Do.cut:
                bench.cut(operation, how.value)
            elif do is Do.cycle:
                bench.cycle()
            elif do is not Do.status:
                bench.power(do is Do.on)
            status = bench.status()
    except BenchError as e:
        raise FaretapError(str(e), "Only virtual validators have a supply to switch.") from e
    if json:
        print_json(_public(status))
    else:
        out.print(done or f"{'on' if status['power'] else 'off'}, {status['state']}")


def _public(status: dict[str, Any]) -> dict[str, Any]:
    return {"power": status["power"], "state": status["state"]}
