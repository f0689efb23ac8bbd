"""Official images, made by hand here: taken apart, and refused for the right reason."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from esptool.bin_image import LoadFirmwareImage

from faretap import boards
from faretap.image import ImageError, partitions
from faretap.image.cache import cache_dir
from faretap.image.micropython import obtain, read, with_flash_size
from faretap.image.whole import build_pieces, whole_flash

CHIPS = {"ESP32_BUS": 0, "ESP32_BUS_4M": 0, "ESP32S3_BUS": 9, "ESP32C3_TAXI": 5}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# `sys.implementation._machine` of the variants that the boards take.
MACHINES = {
    0: b"; Generic ESP32 module with ESP32\0",
    9: b"; Generic ESP32S3 module with Octal-SPIRAM with ESP32S3\0",
    5: b"; ESP32C3 module with ESP32C3\0",
}
DROM = {0: 0x3F400020, 9: 0x3C000020, 5: 0x3C000020}


def esp_image(chip_id: int, body: bytes, flash_size: int = 0x2) -> bytes:
    """One ESP image with one segment, from ESP-IDF's esp_app_format.h."""
    header = struct.pack(
        "<BBBBIB3sHBHH4sB",
        0xE9,
        1,
        2,
        flash_size << 4 | 0xF,
        0x40081000,
        0xEE,
        b"\0\0\0",
        chip_id,
        0,
        0,
        0xFFFF,
        b"\0\0\0\0",
        1,
    )
    assert len(header) == 24
    body = body.ljust(-(-len(body) // 4) * 4, b"\0")
    image = header + struct.pack("<II", DROM[chip_id], len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    image += b"\0" * (15 - len(image) % 16) + bytes((checksum,))
    return image + hashlib.sha256(image).digest()


def app_description(version: str, project: str) -> bytes:
    """esp_app_desc_t, 256 bytes."""
    head = struct.pack("<IIII", 0xABCD5432, 0, 0, 0)
    desc = head + version.encode().ljust(32, b"\0") + project.encode().ljust(32, b"\0")
    return desc.ljust(256, b"\0")


def table_entry(kind: int, subtype: int, offset: int, size: int, name: bytes) -> bytes:
    return struct.pack("<HBBLL16sL", 0x50AA, kind, subtype, offset, size, name, 0)


Release = Callable[..., bytes]


@pytest.fixture
def release() -> Release:
    """Makes what micropython.org offers: bootloader, table and firmware in one file."""

    def make(
        chip_id: int = 0,
        version: str = "v1.26.1",
        project: str = "micropython",
        text: bytes | None = None,
        padding: int = 5000,
    ) -> bytes:
        first = 0x1000 if chip_id == 0 else 0
        if text is None:
            text = b"MicroPython v1.26.1 on 2025-09-11\0" + MACHINES[chip_id]
        entries = table_entry(1, 2, 0x9000, 0x6000, b"nvs")
        entries += table_entry(0, 0, 0x10000, 0x1F0000, b"factory")
        table = entries + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries).digest()
        boot = esp_image(chip_id, b"second stage" * 90)
        app = esp_image(chip_id, app_description(version, project) + text + bytes(padding))
        data = boot.ljust(0x8000 - first, b"\xff") + table.ljust(0xC00, b"\xff")
        return data.ljust(0x10000 - first, b"\xff") + app

    return make


@pytest.mark.parametrize("name", CHIPS)
def test_an_official_image_is_taken_apart(release: Release, name: str) -> None:
    board = boards.load(name)
    data = release(CHIPS[name])
    found = read(data, board, "M.bin")
    assert found.version == "v1.26.1"
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert data.endswith(found.app)
    for image in (found.bootloader, found.app):
        checked = LoadFirmwareImage(board.chip, image)
        assert checked.chip_id == CHIPS[name]
        assert checked.checksum == checked.calculate_checksum()
        assert checked.stored_digest == checked.calc_digest
    sizes = {4 << 20: 0x2, 8 << 20: 0x3, 16 << 20: 0x4}
    assert found.bootloader[3] >> 4 == sizes[board.flash_size]
    assert found.bootloader[3] & 0xF == 0xF


def test_the_flash_size_changes_nothing_else(release: Release) -> None:
    boot = read(release(), boards.load("ESP32_BUS"), "M.bin").bootloader
    assert with_flash_size(boot, 8 << 20) == boot
    larger = with_flash_size(boot, 16 << 20)
    assert [n for n in range(len(boot) - 32) if larger[n] != boot[n]] == [3]
    assert larger[-32:] == hashlib.sha256(larger[:-32]).digest()


@pytest.mark.parametrize(
    ("name", "chip_id", "sentence"),
    [
        ("ESP32_BUS", 9, "is for ESP32-S3, and ESP32_BUS has an ESP32"),
        ("ESP32S3_BUS", 0, "is for ESP32, and ESP32S3_BUS has an ESP32-S3.*SPIRAM_OCT"),
        ("ESP32C3_TAXI", 0, "download/ESP32_GENERIC_C3/"),
    ],
)
def test_another_chips_image_is_refused(
    release: Release, name: str, chip_id: int, sentence: str
) -> None:
    with pytest.raises(ImageError, match=sentence):
        read(release(chip_id), boards.load(name), "M.bin")


def test_every_shortened_image_is_refused(release: Release) -> None:
    board = boards.load("ESP32_BUS")
    data = release()
    for length in (0, 1, 23, 24, 500, 0x6FFF, 0x7010, 0x7C00, 0xEFFF, 0xF000, 0xF001, 0xF018):
        with pytest.raises(ImageError) as caught:
            read(data[:length], board, "M.bin")
        assert "M.bin" in str(caught.value) and "\n" not in str(caught.value)
    for cut in (1, 16, 31, 32, 33, 48, 49, 500):
        with pytest.raises(ImageError):
            read(data[:-cut], board, "M.bin")


def test_every_damaged_part_is_noticed(release: Release) -> None:
    board = boards.load("ESP32_BUS")
    data = release()
    boot = len(read(data, board, "M.bin").bootloader)
    places = [0, 3, 12, 100, boot - 40, boot - 1, 0x7000, 0x7025, 0x7055]
    places += [0xF000, 0xF010, 0xF020, 0xF100, len(data) - 40, len(data) - 1]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(ImageError):
            read(bytes(damaged), board, "M.bin")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": "v1.23.0"}, "is MicroPython v1.23.0; Faretap needs 1.24 or later"),
        ({"project": "blinky", "text": b""}, "an ESP application, but not MicroPython"),
        ({"version": "1", "text": b""}, "does not say which version"),
        ({"padding": 0x1FFF00}, "needs .* bytes; ESP32_BUS has 2097152 for MicroPython"),
    ],
)
def test_what_is_not_usable_is_refused(
    release: Release, change: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ImageError, match=sentence):
        read(release(0, **change), boards.load("ESP32_BUS"), "M.bin")


@pytest.mark.parametrize("version", ["v1.24.0", "v1.27.0-preview.12.g0123456789", "v2.0"])
def test_later_versions_are_accepted(release: Release, version: str) -> None:
    assert read(release(0, version=version), boards.load("ESP32_BUS"), "M").version == version


def test_the_banner_serves_where_the_descriptor_does_not(release: Release) -> None:
    data = release(0, version="deadbeef-dirty", project="x")
    assert read(data, boards.load("ESP32_BUS"), "M.bin").version == "v1.26.1"


@pytest.mark.parametrize("head", [b"UF2\n", b"\x7fELF", b"PK\x03\x04", b"", b"\xff" * 64])
def test_other_files_are_no_image(head: bytes) -> None:
    with pytest.raises(ImageError, match="not an ESP image: take MicroPython's .bin file"):
        read(head + bytes(9000 if head else 0), boards.load("ESP32_BUS"), "M.uf2")


def test_a_file_is_asked_for_once(release: Release, tmp_path: Path) -> None:
    board = boards.load("ESP32S3_BUS")
    with pytest.raises(ImageError) as caught:
        obtain(board)
    assert "--micropython FILE" in str(caught.value)
    assert "https://micropython.org/download/ESP32_GENERIC_S3/" in str(caught.value)
    file = tmp_path / "ESP32_GENERIC_S3-SPIRAM_OCT-20250911-v1.26.1.bin"
    file.write_bytes(release(9))
    given = obtain(board, file)
    assert given.source == file.name
    file.unlink()
    again = obtain(board)
    assert (again.app, again.sha256) == (given.app, given.sha256)
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        obtain(board, file)
    with pytest.raises(ImageError, match="--micropython FILE"):
        obtain(boards.load("ESP32_BUS"))


def test_another_variant_is_refused_and_not_kept(release: Release, tmp_path: Path) -> None:
    board = boards.load("ESP32_BUS")
    file = tmp_path / "ESP32_GENERIC-20250911-v1.26.1.bin"  # as it may have been renamed
    file.write_bytes(release(0, text=b"MicroPython v1.26.1 on 2025-09-11\0ESP32_GENERIC-SPIRAM\0"))
    with pytest.raises(ImageError) as caught:
        obtain(board, file)
    text = str(caught.value)
    assert "is MicroPython for ESP32_GENERIC, variant SPIRAM: it takes GPIO 16 and 17" in text
    assert "Take the .bin of ESP32_GENERIC (the standard variant)" in text and "\n" not in text
    with pytest.raises(ImageError, match="--micropython FILE"):
        obtain(board)
    # One that was kept before is looked at as well.
    kept = cache_dir() / "micropython" / "ESP32_BUS.bin"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(file.read_bytes())
    with pytest.raises(ImageError, match="kept from last time is MicroPython for"):
        obtain(board)


def test_a_refused_file_is_not_kept(release: Release, tmp_path: Path) -> None:
    board = boards.load("ESP32_BUS")
    file = tmp_path / "M.bin"
    file.write_bytes(release(9))
    with pytest.raises(ImageError, match="is for ESP32-S3"):
        obtain(board, file)
    with pytest.raises(ImageError, match="--micropython FILE"):
        obtain(board)


def test_the_whole_flash(release: Release, tmp_path: Path) -> None:
    file = tmp_path / "M.bin"
    file.write_bytes(release(5))
    board = boards.load("ESP32C3_TAXI")
    flash = whole_flash(board, file)
    assert len(flash) == 4 << 20
    assert partitions.from_binary(flash[0x8000:0x8C00]) == board.partitions
    assert flash[0] == 0xE9 and flash[0x10000] == 0xE9
    for name in ("nvs", "app_b", "config", "lists", "journal"):
        part = board.partitions[name]
        assert flash[part.offset : part.end].count(0xFF) == part.size
    at = 0
    for piece in build_pieces(board, file).pieces:
        assert piece.offset >= at and piece.offset % 0x1000 == 0
        assert flash[piece.offset : piece.offset + len(piece.data)] == piece.data
        at = piece.offset + len(piece.data)


def test_the_virtual_board_brings_its_own() -> None:
    flash = whole_flash("VIRTUAL")
    assert len(flash) == 8 << 20
    assert flash == whole_flash("VIRTUAL")
    assert flash[0x1000] == 0xE9


def test_an_application_for_another_board_is_refused() -> None:
    from faretap.image.app import build_app

    other = build_app(boards.load("ESP32_BUS"), {"validator/app.py": b""})
    with pytest.raises(ImageError, match="is for ESP32_BUS, not for VIRTUAL"):
        build_pieces(boards.load("VIRTUAL"), app=other)
