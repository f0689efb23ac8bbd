"""Assembler for RISC-V chips: ESP32-C3 and its relatives, RV32IM.

Encodings: The RISC-V Instruction Set Manual, volume I. mpy-cross puts nothing before the code and
`c.jr ra` behind it. The function uses the registers that a called function may change, and s0,
which it saves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from faretap.kernel.assembler import Assembler, data_lines

_SP = 2
_A0, _A3 = 10, 13
_SPARE = 8  # s0: the carry on its way
_FRAME = 16
_KEPT = 12  # where the caller's s0 is in it


class Rv32(Assembler):
    name = "rv32imc"
    # t0-t2, a0-a7, t3-t6
    registers = (5, 6, 7, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31, 10, 11)
    stack = _SP
    slots = (0, 4, 8)

    def _r(self, funct7: int, funct3: int, d: int, a: int, b: int) -> None:
        self.emit(funct7 << 25 | b << 20 | a << 15 | funct3 << 12 | d << 7 | 0x33, 4)

    def _i(self, opcode: int, funct3: int, d: int, a: int, value: int) -> None:
        if not -2048 <= value < 2048:
            raise ValueError(value)
        self.emit((value & 0xFFF) << 20 | a << 15 | funct3 << 12 | d << 7 | opcode, 4)

    def load(self, d: int, base: int, offset: int) -> None:
        self._i(0x03, 2, d, base, offset)

    def store(self, s: int, base: int, offset: int) -> None:
        high, low = offset >> 5, offset & 31
        self.emit(high << 25 | s << 20 | base << 15 | 2 << 12 | low << 7 | 0x23, 4)

    def load_byte(self, d: int, base: int, offset: int) -> None:
        self._i(0x03, 4, d, base, offset)

    def constant(self, d: int, value: int) -> None:
        self._i(0x13, 0, d, 0, value)

    def move(self, d: int, s: int) -> None:
        self._i(0x13, 0, d, s, 0)

    def add(self, d: int, a: int, b: int) -> None:
        self._r(0, 0, d, a, b)

    def add_constant(self, d: int, a: int, value: int) -> None:
        self._i(0x13, 0, d, a, value)

    def sub(self, d: int, a: int, b: int) -> None:
        self._r(0x20, 0, d, a, b)

    def mul_low(self, d: int, a: int, b: int) -> None:
        self._r(1, 0, d, a, b)

    def mul_high(self, d: int, a: int, b: int) -> None:
        self._r(1, 3, d, a, b)

    def or_(self, d: int, a: int, b: int) -> None:
        self._r(0, 6, d, a, b)

    def and_(self, d: int, a: int, b: int) -> None:
        self._r(0, 7, d, a, b)

    def xor(self, d: int, a: int, b: int) -> None:
        self._r(0, 4, d, a, b)

    def rotate_left(self, d: int, a: int, n: int) -> None:
        self._i(0x13, 5, _SPARE, a, 32 - n)
        self._i(0x13, 1, d, a, n)
        self.or_(d, d, _SPARE)

    def shift_left(self, d: int, a: int, n: int) -> None:
        self._i(0x13, 1, d, a, n)

    def arithmetic_right(self, d: int, a: int, n: int) -> None:
        self._i(0x13, 5, d, a, 0x400 | n)

    def low_bit(self, d: int, a: int) -> None:
        self._i(0x13, 7, d, a, 1)

    def halves(self, words: list[int], top: int) -> None:
        for low, high in zip(words, [*words[1:], top], strict=True):
            self._i(0x13, 5, low, low, 1)
            self._i(0x13, 1, _SPARE, high, 31)
            self.or_(low, low, _SPARE)

    def add_carry(self, d: int, x: int, c: int) -> None:
        self.add(d, d, x)
        self._r(0, 3, _SPARE, d, x)  # sltu
        self.add(c, c, _SPARE)

    def sub_borrow(self, d: int, x: int, c: int) -> None:
        self._r(0, 3, _SPARE, d, x)
        self.sub(d, d, x)
        self.add(c, c, _SPARE)

    def double_carry(self, d: int, c: int) -> None:
        self._i(0x13, 5, _SPARE, d, 31)
        self.add(c, c, _SPARE)
        self.add(d, d, d)

    def jump(self, label: str) -> None:
        self.branch(label, 4, _jal)

    def if_below(self, a: int, b: int, label: str) -> None:
        self.branch(label, 4, _conditional(6, a, b))

    def if_zero(self, a: int, label: str) -> None:
        self.branch(label, 4, _conditional(0, a, 0))

    def if_not_zero(self, a: int, label: str) -> None:
        self.branch(label, 4, _conditional(1, a, 0))

    def enter(self, arguments: Sequence[tuple[int, bool]]) -> None:
        # a3 points to the arguments; an array's or bytes' data pointer is at offset 12.
        self.add_constant(_SP, _SP, -_FRAME)
        self.store(_SPARE, _SP, _KEPT)
        self.move(_SPARE, _A3)
        for i, (register, address) in enumerate(arguments):
            self.load(register, _SPARE, 4 * i)
            if address:
                self.load(register, register, 12)
            else:
                self.arithmetic_right(register, register, 1)

    def leave(self, result: int) -> None:
        self.move(_A0, result)
        self.load(_SPARE, _SP, _KEPT)
        self.add_constant(_SP, _SP, _FRAME)

    def source(self, name: str, code: bytes) -> str:
        return f"@micropython.asm_rv32\ndef {name}(a0, a1, a2, a3):\n{data_lines(code)}"


def _jal(here: int, there: int) -> bytes:
    rel = there - here
    if not -(1 << 20) <= rel < 1 << 20:
        raise ValueError(rel)
    word = (rel >> 20 & 1) << 31 | (rel >> 1 & 0x3FF) << 21 | (rel >> 11 & 1) << 20
    return (word | (rel >> 12 & 0xFF) << 12 | 0x6F).to_bytes(4, "little")


def _conditional(funct3: int, a: int, b: int) -> Callable[[int, int], bytes]:
    def patch(here: int, there: int) -> bytes:
        rel = there - here
        if not -4096 <= rel < 4096:
            raise ValueError(f"a branch of {rel} bytes does not fit")
        word = (rel >> 12 & 1) << 31 | (rel >> 5 & 0x3F) << 25 | b << 20 | a << 15
        word |= funct3 << 12 | (rel >> 1 & 15) << 8 | (rel >> 11 & 1) << 7 | 0x63
        return word.to_bytes(4, "little")

    return patch
