"""Assembler functions of a .mpy become viper functions, and nothing else changes."""

from __future__ import annotations

import pytest

from faretap.image import native
from faretap.image.compiler import compile_one
from faretap.image.errors import ImageError
from faretap.kernel import ASSEMBLERS, build, source

SOURCE = b"""
import micropython
NAME = "x"
BIG = 123456789012345678901234567890
PAIR = (None, b"abc", 1.5, ("y", False))

@micropython.asm_xtensa
def one(a2, a3, a4, a5):
    movi(a2, 1)

def two(x):
    def inner(y):
        return x + y
    return inner

@micropython.viper
def three(x: int) -> int:
    return x * 3

@micropython.native
def four(x):
    return x
"""


def test_every_function_is_found() -> None:
    mpy = compile_one("x.py", SOURCE, "xtensawin")
    assert [f.kind for f in native.functions(mpy)] == [0, 3, 0, 0, 2, 1]


def test_only_the_kind_and_two_numbers_change() -> None:
    before = compile_one("x.py", SOURCE, "xtensawin")
    after = native.asm_to_viper(before)
    old, new = native.functions(before), native.functions(after)
    assert [f.kind for f in new] == [0, 2, 0, 0, 2, 1]
    assert [f.code for f in new] == [f.code for f in old]
    assert len(after) == len(before) - sum(f.numbers[1] - f.numbers[0] for f in old)
    with pytest.raises(ImageError, match="no assembler function"):
        native.asm_to_viper(after)


def test_other_files_are_refused_with_one_sentence() -> None:
    mpy = compile_one("x.py", SOURCE, "xtensawin")
    for bad in (b"", b"M\5\0\0", b"\x7fELF" + bytes(60)):
        with pytest.raises(ImageError, match="no"):
            native.functions(bad)
    for cut in range(4, len(mpy) - 1, 7):
        with pytest.raises(ImageError, match="cut short"):
            native.functions(mpy[:cut])


@pytest.mark.parametrize("arch", ASSEMBLERS)
def test_kernels_are_small_and_the_same_each_time(arch: str) -> None:
    mpy = build(arch)
    assert mpy == build(arch)
    assert source(arch).startswith(f'NAME = "{arch}"')
    kinds = [f.kind for f in native.functions(mpy)]
    assert kinds == [0, 2, 2]
    assert len(mpy) < 16_000
