"""faretap info, log, screen, reset, clock, psam."""

from __future__ import annotations

import sys
import threading
import time
from typing import Annotated, Any

import typer
from rich.panel import Panel
from rich.table import Table

from faretap.cli.common import Json, Port, Serial, app, out, print_json, say
from faretap.errors import FaretapError
from faretap.session import connect
from faretap.shown import shown

_SIGN_S = 15.0  # between signs of life of a session


@app.command()
def info(port: Port, json: Json = False, serial: Serial = "") -> None:
    """Who the validator is, what it runs, and how it is."""
    with connect(port) as validator:
        data = validator.link.call("info")
    if json:
        print_json(data)
        return
    table = Table(show_header=False, box=None)
    for key, value in _rows(data):
        table.add_row(key, value)
    out.print(table)


def _rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    if data["mode"] == "safe":
        # Only what speaks the link runs there; the rest of the list belongs to the application.
        return [(key, str(value)) for key, value in data.items()]
    clock = data["clock"]
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(clock["unix"]))
    return [
        ("board", f"{data['board']} ({data['chip']})"),
        ("serial", data["serial"]),
        ("application", f"{data['version']}  {data['hash']}  slot {data['slot'] or '-'}"),
        ("MicroPython", data["micropython"]),
        ("mode", data["mode"]),
        ("life cycle", data["life_cycle"]),
        ("last reset", f"{data['reset_cause']}, boot {data['boots']}"),
        ("uptime", f"{data['uptime_ms'] / 1000:.1f} s"),
        ("heap free", f"{data['heap_free']:,} bytes"),
        ("clock", when + ("" if clock["trusted"] else "  (not set)")),
        ("reader", _flat(data["reader"])),
        ("scanner", _flat(data["scanner"])),
        ("display", _flat(data["display"])),
        ("journal", _flat(data["journal"])),
        ("link", _flat(data["link"])),
    ]


def _flat(data: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in data.items())


@app.command()
def log(
    port: Port,
    seconds: Annotated[
        float, typer.Option(help="Stop after so many seconds; 0 follows until Ctrl-C.")
    ] = 0.0,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Follow console text and log records."""
    lock = threading.Lock()
    at_line_start = True

    def text(data: bytes) -> None:
        nonlocal at_line_start
        with lock:
            if json:
                print_json({"console": data.decode("utf-8", "replace")})
            else:
                plain = data.replace(b"\r\n", b"\n").decode("utf-8", "replace")
                sys.stdout.write(shown(plain, len(plain), lines=True))
                at_line_start = data.endswith(b"\n")
            sys.stdout.flush()

    def line(record: dict[str, Any]) -> None:
        nonlocal at_line_start
        with lock:
            if json:
                print_json(record)
            else:
                if not at_line_start:
                    sys.stdout.write("\n")
                ms = record["ms"] / 1000
                text = f"{ms:10.3f} {record['level']:7} {record['area']:8} {record['text']}"
                print(shown(text))
                at_line_start = True
            sys.stdout.flush()

    with connect(port, running=False) as validator:
        validator.on_text = text

        def notification(method: str, params: dict[str, Any]) -> None:
            if method == "log":
                line(params)
            elif method in ("hello", "tap"):
                described = ", ".join(f"{k}={v}" for k, v in params.items() if v not in ("", None))
                line({"ms": 0, "level": "info", "area": method, "text": described})

        if validator.console:
            text(bytes(validator.console))
        # A validator that is silent or in trouble is just what one wants to watch: no answer
        # to this is no error.
        try:
            for record in validator.link.call("log.recent", timeout=1.5):
                line(record)
        except Exception as e:
            say(f"no log records yet ({e}); following the console")
        validator.on_notification = notification
        end = time.monotonic() + seconds if seconds else None
        sign = time.monotonic() + _SIGN_S
        while end is None or time.monotonic() < end:
            time.sleep(0.1)
            validator.link.check()
            if validator.link.session is not None and time.monotonic() > sign:
                validator.link.call("ping")  # a session ends with its host's silence
                sign = time.monotonic() + _SIGN_S


@app.command()
def screen(port: Port, json: Json = False, serial: Serial = "") -> None:
    """What the validator's display shows now."""
    with connect(port) as validator:
        content = validator.link.call("screen")
    if json:
        print_json(content)
    else:
        out.print(screen_panel(content))


def screen_panel(content: dict[str, Any]) -> Panel:
    """The display as text, in its colour."""
    colour = content.get("colour") or "white"
    icon = {"tick": "✔", "cross": "✘", "again": "↻", "wait": "…"}.get(content.get("icon", ""), " ")
    lines = [str(x) for x in content.get("lines", [])]
    body = "\n".join(lines)
    return Panel(body, title=icon, width=44, border_style=_STYLES.get(colour, "white"))


_STYLES = {"green": "green", "red": "red", "yellow": "yellow", "blue": "blue"}


@app.command()
def reset(port: Port, serial: Serial = "") -> None:
    """Start the validator anew."""
    with connect(port) as validator:
        validator.forget_notifications()
        validator.link.call("reset")
        hello = validator.wait_for("hello", 15.0)
    if not hello:
        raise FaretapError(
            f"The validator at {port} was told to reset, and said no hello within 15 s.",
            "See what it prints: faretap log.",
        )
    out.print("started")


@app.command()
def clock(
    port: Port,
    now: Annotated[bool, typer.Option("--set", help="Set it by this computer's clock.")] = False,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """The validator's clock: what it shows, whether it is trusted, how far it is off."""
    with connect(port) as validator:
        if now:
            validator.link.call("clock.set", {"unix": int(time.time())})
        data = validator.link.call("info")["clock"]
    data["ahead_s"] = data["unix"] - int(time.time())
    if json:
        print_json(data)
        return
    shown = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(data["unix"]))
    trust = "trusted" if data["trusted"] else "not set: nothing that depends on time is accepted"
    out.print(f"{shown}  {trust}, {data['ahead_s']:+d} s from this computer's", highlight=False)


@app.command()
def psam(
    port: Port,
    release: Annotated[
        int | None,
        typer.Option(help="Ask the PSAM in this slot again that was stopped at its last tries."),
    ] = None,
    df: Annotated[str, typer.Option(help="Of several in one slot: its DF, 8011 or 1001.")] = "",
    serial: Serial = "",
    json: Json = False,
) -> None:
    """The PSAMs of a validator; one that was stopped before its last tries of MAC2 is released.

    Each release stakes one try. Find out first who presented the forged cards."""
    with connect(port) as validator:
        if release is not None:
            params: dict[str, Any] = {"slot": release, **({"df": df} if df else {})}
            validator.link.call("psam.release", params)
        found = validator.link.call("info").get("psam", [])
    if json:
        print_json(found)
        return
    for one in found:
        state = "serves" if one["serves"] else one.get("fault") or "does not serve"
        left = f", {one['tries']} tries left" if one.get("tries") is not None else ""
        out.print(shown(f"slot {one['slot']}, DF {one['df']}: {state}{left}"))
    if not found:
        say("It has no PSAM.")
