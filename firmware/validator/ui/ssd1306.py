"""SSD1306 OLED of 128 × 64 on I²C, drawn from the screen model.

    display = Ssd1306(I2C(0, scl=Pin(22), sda=Pin(21), freq=400000), clock)
    display.step(screen)      # again and again from the user interface's task

One `step` sends at most one page of 128 bytes (3 ms at 400 kHz), and only a page that changed, so
that a tap never waits for the picture. A display that is not there or pulled off costs nothing but
an attempt now and then; nothing is raised.

The built-in 8 × 8 font has ASCII only: of a screen's lines the English ones are drawn. Chinese
glyphs need a font partition, which the boards do not have yet.

Source: SSD1306 data sheet rev 1.1, chapters 8.1.5 (I²C), 9 (commands).
"""

from . import icons
from .screen import wrap

WIDTH = 128
HEIGHT = 64
_PAGES = HEIGHT // 8
_COLUMNS = WIDTH // 8
_ICON = 32  # pixels square, at the top left
_PITCH = 11  # pixels from one row of text to the next

_CONTROL_COMMANDS = 0x00
_CONTROL_DATA = 0x40

_RETRY_MS = 1000
_RETRY_MAX_MS = 60000
# A display that lost its supply between two pictures answers as if nothing had been, and stays
# dark: everything is sent again so often.
_REFRESH_MS = 30000

_ALL_PAGES = (1 << _PAGES) - 1

_INIT = bytes(
    (
        0xD5, 0x80,  # clock divider
        0xA8, HEIGHT - 1,  # multiplex
        0xD3, 0x00,  # offset
        0x40,  # start line 0
        0x8D, 0x14,  # charge pump on
        0x20, 0x00,  # horizontal addressing
        0xA1,  # column 127 is segment 0
        0xC8,  # scan from COM63
        0xDA, 0x12,  # COM pins alternative
        0x81, 0xCF,  # contrast
        0xD9, 0xF1,  # pre-charge
        0xDB, 0x30,  # VCOMH
        0xA4,  # show the memory
        0xA6,  # not inverted
    )
)  # fmt: skip
_ON = b"\xaf"


class Ssd1306:
    """A display at `address` of an I²C bus that has `writeto_mem(address, control, buf)`.

    alive    whether it is lit and answers
    errors   number of failed transfers
    framebuf the module of that name, where it cannot be imported
    """

    def __init__(self, i2c, clock, address=0x3C, framebuf=None):
        if framebuf is None:
            import framebuf
        self._i2c = i2c
        self._clock = clock
        self._address = address
        self._buf = bytearray(WIDTH * _PAGES)
        self._view = memoryview(self._buf)
        self._sent = bytearray(WIDTH * _PAGES)  # what the display shows, page by page
        self._frame = framebuf.FrameBuffer(self._buf, WIDTH, HEIGHT, framebuf.MONO_VLSB)
        self._window = bytearray((0x21, 0, WIDTH - 1, 0x22, 0, 0))
        self._drawn = None  # version of the screen in the buffer
        self._todo = 0  # bit mask of pages to send
        self._set_up = False
        self._since = None  # when it was last set up, or when the last attempt failed
        self._retry_ms = 0
        self.alive = False
        self.errors = 0

    def step(self, screen):
        """Bring the display one page nearer to `screen`. True if there is more to send."""
        clock = self._clock
        if self._drawn != screen.version:
            self._draw(screen)
        if self._since is not None:
            passed = clock.diff(clock.ticks_ms(), self._since)
            if self._set_up and passed >= _REFRESH_MS:
                self._set_up = False
            elif not self._set_up and passed < self._retry_ms:
                return False
        if not self._set_up:
            if not self._send(_CONTROL_COMMANDS, _INIT):
                return False
            self._set_up = True
            self._since = clock.ticks_ms()
            self._todo = _ALL_PAGES
            return True
        if not self._todo:
            return False
        page = 0
        while not self._todo >> page & 1:
            page += 1
        start = page * WIDTH
        self._window[4] = self._window[5] = page
        if not self._send(_CONTROL_COMMANDS, self._window):
            return False
        if not self._send(_CONTROL_DATA, self._view[start : start + WIDTH]):
            return False
        self._sent[start : start + WIDTH] = self._view[start : start + WIDTH]
        self._todo &= ~(1 << page)
        if self._todo:
            return True
        # Lit only now: after power-up its memory is noise.
        if self._send(_CONTROL_COMMANDS, _ON):
            self.alive = True
            self._retry_ms = 0
        return False

    def _send(self, control, data):
        try:
            self._i2c.writeto_mem(self._address, control, data)
            return True
        except OSError:
            self.errors += 1
            self.alive = self._set_up = False
            self._since = self._clock.ticks_ms()
            self._retry_ms = min(_RETRY_MAX_MS, self._retry_ms * 2 or _RETRY_MS)
            return False

    def _draw(self, screen):
        frame = self._frame
        frame.fill(0)
        icons.draw(frame, screen.icon, 0, 0, _ICON // 16)
        first_rows = (_ICON + _PITCH - 1) // _PITCH
        beside = _COLUMNS - _ICON // 8 - 1
        rows = wrap(screen.lines, _COLUMNS, beside, first_rows)
        for i, row in enumerate(rows[: HEIGHT // _PITCH]):
            x = _ICON + 8 if i < first_rows else 0
            frame.text(row, x, 1 + i * _PITCH, 1)
        self._drawn = screen.version
        sent = memoryview(self._sent)
        for page in range(_PAGES):
            start = page * WIDTH
            if self._view[start : start + WIDTH] != sent[start : start + WIDTH]:
                self._todo |= 1 << page
