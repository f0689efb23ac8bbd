"""Small Xtensa and RISC-V processors that run the machine code of a .mpy, and count instructions.

They know the few instructions that the field machine uses, are written from the instruction set
manuals alone, and share nothing with the assemblers in faretap.kernel: what these two agree on is
right. Basic blocks are turned into Python functions, some 10 million instructions a second.
An unknown instruction, an unaligned access or one outside the memory fails the test.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

_CODE, _OBJECTS, _ARGUMENTS, _SELF, _DATA, _STACK = (
    0x1000,
    0x8000,
    0x8800,
    0x8900,
    0x10000,
    0x40000,
)
_TOP = 0x40100
_RETURN = 0x80000000  # where the caller is

Block = tuple[Callable[[list[int], memoryview, bytearray], int], int]


class CpuError(Exception):
    """The code did something that no right code does."""


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


class Cpu(ABC):
    """`call` runs the code as the interpreter calls a viper function: f(self, n, kw, args)."""

    registers: int

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.ram = bytearray(_TOP)
        self.ram[_CODE : _CODE + len(code)] = code
        self.words = memoryview(self.ram).cast("I")
        self.instructions = 0
        self._blocks: dict[int, Block] = {}

    def call(self, *args: bytes | bytearray | int) -> int:
        """The function's result, a small integer; bytearrays are changed in place."""
        data = _DATA
        places: list[tuple[int, bytearray]] = []
        for i, arg in enumerate(args):
            if not isinstance(arg, (int, bytes, bytearray)):
                raise CpuError(f"a {type(arg).__name__} has its data elsewhere")
            if isinstance(arg, int):
                value = arg << 1 | 1
            else:
                value = _OBJECTS + 32 * i
                self.ram[data : data + len(arg)] = arg
                self.words[value // 4 + 3] = data  # an object's fourth word is its data
                if isinstance(arg, bytearray):
                    places.append((data, arg))
                data += (len(arg) + 0x10F) & ~0xFF
            self.words[_ARGUMENTS // 4 + i] = value
        if data > _STACK - 0x400:
            raise CpuError("the arguments are too long for this memory")
        before = bytes(self.ram[_STACK - 0x400 :])
        r = [0xDEAD0000 + 4 * i for i in range(self.registers)]
        self.prepare(r, _STACK, (_SELF, len(args), 0, _ARGUMENTS))
        saved = list(r)
        pc = _CODE
        while pc != _RETURN:
            block = self._blocks.get(pc)
            if block is None:
                block = self._blocks[pc] = self._translate(pc)
            pc = block[0](r, self.words, self.ram)
            self.instructions += block[1]
        result = self.result(r, saved)
        after = self.ram[_STACK - 0x400 :]
        low, high = self.frame()
        keep = 0x400 + low, 0x400 + high
        if before[: keep[0]] != after[: keep[0]] or before[keep[1] :] != after[keep[1] :]:
            raise CpuError("the stack outside the frame was written")
        for place, arg in places:
            arg[:] = self.ram[place : place + len(arg)]
        if not result & 1:
            raise CpuError(f"the result {result:#x} is no small integer")
        return result >> 1

    def _translate(self, pc: int) -> Block:
        lines: list[str] = []
        count = 0
        while True:
            if not _CODE <= pc < _CODE + len(self.code):
                raise CpuError(f"execution left the code at {pc:#x}")
            text, size, ends = self.decode(pc, int.from_bytes(self.ram[pc : pc + 4], "little"))
            lines += text
            count += 1
            pc += size
            if ends:
                break
        body = "\n".join("    " + line for line in lines)
        space: dict[str, object] = {"CpuError": CpuError}
        exec(f"def block(r, w, m):\n{body}\n    return {pc}\n", space)  # noqa: S102
        function = space["block"]
        assert callable(function)
        return function, count

    @abstractmethod
    def decode(self, pc: int, word: int) -> tuple[list[str], int, bool]:
        """Python lines of the instruction, its length, and whether it ends a block."""

    @abstractmethod
    def prepare(self, r: list[int], stack: int, args: tuple[int, int, int, int]) -> None: ...

    @abstractmethod
    def result(self, r: list[int], saved: list[int]) -> int: ...

    @abstractmethod
    def frame(self) -> tuple[int, int]:
        """What the function may write of the stack, relative to the caller's stack pointer."""


class Xtensa(Cpu):
    """LX6, windowed. Register numbers are those after `entry`."""

    registers = 17  # 16: the shift amount register
    _frame = 0

    def prepare(self, r: list[int], stack: int, args: tuple[int, int, int, int]) -> None:
        r[0] = _RETURN
        r[1] = stack
        r[2:6] = args

    def result(self, r: list[int], saved: list[int]) -> int:
        if r[1] != _STACK - self._frame:
            raise CpuError("the stack pointer has moved")
        return r[2]

    def frame(self) -> tuple[int, int]:
        # The highest 16 bytes are where the caller's caller's registers go.
        return -self._frame, -16

    def decode(self, pc: int, word: int) -> tuple[list[str], int, bool]:
        op0, t, s, r = (word >> k & 15 for k in (0, 4, 8, 12))
        imm8 = word >> 16 & 255
        if op0 >= 8:
            return self._narrow(op0, t, s, r)
        m = "& 0xFFFFFFFF"
        if op0 == 0:
            op1, op2 = word >> 16 & 15, word >> 20 & 15
            simple = {
                (0, 1): f"r[{s}] & r[{t}]",
                (0, 2): f"r[{s}] | r[{t}]",
                (0, 3): f"r[{s}] ^ r[{t}]",
                (0, 8): f"(r[{s}] + r[{t}]) {m}",
                (0, 12): f"(r[{s}] - r[{t}]) {m}",
                (1, 8): f"(r[{s}] << 32 | r[{t}]) >> r[16] {m}",
                (2, 8): f"r[{s}] * r[{t}] {m}",
                (2, 10): f"r[{s}] * r[{t}] >> 32",
            }.get((op1, op2))
            if simple:
                return [f"r[{r}] = {simple}"], 3, False
            if op1 == 0 and op2 == 4 and r == 4:  # ssai
                return [f"r[16] = {s | (t & 1) << 4}"], 3, False
            if op1 == 1 and op2 < 2:  # slli
                return [f"r[{r}] = r[{s}] << {32 - (t | op2 << 4)} {m}"], 3, False
            if op1 == 1 and op2 in (2, 3):  # srai
                n = s | (op2 & 1) << 4
                return [f"r[{r}] = ((r[{t}] ^ 1 << 31) - (1 << 31) >> {n}) {m}"], 3, False
            if op1 in (4, 5):  # extui
                n = s | (op1 & 1) << 4
                return [f"r[{r}] = r[{t}] >> {n} & {(2 << op2) - 1}"], 3, False
        if op0 == 2:
            if r == 0:  # l8ui
                return [f"r[{t}] = m[r[{s}] + {imm8}]"], 3, False
            if r == 2:  # l32i
                return self._load(t, s, 4 * imm8), 3, False
            if r == 6:  # s32i
                return self._store(t, s, 4 * imm8), 3, False
            if r == 12:  # addi
                return [f"r[{t}] = (r[{s}] + {signed(imm8, 8)}) {m}"], 3, False
        if op0 == 6:
            n, kind = word >> 4 & 3, word >> 6 & 3
            if n == 0:  # j
                return [f"return {pc + 4 + signed(word >> 6 & 0x3FFFF, 18)}"], 3, True
            if n == 1:
                test = ("== 0", "!= 0", "> 0x7FFFFFFF", "< 0x80000000")[kind]
                there = pc + 4 + signed(word >> 12 & 0xFFF, 12)
                return [f"if r[{s}] {test}: return {there}"], 3, True
            if n == 3 and kind == 0:  # entry
                self._frame = (word >> 12 & 0xFFF) * 8
                return [f"r[{s}] -= {self._frame}"], 3, False
        if op0 == 7 and r in (3, 11):  # bltu, bgeu
            test = "<" if r == 3 else ">="
            return [f"if r[{s}] {test} r[{t}]: return {pc + 4 + signed(imm8, 8)}"], 3, True
        raise CpuError(f"unknown instruction {word & 0xFFFFFF:06x} at {pc:#x}")

    def _narrow(self, op0: int, t: int, s: int, r: int) -> tuple[list[str], int, bool]:
        if op0 == 8:
            return self._load(t, s, 4 * r), 2, False
        if op0 == 9:
            return self._store(t, s, 4 * r), 2, False
        if op0 == 10:
            return [f"r[{r}] = (r[{s}] + r[{t}]) & 0xFFFFFFFF"], 2, False
        if op0 == 11:
            return [f"r[{r}] = (r[{s}] + {t or -1}) & 0xFFFFFFFF"], 2, False
        if op0 == 12 and not t & 8:  # movi.n
            value = (t & 7) << 4 | r
            value = value - 128 if value >= 96 else value
            return [f"r[{s}] = {value & 0xFFFFFFFF}"], 2, False
        if op0 == 13 and r == 0:
            return [f"r[{t}] = r[{s}]"], 2, False
        if op0 == 13 and r == 15 and t == 1 and s == 0:  # retw.n
            return ["return r[0]"], 2, True
        raise CpuError(f"unknown narrow instruction {op0} {r} {s} {t}")

    @staticmethod
    def _load(t: int, s: int, offset: int) -> list[str]:
        return [
            f"a = r[{s}] + {offset}",
            "if a & 3: raise CpuError('unaligned')",
            f"r[{t}] = w[a >> 2]",
        ]

    @staticmethod
    def _store(t: int, s: int, offset: int) -> list[str]:
        return [
            f"a = r[{s}] + {offset}",
            "if a & 3: raise CpuError('unaligned')",
            f"w[a >> 2] = r[{t}]",
        ]


class Rv32(Cpu):
    """RV32IM and c.jr."""

    registers = 32
    _kept = (1, 2, 3, 4, 8, 9, *range(18, 28))  # ra, sp, gp, tp, s0 … s11

    def prepare(self, r: list[int], stack: int, args: tuple[int, int, int, int]) -> None:
        r[0] = 0
        r[1] = _RETURN
        r[2] = stack
        r[10:14] = args

    def result(self, r: list[int], saved: list[int]) -> int:
        for k in self._kept:
            if r[k] != saved[k]:
                raise CpuError(f"x{k} has changed")
        return r[10]

    def frame(self) -> tuple[int, int]:
        return -64, 0

    def decode(self, pc: int, word: int) -> tuple[list[str], int, bool]:
        m = "& 0xFFFFFFFF"
        if word & 3 != 3:
            if word & 0xF07F == 0x8002:  # c.jr
                return [f"return r[{word >> 7 & 31}]"], 2, True
            raise CpuError(f"unknown short instruction {word & 0xFFFF:04x} at {pc:#x}")
        opcode, d, f3 = word & 0x7F, word >> 7 & 31, word >> 12 & 7
        a, b, f7 = word >> 15 & 31, word >> 20 & 31, word >> 25
        imm = signed(word >> 20, 12)
        if d == 0 and opcode in (0x13, 0x33, 0x03):
            raise CpuError(f"a result for x0 at {pc:#x}")
        if opcode == 0x33:
            text = {
                (0, 0): f"(r[{a}] + r[{b}]) {m}",
                (0x20, 0): f"(r[{a}] - r[{b}]) {m}",
                (0, 3): f"int(r[{a}] < r[{b}])",
                (0, 4): f"r[{a}] ^ r[{b}]",
                (0, 6): f"r[{a}] | r[{b}]",
                (0, 7): f"r[{a}] & r[{b}]",
                (1, 0): f"r[{a}] * r[{b}] {m}",
                (1, 3): f"r[{a}] * r[{b}] >> 32",
            }.get((f7, f3))
            if text:
                return [f"r[{d}] = {text}"], 4, False
        if opcode == 0x13:
            text = {
                0: f"(r[{a}] + {imm}) {m}",
                1: f"r[{a}] << {b} {m}" if f7 == 0 else None,
                5: f"r[{a}] >> {b}"
                if f7 == 0
                else f"((r[{a}] ^ 1 << 31) - (1 << 31) >> {b}) {m}"
                if f7 == 0x20
                else None,
                7: f"r[{a}] & {imm & 0xFFFFFFFF}",
            }.get(f3)
            if text:
                return [f"r[{d}] = {text}"], 4, False
        if opcode == 0x03 and f3 == 2:
            return (
                [
                    f"a = (r[{a}] + {imm}) {m}",
                    "if a & 3: raise CpuError('unaligned')",
                    f"r[{d}] = w[a >> 2]",
                ],
                4,
                False,
            )
        if opcode == 0x03 and f3 == 4:
            return [f"r[{d}] = m[r[{a}] + {imm}]"], 4, False
        if opcode == 0x23 and f3 == 2:
            offset = signed(f7 << 5 | d, 12)
            return (
                [
                    f"a = (r[{a}] + {offset}) {m}",
                    "if a & 3: raise CpuError('unaligned')",
                    f"w[a >> 2] = r[{b}]",
                ],
                4,
                False,
            )
        if opcode == 0x6F and d == 0:
            rel = (word >> 31) << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11
            rel |= (word >> 21 & 0x3FF) << 1
            return [f"return {pc + signed(rel, 21)}"], 4, True
        if opcode == 0x63:
            rel = (word >> 31) << 12 | (word >> 7 & 1) << 11 | (f7 & 63) << 5 | (d >> 1) << 1
            test = {0: "==", 1: "!=", 6: "<", 7: ">="}.get(f3)
            if test:
                return [f"if r[{a}] {test} r[{b}]: return {pc + signed(rel, 13)}"], 4, True
        raise CpuError(f"unknown instruction {word:08x} at {pc:#x}")
