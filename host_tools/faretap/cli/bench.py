"""faretap bench: what this validator does in what time."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from faretap.cli.common import Json, Port, app, out, print_json, say
from faretap.measure import PHASES, everything
from faretap.session import connect


@app.command()
def bench(
    port: Port,
    count: Annotated[int, typer.Option(help="Taps of each medium.", min=1)] = 10,
    baud: Annotated[
        list[int] | None, typer.Option(help="Also measure the link at this rate; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure link, boot and tap phases, with the firmware's own clock."""
    with connect(port) as validator:
        report = everything(validator, count=count, bauds=tuple(baud or ()), say=say)
    if json:
        print_json(report)
    else:
        for table in _tables(report):
            out.print(table)


def _tables(report: dict[str, Any]) -> list[Table]:
    head = f"{report['board']}  {report['version']} ({report['hash']})"
    first = Table(title=head, title_justify="left")
    for column in ("measured", "value"):
        first.add_column(column)
    boot = report["boot"]
    first.add_row(
        f"reset to hello ({boot['by']})",
        f"{boot['seconds']:.2f} s, of which application {boot['application_ms']} ms",
    )
    for baud, link in report["link"].items():
        if "refused" in link:
            first.add_row(f"link at {baud}", link["refused"])
            continue
        trip = link["round_trip_ms"]
        first.add_row(
            f"round trip at {baud}", f"p50 {trip['p50']:.1f} ms, p95 {trip['p95']:.1f} ms"
        )
        for key, name in (("to_validator", "to"), ("from_validator", "from")):
            rate = link[key]
            lost = rate.get("lost_blocks", 0) or rate.get("lost_bytes", 0)
            first.add_row(
                f"{name} the validator at {baud}",
                f"{rate['share']:.0%} of the line rate" + (f", {lost} lost" if lost else ""),
            )
    first.add_row("heap free after", f"{report['heap_free']:,} bytes")
    first.add_row("frames damaged", str(report["damaged_frames"]))
    taps = Table(title="Phases of a tap, p50 in ms by the validator's clock", title_justify="left")
    taps.add_column("medium")
    for phase in (*PHASES, "total"):
        taps.add_column(phase, justify="right")
    for via, media in report["taps"].items():
        for name, row in media.items():
            values = [f"{row['ms'][p]:g}" for p in (*PHASES, "total")]
            taps.add_row(f"{name} ({via})", *values)
    if "reader" in report:
        _reader_rows(first, report["reader"])
    return [first, taps]


def _reader_rows(table: Table, figures: dict[str, Any]) -> None:
    for key, name in (("exchange", "APDU exchange"), ("nfcpy", "the same by nfcpy")):
        f = figures[key]
        table.add_row(
            f"{name} at {f['baud']}",
            f"{f['ms']:.2f} ms: card, air and chip {f['card_air_chip_ms']:.2f}, "
            f"line {f['wire_ms']:.2f}, rest {f['over_ms']:.2f}",
        )
    table.add_row(
        "poll cycle without a card",
        f"{figures['poll_ms']} ms, field on {figures['field_percent']} % of it",
    )
    table.add_row("card seen to activated", f"{figures['detect_ms']:g} ms")
    recovery = figures["recovery"]
    table.add_row(
        "reader dead to served again",
        f"{recovery['served_again_ms']} ms, of which {recovery['of_it_recovering_ms']} recovering",
    )
