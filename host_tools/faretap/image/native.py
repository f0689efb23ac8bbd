"""Assembler functions in a .mpy that a stock image can run.

mpy-cross compiles `@micropython.asm_xtensa` and `@micropython.asm_rv32` to functions of the kind
"asm", which stock images refuse to load or call wrongly. They do run the kind "viper", and that
one differs in the file by one bit and two numbers (py/persistentcode.c): so the assembler function
is written to viper's calling convention, `object f(self, n_args, n_kw, args*)`, and `asm_to_viper`
changes its kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from faretap.image.errors import ImageError

_BYTECODE, _NATIVE, _VIPER, _ASM = range(4)
_RODATA, _BSS = 0x20, 0x40  # MP_SCOPE_FLAG_VIPERRODATA, MP_SCOPE_FLAG_VIPERBSS
_RELOCATED = 0x10  # MP_SCOPE_FLAG_VIPERRELOC


@dataclass(frozen=True)
class Function:
    """One function of a .mpy: its kind, where its number stands, and its machine code."""

    kind: int
    start: int
    code: bytes
    numbers: tuple[int, int]  # the two numbers of an asm function: first byte, byte behind


def asm_to_viper(mpy: bytes) -> bytes:
    """`mpy` with every assembler function turned into a viper function.

    Raises ImageError for a file that is no .mpy of version 6, or holds no assembler function.
    """
    out = bytearray(mpy)
    asm = [function for function in functions(mpy) if function.kind == _ASM]
    if not asm:
        raise ImageError("There is no assembler function in this .mpy.")
    for function in reversed(asm):
        first, behind = function.numbers
        del out[first:behind]
        at = function.start
        while out[at] & 0x80:  # the kind is in the last byte of the number
            at += 1
        out[at] = out[at] & ~3 | _VIPER
    return bytes(out)


def functions(mpy: bytes) -> list[Function]:
    """Every function of a .mpy, outer before inner. Raises ImageError."""
    if len(mpy) < 4 or mpy[:2] != b"M\6":
        raise ImageError("This is not a .mpy of version 6.")
    try:
        return list(_Reader(mpy).module())
    except IndexError:
        raise ImageError("This .mpy is cut short.") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 4

    def number(self) -> int:
        n = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            n = n << 7 | byte & 0x7F
            if byte < 0x80:
                return n

    def take(self, n: int) -> bytes:
        if self.at + n > len(self.data):
            raise IndexError
        self.at += n
        return self.data[self.at - n : self.at]

    def module(self) -> Iterator[Function]:
        if self.data[2] & 0x40:  # flags of the architecture follow
            self.number()
        names, constants = self.number(), self.number()
        for _ in range(names):
            n = self.number()
            if not n & 1:
                self.take((n >> 1) + 1)
        for _ in range(constants):
            self.constant()
        yield from self.function()

    def constant(self) -> None:
        kind = self.take(1)
        if kind[0] < 5:  # nothing but its kind: None, False …
            return
        n = self.number()
        if kind == b"\x0a":  # a tuple
            for _ in range(n):
                self.constant()
        elif kind in (b"\5", b"\6"):  # str and bytes, with a 0 behind
            self.take(n + 1)
        else:
            self.take(n)

    def function(self) -> Iterator[Function]:
        start = self.at
        head = self.number()
        kind = head & 3
        code = self.take(head >> 3)
        numbers = (self.at, self.at)
        if kind == _NATIVE:
            self.number()
        elif kind in (_VIPER, _ASM):
            flags = self.number()
            if kind == _ASM:
                first = self.at
                self.number()
                self.number()
                numbers = (first, self.at)
            elif flags & (_RODATA | _BSS | _RELOCATED):
                raise ImageError("This .mpy holds linked native code.")
        yield Function(kind, start, code, numbers)
        if head & 4:
            for _ in range(self.number()):
                yield from self.function()
