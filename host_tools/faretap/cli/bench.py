"""faretap bench: what this validator does in what time."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from faretap import address
from faretap.cli.common import Json, Port, app, out, print_json, say
from faretap.errors import FaretapError
from faretap.measure import PHASES, everything
from faretap.session import connect
from faretap.shown import shown


@app.command()
def bench(
    port: Port,
    count: Annotated[int, typer.Option(help="Taps of each medium.", min=1)] = 10,
    baud: Annotated[
        list[int] | None, typer.Option(help="Also measure the link at this rate; repeatable.")
    ] = None,
    test_operator: Annotated[
        bool,
        typer.Option(
            help="Claim the validator for the TEST operator first, whose configuration accepts "
            "simulated riders; a new virtual validator is claimed anyway."
        ),
    ] = False,
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="Also add records up to 1,000 and read them in bulk, load a deny list of "
            "100,000, and update the idle slot, at the highest --baud.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Measure link, boot, taps and cryptography, with the firmware's own clock."""
    with connect(port) as validator:
        try:
            report = everything(
                validator,
                count=count,
                bauds=tuple(baud or ()),
                configure=test_operator or address.normal(port) == "virtual",
                store=store,
                say=say,
            )
        except (LookupError, ArithmeticError, TypeError, ValueError, AssertionError) as e:
            # A figure that is not there, or 0 µs: the validator's, like all of them.
            raise FaretapError(
                f"The validator's figures cannot be used: {type(e).__name__} {shown(e, 200)}.",
                "Does this version of faretap know its firmware?",
            ) from e
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
    if report["bundle"]:
        row = report["bundle"]
        first.add_row(
            f"signed configuration of {row['bytes']:,} bytes",
            f"verified in {row['ms']:.2f} ms, parsed in {row['parse_ms']:.2f}",
        )
    if "store" in report:
        _store_rows(first, report["store"])
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
    return [first, *_own(report), _crypto(report["crypto"]), taps]


def _store_rows(table: Table, figures: dict[str, Any]) -> None:
    deny, records, image = figures["list"], figures["records"], figures["update"]
    append = figures["append"]
    table.add_row(
        f"record of {append['bytes']} bytes made durable",
        f"{append['ms']:.2f} ms, longest of {append['n']} {append['most_ms']:.1f}",
    )
    table.add_row(
        "flash operations for it",
        f"{append['program']:.2f} programmed, {append['read']:.2f} read, "
        f"{append['erase']:.2f} erased",
    )
    table.add_row("journal mounted in", f"{figures['mount_ms']} ms")
    table.add_row(
        f"deny list of {deny['entries']:,}",
        f"{deny['bytes']:,} bytes in {deny['seconds']:.1f} s; lookup {deny['listed_us']:.0f} us "
        f"listed, {deny['unlisted_us']:.0f} us not",
    )
    table.add_row(
        f"records out at {figures['baud']}",
        f"{records['share']:.0%} of the line rate, blocks of nothing {records['bare']:.0%}; "
        f"{records['records']:,} records of {records['bytes'] // records['records']} bytes",
    )
    table.add_row(
        f"update at {figures['baud']}",
        f"{image['bytes']:,} bytes in {image['seconds']:.1f} s, {image['share']:.0%} of the line",
    )


def _own(report: dict[str, Any]) -> list[Table]:
    if "own" not in report:
        return []
    table = Table(title="The validator's own share of a tap, p50", title_justify="left")
    for column in (
        "medium",
        "own ms",
        "verify ms",
        "PSAM ms",
        "exchanges",
        "heap bytes",
        "outcome",
    ):
        table.add_column(column, justify="left" if column in ("medium", "outcome") else "right")
    for name, kinds in report["own"].items():
        for kind, row in kinds.items():
            table.add_row(
                f"{name}, {kind}",
                f"{row['own_ms']:.2f}",
                f"{row['verify_ms']:.2f}",
                f"{row['psam_ms']:.2f}",
                f"{row['exchanges']:g}",
                f"{row['allocated']:,}" if "allocated" in row else "",
                ", ".join(row["outcomes"]),
            )
    return [table]


def _crypto(figures: dict[str, Any]) -> Table:
    table = Table(
        title=f"One verification, ms (SM3 {figures['sm3_kb_s']:,.0f} KB/s, "
        f"SHA-256 {figures['sha256_kb_s']:,.0f} KB/s)",
        title_justify="left",
    )
    for column in ("curve", "unknown key", "key with table", "textbook", "faster", "heap bytes"):
        table.add_column(column, justify="left" if column == "curve" else "right")
    for name, row in figures["signatures"].items():
        table.add_row(
            name,
            f"{row['unknown_ms']:.2f}",
            f"{row['table_ms']:.2f}",
            f"{row['textbook_ms']:.2f}",
            f"{row['faster']:.1f} x",
            f"{row['allocated']:,}",
        )
    return table


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
