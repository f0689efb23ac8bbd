"""`faretap flash` where it would cost somebody records, or a newer version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faretap import boards
from faretap.image import sources
from faretap.image.app import build_app
from faretap.image.whole import build_pieces
from faretap.virtual import VirtualProcess

Run = Callable[..., Any]
MakeBoard = Callable[..., VirtualProcess]


def test_erase_waits_for_the_records(run: Run, board: VirtualProcess, tmp_path: Path) -> None:
    port = ["--port", board.port_url]
    flash = ["flash", *port, "--board", "VIRTUAL"]
    for _ in range(2):
        run("tap", *port, "--card", "tunion", "--json").json()
    text = run(*flash, "--erase").sentence()
    assert "has 2 records that nobody has read, and --erase loses them" in text
    assert f"faretap records pull --ack --port {board.port_url}" in text and "--force" in text
    # It was not even reset; and a flash that loses nothing needs nobody's leave.
    info = run("info", *port, "--json").json()
    assert info["journal"]["unacknowledged"] == 2 and info["reset_cause"] == "power"
    plain = run(*flash, "--json").json()
    assert plain["written"] == 0 and plain["moved"] == [] and plain["unread"] == 0
    assert run("info", *port, "--json").json()["journal"]["unacknowledged"] == 2
    # As the sentence says.
    run("records", "pull", "--ack", *port, "--out", str(tmp_path / "home"), "--json").json()
    done = run(*flash, "--erase", "--json").json()
    assert done["erased"] and done["unread"] == 0
    assert run("info", *port, "--json").json()["journal"]["next"] == 1
    run("tap", *port, "--card", "tunion", "--json").json()
    lost = run(*flash, "--erase", "--force")
    assert lost.status == 0 and "lost: 1 records that nobody had read" in lost.out


def test_the_flash_is_asked_where_the_firmware_does_not_answer(
    run: Run, board: VirtualProcess
) -> None:
    port = ["--port", board.port_url]
    for _ in range(3):
        run("tap", *port, "--card", "tunion", "--json").json()
    board.stop()
    state = board.state
    part = boards.load("VIRTUAL").partitions["vfs"]
    with (state / "flash.bin").open("r+b") as f:
        f.seek(part.offset)
        f.write(b"\xff" * part.size)
    from faretap.virtual import spawn

    with spawn(state, unpaced=True) as dead:
        arguments = ["flash", "--port", dead.port_url, "--board", "VIRTUAL"]
        text = run(*arguments, "--erase").sentence()
        assert "has 3 records that nobody has read, and --erase loses them" in text
        done = run(*arguments, "--json").json()
        assert done["hello"]["journal"]["unacknowledged"] == 3
        assert run(*arguments, "--erase", "--force", "--json").json()["unread"] == 3


@pytest.fixture
def newer() -> bytes:
    """The flash of a validator with a later version."""
    board = boards.load("VIRTUAL")
    source = {**sources.application(), "validator/version.py": b'VERSION = "9.0.0"\n'}
    flash = bytearray(b"\xff" * board.flash_size)
    for piece in build_pieces(board, app=build_app(board, source, "9.0.0")).pieces:
        flash[piece.offset : piece.offset + len(piece.data)] = piece.data
    return bytes(flash)


def test_a_newer_version_stays(run: Run, make_board: MakeBoard, newer: bytes) -> None:
    board = make_board(flash=newer)
    arguments = ["flash", "--port", board.port_url, "--board", "VIRTUAL"]
    for more in ([], ["--erase"]):
        text = run(*arguments, *more).sentence()
        assert "runs version 9.0.0, which is newer than the 0." in text and "--force" in text
    info = run("info", "--port", board.port_url, "--json").json()
    assert info["version"] == "9.0.0" and info["reset_cause"] == "power"
    done = run(*arguments, "--force", "--json").json()
    assert done["hello"]["version"] == done["app_version"] != "9.0.0"
