"""What the two assemblers have in common: code, labels, and the operations that the machine needs.

An operation is one method; operands are register numbers of the chip. Names of labels are free.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence


class Assembler(ABC):
    """Machine code under construction. `registers` are free for the machine's use."""

    name: str
    registers: tuple[int, ...]  # 15 of them
    stack: int  # register of the stack pointer
    slots: tuple[int, int, int]  # offsets from it of three words to keep things in

    def __init__(self) -> None:
        self.code = bytearray()
        self.labels: dict[str, int] = {}
        self._patches: list[tuple[int, str, Callable[[int, int], bytes]]] = []
        self._serial = 0

    def unique(self, stem: str) -> str:
        """A label name that nobody else has."""
        self._serial += 1
        return f"{stem}.{self._serial}"

    def label(self, name: str) -> None:
        if name in self.labels:
            raise ValueError(f"label {name} twice")
        self.labels[name] = len(self.code)

    def emit(self, word: int, size: int) -> None:
        self.code += word.to_bytes(size, "little")

    def branch(self, label: str, size: int, encode: Callable[[int, int], bytes]) -> None:
        """Leave room for a branch; `encode(here, there)` gives its bytes in the end."""
        self._patches.append((len(self.code), label, encode))
        self.code += bytes(size)

    def finish(self) -> bytes:
        for here, label, encode in self._patches:
            data = encode(here, self.labels[label])
            self.code[here : here + len(data)] = data
        self._patches.clear()
        return bytes(self.code)

    # Moves

    @abstractmethod
    def load(self, d: int, base: int, offset: int) -> None:
        """d = the 32-bit word at base + offset, 0 <= offset < 1024."""

    @abstractmethod
    def store(self, s: int, base: int, offset: int) -> None: ...

    @abstractmethod
    def load_byte(self, d: int, base: int, offset: int) -> None: ...

    @abstractmethod
    def constant(self, d: int, value: int) -> None:
        """d = value, -32 … 95."""

    @abstractmethod
    def move(self, d: int, s: int) -> None: ...

    # Arithmetic, modulo 2^32; d may be a or b unless said otherwise

    @abstractmethod
    def add(self, d: int, a: int, b: int) -> None: ...

    @abstractmethod
    def add_constant(self, d: int, a: int, value: int) -> None:
        """d = a + value, -128 … 127."""

    @abstractmethod
    def sub(self, d: int, a: int, b: int) -> None: ...

    @abstractmethod
    def mul_low(self, d: int, a: int, b: int) -> None: ...

    @abstractmethod
    def mul_high(self, d: int, a: int, b: int) -> None:
        """d = a * b >> 32, without signs."""

    @abstractmethod
    def or_(self, d: int, a: int, b: int) -> None: ...

    @abstractmethod
    def and_(self, d: int, a: int, b: int) -> None: ...

    @abstractmethod
    def xor(self, d: int, a: int, b: int) -> None: ...

    @abstractmethod
    def rotate_left(self, d: int, a: int, n: int) -> None: ...

    @abstractmethod
    def shift_left(self, d: int, a: int, n: int) -> None: ...

    @abstractmethod
    def arithmetic_right(self, d: int, a: int, n: int) -> None:
        """d = a >> n, the sign kept."""

    @abstractmethod
    def low_bit(self, d: int, a: int) -> None:
        """d = a & 1."""

    @abstractmethod
    def halves(self, words: list[int], top: int) -> None:
        """Shift `words` (lowest first) right by one; bit 0 of `top` comes in from above."""

    @abstractmethod
    def add_carry(self, d: int, x: int, c: int) -> None:
        """d += x; c += the carry. Three different registers, or d = x with c another."""

    @abstractmethod
    def sub_borrow(self, d: int, x: int, c: int) -> None:
        """c += the borrow of d - x; d -= x. Three different registers."""

    @abstractmethod
    def double_carry(self, d: int, c: int) -> None:
        """c += the highest bit of d; d += d."""

    # Branches; the near ones reach about 120 bytes

    @abstractmethod
    def jump(self, label: str) -> None: ...

    @abstractmethod
    def if_below(self, a: int, b: int, label: str) -> None:
        """Near branch if a < b without signs."""

    @abstractmethod
    def if_zero(self, a: int, label: str) -> None:
        """Branch if a = 0; reaches 2,000 bytes."""

    @abstractmethod
    def if_not_zero(self, a: int, label: str) -> None: ...

    # The function around it

    @abstractmethod
    def enter(self, arguments: Sequence[tuple[int, bool]]) -> None:
        """Fetch the arguments in order into registers, of `registers` 0 to 7 only.

        `(register, True)` is the address of what a bytes or bytearray object holds, `(register,
        False)` the value of a small integer.
        """

    @abstractmethod
    def leave(self, result: int) -> None:
        """Return register `result` (an object already); the last instruction of the code."""

    @abstractmethod
    def source(self, name: str, code: bytes) -> str:
        """Python source for mpy-cross of the function `name` with this code."""


def data_lines(code: bytes) -> str:
    rows = (code[i : i + 24] for i in range(0, len(code), 24))
    return "".join(f"    data(1, {', '.join(map(str, row))})\n" for row in rows)
