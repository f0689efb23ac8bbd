"""The search for what differs, against a flash that is a bytearray."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.flash.differences import SECTOR, Md5, Run, differences, unwritten

AT = 0x10000


class Chip:
    def __init__(self, content: bytes | bytearray) -> None:
        self.flash = bytearray(b"\xff" * AT) + content
        self.questions = 0

    def md5(self, address: int, size: int) -> str:
        self.questions += 1
        return hashlib.md5(self.flash[address : address + size]).hexdigest()

    def write(self, runs: list[Run]) -> None:
        for address, data in runs:
            assert address % SECTOR == 0
            self.flash[address : address + -(-len(data) // SECTOR) * SECTOR] = data.ljust(
                -(-len(data) // SECTOR) * SECTOR, b"\xff"
            )


def noise(sectors: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(sectors * SECTOR)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 40 * SECTOR),
    changed=st.sets(st.integers(0, 39), max_size=12),
    seed=st.integers(0, 9),
)
def test_what_is_found_is_enough_and_no_more(size: int, changed: set[int], seed: int) -> None:
    data = noise(40, seed)[:size]
    chip = Chip(bytearray(data.ljust(40 * SECTOR, b"\xff")))
    real = {n for n in changed if n * SECTOR < size}
    for n in real:
        chip.flash[AT + n * SECTOR] ^= 0x55
    runs = differences(AT, data, chip.md5)
    chip.write(runs)
    assert chip.flash[AT : AT + size] == data
    touched = sum(-(-len(part) // SECTOR) for _, part in runs)
    assert touched >= len(real)
    if not real:
        assert not runs and chip.questions == 1


def test_one_changed_sector_is_found_alone() -> None:
    data = noise(64)
    chip = Chip(bytearray(data))
    chip.flash[AT + 37 * SECTOR + 5] ^= 1
    expected = (AT + 37 * SECTOR, data[37 * SECTOR : 38 * SECTOR])
    assert differences(AT, data, chip.md5) == [expected]
    assert chip.questions == 1 + 4 + 4 + 4


def test_a_new_image_is_not_searched_for_sameness() -> None:
    chip = Chip(b"\xff" * 400 * SECTOR)
    data = noise(400)
    assert differences(AT, data, chip.md5) == [(AT, data)]
    assert chip.questions == 5


def test_neighbours_are_one_run() -> None:
    data = noise(16)
    chip = Chip(bytearray(data))
    for n in (3, 4):
        chip.flash[AT + n * SECTOR] ^= 1
    assert [(a, len(d)) for a, d in differences(AT, data, chip.md5)] == [
        (AT + 3 * SECTOR, 2 * SECTOR)
    ]


def test_an_erased_flash_needs_what_is_not_blank() -> None:
    blank = b"\xff" * SECTOR
    data = noise(2) + blank * 3 + noise(1, 2) + blank + b"tail"
    runs = unwritten(AT, data)
    assert [(a - AT, len(d)) for a, d in runs] == [
        (0, 2 * SECTOR),
        (5 * SECTOR, SECTOR),
        (7 * SECTOR, 4),
    ]
    chip = Chip(b"\xff" * 8 * SECTOR)
    chip.write(runs)
    assert chip.flash[AT : AT + len(data)] == data


@pytest.mark.parametrize("data", [b"", b"\xff" * SECTOR * 2])
def test_nothing_to_write(data: bytes) -> None:
    md5: Md5 = Chip(b"\xff" * SECTOR * 2).md5
    assert unwritten(AT, data) == []
    assert differences(AT, data, md5) == []
