"""The boards that Faretap runs on: a folder each, in MicroPython's own convention.

`load("ESP32_BUS")` reads and checks devices.json, pins.csv, partitions.csv and sdkconfig.board.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from faretap.errors import FaretapError
from faretap.image.errors import ImageError
from faretap.image.partitions import PartitionTable, load_csv
from faretap.reading import SETTINGS, read_bytes


class BoardError(FaretapError):
    """A board that does not exist or whose folder is wrong; names path, value and the remedy."""


@dataclass(frozen=True)
class Chip:
    """What a chip's pins and UARTs allow, as a module with this chip is sold."""

    arch: str  # for mpy-cross -march
    image_id: int  # chip id in an ESP image header
    bootloader_offset: int
    pins: frozenset[int]  # brought out and not taken by flash or PSRAM
    input_only: frozenset[int]
    straps: frozenset[int]
    usb: frozenset[int]
    console: frozenset[int]  # UART0, which the official MicroPython keeps for its console
    uarts: int
    i2cs: int
    spis: tuple[
        int, ...
    ]  # MicroPython's numbers: its 1 is the chip's SPI2, as 0 and 1 are the flash's
    label: str


CHIPS = {
    # GPIO 6-11 are the flash; 20, 24 and 28-31 do not exist. ESP32-WROOM-32E datasheet, table 3.
    "esp32": Chip(
        arch="xtensawin",
        image_id=0,
        bootloader_offset=0x1000,
        pins=frozenset({0, 1, 2, 3, 4, 5, *range(12, 20), 21, 22, 23, 25, 26, 27, *range(32, 40)}),
        input_only=frozenset(range(34, 40)),
        straps=frozenset({0, 2, 5, 12, 15}),
        usb=frozenset(),
        console=frozenset({1, 3}),
        uarts=3,
        i2cs=2,
        spis=(1, 2),
        label="ESP32",
    ),
    # GPIO 26-32 are the flash, 33-37 the octal PSRAM of the R8 modules; 22-25 do not exist.
    # ESP32-S3-WROOM-1 datasheet, table 3.
    "esp32s3": Chip(
        arch="xtensawin",
        image_id=9,
        bootloader_offset=0,
        pins=frozenset({*range(22), *range(38, 49)}),
        input_only=frozenset(),
        straps=frozenset({0, 3, 45, 46}),
        usb=frozenset({19, 20}),
        console=frozenset({43, 44}),
        uarts=3,
        i2cs=2,
        spis=(1, 2),
        label="ESP32-S3",
    ),
    # GPIO 11-17 are the flash and its supply. ESP32-C3-MINI-1 datasheet, table 3.
    "esp32c3": Chip(
        arch="rv32imc",
        image_id=5,
        bootloader_offset=0,
        pins=frozenset({*range(11), 18, 19, 20, 21}),
        input_only=frozenset(),
        straps=frozenset({2, 8, 9}),
        usb=frozenset({18, 19}),
        console=frozenset({20, 21}),
        uarts=2,
        i2cs=1,
        spis=(1,),
        label="ESP32-C3",
    ),
}

Pin = Annotated[int, Field(ge=0, le=48)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MicroPython(_Strict):
    """Which official image runs on the board: micropython.org/download/BOARD, and its variant."""

    board: str
    variant: str = ""


class Link(_Strict):
    """The line to the host: a UART with its highest baud rate, or the chip's own USB."""

    uart: int | None = None
    baud_max: int = 921600
    usb: bool = False


BUS_PINS = {"uart": ("tx", "rx"), "spi": ("sck", "mosi", "miso", "cs"), "i2c": ("sda", "scl")}
MAX_READER_BAUD = {"uart": 921600, "spi": 10_000_000, "i2c": 400_000}


class Reader(_Strict):
    """The NFC chip. Of the buses, one: its controller's number and its pins.

    `baud` is the UART's rate after power-up, or the highest clock of SPI or I2C in Hz;
    `fast_baud` is what a UART is raised to. `type_b`: every n-th poll without a card looks for
    type B cards, 0 = never.
    """

    chip: Literal["pn532", "mfrc522"]
    bus: Literal["uart", "spi", "i2c"]
    uart: int | None = None
    tx: Pin | None = None
    rx: Pin | None = None
    spi: int | None = None
    sck: Pin | None = None
    mosi: Pin | None = None
    miso: Pin | None = None
    cs: Pin | None = None
    i2c: int | None = None
    sda: Pin | None = None
    scl: Pin | None = None
    reset: Pin | None = None
    power: Pin | None = None
    irq: Pin | None = None
    baud: Annotated[int, Field(gt=0)] | None = None
    fast_baud: Literal[115200, 230400, 460800, 921600] | None = None
    max_data: Annotated[int, Field(ge=16, le=262)] | None = None
    type_b: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_bus(self) -> Self:
        if self.chip == "mfrc522" and self.bus != "spi":
            raise ValueError("an MFRC522 with bus spi")
        for bus, pins in BUS_PINS.items():
            for key in (bus, *pins):
                if (getattr(self, key) is not None) != (bus == self.bus):
                    verb = "with" if bus == self.bus else "without"
                    raise ValueError(f"a reader on {self.bus} {verb} {key}")
        if self.baud is not None and self.baud > MAX_READER_BAUD[self.bus]:
            raise ValueError(f"a baud of at most {MAX_READER_BAUD[self.bus]} on {self.bus}")
        if self.bus == "uart" and self.baud not in (None, 115200):
            raise ValueError("a baud of 115200, at which a PN532 starts")
        for key, right in (("fast_baud", "uart"), ("irq", "spi i2c")):
            if getattr(self, key) is not None and self.bus not in right:
                raise ValueError(f"a reader on {self.bus} without {key}")
        return self

    def pins(self) -> dict[str, int]:
        """Pin names as in pins.csv -> GPIO number."""
        keys = (*BUS_PINS[self.bus], "reset", "power", "irq")
        wired = {f"READER_{key.upper()}": getattr(self, key) for key in keys}
        return {name: gpio for name, gpio in wired.items() if gpio is not None}


class Scanner(_Strict):
    engine: Literal["gm65"]
    uart: int
    tx: Pin
    rx: Pin
    trigger: Pin
    baud: int


class Display(_Strict):
    chip: Literal["ssd1306"]
    i2c: int
    sda: Pin
    scl: Pin
    addr: Annotated[int, Field(ge=8, le=0x77)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class Lights(_Strict):
    red: Pin
    green: Pin
    blue: Pin


class Buzzer(_Strict):
    pin: Pin


class Psam(_Strict):
    """A PSAM's slot: a UART whose TX (open drain) and RX are both on the I/O contact, RST, and a
    clock from a PWM output. `echo` false: wired so that RX does not hear TX (docs/tunion.md)."""

    uart: int
    tx: Pin
    rx: Pin
    reset: Pin
    clock: Pin
    power: Pin | None = None
    hz: Annotated[int, Field(ge=1_000_000, le=5_000_000)] = 3_571_200
    baud: Literal[9600, 19200, 38400, 115200] = 9600  # of the answer to reset; tried first
    parity: Literal[0] = 0  # even
    stop: Literal[2] = 2
    echo: bool = True


class Devices(_Strict):
    """devices.json: which chip hangs on which bus and pins. A part that is absent is null."""

    board: str
    chip: Literal["esp32", "esp32s3", "esp32c3"]
    arch: str | None = None
    micropython: MicroPython
    link: Link
    reader: Reader
    scanner: Scanner | None
    psam0: Psam | None = None
    psam1: Psam | None = None
    display: Display | None
    lights: Lights
    buzzer: Buzzer
    straps: dict[int, str] = {}  # strap pins in use, each with why the chip still starts

    def psams(self) -> dict[str, Psam]:
        """The slots that there are: "psam0" …"""
        slots = {"psam0": self.psam0, "psam1": self.psam1}
        return {name: slot for name, slot in slots.items() if slot}

    def pins(self) -> dict[str, int]:
        """Pin names as in pins.csv -> GPIO number, for every pin of every part."""
        found = self.reader.pins()
        if self.scanner:
            found["SCANNER_TX"] = self.scanner.tx
            found["SCANNER_RX"] = self.scanner.rx
            found["SCANNER_TRIGGER"] = self.scanner.trigger
        for name, psam in self.psams().items():
            found[f"{name.upper()}_TX"] = psam.tx
            found[f"{name.upper()}_RX"] = psam.rx
            found[f"{name.upper()}_RESET"] = psam.reset
            found[f"{name.upper()}_CLOCK"] = psam.clock
            if psam.power is not None:
                found[f"{name.upper()}_POWER"] = psam.power
        if self.display:
            found["DISPLAY_SDA"] = self.display.sda
            found["DISPLAY_SCL"] = self.display.scl
        found["LIGHT_RED"] = self.lights.red
        found["LIGHT_GREEN"] = self.lights.green
        found["LIGHT_BLUE"] = self.lights.blue
        found["BUZZER"] = self.buzzer.pin
        return found


# The flash map (docs/storage.md): what a board has at the least, in KB. Boards with 8 MB and more
# have "tickets" and "spare" as well.
MAP_KB = {
    "nvs": 24,
    "factory": 64,
    "vfs": 112,
    "app_a": 464,
    "app_b": 464,
    "config": 64,
    "tariff": 64,
    "riders": 128,
    "journeys": 32,
    "lists": 256,
    "journal": 512,
}

INPUTS = ("READER_RX", "READER_MISO", "READER_IRQ", "SCANNER_RX", "PSAM0_RX", "PSAM1_RX")


@dataclass(frozen=True)
class Board:
    """One board, checked. `devices_json` is the file as the device gets it."""

    name: str
    chip: str
    flash_size: int
    arch: str
    partitions: PartitionTable
    devices: Devices
    path: Path
    devices_json: bytes

    @property
    def facts(self) -> Chip:
        return CHIPS[self.chip]

    @property
    def virtual(self) -> bool:
        """Runs on the host's own processor behind the chip's interfaces."""
        return self.devices.arch is not None


def root() -> Path:
    """The folder of the boards: the checkout's, or the copy inside an installed wheel."""
    packaged = Path(__file__).parent / "_data" / "boards"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[2] / "boards"


def names() -> list[str]:
    """Every board there is, sorted."""
    return sorted(p.parent.name for p in root().glob("*/devices.json"))


def load(name: str, base: Path | None = None) -> Board:
    """Read and check a board's folder. Raises BoardError."""
    path = (base or root()) / name
    if not (path / "devices.json").is_file():
        raise BoardError(f"There is no board {name!r}; the boards are {', '.join(names())}.")
    raw = _read(path / "devices.json")
    devices = _devices(path / "devices.json", raw)
    if devices.board != name:
        raise _wrong(path / "devices.json", "board", devices.board, f"the folder's name, {name}")
    _check_pins(path, devices)
    flash_size = _flash_size(path / "sdkconfig.board")
    try:
        partitions = load_csv(path / "partitions.csv")
        partitions.check(flash_size)
        _check_map(path / "partitions.csv", partitions)
    except ImageError as e:
        text = str(e)
        prefix = "" if text.startswith(str(path)) else f"{path / 'partitions.csv'}: "
        raise BoardError(prefix + text) from e
    return Board(
        name=name,
        chip=devices.chip,
        flash_size=flash_size,
        arch=devices.arch or CHIPS[devices.chip].arch,
        partitions=partitions,
        devices=devices,
        path=path,
        devices_json=raw,
    )


def load_pins(path: Path) -> dict[str, int]:
    """pins.csv: name -> GPIO number. Raises BoardError that names the line."""
    found: dict[str, int] = {}
    for number, row in enumerate(csv.reader(_read(path).decode().splitlines()), 1):
        if not row or row[0].startswith("#"):
            continue
        match = re.fullmatch(r"-?GPIO(\d+)", row[1].strip()) if len(row) == 2 else None
        if not match:
            raise BoardError(f"{path}:{number}: {','.join(row)!r}; right would be NAME,GPIO17.")
        if row[0] in found:
            raise BoardError(f"{path}:{number}: {row[0]} is there twice.")
        found[row[0]] = int(match.group(1))
    return found


def _check_map(path: Path, partitions: PartitionTable) -> None:
    """Each partition that the firmware looks for is there, and large enough for its purpose."""
    for name, kb in MAP_KB.items():
        size = partitions[name].size
        if size < kb * 1024:
            raise _wrong(path, name, f"{size // 1024}K", f"{kb}K or more")
    slots = [partitions[name].size // 1024 for name in ("app_a", "app_b")]
    if slots[0] != slots[1]:
        raise _wrong(path, "app_b", f"{slots[1]}K", f"{slots[0]}K, as app_a has")


def _read(path: Path) -> bytes:
    return read_bytes(path, SETTINGS, BoardError)


def _wrong(path: Path, where: str, value: object, right: str) -> BoardError:
    return BoardError(f"{path}: {where} is {value!r}; right would be {right}.")


def _devices(path: Path, raw: bytes) -> Devices:
    try:
        return Devices.model_validate(json.loads(raw))
    except json.JSONDecodeError as e:
        raise BoardError(f"{path}:{e.lineno}: not JSON: {e.msg}.") from e
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        value = first.get("input")
        if first["type"] == "missing":
            raise BoardError(f"{path}: {where} is missing.") from e
        if first["type"] == "extra_forbidden":
            raise BoardError(f"{path}: {where} is not a known key.") from e
        right = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise _wrong(path, where, value, right) from e


def _check_pins(path: Path, devices: Devices) -> None:
    chip = CHIPS[devices.chip]
    file = path / "devices.json"
    named = load_pins(path / "pins.csv")
    users: dict[int, str] = {}
    for name, gpio in devices.pins().items():
        if gpio in users:
            raise _wrong(file, name, gpio, f"a pin that {users[gpio]} does not use")
        users[gpio] = name
        if gpio not in chip.pins:
            raise _wrong(file, name, gpio, f"a pin that a {chip.label} module brings out")
        if gpio in chip.input_only and name not in INPUTS:
            raise _wrong(file, name, gpio, "a pin that can be an output")
        if gpio in chip.straps and gpio not in devices.straps:
            raise _wrong(file, name, gpio, "no strap pin, or a reason for it under straps")
        if gpio in chip.usb and devices.link.usb:
            raise _wrong(file, name, gpio, "a pin that USB does not use")
        if gpio in chip.console:
            raise _wrong(file, name, gpio, "a pin that MicroPython's console does not use")
    for name, gpio in devices.pins().items():
        if named.get(name) != gpio:
            raise _wrong(path / "pins.csv", name, named.get(name), f"GPIO{gpio}, as the part has")
    duplicates = [name for name, gpio in named.items() if users.get(gpio, name) != name]
    if duplicates:
        raise BoardError(f"{path / 'pins.csv'}: {duplicates[0]} has a pin that is already used.")
    if devices.link.usb == (devices.link.uart is not None):
        raise _wrong(file, "link", devices.link, 'either {"usb": true} or {"uart": 0}')
    taken: dict[int, str] = {0: "MicroPython's console"}
    wired = [("reader", devices.reader.uart), ("scanner", _uart(devices.scanner))]
    wired += [(name, slot.uart) for name, slot in devices.psams().items()]
    # A chip has no more than its own; the virtual board has one beside, for a PSAM.
    uarts = chip.uarts + (devices.arch is not None)
    for part, uart in wired:
        if uart is None:
            continue
        if uart in taken:
            raise _wrong(file, f"{part}.uart", uart, f"one that {taken[uart]} does not use")
        if not 0 <= uart < uarts:
            raise _wrong(file, f"{part}.uart", uart, f"one of the {uarts} of {chip.label}")
        taken[uart] = part
    _check_buses(file, chip, devices)


def _check_buses(file: Path, chip: Chip, devices: Devices) -> None:
    """SPI and I2C controllers: those that the chip has for us, each for one part."""
    reader = devices.reader
    if reader.spi is not None and reader.spi not in chip.spis:
        raise _wrong(file, "reader.spi", reader.spi, f"one of {chip.label}'s {chip.spis}")
    display = devices.display.i2c if devices.display else None
    for part, i2c in (("reader", reader.i2c), ("display", display)):
        if i2c is not None and not 0 <= i2c < chip.i2cs:
            raise _wrong(file, f"{part}.i2c", i2c, f"one of the {chip.i2cs} of {chip.label}")
    if display is not None and reader.i2c == display:
        raise _wrong(file, "reader.i2c", reader.i2c, "one that display does not use")


def _uart(scanner: Scanner | None) -> int | None:
    return scanner.uart if scanner else None


def _flash_size(path: Path) -> int:
    found = re.findall(r"^CONFIG_ESPTOOLPY_FLASHSIZE_(\d+)MB=y$", _read(path).decode(), re.M)
    if len(found) != 1:
        raise BoardError(f"{path}: needs one CONFIG_ESPTOOLPY_FLASHSIZE_…MB=y.")
    return int(found[0]) * 1024 * 1024
