"""faretap tap, scan: present simulated riders."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from faretap.cli.common import Json, Port, Serial, Via, app, out, print_json
from faretap.errors import FaretapError
from faretap.present import moment
from faretap.present import scan as show_code
from faretap.present import tap as present_card
from faretap.session import connect
from faretap.sim import cards, codes


@app.command()
def tap(
    port: Port = "",
    card: Annotated[str, typer.Option(help="Name of a simulated card; see --list.")] = "",
    via: Via = "wire",
    lose_at: Annotated[
        int, typer.Option(help="Pull the card away at the n-th APDU, counted from 1.")
    ] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the card, such as balance=120.")
    ] = None,
    radio: Annotated[
        str,
        typer.Option(
            envvar="FARETAP_RADIO",
            help="For --via radio: the PN532 that plays the card, such as tty:USB1:pn532.",
        ),
    ] = "",
    tear: Annotated[
        str,
        typer.Option(
            help="Pull a purse card away at a step: debit:after, cache#2:before, …; "
            "see docs/simulators.md."
        ),
    ] = "",
    trace: Annotated[
        Path | None, typer.Option(help="Write the card's APDUs there, for `faretap replay`.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the cards.")] = False,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Present a simulated card, and print what the validator made of it."""
    if listing:
        _listing(cards.names(), json)
        return
    _need(port, card, "--card", cards.names())
    options = _options(option)
    if tear:
        options["tear"] = tear
    if trace is not None:
        # A virtual board plays the card itself, from a folder of its own.
        options["trace"] = str(trace.absolute())
    with connect(port) as validator:
        validator.tell_time()  # without it nothing is accepted
        if via == "radio":
            from faretap.radio import tap_by_radio

            summary = tap_by_radio(
                validator, radio, card, lose_at_apdu=lose_at or None, options=options
            )
        else:
            summary = present_card(
                validator, card, via=via, lose_at_apdu=lose_at or None, options=options
            )
    _print(summary, json)


@app.command()
def scan(
    port: Port = "",
    code: Annotated[str, typer.Option(help="Name of a simulated code; see --list.")] = "",
    hex: Annotated[str, typer.Option("--hex", help="The code's bytes in hex.")] = "",
    via: Via = "wire",
    listing: Annotated[bool, typer.Option("--list", help="List the codes.")] = False,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Show a code to the scan engine, and print what the validator made of it."""
    if listing:
        _listing(codes.names(), json)
        return
    data = b""
    if hex and not code:
        try:
            data = bytes.fromhex(hex)
        except ValueError:
            raise FaretapError(
                "--hex is not a string of hex digits.", "Give an even number of 0-9 and a-f."
            ) from None
        _need(port, "given", "--code", {"given": ""})
    else:
        _need(port, code, "--code", codes.names())
    with connect(port) as validator:
        validator.tell_time()
        data = data or codes.make(code, at=moment(validator))
        summary = show_code(validator, data, via=via)
    _print(summary, json)


_NUMBERS = ("atc", "balance", "ca_index", "card_type", "not_ready", "seed")
_WORDS = {"true": True, "false": False}


def _need(port: str, name: str, flag: str, known: dict[str, str]) -> None:
    if not port:
        raise FaretapError("Which validator?", "Give --port, or set FARETAP_PORT.")
    if name not in known:
        what = f"There is no {name!r}." if name else "What is to be presented?"
        if len(known) > 20:
            near = difflib.get_close_matches(name, known, 5) or list(known)[:5]
            raise FaretapError(what, f"Such as {', '.join(near)}; --list shows all {len(known)}.")
        raise FaretapError(what, f"Give {flag} one of: {', '.join(sorted(known))}.")


def _options(pairs: list[str] | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise FaretapError(f"--option {pair} has no value.", "Write it as NAME=VALUE.")
        # Numbers of cards, dates and the like keep their zeros: they are text.
        if name in _NUMBERS and not value.isdigit():
            raise FaretapError(f"--option {pair} is not a number.", f"For example {name}=3.")
        options[name] = int(value) if name in _NUMBERS else _WORDS.get(value.lower(), value)
    return options


def _listing(names: dict[str, str], json: bool) -> None:
    if json:
        print_json(names)
        return
    width = max(len(n) for n in names)
    for name, line in names.items():
        out.print(f"{name:{width}}  {line}", highlight=False)


def _print(summary: dict[str, Any], json: bool) -> None:
    if json:
        print_json(summary)
        return
    reason = f", reason {summary['reason']}" if summary["reason"] else ""
    said = f"{reason}  ({summary['medium'] or 'no medium'})"
    out.print(Text.assemble((summary["outcome"], "bold"), said))
    detail = summary.get("detail") or {}
    for key in ("what", "why", "signature"):
        if detail.get(key):
            out.print(f"  {key}: {detail[key]}", highlight=False)
    if summary.get("fare"):
        out.print(f"  fare: {summary['fare'] / 100:.2f} yuan", highlight=False)
    for key in ("masked", "expiry"):
        if summary.get(key):
            out.print(f"  {key}: {summary[key]}", highlight=False)
    if summary.get("balance") is not None:
        out.print(f"  balance: {summary['balance'] / 100:.2f} yuan", highlight=False)
    if summary.get("seq") is not None:
        out.print(f"  record: {summary['seq']}, token {summary['token'] or '-'}", highlight=False)
    phases = "  ".join(f"{k} {v}" for k, v in summary["phases"].items() if v is not None)
    out.print(f"  ms: {phases}", highlight=False)
