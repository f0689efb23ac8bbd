"""The display on the I2C bus: an SSD1306 controller with its 1 KB of picture memory.

Understands the commands and the three addressing modes of the data sheet (chapter 10) as far as
drivers use them; what it shows can be fetched as rows of text.
"""

from __future__ import annotations

from typing import Any

ADDRESS = 0x3C
WIDTH, HEIGHT = 128, 64
# Commands that take arguments, and how many.
_ARGUMENTS = {
    0x20: 1,
    0x21: 2,
    0x22: 2,
    0x26: 6,
    0x27: 6,
    0x29: 5,
    0x2A: 5,
    0x81: 1,
    0x8D: 1,
    0xA3: 2,
    0xA8: 1,
    0xD3: 1,
    0xD5: 1,
    0xD9: 1,
    0xDA: 1,
    0xDB: 1,
}


class Ssd1306:
    """Feed it I2C write transactions; `picture()` is what a person would see."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.memory = bytearray(WIDTH * HEIGHT // 8)
        self.on = self.inverted = False
        self.transactions = 0
        self._mode = 2  # page addressing
        self._columns, self._pages = (0, WIDTH - 1), (0, 7)
        self._column = self._page = 0
        self._command: list[int] = []

    def write(self, data: bytes) -> None:
        """One transaction, without the address byte: control bytes, then commands or data."""
        self.transactions += 1
        at = 0
        while at < len(data):
            control = data[at]
            at += 1
            run = data[at : at + 1] if control & 0x80 else data[at:]
            at += len(run)
            if control & 0x40:
                for byte in run:
                    self._data(byte)
            else:
                for byte in run:
                    self._byte(byte)

    def picture(self) -> dict[str, Any]:
        """`rows`: 64 strings of 128 characters, `#` for a lit pixel."""
        rows = []
        for y in range(HEIGHT):
            page, bit = divmod(y, 8)
            line = self.memory[page * WIDTH : (page + 1) * WIDTH]
            rows.append("".join("#" if (b >> bit & 1) != self.inverted else "." for b in line))
        return {"on": self.on, "width": WIDTH, "height": HEIGHT, "rows": rows}

    def _byte(self, byte: int) -> None:
        self._command.append(byte)
        code, *arguments = self._command
        if len(arguments) < _ARGUMENTS.get(code, 0):
            return
        self._command = []
        if code in (0xAE, 0xAF):
            self.on = code == 0xAF
        elif code in (0xA6, 0xA7):
            self.inverted = code == 0xA7
        elif code == 0x20:
            self._mode = arguments[0] & 3
        elif code == 0x21:
            self._columns = (arguments[0] & 127, arguments[1] & 127)
            self._column = self._columns[0]
        elif code == 0x22:
            self._pages = (arguments[0] & 7, arguments[1] & 7)
            self._page = self._pages[0]
        elif code < 0x10:
            self._column = self._column & 0x70 | code
        elif code < 0x20:
            self._column = self._column & 0x0F | (code & 7) << 4
        elif 0xB0 <= code <= 0xB7:
            self._page = code & 7

    def _data(self, byte: int) -> None:
        self.memory[self._page * WIDTH + self._column] = byte
        if self._mode == 2:
            self._column = (self._column + 1) % WIDTH
        elif self._mode == 0:
            self._column, wrapped = _next(self._column, self._columns)
            if wrapped:
                self._page, _ = _next(self._page, self._pages)
        else:
            self._page, wrapped = _next(self._page, self._pages)
            if wrapped:
                self._column, _ = _next(self._column, self._columns)


def _next(value: int, window: tuple[int, int]) -> tuple[int, bool]:
    limit = WIDTH
    return (window[0], True) if value == window[1] else ((value + 1) % limit, False)
