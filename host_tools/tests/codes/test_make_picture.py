"""The picture of a code, read back by a decoder that others wrote."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import zxingcpp

from faretap.sim import codes
from faretap.sim.codes import picture

AT = 1893456000


def pixels(png: bytes) -> memoryview:
    """The pixels of a PNG of one bit a pixel, as zxing wants them: a byte each, 0 black."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (1, 0)  # black and white
        if kind == b"IDAT":
            packed += body
        at += 12 + size
    raw = zlib.decompress(packed)
    row = (width + 7) // 8
    line, out = bytes(row), bytearray()
    for y in range(height):
        start = y * (row + 1)
        data = raw[start + 1 : start + 1 + row]
        assert raw[start] in (0, 2)  # PNG's filters "none" and "up"
        line = (
            data
            if raw[start] == 0
            else bytes((a + b) & 255 for a, b in zip(data, line, strict=True))
        )
        out += bytes(255 * (line[x >> 3] >> (7 - x % 8) & 1) for x in range(width))
    return memoryview(bytes(out)).cast("B", (height, width))


def decoded(path: Path) -> Any:
    found = zxingcpp.read_barcodes(pixels(path.read_bytes()))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("mot", "14-M"),
        ("mot-custom", "15-M"),
        ("mot-format-21", "14-M"),
        ("union", None),
        ("alipay", None),
        ("alipay-sm2-prefixed", None),
        ("cpm", None),
        ("cpm-numeric", "1-M"),
        ("url", None),
    ],
)
def test_a_decoder_reads_the_same_bytes(name: str, symbol: str | None, tmp_path: Path) -> None:
    code = codes.make(name, at=AT)
    made = picture.save(code, tmp_path / "code.png")
    assert symbol in (None, made)
    seen = decoded(tmp_path / "code.png")
    assert seen.bytes == code
    if code.isascii():
        assert seen.text == code.decode()


def test_every_byte_comes_back(tmp_path: Path) -> None:
    """Among them 00, 0A, 0D and what a decoder could take for another character set."""
    for data in (
        bytes(range(256)),
        b"\x00\r\n\x00",
        "é中".encode(),
        "中文".encode("gbk"),
        b"\x0a" * 32,
    ):
        picture.save(data, tmp_path / "code.png")
        assert decoded(tmp_path / "code.png").bytes == data


def test_line_ends_inside_a_ride_code(tmp_path: Path) -> None:
    code = codes.make("mot-custom", at=AT)
    assert {0x00, 0x0A, 0x0D} <= set(code[198:230])
    alipay = codes.make("alipay", at=AT)
    assert bytes.fromhex("000A0D00") in alipay
    picture.save(code, tmp_path / "code.png", scale=3)
    assert decoded(tmp_path / "code.png").bytes == code


@pytest.mark.parametrize("name", ["empty", "noise-5000"])
def test_what_no_qr_code_holds_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a QR code holds 1 to 2331 bytes"):
        picture.save(codes.make(name, at=AT), tmp_path / "code.png")
    assert not (tmp_path / "code.png").exists()
    picture.save(bytes(2331), tmp_path / "code.png")
