"""Assembler for the windowed Xtensa cores: ESP32 (LX6) and ESP32-S3 (LX7).

Encodings: Xtensa Instruction Set Architecture reference manual, chapter 6. mpy-cross puts `entry
a1, 48`, `s32i.n a0, a1, 0` before the code and `l32i.n a0, a1, 0`, `retw.n` behind it, so a0 is
free in between; words 4 to 15 of the frame are too. Nothing is called, so no window moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from faretap.kernel.assembler import Assembler, data_lines


class Xtensa(Assembler):
    name = "xtensawin"
    registers = (8, 9, 10, 11, 12, 13, 14, 15, 2, 3, 4, 5, 6, 7, 0)
    stack = 1
    slots = (4, 8, 12)

    def _rrr(self, op2: int, op1: int, r: int, s: int, t: int) -> None:
        self.emit(op2 << 20 | op1 << 16 | r << 12 | s << 8 | t << 4, 3)

    def _rri8(self, r: int, s: int, t: int, imm8: int) -> None:
        self.emit((imm8 & 255) << 16 | r << 12 | s << 8 | t << 4 | 2, 3)

    def _narrow(self, op0: int, r: int, s: int, t: int) -> None:
        self.emit(r << 12 | s << 8 | t << 4 | op0, 2)

    def load(self, d: int, base: int, offset: int) -> None:
        if offset % 4 or not 0 <= offset < 1024:
            raise ValueError(offset)
        if offset < 64:
            self._narrow(8, offset // 4, base, d)
        else:
            self._rri8(2, base, d, offset // 4)

    def store(self, s: int, base: int, offset: int) -> None:
        if offset % 4 or not 0 <= offset < 1024:
            raise ValueError(offset)
        if offset < 64:
            self._narrow(9, offset // 4, base, s)
        else:
            self._rri8(6, base, s, offset // 4)

    def load_byte(self, d: int, base: int, offset: int) -> None:
        if not 0 <= offset < 256:
            raise ValueError(offset)
        self._rri8(0, base, d, offset)

    def constant(self, d: int, value: int) -> None:
        if not -32 <= value <= 95:
            raise ValueError(value)
        value &= 127
        self.emit((value & 15) << 12 | d << 8 | value & 0x70 | 12, 2)

    def move(self, d: int, s: int) -> None:
        self._narrow(13, 0, s, d)

    def add(self, d: int, a: int, b: int) -> None:
        self._narrow(10, d, a, b)

    def add_constant(self, d: int, a: int, value: int) -> None:
        if value == -1 or 1 <= value <= 15:
            self._narrow(11, d, a, 0 if value == -1 else value)
        elif -128 <= value < 128:
            self._rri8(12, a, d, value)
        else:
            raise ValueError(value)

    def sub(self, d: int, a: int, b: int) -> None:
        self._rrr(12, 0, d, a, b)

    def mul_low(self, d: int, a: int, b: int) -> None:
        self._rrr(8, 2, d, a, b)

    def mul_high(self, d: int, a: int, b: int) -> None:
        self._rrr(10, 2, d, a, b)

    def or_(self, d: int, a: int, b: int) -> None:
        self._rrr(2, 0, d, a, b)

    def and_(self, d: int, a: int, b: int) -> None:
        self._rrr(1, 0, d, a, b)

    def xor(self, d: int, a: int, b: int) -> None:
        self._rrr(3, 0, d, a, b)

    def rotate_left(self, d: int, a: int, n: int) -> None:
        right = 32 - n
        self._rrr(4, 0, 4, right & 15, right >> 4)  # ssai
        self._rrr(8, 1, d, a, a)  # src

    def shift_left(self, d: int, a: int, n: int) -> None:
        bits = 32 - n
        self._rrr(bits >> 4 & 1, 1, d, a, bits & 15)

    def arithmetic_right(self, d: int, a: int, n: int) -> None:
        self._rrr(2 | n >> 4, 1, d, n & 15, a)

    def low_bit(self, d: int, a: int) -> None:
        self._rrr(0, 4, d, 0, a)  # extui d, a, 0, 1

    def halves(self, words: list[int], top: int) -> None:
        self._rrr(4, 0, 4, 1, 0)  # ssai 1
        for low, high in zip(words, [*words[1:], top], strict=True):
            self._rrr(8, 1, low, high, low)  # src

    def add_carry(self, d: int, x: int, c: int) -> None:
        self.add(d, d, x)
        self._skip(11, d, x)  # bgeu
        self.add_constant(c, c, 1)

    def sub_borrow(self, d: int, x: int, c: int) -> None:
        self._skip(11, d, x)
        self.add_constant(c, c, 1)
        self.sub(d, d, x)

    def double_carry(self, d: int, c: int) -> None:
        self.emit(1 << 12 | d << 8 | 3 << 6 | 1 << 4 | 6, 3)  # bgez d, over the next
        self.add_constant(c, c, 1)
        self.add(d, d, d)

    def _skip(self, condition: int, s: int, t: int) -> None:
        """Branch over one narrow instruction: to the branch's address + 4 + 1."""
        self.emit(1 << 16 | condition << 12 | s << 8 | t << 4 | 7, 3)

    def jump(self, label: str) -> None:
        self.branch(label, 3, _far(18, lambda rel: rel << 6 | 6))

    def if_below(self, a: int, b: int, label: str) -> None:
        self.branch(label, 3, _far(8, lambda rel: rel << 16 | 3 << 12 | a << 8 | b << 4 | 7))

    def if_zero(self, a: int, label: str) -> None:
        self.branch(label, 3, _far(12, lambda rel: rel << 12 | a << 8 | 0x16))

    def if_not_zero(self, a: int, label: str) -> None:
        self.branch(label, 3, _far(12, lambda rel: rel << 12 | a << 8 | 0x56))

    def enter(self, arguments: Sequence[tuple[int, bool]]) -> None:
        # a5 points to the arguments; an array's or bytes' data pointer is at offset 12.
        for i, (register, address) in enumerate(arguments):
            self.load(register, 5, 4 * i)
            if address:
                self.load(register, register, 12)
            else:
                self.arithmetic_right(register, register, 1)

    def leave(self, result: int) -> None:
        if result != 2:
            self.move(2, result)

    def source(self, name: str, code: bytes) -> str:
        return f"@micropython.asm_xtensa\ndef {name}(a2, a3, a4, a5):\n{data_lines(code)}"


def _far(bits: int, encode: Callable[[int], int]) -> Callable[[int, int], bytes]:
    def patch(here: int, there: int) -> bytes:
        rel = there - here - 4
        if not -(1 << bits - 1) <= rel < 1 << bits - 1:
            raise ValueError(f"a branch of {rel} bytes does not fit {bits} bits")
        return (encode(rel & (1 << bits) - 1) & 0xFFFFFF).to_bytes(3, "little")

    return patch
