"""Variants of MicroPython: what an image says it was built for, and which the boards take."""

from __future__ import annotations

import pytest

from faretap import boards
from faretap.image.variant import Build, builds, is_own, memory_objection, objection

# `_machine` and `_build` as MicroPython 1.24 to 1.28 print them on their boards.
PLAIN = b"\0; Generic ESP32 module with ESP32\0"
SPIRAM = b"\0Generic ESP32 module with SPIRAM with ESP32\0"
OTA = b"\0Generic ESP32 module with OTA with ESP32\0"
D2WD = b"\0Generic ESP32 module with ESP32-D2WD\0"
UNICORE = b"\0Generic ESP32 module with ESP32-UNICORE\0"
S3 = b"\0Generic ESP32S3 module with ESP32S3\0"
S3_DASH = b"\0Generic ESP32S3 module with ESP32-S3\0"
OCTAL = b"\0Generic ESP32S3 module with Octal-SPIRAM with ESP32S3\0"
C3 = b"\0ESP32C3 module with ESP32C3\0"
C3_GENERIC = b"\0Generic ESP32C3 module with ESP32C3\0"
CODE = bytes(range(256)) * 20


@pytest.mark.parametrize(
    ("says", "right"),
    [
        (PLAIN, Build("ESP32_GENERIC")),
        (SPIRAM, Build("ESP32_GENERIC", "SPIRAM")),
        (OTA, Build("ESP32_GENERIC", "OTA")),
        (D2WD, Build("ESP32_GENERIC", "D2WD")),
        (UNICORE, Build("ESP32_GENERIC", "UNICORE")),
        (S3, Build("ESP32_GENERIC_S3")),
        (S3_DASH, Build("ESP32_GENERIC_S3")),
        (OCTAL, Build("ESP32_GENERIC_S3", "SPIRAM_OCT")),
        (C3, Build("ESP32_GENERIC_C3")),
        (C3_GENERIC, Build("ESP32_GENERIC_C3")),
        (b"\0Generic ESP32C6 module with ESP32C6\0", Build("ESP32_GENERIC_C6")),
        (b"\0ESP32_GENERIC-SPIRAM\0", Build("ESP32_GENERIC", "SPIRAM")),
        (b"\0ESP32_GENERIC_S3-SPIRAM_OCT\0", Build("ESP32_GENERIC_S3", "SPIRAM_OCT")),
        # The build's name knows a variant that the machine's does not tell.
        (S3 + b"\0ESP32_GENERIC_S3-FLASH_4M\0", Build("ESP32_GENERIC_S3", "FLASH_4M")),
        (PLAIN + b"ESP32_GENERIC\0" + PLAIN, Build("ESP32_GENERIC")),
    ],
)
def test_what_an_image_says(says: bytes, right: Build) -> None:
    assert builds(CODE + says + CODE) == {right}
    # Its file's name is not asked then.
    assert builds(CODE + says + CODE, "ESP32_GENERIC-OTA-20250911-v1.26.1.bin") == {right}


@pytest.mark.parametrize(
    ("file", "right"),
    [
        ("ESP32_GENERIC-20250911-v1.26.1.bin", {Build("ESP32_GENERIC")}),
        ("ESP32_GENERIC-SPIRAM-20250911-v1.26.1.bin", {Build("ESP32_GENERIC", "SPIRAM")}),
        (
            "ESP32_GENERIC_S3-SPIRAM_OCT-20250911-v1.26.1.bin",
            {Build("ESP32_GENERIC_S3", "SPIRAM_OCT")},
        ),
        ("LOLIN_S3-20250911-v1.26.1.bin", set()),
        ("firmware.bin", set()),
        ("kept from last time", set()),
    ],
)
def test_a_silent_image_is_known_by_its_file(file: str, right: set[Build]) -> None:
    assert builds(CODE, file) == right


TAKEN = {
    "ESP32_BUS": [PLAIN],
    "ESP32_BUS_4M": [PLAIN],
    "ESP32S3_BUS": [OCTAL],
    "ESP32C3_TAXI": [C3, C3_GENERIC],
}


@pytest.mark.parametrize("name", TAKEN)
def test_each_board_takes_its_own_variant_and_no_other(name: str) -> None:
    board = boards.load(name)
    every = [PLAIN, SPIRAM, OTA, D2WD, UNICORE, S3, S3_DASH, OCTAL, C3, C3_GENERIC]
    for says in every:
        problem = objection(CODE + says, board)
        assert (problem == "") == (says in TAKEN[name]), (says, problem)
        assert "\n" not in problem
        if problem:
            assert f"{name} takes" in problem
    # A board of another maker, an image that says two things, and one that says nothing.
    for says in (b"\0LILYGO TTGO LoRa32 with ESP32\0", PLAIN + SPIRAM, b""):
        assert objection(CODE + says, board)
    # What is built from the board's own folder is right.
    text = (board.path / "mpconfigboard.h").read_text()
    names = [line.split('"')[1] for line in text.splitlines() if "_NAME " in line]
    own = f"\0{names[0]} with {names[1]}\0".encode()
    assert is_own(own, board) and objection(CODE + own, board) == ""
    others = [boards.load(n) for n in TAKEN if n != name]
    assert not any(is_own(own, other) for other in others)


def test_why_is_said() -> None:
    bus, s3 = boards.load("ESP32_BUS"), boards.load("ESP32S3_BUS")
    assert "takes GPIO 16 and 17 for PSRAM" in objection(SPIRAM, bus)
    assert "finds no octal PSRAM" in objection(S3, s3)
    assert "does not say that it is for ESP32_GENERIC_S3" in objection(b"", s3)


CHIP = ["Wi-Fi", "BT", "Dual Core + LP Core", "240MHz"]


@pytest.mark.parametrize(
    ("name", "memory", "text"),
    [
        ("ESP32_BUS", [], ""),
        ("ESP32_BUS", ["Embedded Flash"], "on GPIO 16 and 17, where ESP32_BUS has READER_RX"),
        ("ESP32_BUS_4M", ["Embedded PSRAM"], "has Embedded PSRAM on GPIO 16 and 17"),
        ("ESP32S3_BUS", ["Embedded PSRAM 8MB (AP_3v3)"], ""),
        ("ESP32S3_BUS", ["Embedded PSRAM 16MB (AP_1v8)"], ""),
        ("ESP32S3_BUS", ["Embedded PSRAM 2MB (AP_3v3)"], "which is not octal"),
        ("ESP32S3_BUS", ["Embedded PSRAM 4MB (AP_3v3)"], "which is not octal"),
        ("ESP32S3_BUS", ["Embedded Flash 8MB (GD)"], "has no PSRAM in its package"),
        ("ESP32S3_BUS", [], "has no PSRAM in its package"),
        ("ESP32S3_BUS", ["Unknown Embedded PSRAM ()"], "has no PSRAM in its package"),
        ("ESP32C3_TAXI", ["Embedded Flash 4MB (XMC)"], ""),
    ],
)
def test_what_esptool_tells_of_the_chip(name: str, memory: list[str], text: str) -> None:
    problem = memory_objection(boards.load(name), CHIP + memory)
    assert (text in problem) if text else problem == ""
