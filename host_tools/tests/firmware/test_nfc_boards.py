"""The reader of devices.json: every chip and bus, what is wrong with it, and what is built."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from faretap.boards import BoardError, load
from validator.nfc.build import build
from validator.nfc.pn532 import Pn532Reader

SPI = {"bus": "spi", "spi": 2, "sck": 14, "mosi": 13, "miso": 35, "cs": 17, "reset": 4}
READERS: dict[str, dict[str, Any]] = {
    "pn532-uart": {"chip": "pn532", "bus": "uart", "uart": 1, "tx": 17, "rx": 16, "power": 13},
    "pn532-spi": {"chip": "pn532", **SPI, "irq": 34, "baud": 1000000},
    "pn532-i2c": {"chip": "pn532", "bus": "i2c", "i2c": 1, "sda": 13, "scl": 14, "irq": 34},
    "mfrc522-spi": {"chip": "mfrc522", **SPI},
}


def board_with(tmp_path: Path, reader: dict[str, Any]) -> Any:
    path = tmp_path / "ESP32_BUS"
    shutil.copytree(load("ESP32_BUS").path, path)
    devices = json.loads((path / "devices.json").read_text())
    devices["reader"] = reader
    (path / "devices.json").write_text(json.dumps(devices))
    lines = (path / "pins.csv").read_text().splitlines()
    named = [line for line in lines if not line.startswith("READER_")]
    keys = ("tx", "rx", "sck", "mosi", "miso", "cs", "sda", "scl", "reset", "power", "irq")
    named += [f"READER_{key.upper()},GPIO{reader[key]}" for key in keys if key in reader]
    (path / "pins.csv").write_text("\n".join(named) + "\n")
    return load("ESP32_BUS", base=tmp_path)


class Wired:
    """What `validator.board.Board` offers to whoever builds a reader; notes what was asked."""

    def __init__(self, reader: dict[str, Any] | None) -> None:
        self.devices = {"reader": reader}
        self.asked: list[tuple[Any, ...]] = []

    def serial(self, device: str) -> Any:
        self.asked.append(("serial", device))
        return object()

    def spi(self, device: dict[str, Any], baud: int, lsb_first: bool = False) -> Any:
        self.asked.append(("spi", baud, lsb_first))
        return object()

    def bus_i2c(self, device: dict[str, Any], freq: int, timeout_us: int) -> Any:
        self.asked.append(("i2c", freq, timeout_us))
        return object()

    def output(self, number: int, active_high: bool = True) -> Any:
        self.asked.append(("output", number, 0 if active_high else 1))
        return lambda level: None

    def input(self, number: int) -> Any:
        self.asked.append(("input", number))
        return lambda: 1


@pytest.mark.parametrize("name", READERS)
def test_every_chip_and_bus_is_accepted(tmp_path: Path, name: str) -> None:
    board = board_with(tmp_path, READERS[name])
    wired = board.devices.pins()
    assert wired["READER_" + ("CS" if "spi" in name else "TX" if "uart" in name else "SDA")]
    assert len(set(wired.values())) == len(wired)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("pn532-uart", {"bus": "spi"}, "right would be a reader on spi without uart"),
        ("pn532-uart", {"rx": None}, "right would be a reader on uart with rx"),
        ("pn532-uart", {"baud": 9600}, "right would be a baud of 115200"),
        ("pn532-uart", {"fast_baud": 1000000}, "reader.fast_baud is 1000000; right would be 11"),
        ("pn532-uart", {"irq": 34}, "right would be a reader on uart without irq"),
        ("pn532-spi", {"spi": 0}, "reader.spi is 0; right would be one of ESP32's (1, 2)"),
        ("pn532-spi", {"cs": 34}, "READER_CS is 34; right would be a pin that"),
        ("pn532-spi", {"baud": 20000000}, "right would be a baud of at most 10000000 on spi"),
        ("pn532-i2c", {"i2c": 0}, "reader.i2c is 0; right would be one that display does not"),
        ("pn532-i2c", {"i2c": 2}, "reader.i2c is 2; right would be one of the 2 of ESP32"),
        ("mfrc522-spi", {"bus": "i2c"}, "right would be an MFRC522 with bus spi"),
    ],
)
def test_a_wrong_reader_is_named(
    tmp_path: Path, name: str, change: dict[str, Any], sentence: str
) -> None:
    reader = {k: v for k, v in {**READERS[name], **change}.items() if v is not None}
    with pytest.raises(BoardError) as caught:
        board_with(tmp_path, reader)
    assert sentence in str(caught.value)


def test_reader_on_uart() -> None:
    board = Wired({**READERS["pn532-uart"], "fast_baud": 921600, "type_b": 0, "max_data": 252})
    reader = build(board, None)
    assert isinstance(reader, Pn532Reader)
    assert (reader._baud, reader._type_b_every, reader._max_data) == (921600, 0, 252)
    assert board.asked == [("output", 13, 1), ("serial", "reader")]


def test_reader_on_spi() -> None:
    board = Wired(READERS["pn532-spi"])
    reader = build(board, None)
    assert reader._port.bus == "spi" and reader._port.baud == 1000000
    assert reader._port.serial.irq is not None
    assert ("spi", 1000000, True) in board.asked
    assert ("output", 17, 1) in board.asked and ("output", 4, 1) in board.asked


def test_q15_spi_is_never_faster_than_clones_take() -> None:
    board = Wired({**READERS["pn532-spi"], "baud": 5000000})
    assert build(board, None)._port.baud == 2000000


def test_reader_on_i2c() -> None:
    board = Wired(READERS["pn532-i2c"])
    reader = build(board, None)
    assert reader._port.bus == "i2c" and reader._port.baud == 400000
    # Q11: the chip may stretch the clock by 20 ms.
    assert [a for a in board.asked if a[0] == "i2c"] == [("i2c", 400000, 25000)]


def test_mfrc522_on_spi() -> None:
    board = Wired(READERS["mfrc522-spi"])

    class Clock:
        def ticks_ms(self) -> int:
            return 0

    assert build(board, Clock()).chip == "mfrc522"
    assert ("spi", 4000000, False) in board.asked


def test_no_reader_and_no_driver() -> None:
    assert build(Wired(None), None) is None
    for chip, bus in (("mfrc522", "i2c"), ("pn7150", "i2c"), ("pn532", "can")):
        with pytest.raises(ValueError, match=f"no driver for {chip} on {bus}"):
            build(Wired({"chip": chip, "bus": bus}), None)
