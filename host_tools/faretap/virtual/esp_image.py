"""ESP image files: what the ROM and the second-stage bootloader load from flash.

Layout (ESP-IDF "App Image Format"): an 8-byte header, a 16-byte extended header, segments of
{address, length, data}, padding so that the XOR checksum ends a 16-byte block, and the SHA-256
of all that. The application describes itself in an `esp_app_desc_t` at the start of its first
segment.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

MAGIC = 0xE9
APP_DESC_MAGIC = 0xABCD5432
DROM = 0x3F400020  # flash-mapped data of an ESP32; an app's first segment
_CHECKSUM_SEED = 0xEF
_HEADER = struct.Struct("<BBBBIBBBBHBHHIB")
_SEGMENT = struct.Struct("<II")
_MAX_SEGMENTS = 16


class ImageError(Exception):
    """Why an image cannot be loaded, in the bootloader's words."""


@dataclass(frozen=True)
class Image:
    """A checked image: its segments as (load address, data), and its length in flash."""

    entry: int
    chip_id: int
    segments: tuple[tuple[int, bytes], ...]
    length: int


def build(entry: int, segments: list[tuple[int, bytes]], chip_id: int = 0) -> bytes:
    """An image for flash mode DIO, 40 MHz, 4 MB. Segment data is padded to 4 bytes."""
    out = bytearray(
        _HEADER.pack(
            MAGIC, len(segments), 2, 0x20, entry, 0xEE, 0, 0, 0, chip_id, 0, 0, 0xFFFF, 0, 1
        )
    )
    checksum = _CHECKSUM_SEED
    for address, data in segments:
        data += bytes(-len(data) % 4)
        out += _SEGMENT.pack(address, len(data)) + data
        for byte in data:
            checksum ^= byte
    out += bytes(15 - len(out) % 16)
    out.append(checksum)
    return bytes(out) + hashlib.sha256(out).digest()


def parse(data: bytes) -> Image:
    """Check header, segments, checksum and hash of the image at the start of `data`.

    Raises ImageError with what the chip's bootloader would print.
    """
    if len(data) < _HEADER.size:
        raise ImageError("image is truncated")
    header = _HEADER.unpack_from(data)
    magic, count, entry, chip_id, hashed = header[0], header[1], header[4], header[9], header[14]
    if magic != MAGIC:
        raise ImageError(f"image has invalid magic byte 0x{magic:02x} (nothing flashed here?)")
    if not 0 < count <= _MAX_SEGMENTS:
        raise ImageError(f"image has {count} segments, max {_MAX_SEGMENTS}")
    segments = []
    at = _HEADER.size
    checksum = 0
    for index in range(count):
        if at + _SEGMENT.size > len(data):
            raise ImageError(f"Segment {index} is past the end of the partition")
        address, length = _SEGMENT.unpack_from(data, at)
        at += _SEGMENT.size
        if length % 4 or at + length > len(data):
            raise ImageError(f"Segment {index} has invalid length 0x{length:x}")
        segment = data[at : at + length]
        segments.append((address, segment))
        checksum ^= _xor(segment)
        at += length
    at += 15 - at % 16
    if at >= len(data):
        raise ImageError("image is truncated")
    if checksum ^ _CHECKSUM_SEED != data[at]:
        raise ImageError(
            f"Checksum failed. Calculated 0x{checksum ^ _CHECKSUM_SEED:x} read 0x{data[at]:x}"
        )
    at += 1
    if hashed:
        if hashlib.sha256(data[:at]).digest() != data[at : at + 32]:
            raise ImageError("Image hash failed - image is corrupt")
        at += 32
    return Image(entry, chip_id, tuple(segments), at)


def app_description(version: str, name: str, idf: str, elf_sha256: bytes) -> bytes:
    """The 256 bytes of `esp_app_desc_t`; no build time, so the same input gives the same bytes."""
    return struct.pack(
        "<II8s32s32s16s16s32s32s80s",
        APP_DESC_MAGIC,
        0,
        b"",
        version.encode()[:31],
        name.encode()[:31],
        b"",
        b"",
        idf.encode()[:31],
        elf_sha256,
        b"",
    )


def version_of(image: Image) -> str:
    """The version in an application's description; "" if it has none."""
    data = image.segments[0][1]
    if len(data) < 256 or struct.unpack_from("<I", data)[0] != APP_DESC_MAGIC:
        return ""
    return data[16:48].split(b"\0")[0].decode("utf-8", "replace")


def _xor(data: bytes) -> int:
    """XOR of all bytes, folded by halves: a megabyte byte by byte would take a second."""
    size = 1 << max(0, (len(data) - 1).bit_length())
    value = int.from_bytes(data, "little")
    bits = size * 8
    while bits > 8:
        bits //= 2
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value
