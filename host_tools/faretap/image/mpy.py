"""What is in a .mpy: names, texts and functions, and where in the file each function's code is.

Source: MicroPython py/persistentcode.c, .mpy version 6.
"""

from __future__ import annotations

from dataclasses import dataclass

from faretap.image.errors import ImageError

BYTECODE, NATIVE, VIPER, ASM = range(4)
_STR, _BYTES, _TUPLE = 5, 6, 10
_RELOCATED, _RODATA, _BSS = 0x10, 0x20, 0x40  # MP_SCOPE_FLAG_VIPER…


@dataclass(frozen=True)
class Function:
    """One function: its code is `size` bytes of the file at `at`. `inner` are those within it."""

    kind: int
    at: int
    size: int
    inner: tuple[Function, ...]


@dataclass(frozen=True)
class Module:
    """`texts` are the names and text constants, without the names that every MicroPython knows;
    `places` is where they begin in the file, a zero behind each. `body` is the module's own code;
    everything else is inside it. `names` is how many names it lists, those included."""

    texts: tuple[bytes, ...]
    places: tuple[int, ...]
    body: Function
    names: int


def read(mpy: bytes) -> Module:
    """Take a .mpy apart. Raises ImageError for anything but a whole .mpy of version 6."""
    if len(mpy) < 4 or mpy[:2] != b"M\6":
        raise ImageError("This is not a .mpy of version 6.")
    reader = _Reader(mpy)
    try:
        module = reader.module()
    except IndexError:
        raise ImageError("This .mpy is cut short.") from None
    if reader.at != len(mpy):
        raise ImageError("This .mpy has something behind its end.")
    return module


def in_order(function: Function) -> list[Function]:
    """`function` and everything in it, outer before inner: the order of the file."""
    found = [function]
    for each in function.inner:
        found += in_order(each)
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 4
        self.texts: dict[int, bytes] = {}

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

    def module(self) -> Module:
        if self.data[2] & 0x40:  # flags of the architecture follow
            self.number()
        names, constants = self.number(), self.number()
        for _ in range(names):
            n = self.number()
            if not n & 1:  # else the number of a name that MicroPython brings
                self.text(n >> 1)
        for _ in range(constants):
            self.constant()
        body = self.function()
        return Module(tuple(self.texts.values()), tuple(self.texts), body, names)

    def text(self, n: int) -> None:
        at = self.at
        self.texts[at] = self.take(n + 1)[:-1]

    def constant(self) -> None:
        kind = self.take(1)[0]
        if kind < _STR:  # nothing but its kind: None, False …
            return
        n = self.number()
        if kind == _TUPLE:
            for _ in range(n):
                self.constant()
        elif kind == _STR:
            self.text(n)
        elif kind == _BYTES:
            self.take(n + 1)
        else:
            self.take(n)

    def function(self) -> Function:
        head = self.number()
        kind, size = head & 3, head >> 3
        at = self.at
        self.take(size)
        flags = 0
        if kind == NATIVE:
            self.number()
        elif kind != BYTECODE:
            flags = self.number()
            if kind == ASM:
                self.number()
                self.number()
        if kind == VIPER:
            self.data_of_linked_code(flags)
        inner: tuple[Function, ...] = ()
        if head & 4:
            inner = tuple(self.function() for _ in range(self.number()))
        if kind == VIPER and flags & _RELOCATED:
            self.relocations()
        return Function(kind, at, size, inner)

    def data_of_linked_code(self, flags: int) -> None:
        rodata = self.number() if flags & _RODATA else 0
        if flags & _BSS:
            self.number()
        self.take(rodata)

    def relocations(self) -> None:
        while True:
            op = self.take(1)[0]
            if op == 0xFF:
                return
            if op & 1:
                self.number()
            op >>= 1
            if op <= 5 and op & 1:
                self.number()
