"""An application that cannot run: safe mode, which says so on the link; never a prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from faretap import boards
from faretap.flash.flasher import flash
from faretap.image import app as images
from faretap.image import filesystem
from faretap.image.whole import build_pieces
from faretap.link import Refused
from faretap.present import tap
from faretap.session import connect
from faretap.virtual import VirtualProcess

MakeBoard = Callable[..., VirtualProcess]


def flash_with(devices: bytes, flash_image: bytes) -> bytes:
    """A flash whose application is whole but for the content of its devices.json."""
    board = boards.load("VIRTUAL")
    good = images.build_app(board)
    files = {**good.files, "devices.json": devices}
    del files["manifest.json"]
    manifest = images.make_manifest(board, files, good.version)
    files["manifest.json"] = images._json(manifest)
    data = filesystem.pack(files, len(good.data), filesystem.SLOT_BLOCK)
    pieces = build_pieces(board, app=images.AppImage(data, manifest, files))
    flash = bytearray(flash_image)
    for piece in pieces.pieces:
        flash[piece.offset : piece.offset + len(piece.data)] = piece.data
    return bytes(flash)


DEVICES = {
    "empty": b"",
    "cut off": b'{"board": "VIRTUAL", "chip": "esp',
    "no object": b"[1, 2]",
    "no link": b'{"board": "VIRTUAL", "chip": "esp32"}',
    "no such UART": b'{"board": "VIRTUAL", "chip": "esp32", "link": {"uart": 0}, "reader": '
    b'{"chip": "pn532", "uart": 7, "tx": 17, "rx": 16}}',
}


@pytest.mark.parametrize("devices", DEVICES)
def test_an_application_that_raises(
    make_board: MakeBoard, flash_image: bytes, listener: Callable[..., Any], devices: str
) -> None:
    board = make_board(flash=flash_with(DEVICES[devices], flash_image))
    ears = listener(board)
    with connect(board.port_url, running=False) as session:
        hello = session.wait_for("hello", 20.0, lambda params: params["mode"] == "safe")
        assert hello is not None, bytes(session.console)
        assert hello["board"] == "VIRTUAL" and hello["slot"] == ""
        assert "app_a failed 3 times" in hello["why"]
        info = session.link.call("info")
        assert info["mode"] == "safe" and info["heap_free"] > 20000
        assert session.link.call("ping")["us"] >= 0
        with pytest.raises(Refused):
            session.link.call("records.info")
        assert session.bench is not None
        for key in (b"\x03", b"\x04", b"\x01", b"\r\n"):
            session.link.write_raw(key)
        # Asked to try again it does, three times, and is back.
        session.forget_notifications()
        session.link.call("retry")
        assert session.wait_for("hello", 20.0, lambda params: params["mode"] == "safe")
        assert session.bench.status()["state"] == "main.py"
    heard = ears.catch_up()
    assert heard.count(b"the application failed") >= 3
    assert b">>> " not in heard


def test_flashing_leads_out_of_safe_mode(make_board: MakeBoard, flash_image: bytes) -> None:
    board = make_board(flash=flash_with(b"{", flash_image))
    with connect(board.port_url, running=False) as session:
        assert session.wait_for("hello", 20.0, lambda params: params["mode"] == "safe")
    report = flash(board.port_url, "VIRTUAL")
    assert report.written > 0
    with connect(board.port_url, wait=10.0) as session:
        info = session.link.call("info")
        assert (info["mode"], info["slot"]) == ("app", "a")
        assert tap(session, "tunion", via="link")["seq"] == 1


def test_no_application_at_all(
    make_board: MakeBoard, flash_image: bytes, listener: Callable[..., Any]
) -> None:
    slot = boards.load("VIRTUAL").partitions["app_a"]
    flash = bytearray(flash_image)
    flash[slot.offset : slot.end] = b"\xff" * slot.size
    board = make_board(flash=bytes(flash))
    ears = listener(board)
    with connect(board.port_url, wait=10.0) as session:
        info = session.link.call("info")
        assert info["mode"] == "safe"
        assert "app_a: no file system" in info["why"]
    assert b">>> " not in ears.catch_up()


def test_a_damaged_application_is_not_started(make_board: MakeBoard, flash_image: bytes) -> None:
    """One byte of a module is not what it was: found before it runs."""
    good = images.build_app(boards.load("VIRTUAL"))
    module = good.files["validator/tap.mpy"]
    at = flash_image.index(module[200:400]) + 50
    flash = bytearray(flash_image)
    flash[at] ^= 0xFF
    with connect(make_board(flash=bytes(flash)).port_url, wait=10.0) as session:
        info = session.link.call("info")
        assert info["mode"] == "safe"
        assert "damaged: validator/tap.mpy" in info["why"]
