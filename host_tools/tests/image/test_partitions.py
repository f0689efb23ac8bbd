"""Partition tables against bytes written down from ESP-IDF's description of the format."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faretap.image import ImageError
from faretap.image.partitions import (
    Partition,
    PartitionTable,
    from_binary,
    load_csv,
    parse_csv,
)

CSV = """\
# Name,   Type, SubType, Offset,  Size, Flags
nvs,      data, nvs,     0x9000,  0x6000,
phy_init, data, phy,     0xf000,  4K,
factory,  app,  factory, 0x10000, 1M,  encrypted
journal,  data, 0x44,    ,        0xF0000,
"""

ENTRIES = bytes.fromhex(
    "aa50 01 02 00900000 00600000 6e767300000000000000000000000000 00000000"
    "aa50 01 01 00f00000 00100000 7068795f696e69740000000000000000 00000000"
    "aa50 00 00 00000100 00001000 666163746f7279000000000000000000 01000000"
    "aa50 01 44 00001100 00000f00 6a6f75726e616c000000000000000000 00000000"
)


def test_csv_to_binary_is_byte_exact() -> None:
    binary = parse_csv(CSV).to_binary()
    assert binary[:128] == ENTRIES
    assert binary[128:144] == b"\xeb\xeb" + b"\xff" * 14
    assert binary[144:160] == hashlib.md5(ENTRIES).digest()
    assert binary[160:] == b"\xff" * (0xC00 - 160)


def test_the_md5_that_esp_idf_tests_itself_with() -> None:
    """LONGER_BINARY_TABLE of ESP-IDF's gen_esp32part_tests.py."""
    csv = "factory,0,0,64K,1M\ndata,1,0x20,0x110000,0x200\nsecond,0x10,0,0x150000,0x1000"
    binary = parse_csv(csv).to_binary()
    assert binary[96:128].hex() == "eb" * 2 + "ff" * 14 + "f9bd061b45686f86571a2cd52a1da65b"
    assert binary[128:160] == b"\xff" * 32


def test_binary_to_table() -> None:
    table = parse_csv(CSV)
    assert from_binary(table.to_binary()) == table
    assert [p.name for p in table] == ["nvs", "phy_init", "factory", "journal"]
    assert table["factory"].size == 1 << 20 and table["factory"].flags == 1
    assert table["journal"].offset == 0x110000
    assert table.get("ota_0") is None


@given(
    st.lists(
        st.builds(
            Partition,
            name=st.text(alphabet="abcdefgh_0123", min_size=1, max_size=15),
            type=st.integers(0, 255),
            subtype=st.integers(0, 255),
            offset=st.integers(0, 0xFFFFFFFF),
            size=st.integers(0, 0xFFFFFFFF),
            flags=st.integers(0, 3),
        ),
        max_size=95,
    )
)
def test_any_table_survives(partitions: list[Partition]) -> None:
    table = PartitionTable(partitions)
    # An entry of type 0xEB cannot be mistaken for the MD5: its magic is another.
    assert from_binary(table.to_binary()) == table


@given(st.binary(max_size=0xC00))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    try:
        from_binary(noise)
    except ImageError:
        pass


def test_a_damaged_table_is_refused() -> None:
    binary = bytearray(parse_csv(CSV).to_binary())
    binary[40] ^= 1
    with pytest.raises(ImageError, match="MD5"):
        from_binary(bytes(binary))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nvs,data,nvs,0x9000", "t.csv:1: a partition is name, type"),
        ("nvs,datum,nvs,0x9000,4K", "'datum' is not a type; right would be app, data"),
        ("nvs,data,phyy,0x9000,4K", "'phyy' is not a subtype"),
        ("nvs,data,nvs,0x9000,four", "the size 'four' is not a number"),
        ("nvs,data,nvs,0x9000,4K,secret", "'secret' is not a flag"),
        ("a_name_of_16_char,data,nvs,0x9000,4K", "longer than 15 bytes"),
    ],
)
def test_mistakes_in_a_csv_are_named(line: str, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse_csv(line, "t.csv")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("csv", "sentence"),
    [
        ("a,data,nvs,0x9000,4K\na,data,nvs,0xa000,4K", "twice"),
        ("a,data,nvs,0x9000,8K\nb,data,nvs,0xa000,4K", "b at 0xa000 overlaps a"),
        ("a,app,factory,0x11000,64K", "multiple of 0x10000"),
        ("a,data,nvs,0x9100,4K", "multiple of 0x1000"),
        ("a,data,nvs,0x9000,100", "multiple of 0x1000"),
        ("a,data,nvs,0x8000,4K", "overlaps the partition table"),
        ("a,data,nvs,0x3ff000,8K", "behind the flash"),
    ],
)
def test_what_a_bootloader_refuses_is_refused(csv: str, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse_csv(csv).check(4 << 20)
    assert sentence in str(caught.value)


def test_an_unknown_partition_and_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="has no 'vfs'; it has nvs"):
        parse_csv(CSV)["vfs"]
    with pytest.raises(ImageError, match="cannot be read"):
        load_csv(tmp_path / "none.csv")
