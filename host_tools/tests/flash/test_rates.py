"""Lines that carry less than they are asked for: dead, refused, or failing under way."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial
from esp_pylib.errors import FatalError

from faretap import boards
from faretap.cli.flashing import flash_lines
from faretap.flash import FlashError, flash
from faretap.image.whole import Pieces
from faretap.link.remote import RemotePort
from faretap.virtual import VirtualProcess

flasher: Any = importlib.import_module("faretap.flash.flasher")
Virtual = Callable[..., VirtualProcess]
MakePieces = Callable[[str], Pieces]


class Line:
    """The cable of every remote port: above `most` baud it carries nothing once `after` bytes
    have passed, or the adapter refuses the rate."""

    def __init__(self, most: int, after: int = 0, refuses: type[Exception] | None = None) -> None:
        self.most, self.after, self.refuses = most, after, refuses
        self.rates: list[int] = []  # as they were set
        self._passed = 0

    def lay(self, patch: pytest.MonkeyPatch) -> None:
        write: Any = RemotePort.write
        baudrate: Any = RemotePort.baudrate

        def through(port: RemotePort, data: bytes) -> Any:
            if port.baudrate > self.most:
                self._passed += len(data)
                if self._passed > self.after:
                    return len(data)  # nothing of it arrives
            return write(port, data)

        def changed(port: RemotePort, baud: int) -> None:
            if port.is_open:
                self.rates.append(baud)
                self._passed = 0
                if baud > self.most and self.refuses:
                    raise self.refuses(f"no {baud} baud here")
            baudrate.fset(port, baud)

        patch.setattr(RemotePort, "write", through)
        patch.setattr(RemotePort, "baudrate", property(baudrate.fget, changed))


def raised(line: Line) -> list[int]:
    """The rates above the ROM's, each once."""
    return sorted({rate for rate in line.rates if rate > 115200}, reverse=True)


@pytest.mark.parametrize("refuses", [None, serial.SerialException, ValueError, OSError])
@pytest.mark.parametrize(("most", "tried"), [(230400, [460800, 230400]), (460800, [460800])])
def test_a_dead_rate(
    virtual: Virtual,
    make_pieces: MakePieces,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    most: int,
    tried: list[int],
    refuses: type[Exception] | None,
) -> None:
    monkeypatch.setattr("faretap.flash.flasher._PROBE_S", 0.3)
    line = Line(most, refuses=refuses)
    line.lay(monkeypatch)
    pieces = make_pieces("1")
    said: list[str] = []
    report = flash(
        virtual().port_url,
        "VIRTUAL",
        pieces=pieces,
        progress=lambda what, done, total: said.append(what),
    )
    assert raised(line) == tried
    assert (report.baud, report.dead_bauds) == (most, tried[:-1])
    image = (tmp_path / "board" / "flash.bin").read_bytes()
    assert all(image[p.offset : p.offset + len(p.data)] == p.data for p in pieces.pieces)
    assert ("trying 230400 baud: 460800 failed" in said) == bool(tried[:-1])
    assert any("failed at 460800 baud" in text for text in flash_lines(report)) == bool(tried[:-1])


def test_down_to_the_roms_own_rate_and_with_the_flash_erased_once(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("faretap.flash.flasher._PROBE_S", 0.3)
    line = Line(115200)
    line.lay(monkeypatch)
    said: list[str] = []
    report = flash(
        virtual().port_url,
        "VIRTUAL",
        pieces=make_pieces("1"),
        erase=True,
        progress=lambda what, done, total: said.append(what),
    )
    assert raised(line) == [460800, 230400]
    assert (report.baud, report.dead_bauds) == (115200, [460800, 230400])
    assert report.erased and said.count("erasing") == 1


def test_a_line_that_fails_under_way(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first answer came, and then no more: what stands by then is not written again."""
    monkeypatch.setattr("esptool.loader.DEFAULT_TIMEOUT", 0.5)
    line = Line(230400, after=3000)
    line.lay(monkeypatch)
    pieces = make_pieces("1")
    report = flash(virtual().port_url, "VIRTUAL", pieces=pieces)
    assert (report.baud, report.dead_bauds) == (230400, [460800])
    image = (tmp_path / "board" / "flash.bin").read_bytes()
    assert all(image[p.offset : p.offset + len(p.data)] == p.data for p in pieces.pieces)


def test_a_rate_that_was_asked_for(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(10**9)
    line.lay(monkeypatch)
    port = virtual().port_url
    assert flash(port, "VIRTUAL", pieces=make_pieces("1"), baud=230400).baud == 230400
    assert raised(line) == [230400]
    line.rates.clear()
    assert flash(port, "VIRTUAL", pieces=make_pieces("1"), erase=True, baud=115200).baud == 115200
    assert raised(line) == []


def test_a_cable_that_is_pulled_out_is_not_tried_again(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(10**9)
    line.lay(monkeypatch)
    board = virtual()

    def pull(what: str, done: int, total: int) -> None:
        if what == "writing" and done > total // 2:
            board.stop()

    with pytest.raises(FlashError, match="went away after"):
        flash(board.port_url, "VIRTUAL", pieces=make_pieces("1"), progress=pull)
    assert raised(line) == [460800]


def test_a_chips_own_usb_that_comes_back_under_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MicroPython's TinyUSB leaves when the chip is reset, and the ROM's USB-Serial-JTAG comes."""
    here = ["/dev/ttyACM1"]
    opened: list[str] = []

    class Device:
        def __init__(self, port: str) -> None:
            self.port = port
            opened.append(port)

        def close(self) -> None:
            opened.append("closed")

    def detect(device: Device, baud: int, connect_attempts: int) -> Any:
        if device.port == "/dev/ttyACM1":
            here[0] = "/dev/ttyACM0"
            raise serial.SerialException("No such device: '/dev/ttyACM1'")
        raise FatalError("enough seen")

    monkeypatch.setattr(flasher, "open_for_flashing", lambda port, baud: Device(port))
    monkeypatch.setattr(flasher, "detect_chip", detect)
    monkeypatch.setattr(flasher, "native_usb", lambda port: True)
    monkeypatch.setattr(flasher, "number_of", lambda port: "246f2800000c")
    monkeypatch.setattr(flasher, "port_of", lambda number: here[0])
    board = boards.load("ESP32S3_BUS")
    with pytest.raises(FlashError, match="enough seen"), flasher._connected(here[0], board, 9600):
        pass
    assert opened == ["/dev/ttyACM1", "closed", "/dev/ttyACM0", "closed"]
    # An adapter's port that vanished was pulled out.
    opened.clear()
    monkeypatch.setattr(flasher, "native_usb", lambda port: False)
    with (
        pytest.raises(FlashError, match="fails"),
        flasher._connected("/dev/ttyACM1", board, 9600),
    ):
        pass
    assert opened == ["/dev/ttyACM1", "closed"]
