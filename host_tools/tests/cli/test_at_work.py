"""The commands that work, as a script uses them: what they print, and what can be parsed."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import Any

from faretap.virtual import VirtualProcess

Run = Callable[..., Any]


def test_a_session_in_json(run: Run, board: VirtualProcess) -> None:
    port = ["--port", board.port_url, "--json"]
    options = ["--option", "balance=1234", "--option", "pan=3104990000000000017"]
    options += ["--option", "interoperable=false"]
    card = run("tap", *port, "--card", "tunion", *options).json()
    assert (card["medium"], card["balance"]) == ("tunion", 1234)
    assert card["masked"] == "310499******0017"
    assert card["detail"]["interoperable"] is False
    lost = run("tap", *port, "--card", "quickpass-debit", "--via", "link", "--lose-at", "5").json()
    assert (lost["outcome"], lost["reason"]) == ("retry", "card_lost")
    code = run("scan", *port, "--hex", "68656c6c6f20776f726c64").json()
    assert code["medium"] == "unknown_code"
    screen = run("screen", *port).json()
    assert screen["lines"]
    records = run("records", *port).json()
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert [record["token"] for record in records] == [card["token"], None, None]
    assert [record["seq"] for record in run("records", *port, "--last", "1").json()] == [3]
    assert [record["seq"] for record in run("records", *port, "--from", "2").json()] == [2, 3]
    info = run("info", *port).json()
    assert info["taps"] == 3 and info["board"] == "VIRTUAL" and info["heap_free"] > 0


def test_the_same_in_words(run: Run, board: VirtualProcess) -> None:
    port = ["--port", board.port_url]
    card = run("tap", *port, "--card", "quickpass-phone", "--via", "link")
    assert card.status == 0 and card.err == ""
    assert "declined, reason un" in card.out and "(quickpass)" in card.out
    records = run("records", *port).out
    assert "quickpass" in records and "declined" in records
    info = run("info", *port).out
    assert "VIRTUAL (esp32)" in info and "life cycle" in info
    assert run("screen", *port).out.strip()
    assert run("reset", *port).out.strip() == "started"


def test_the_log(
    run: Run, start: Callable[..., subprocess.Popen[str]], board: VirtualProcess
) -> None:
    """What was logged before, what is logged meanwhile, and the console's text between."""
    run("tap", "--port", board.port_url, "--card", "tunion")
    follower = start("log", "--port", board.port_url, "--seconds", "4")
    assert follower.stdout is not None
    seen = ""
    watchdog = threading.Timer(30, follower.kill)
    watchdog.start()
    with board.bench() as bench:
        for line in follower.stdout:
            seen += line
            if "declined unverified" in line:
                bench.reset()
            if " hello " in line:
                follower.terminate()
                break
    watchdog.cancel()
    assert "declined unverified" in seen
    assert "rst:0x1 (POWERON_RESET)" in seen
    assert "boots=2" in seen
    done = run("log", "--port", board.port_url, "--seconds", "1", "--json")
    assert done.status == 0 and "Traceback" not in done.err


def test_the_command_itself(start: Callable[..., subprocess.Popen[str]]) -> None:
    """As a shell starts it: its name, its status, its two streams."""
    good, bad = start("boards"), start("info", "--port", "/dev/faretap-nobody")
    out, err = good.communicate(timeout=30)
    assert (good.returncode, err) == (0, "") and "VIRTUAL" in out
    out, err = bad.communicate(timeout=30)
    assert (bad.returncode, out) == (1, "") and err.startswith("error: There is no port")


def test_the_demo(run: Run) -> None:
    report = run("demo", "--json").json()
    assert [record["seq"] for record in report["records"]] == [1, 2, 3, 4, 5]
    records = report["records"]
    assert [(record["medium"], record["outcome"], record["reason"]) for record in records] == [
        ("tunion", "accepted", ""),
        ("quickpass", "accepted", ""),
        ("quickpass", "declined", "bad_signature"),
        ("ride_code", "accepted", ""),
        ("ride_code", "declined", "bad_signature"),
    ]
    assert [rider["tap"]["token"] for rider in report["riders"]] == [
        record["token"] or "" for record in records
    ]
    assert report["flash"]["written"] > 0
    assert all(record["chain_ok"] is not False for record in report["records"])
