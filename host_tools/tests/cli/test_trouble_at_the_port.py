"""What a technician meets at a port: said in one sentence, and all is usable afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faretap import boards
from faretap.flash.port import open_for_flashing
from faretap.virtual import VirtualProcess, spawn

Run = Callable[..., Any]
Start = Callable[..., subprocess.Popen[str]]
MakeBoard = Callable[..., VirtualProcess]


def works(run: Run, port: str) -> dict[str, Any]:
    """The validator answers, and takes a card."""
    info: dict[str, Any] = run("info", "--port", port, "--json").json()
    assert info["mode"] == "app"
    tapped = run("tap", "--port", port, "--card", "tunion", "--via", "link", "--json").json()
    assert tapped["reason"] == "unverified"
    return info


def test_a_port_that_is_in_use(run: Run, board: VirtualProcess) -> None:
    monitor = open_for_flashing(board.port_url, 115200)
    try:
        for arguments in (["info"], ["flash", "--board", "VIRTUAL"]):
            text = run(*arguments, "--port", board.port_url).sentence()
            assert "in use by another program" in text and "Close" in text
    finally:
        monitor.close()
    works(run, board.port_url)


def test_in_download_mode(run: Run, board: VirtualProcess) -> None:
    with board.bench() as bench:
        line = open_for_flashing(board.port_url, 115200)
        line.rts = True  # EN low
        line.dtr = True  # and IO0 low
        line.rts = False
        # Both lines asserted pull neither; the strap is read as EN rises.
        while bench.status()["state"] not in ("download", "running", "main.py"):
            pass
        line.close()
        assert bench.status()["state"] == "download"
        text = run("info", "--port", board.port_url).sentence()
        assert "is in ROM download mode" in text and "Reset it" in text
        # Asking has not changed it, and flashing leads out of it.
        assert bench.status()["state"] == "download"
        done = run("flash", "--port", board.port_url, "--board", "VIRTUAL", "--json").json()
        assert done["written"] == 0 and done["hello"]["mode"] == "app"
    works(run, board.port_url)


def test_a_blank_flash(run: Run, make_board: MakeBoard) -> None:
    board = make_board(flash=None)
    for command in (["info"], ["records"], ["tap", "--card", "tunion"]):
        text = run(*command, "--port", board.port_url).sentence()
        assert "has an empty flash" in text and "faretap flash" in text


def test_micropython_alone(run: Run, make_board: MakeBoard, flash_image: bytes) -> None:
    """Somebody flashed MicroPython only: a prompt, or a file system that cannot be mounted."""
    vfs = boards.load("VIRTUAL").partitions["vfs"]
    flash = bytearray(flash_image)
    flash[vfs.offset : vfs.end] = b"\xff" * vfs.size
    board = make_board(flash=bytes(flash))
    text = run("info", "--port", board.port_url).sentence()
    assert "without Faretap" in text or "vfs partition is corrupted" in text
    assert "faretap flash" in text
    done = run("flash", "--port", board.port_url, "--board", "VIRTUAL", "--json").json()
    assert [piece["name"] for piece in done["pieces"] if piece["written"]] == ["loader"]
    works(run, board.port_url)


def test_without_power(run: Run, board: VirtualProcess) -> None:
    with board.bench() as bench:
        bench.power(False)
        assert "is silent" in run("info", "--port", board.port_url).sentence()
        bench.power(True)
    works(run, board.port_url)


def test_safe_mode(run: Run, make_board: MakeBoard, flash_image: bytes) -> None:
    slot = boards.load("VIRTUAL").partitions["app_a"]
    flash = bytearray(flash_image)
    flash[slot.offset : slot.end] = b"\xff" * slot.size
    board = make_board(flash=bytes(flash))
    port = board.port_url
    told = run("info", "--port", port)
    assert told.status == 0 and "safe" in told.out and "no file system" in told.out
    assert run("info", "--port", port, "--json").json()["mode"] == "safe"
    assert "safe mode" in run("tap", "--port", port, "--card", "tunion").sentence()
    for command in (["records"], ["screen"], ["scan", "--code", "mot", "--via", "link"]):
        assert "refused" in run(*command, "--port", port).sentence()
    run("flash", "--port", port, "--board", "VIRTUAL", "--json").json()
    works(run, port)


def test_the_wrong_board(run: Run, board: VirtualProcess, release: Callable[..., Path]) -> None:
    arguments = ["--board", "ESP32C3_TAXI", "--micropython", str(release(5))]
    text = run("flash", "--port", board.port_url, *arguments).sentence()
    assert "is an ESP32, and ESP32C3_TAXI has an ESP32-C3" in text
    assert "Take --board" in text and "ESP32_BUS" in text
    works(run, board.port_url)


def test_a_flash_too_small(run: Run, make_board: MakeBoard) -> None:
    board = make_board(flash=None, flash_size=2 << 20)
    text = run("flash", "--port", board.port_url, "--board", "VIRTUAL").sentence()
    assert "has 2 MB of flash, and VIRTUAL needs 8 MB" in text


def test_unplugged_while_it_is_flashed(start: Start, run: Run, tmp_path: Path) -> None:
    state = tmp_path / "unplugged"
    state.mkdir()
    board = spawn(state)  # at the pace of the line: there is time to pull
    try:
        flashing = start("flash", "--port", board.port_url, "--board", "VIRTUAL")
        factory = boards.load("VIRTUAL").partitions["factory"]
        deadline = time.monotonic() + 40
        with (state / "flash.bin").open("rb", buffering=0) as image:
            while True:  # until MicroPython is being written
                image.seek(factory.offset)
                if image.read(1) != b"\xff":
                    break
                assert time.monotonic() < deadline and flashing.poll() is None
        os.kill(board.pid, signal.SIGKILL)
        out, err = flashing.communicate(timeout=40)
    finally:
        board.stop()
    lines = [line for line in err.splitlines() if line.strip()]
    assert flashing.returncode == 1 and len(lines) == 1, err
    assert "went away" in lines[0] or "stopped answering" in lines[0]
    assert "Run the same command again" in lines[0]
    with spawn(state, unpaced=True) as again:
        done = run("flash", "--port", again.port_url, "--board", "VIRTUAL", "--json").json()
        assert done["written"] > 0 and done["hello"]["mode"] == "app"
        second = run("flash", "--port", again.port_url, "--board", "VIRTUAL", "--json").json()
        assert second["written"] == 0
        assert all(piece["written"] == 0 for piece in second["pieces"])
        assert second["hello"]["hash"] == done["hello"]["hash"] == done["app_id"]
        works(run, again.port_url)


def test_a_folder_in_use(run: Run, board: VirtualProcess) -> None:
    state = str(board.state)
    text = run("virtual", "--state", state, "--listen", "127.0.0.1:0").sentence()
    assert "is running already" in text and "a folder of its own" in text
    assert "is running already" in run("info", "--port", f"virtual:{state}").sentence()
    works(run, board.port_url)


def test_an_address_in_use(run: Run, board: VirtualProcess, tmp_path: Path) -> None:
    address = board.port_url.removeprefix("rfc2217://")
    text = run("virtual", "--state", str(tmp_path / "x"), "--listen", address).sentence()
    assert f"Cannot listen on {address}" in text


def test_riders_that_cannot_be_presented(run: Run, board: VirtualProcess) -> None:
    port = ["--port", board.port_url]
    for via in ("wire", "link"):
        for option, word in (("pan=12", "19 digits"), ("seed=x", "seed=3"), ("hue=7", "hue")):
            tap = run("tap", *port, "--card", "tunion", "--via", via, "--option", option)
            assert word in tap.sentence()
    assert "no way 'air'" in run("tap", *port, "--card", "tunion", "--via", "air").sentence()
    assert "NAME=VALUE" in run("tap", *port, "--card", "tunion", "--option", "balance").sentence()
    text = run("scan", *port, "--code", "noise-5000", "--via", "link").sentence()
    assert "5000 bytes" in text
    works(run, board.port_url)
