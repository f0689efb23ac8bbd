"""faretap replay: a recorded tap through the firmware's kernel, without a validator."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from faretap.cli.common import Json, app, out, print_json, say
from faretap.errors import FaretapError
from faretap.reading import SETTINGS, read_json
from faretap.replay import Report
from faretap.replay import read as read_trace
from faretap.replay import replay as run_replay
from faretap.sim.cards.scheme import configuration


@app.command()
def replay(
    trace: Annotated[
        Path, typer.Argument(help="From `faretap tap --trace` or `faretap card dump`.")
    ],
    rules: Annotated[
        Path | None, typer.Option(help="Rules as JSON: CA keys, limits; see docs/quickpass.md.")
    ] = None,
    test_cards: Annotated[
        bool, typer.Option("--test-cards", help="Take the CA keys of the simulated cards.")
    ] = False,
    time: Annotated[
        str, typer.Option(help="The terminal's time, ISO 8601; default: that of the trace.")
    ] = "",
    un: Annotated[
        str, typer.Option(help="The terminal's random number (9F37), 8 hex digits.")
    ] = "",
    amount: Annotated[int, typer.Option(help="Fen; default: what the trace asked for.")] = -1,
    json: Json = False,
) -> None:
    """Run the kernel on a card's recorded APDUs, and print what it makes of them."""
    recording = read_trace(trace)
    if recording.masked:
        say("The numbers in this trace are masked: no signature in it can fit.")
    report = run_replay(
        recording,
        _rules(rules, test_cards),
        unix=_time(time),
        random=_random(un),
        amount=amount if amount >= 0 else None,
    )
    if json:
        print_json(report.to_json())
    else:
        _print(report)


def _rules(path: Path | None, test_cards: bool) -> dict[str, Any]:
    if test_cards and path is not None:
        raise FaretapError("Two sets of rules are one too many.", "Give --rules or --test-cards.")
    if path is None:
        return configuration() if test_cards else {}
    config = read_json(path, SETTINGS)
    if not isinstance(config, dict):
        raise FaretapError(f"{path} holds no JSON object.", "See docs/quickpass.md.")
    return config


def _time(text: str) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise FaretapError(
            f"--time {text} is no time.", "Write it as 2026-08-01T12:00:00+08:00."
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _random(text: str) -> bytes | None:
    if not text:
        return None
    try:
        number = bytes.fromhex(text)
    except ValueError:
        number = b""
    if len(number) != 4:
        raise FaretapError(f"--un {text} is no random number.", "Give 8 hex digits.")
    return number


def _print(report: Report) -> None:
    result = report.result
    reason = f", reason {result.reason}" if result.reason else ""
    out.print(Text.assemble((result.outcome, "bold"), f"{reason}  ({result.medium})"))
    if result.masked:
        out.print(f"  masked: {result.masked}", highlight=False)
    if result.expiry:
        out.print(f"  expiry: {result.expiry}", highlight=False)
    for name, value in result.detail.items():
        out.print(f"  {name}: {value}", highlight=False, markup=False)
    at = datetime.fromtimestamp(report.unix, UTC).isoformat(timespec="seconds")
    out.print(
        f"  {len(report.exchanges)} APDUs, {report.amount / 100:.2f} yuan, {at}, "
        f"9F37 {report.random.hex()}",
        highlight=False,
    )
    if report.diverged:
        out.print(f"  the trace ends here: {report.diverged}", highlight=False, soft_wrap=True)
