"""MicroPython itself: an official release image, checked and taken apart.

An official .bin is written at the bootloader's flash offset (0x1000 on ESP32, 0 on S3 and C3) and
holds the bootloader, a partition table for flash address 0x8000, and the firmware at the first app
partition of that table. The table is replaced by the board's own.
Source: MicroPython ports/esp32/makeimg.py; ESP-IDF esp_app_format.h and esp_app_desc.h.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esptool.bin_image import LoadFirmwareImage
from esptool.util import FatalError

from faretap.boards import CHIPS, Board
from faretap.image import partitions, variant
from faretap.image.app import MIN_MICROPYTHON
from faretap.image.cache import cache_dir, write_whole
from faretap.image.errors import ImageError
from faretap.reading import FLASH, read_bytes

IMAGE_MAGIC = 0xE9
APP_DESC_MAGIC = 0xABCD5432
_APP_DESC_AT = 24 + 8  # image header, then the header of the first segment
_HEADER_FLASH = 3  # byte of the image header: flash size in the high, frequency in the low half
_HEADER_CHIP = 12
_HEADER_HASHED = 23
_FLASH_SIZES = {
    1 << 20: 0x0,
    2 << 20: 0x1,
    4 << 20: 0x2,
    8 << 20: 0x3,
    16 << 20: 0x4,
    32 << 20: 0x5,
}


@dataclass(frozen=True)
class MicroPython:
    """A checked release. `bootloader` is set to the board's flash size."""

    bootloader: bytes
    app: bytes
    version: str
    sha256: str  # of the whole image as it was given
    source: str  # file name, or where it comes from


def obtain(board: Board, file: Path | None = None) -> MicroPython:
    """The MicroPython to write on `board`: `file`, or what was used before, or the virtual one.

    A file that was read successfully is kept for the next time. Raises ImageError.
    """
    kept = cache_dir() / "micropython" / f"{board.name}.bin"
    if file is not None:
        data = read_bytes(file, FLASH, ImageError)
        found = read(data, board, file.name)
        if not board.virtual:
            write_whole(kept, data)
        return found
    if board.virtual:
        from faretap.virtual import micropython_image

        return read(micropython_image.build(), board, "virtual")
    if not kept.exists():
        raise ImageError(_where_from(board))
    return read(read_bytes(kept, FLASH, ImageError), board, "kept from last time")


def _where_from(board: Board) -> str:
    return f"Which MicroPython? Give --micropython FILE once: {_right(board)}."


def _right(board: Board) -> str:
    wanted = board.devices.micropython
    which = f"variant {wanted.variant}" if wanted.variant else "the standard variant"
    return (
        f"the .bin of {wanted.board} ({which}), {MIN_MICROPYTHON} or later, "
        f"from https://micropython.org/download/{wanted.board}/"
    )


def read(data: bytes, board: Board, source: str) -> MicroPython:
    """Check an official image for `board` and take it apart. Raises ImageError, one sentence."""
    chip = board.facts
    if len(data) < 24 or data[0] != IMAGE_MAGIC:
        hint = " (a .uf2 or .elf is not it)" if data[:4] in (b"UF2\n", b"\x7fELF") else ""
        raise ImageError(f"{source} is not an ESP image: take MicroPython's .bin file{hint}.")
    for name, other in CHIPS.items():
        if data[_HEADER_CHIP] == other.image_id and name != board.chip:
            raise ImageError(
                f"{source} is for {other.label}, and {board.name} has an {chip.label}. "
                + _where_from(board)
            )
    if data[_HEADER_CHIP] != chip.image_id:
        raise ImageError(f"{source} is for another chip than the {chip.label} of {board.name}.")
    table_at = partitions.TABLE_OFFSET - chip.bootloader_offset
    if len(data) < table_at + partitions.TABLE_SIZE:
        raise ImageError(
            f"{source} is not a whole MicroPython image: it ends before the partition table. "
            "Take the .bin file, not the .app-bin; a broken download has to be repeated."
        )
    try:
        table = partitions.from_binary(data[table_at : table_at + partitions.TABLE_SIZE])
    except ImageError as e:
        raise ImageError(f"{source} is not a whole MicroPython image: {e}") from e
    apps = [p for p in table if p.type == partitions.TYPES["app"]]
    if not apps:
        raise ImageError(f"{source} has no application partition in its table.")
    bootloader = _checked(data[:table_at], board, source, "bootloader")
    app = _checked(data[apps[0].offset - chip.bootloader_offset :], board, source, "firmware")
    factory = board.partitions["factory"]
    if len(app) > factory.size:
        raise ImageError(
            f"{source} needs {len(app)} bytes; {board.name} has {factory.size} for MicroPython."
        )
    version = _version(app, source)
    problem = "" if board.virtual else variant.objection(app, board, source)
    if problem:
        raise ImageError(f"{source} {problem}.", f"Take {_right(board)}.")
    return MicroPython(
        bootloader=with_flash_size(bootloader, board.flash_size),
        app=app,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        source=source,
    )


def with_flash_size(bootloader: bytes, flash_size: int) -> bytes:
    """`bootloader` (an ESP image) whose header says `flash_size` bytes, its hash made anew.

    The bootloader refuses partitions behind the size in its own header, and an official image
    names 4 or 8 MB whatever the module has.
    """
    patched = bytearray(bootloader)
    patched[_HEADER_FLASH] = patched[_HEADER_FLASH] & 0x0F | _FLASH_SIZES[flash_size] << 4
    if patched[_HEADER_HASHED]:
        patched[-32:] = hashlib.sha256(patched[:-32]).digest()
    return bytes(patched)


def _checked(data: bytes, board: Board, source: str, what: str) -> bytes:
    """The ESP image at the start of `data`, without what follows it, if it is undamaged."""
    damaged = ImageError(
        f"{source} is damaged: its {what} does not match its own check sums. Download it again."
    )
    if data[:1] != bytes((IMAGE_MAGIC,)):
        raise ImageError(f"{source} ends before its {what}. Download it again.")
    try:
        image: Any = LoadFirmwareImage(board.chip, data)
        length = image.data_length + (32 if image.append_digest else 0)
        whole = image.checksum == image.calculate_checksum()
    except (FatalError, struct.error, IndexError, TypeError, RuntimeError) as e:
        raise ImageError(f"{source} is cut short in its {what}. Download it again.") from e
    if image.chip_id != board.facts.image_id:
        raise ImageError(f"{source}: its {what} is not for {board.facts.label}.")
    if not whole:
        raise damaged
    if image.append_digest:
        stored = data[length - 32 : length]
        if len(stored) < 32:
            raise ImageError(f"{source} is cut short in its {what}. Download it again.")
        if hashlib.sha256(data[: length - 32]).digest() != stored:
            raise damaged
    return data[:length]


def _version(app: bytes, source: str) -> str:
    """The release that the application descriptor or, failing that, the banner names."""
    desc = app[_APP_DESC_AT : _APP_DESC_AT + 256]
    text, project = "", ""
    if len(desc) == 256 and struct.unpack("<L", desc[:4])[0] == APP_DESC_MAGIC:
        text = desc[16:48].split(b"\0")[0].decode("ascii", "replace")
        project = desc[48:80].split(b"\0")[0].decode("ascii", "replace")
    banner = re.search(rb"MicroPython (v\d+\.\d+[\w.+-]*) on ", app)
    if project != "micropython" and not banner:
        raise ImageError(f"{source} is an ESP application, but not MicroPython.")
    if not re.match(r"v\d+\.\d+", text):
        text = banner.group(1).decode() if banner else ""
    numbers = re.match(r"v(\d+)\.(\d+)", text)
    if not numbers:
        raise ImageError(f"{source} does not say which version of MicroPython it is.")
    least = tuple(int(n) for n in MIN_MICROPYTHON.split("."))
    if (int(numbers[1]), int(numbers[2])) < least:
        raise ImageError(
            f"{source} is MicroPython {text}; Faretap needs {MIN_MICROPYTHON} or later."
        )
    return text
