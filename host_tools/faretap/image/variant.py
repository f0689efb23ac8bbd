"""For which module a MicroPython was built, by what its image says of itself.

MicroPython offers a board in variants: the same chip with other memory. An ESP32_GENERIC with
SPIRAM starts on a module without, but its GPIO 16 and 17 are the PSRAM's; a plain
ESP32_GENERIC_S3 starts on a module with octal PSRAM, and does not find it. The image's headers are
the same. What differs are names: MICROPY_BOARD_BUILD_NAME ("ESP32_GENERIC-SPIRAM", since 1.25),
and those of board and chip in `sys.implementation._machine` (all versions).
Source: MicroPython ports/esp32/boards/ESP32_GENERIC*/mpconfigboard.h, mpconfigvariant_*.cmake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faretap.boards import Board
from faretap.image.errors import ImageError
from faretap.reading import SETTINGS, read_text

_BUILD = re.compile(rb"(?<![\w-])(ESP32_GENERIC(?:_[A-Z][0-9]{1,2})?)(?:-([A-Z][A-Z0-9_]*))?\0")
_MACHINE = re.compile(
    rb"(?:Generic )?(ESP32(?:[A-Z][0-9]{1,2})?) module"
    rb"(?: with (?!ESP32)([\w -]{1,24}?))? with (ESP32[A-Z0-9-]*)"
)
_FILE = re.compile(r"(ESP32_GENERIC(?:_[A-Z][0-9]{1,2})?)(?:-([A-Z][A-Z0-9_]*))?-[0-9]{8}-v")
# By what the names of board and chip say beyond those of the standard variant.
_NAMED = {
    "SPIRAM": "SPIRAM",
    "Octal-SPIRAM": "SPIRAM_OCT",
    "OTA": "OTA",
    "ESP32-D2WD": "D2WD",
    "ESP32-UNICORE": "UNICORE",
}
_HARM = {
    ("esp32", "SPIRAM"): "it takes GPIO 16 and 17 for PSRAM",
    ("esp32", "D2WD"): "it is for chips with 2 MB of flash inside",
    ("esp32", "UNICORE"): "it runs on one core only",
    ("esp32s3", ""): "it finds no octal PSRAM",
    ("esp32s3", "FLASH_4M"): "it finds no octal PSRAM",
}
_SPI_PINS = {16, 17}  # of an ESP32: they lead to flash or PSRAM that is in the chip's package


@dataclass(frozen=True)
class Build:
    """A board of MicroPython's, and its variant, "" for the standard one."""

    board: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.board}, variant {self.variant}" if self.variant else self.board


def builds(app: bytes, file: str = "") -> set[Build]:
    """What an application image says that it was built for; none if it does not say. The name of
    its file counts only where the image is silent."""
    named = {Build(b.decode(), v.decode()) for b, v in set(_BUILD.findall(app))}
    if named:
        return named
    machines = set(_MACHINE.findall(app))
    if machines:
        return {_of_machine(*(part.decode() for part in machine)) for machine in machines}
    found = _FILE.match(file)
    return {Build(found[1], found[2] or "")} if found else set()


def _of_machine(chip: str, memory: str, mcu: str) -> Build:
    board = "ESP32_GENERIC" + (f"_{chip.removeprefix('ESP32')}" if chip != "ESP32" else "")
    return Build(board, _NAMED.get(memory or mcu, memory))


def is_own(app: bytes, board: Board) -> bool:
    """Whether it was built from the board's own folder (mpconfigboard.h)."""
    text = read_text(board.path / "mpconfigboard.h", SETTINGS, ImageError)
    name = re.search(r'^#define MICROPY_HW_BOARD_NAME\s+"([^"]+)"', text, re.M)
    return name is not None and f"{name[1]} with ".encode() in app


def objection(app: bytes, board: Board, file: str = "") -> str:
    """Why `board` cannot take this MicroPython, as the end of a sentence; "" if it can."""
    wanted = Build(board.devices.micropython.board, board.devices.micropython.variant)
    found = builds(app, file)
    if found == {wanted} or is_own(app, board):
        return ""
    if not found:
        return f"does not say that it is for {wanted.board}, which {board.name} takes"
    says = " and ".join(sorted(map(str, found)))
    (first, *others) = found
    harm = "" if others else _HARM.get((board.chip, first.variant), "")
    right = f"{board.name} takes {wanted}"
    if not wanted.variant and first.board == wanted.board:
        right = f"{board.name} takes the standard variant"
    return f"is MicroPython for {says}: {harm + ', and ' if harm else ''}{right}"


def memory_objection(board: Board, features: list[str]) -> str:
    """Why the chip cannot be `board`'s, by what esptool tells of its memory; "" if it may be.

    `features` as `get_chip_features` gives them. Memory outside the chip's package is not told.
    """
    inside = [f for f in features if f.startswith(("Embedded PSRAM", "Embedded Flash"))]
    if board.chip == "esp32":
        on = sorted(name for name, gpio in board.devices.pins().items() if gpio in _SPI_PINS)
        if inside and on:
            return f"has {inside[0]} on GPIO 16 and 17, where {board.name} has {', '.join(on)}"
    if board.devices.micropython.variant == "SPIRAM_OCT":
        psram = [f for f in inside if f.startswith("Embedded PSRAM")]
        if not psram:
            return f"has no PSRAM in its package, and {board.name} needs 8 MB of octal PSRAM"
        # 2 and 4 MB are quad, 8 and 16 MB octal. ESP32-S3 datasheet, table 1-1.
        if re.match(r"Embedded PSRAM [24]MB", psram[0]):
            return f"has {psram[0]}, which is not octal, and {board.name} needs 8 MB that are"
    return ""
