"""Every board's folder, and what the checks say about a wrong one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faretap import boards
from faretap.boards import BoardError, load, load_pins

NAMES = ["ESP32C3_TAXI", "ESP32S3_BUS", "ESP32_BUS", "VIRTUAL"]
# From the modules' datasheets, not from the code under test.
TAKEN = {
    "esp32": {1, 3, 6, 7, 8, 9, 10, 11, 20, 24, 28, 29, 30, 31},
    "esp32s3": {19, 20, 22, 23, 24, 25, *range(26, 38), 43, 44},
    "esp32c3": {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21},
}
STRAPS = {"esp32": {0, 2, 5, 12, 15}, "esp32s3": {0, 3, 45, 46}, "esp32c3": {2, 8, 9}}


def test_the_boards() -> None:
    assert boards.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pins_are_unique_legal_and_named(name: str) -> None:
    board = load(name)
    pins = board.devices.pins()
    assert len(set(pins.values())) == len(pins)
    assert not set(pins.values()) & TAKEN[board.chip]
    straps = set(pins.values()) & STRAPS[board.chip]
    assert straps == set(board.devices.straps)
    if board.chip == "esp32":
        outputs = {gpio for pin, gpio in pins.items() if not pin.endswith("_RX")}
        assert not outputs & set(range(34, 40))
    named = load_pins(board.path / "pins.csv")
    assert named.items() >= pins.items()
    assert len(set(named.values())) == len(named)


@pytest.mark.parametrize("name", NAMES)
def test_partitions_fill_the_flash(name: str) -> None:
    board = load(name)
    at = 0x9000
    for partition in board.partitions:
        assert partition.offset == at
        assert partition.offset % (0x10000 if partition.type == 0 else 0x1000) == 0
        at = partition.end
    assert at == board.flash_size
    assert board.partitions["app_a"].size == board.partitions["app_b"].size
    # 100,000 entries of the deny list, at the least four bytes each.
    assert board.partitions["lists"].size >= 400_000
    assert [p.subtype for p in board.partitions if p.name in ("app_a", "journal")] == [0x40, 0x44]


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_follows_micropythons_convention(name: str) -> None:
    path = load(name).path
    described = json.loads((path / "board.json").read_text())
    keys = {"deploy", "docs", "features", "images", "mcu", "product", "thumbnail", "url", "vendor"}
    assert keys <= described.keys()
    assert described["mcu"] == load(name).chip
    offset = int(described["deploy_options"]["flash_offset"], 0)
    assert offset == load(name).facts.bootloader_offset
    cmake = (path / "mpconfigboard.cmake").read_text()
    assert f"mpconfigboard_{load(name).chip}_common.cmake" in cmake
    assert f"boards/{name}/sdkconfig.board" in cmake
    assert f"boards/{name}/partitions.csv" in (path / "sdkconfig.board").read_text()
    assert "MICROPY_HW_BOARD_NAME" in (path / "mpconfigboard.h").read_text()
    assert 'include("$(PORT_DIR)/boards/manifest.py")' in (path / "manifest.py").read_text()
    assert (path / "board.md").read_text().strip()


def test_the_virtual_board_is_an_esp32_bus_board_with_a_psam() -> None:
    virtual, bus = load("VIRTUAL"), load("ESP32_BUS")
    assert virtual.virtual and not bus.virtual
    names = [p.name for p in bus.partitions]
    assert [p.name for p in virtual.partitions] == names
    for name in ("nvs", "config", "lists", "journal"):  # code for 64 bits is larger
        assert virtual.partitions[name] == bus.partitions[name]
    pins = virtual.devices.pins()
    slot = {name: pins.pop(name) for name in list(pins) if name.startswith("PSAM0_")}
    assert set(slot) == {"PSAM0_TX", "PSAM0_RX", "PSAM0_RESET", "PSAM0_CLOCK"}
    assert pins == bus.devices.pins()
    assert (virtual.arch, bus.arch) == ("x64", "xtensawin")


def test_targets() -> None:
    assert load("ESP32S3_BUS").arch == "xtensawin"
    assert load("ESP32C3_TAXI").arch == "rv32imc"
    assert load("ESP32S3_BUS").flash_size == 16 << 20


def test_an_unknown_board_names_those_there_are() -> None:
    with pytest.raises(BoardError, match="no board 'ESP32_TRAM'.*ESP32C3_TAXI, ESP32S3_BUS"):
        load("ESP32_TRAM")


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: d["reader"].update(rx=6), "READER_RX is 6; right would be a pin that a ESP32"),
        (lambda d: d["reader"].update(tx=34), "READER_TX is 34; right would be a pin that can be"),
        (
            lambda d: d["reader"].update(tx=18),
            "LIGHT_RED is 18; right would be a pin that READER_TX does",
        ),
        (lambda d: d["buzzer"].update(pin=12), "BUZZER is 12; right would be no strap pin"),
        (
            lambda d: d["buzzer"].update(pin=1),
            "BUZZER is 1; right would be a pin that MicroPython",
        ),
        (lambda d: d["buzzer"].update(pin=32), "BUZZER is 33; right would be GPIO32"),
        (lambda d: d["buzzer"].update(pin=99), "buzzer.pin is 99; right would be less than"),
        (
            lambda d: d["scanner"].update(uart=1),
            "scanner.uart is 1; right would be one that reader",
        ),
        (lambda d: d["scanner"].update(uart=3), "scanner.uart is 3; right would be one of the 3"),
        (lambda d: d["reader"].update(uart=0), "reader.uart is 0; right would be one that Micro"),
        (
            lambda d: d["reader"].update(chip="rc522"),
            "reader.chip is 'rc522'; right would be 'pn5",
        ),
        (lambda d: d.update(link={}), "link is "),
        (lambda d: d.pop("lights"), "lights is missing"),
        (lambda d: d.update(horn=1), "horn is not a known key"),
        (lambda d: d.update(board="ESP32_TRAM"), "board is 'ESP32_TRAM'; right would be the fold"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(
    tmp_path: Path, edit: Edit, sentence: str
) -> None:
    path = tmp_path / "ESP32_BUS"
    shutil.copytree(load("ESP32_BUS").path, path)
    devices = json.loads((path / "devices.json").read_text())
    edit(devices)
    (path / "devices.json").write_text(json.dumps(devices))
    with pytest.raises(BoardError) as caught:
        load("ESP32_BUS", base=tmp_path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("devices.json", "{", "[", "not JSON"),
        ("pins.csv", "GPIO33", "PIN33", "'BUZZER,PIN33'; right would be NAME,GPIO17"),
        ("pins.csv", "BUZZER", "LIGHT_RED", "LIGHT_RED is there twice"),
        ("partitions.csv", "0x1E8000", "0x1E0000", "app_a at 0x1e0000 overlaps vfs"),
        ("partitions.csv", "lists,", "list,", "has no 'lists'"),
        ("partitions.csv", "0xE0000", "0xF0000", "journal ends at 0x410000, behind the flash"),
        ("sdkconfig.board", "FLASHSIZE", "SIZE", "needs one CONFIG_ESPTOOLPY_FLASHSIZE"),
    ],
)
def test_a_mistake_in_a_file_is_named(
    tmp_path: Path, file: str, old: str, new: str, sentence: str
) -> None:
    path = tmp_path / "ESP32_BUS"
    shutil.copytree(load("ESP32_BUS").path, path)
    text = (path / file).read_text()
    assert old in text
    (path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(BoardError) as caught:
        load("ESP32_BUS", base=tmp_path)
    assert sentence in str(caught.value)
    assert file in str(caught.value)
