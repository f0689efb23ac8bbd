"""Commands that cannot be obeyed: one sentence with cause and next step, and status 1."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
NOBODY = "/dev/faretap-nobody"

# arguments, words of the cause, words of the next step
WRONG: dict[str, tuple[list[str], str, str]] = {
    "no such port": (["info", "--port", NOBODY], f"There is no port {NOBODY}", "Plug"),
    "no port at all": (["tap", "--card", "tunion"], "Which validator", "--port"),
    "no kind of port": (["info", "--port", "nfc://x"], "nfc://x is not a port", "rfc2217://"),
    "half a port": (["records", "--port", "rfc2217://x"], "lacks a host or a port", "HOST:PORT"),
    "no port number": (["info", "--port", "rfc2217://x:y"], "is not host:port", "HOST:PORT"),
    "no such board": (
        ["flash", "--port", NOBODY, "--board", "BUS"],
        "There is no board 'BUS'",
        "ESP32_BUS",
    ),
    "no MicroPython": (
        ["flash", "--port", NOBODY, "--board", "ESP32S3_BUS"],
        "Which MicroPython?",
        "micropython.org/download/ESP32_GENERIC_S3",
    ),
    "no file": (
        ["flash", "--port", NOBODY, "--board", "ESP32_BUS", "--micropython", "/no/such.bin"],
        "/no/such.bin cannot be read",
        "No such file",
    ),
    "no such card": (["tap", "--port", NOBODY, "--card", "quickpas"], "'quickpas'", "quickpass-"),
    "no card": (["tap", "--port", NOBODY], "What is to be presented?", "tunion"),
    "no such code": (["scan", "--port", NOBODY, "--code", "aztec"], "'aztec'", "mot"),
    "bad hex": (["scan", "--port", NOBODY, "--hex", "12x"], "--hex is not", "even number"),
    "odd hex": (["scan", "--port", NOBODY, "--hex", "123"], "--hex is not", "even number"),
    "no such address": (["virtual", "--state", "x", "--listen", "4000"], "4000", "127.0.0.1:4000"),
    "port too high": (["virtual", "--state", "x", "--listen", "a:70000"], "70000", "127.0.0.1:"),
    "no heap": (["virtual", "--state", "x", "--heap", "0"], "--heap 0", "160K"),
    "strange heap": (["virtual", "--state", "x", "--heap", "1.5M"], "--heap 1.5M", "160K"),
    "state is a file": (["virtual", "--state", "/dev/null", "--listen", "127.0.0.1:0"], "", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence(run: Run, name: str) -> None:
    arguments, cause, step = WRONG[name]
    text = run(*arguments).sentence()
    assert cause in text and step in text


def test_nobody_listens(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "Nobody listens at" in run("info", "--port", f"rfc2217://127.0.0.1:{port}").sentence()


def test_somebody_else_listens(run: Run) -> None:
    """A port that takes connections and says nothing, as a wrong service does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"rfc2217://127.0.0.1:{server.getsockname()[1]}"
        assert "RFC 2217" in run("info", "--port", port).sentence()


def test_a_silent_line(run: Run) -> None:
    master, slave = os.openpty()
    try:
        text = run("info", "--port", os.ttyname(slave)).sentence()
    finally:
        os.close(master)
        os.close(slave)
    assert "is silent" in text and "powered" in text


@pytest.mark.parametrize("spoil", [0x200, 0x10000 - 0x1000 + 0x200])
def test_a_damaged_micropython(run: Run, release: Callable[..., Path], spoil: int) -> None:
    file = str(release(0, spoil))
    arguments = ["flash", "--port", NOBODY, "--board", "ESP32_BUS", "--micropython", file]
    text = run(*arguments).sentence()
    assert "is damaged" in text and "Download it again" in text


def test_micropython_for_another_chip(run: Run, release: Callable[..., Path]) -> None:
    file = str(release(9))
    text = run("flash", "--port", NOBODY, "--board", "ESP32_BUS", "--micropython", file).sentence()
    assert "is for ESP32-S3, and ESP32_BUS has an ESP32" in text
    assert "micropython.org/download/ESP32_GENERIC" in text


def test_listings(run: Run) -> None:
    found = {b["name"]: b for b in run("boards", "--json").json()}
    assert set(found) >= {"ESP32_BUS", "ESP32S3_BUS", "ESP32C3_TAXI", "VIRTUAL"}
    assert found["ESP32S3_BUS"]["flash_mb"] == 16
    assert "tunion" in run("tap", "--list", "--json").json()
    assert "mot" in run("scan", "--list", "--json").json()
    text = run("scan", "--list").out
    assert all(name in text for name in json.loads(run("scan", "--list", "--json").out))


@pytest.mark.parametrize("arguments", [["info"], ["no-such-command"], ["info", "--portt", "x"]])
def test_what_is_no_command_tells_the_usage(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert "Usage: faretap" in done.err and "Traceback" not in done.err
