"""OLED driver: against real framebuf under MicroPython, against a small one elsewhere."""

from fakes import FakeClock
from validator.media.result import Result
from validator.ui import icons
from validator.ui.screen import ICONS, Screen
from validator.ui.ssd1306 import Ssd1306

try:
    import framebuf
except ImportError:

    class framebuf:
        """What the driver uses of the module, with the same bit order."""

        MONO_VLSB = 0

        class FrameBuffer:
            def __init__(self, buf, width, height, kind):
                assert kind == 0 and len(buf) >= width * height // 8
                self.buf, self.width, self.height = buf, width, height

            def pixel(self, x, y, colour):
                if 0 <= x < self.width and 0 <= y < self.height:
                    i = y // 8 * self.width + x
                    bit = 1 << y % 8
                    self.buf[i] = self.buf[i] | bit if colour else self.buf[i] & ~bit & 0xFF

            def fill(self, colour):
                for i in range(len(self.buf)):
                    self.buf[i] = 0xFF if colour else 0

            def line(self, x1, y1, x2, y2, colour):
                n = max(abs(x2 - x1), abs(y2 - y1), 1)
                for i in range(n + 1):
                    self.pixel(x1 + (x2 - x1) * i // n, y1 + (y2 - y1) * i // n, colour)

            def text(self, text, x, y, colour):
                # No font: eight columns that tell letters apart, as wide as the real ones.
                for k, letter in enumerate(text):
                    for column in range(7 if letter != " " else 0):
                        for row in range(7):
                            if (ord(letter) * (column + 3) >> row) & 1:
                                self.pixel(x + 8 * k + column, y + row, colour)


NOISE = bytes([0xA5] * 1024)
NOISE_2 = bytes([0x5A] * 1024)


class Oled:
    """SSD1306 on an I²C bus: takes what the data sheet allows and remembers the picture."""

    def __init__(self):
        self.memory = bytearray(NOISE)
        self.on = False
        self.horizontal = False
        self.there = True
        self.transfers = []
        self.fail_after = None
        self._at = 0
        self._end = 0

    def writeto_mem(self, address, control, data):
        data = bytes(data)
        if address != 0x3C or not self.there:
            raise OSError(19)
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                raise OSError(116)
        self.transfers.append(len(data))
        if control == 0x00:
            self._commands(data)
        else:
            assert control == 0x40 and self.horizontal
            for b in data:
                assert self._at < self._end
                self.memory[self._at] = b
                self._at += 1

    def _commands(self, data):
        args = {0xD5: 1, 0xA8: 1, 0xD3: 1, 0x8D: 1, 0x20: 1, 0xDA: 1, 0x81: 1, 0xD9: 1, 0xDB: 1}
        args.update({0x21: 2, 0x22: 2})
        i = 0
        while i < len(data):
            command = data[i]
            n = args.get(command, 0)
            operands = data[i + 1 : i + 1 + n]
            assert len(operands) == n
            if command == 0xAF:
                self.on = True
                assert bytes(self.memory) not in (NOISE, NOISE_2), "lit with noise"
            elif command == 0x20:
                self.horizontal = operands == b"\x00"
            elif command == 0x21:
                assert operands == b"\x00\x7f"
            elif command == 0x22:
                assert operands[0] == operands[1] < 8
                self._at = operands[0] * 128
                self._end = self._at + 128
            i += 1 + n

    def lit(self, x, y, width, height):
        """Number of lit pixels in a rectangle."""
        n = 0
        for yy in range(y, y + height):
            for xx in range(x, x + width):
                n += self.memory[yy // 8 * 128 + xx] >> yy % 8 & 1
        return n

    def power_cycle(self):
        self.memory = bytearray(NOISE_2)
        self.on = self.horizontal = False


def make():
    clock = FakeClock()
    oled = Oled()
    return clock, oled, Screen(), Ssd1306(oled, clock, framebuf=framebuf)


def settle(display, screen):
    steps = 1
    while display.step(screen):
        steps += 1
        assert steps < 20
    return steps


def picture(screen):
    _, oled, _, display = make()
    settle(display, screen)
    return bytes(oled.memory)


def test_nothing_is_sent_before_the_first_step():
    _, oled, _, _ = make()
    assert oled.transfers == [] and not oled.on


def test_the_first_picture_overwrites_the_whole_memory():
    _, oled, screen, display = make()
    assert settle(display, screen) == 9
    assert display.alive and oled.on
    assert oled.lit(0, 0, 32, 32) > 40  # the icon
    assert oled.lit(40, 0, 88, 9) > 30  # "Starting" beside it
    assert oled.lit(0, 40, 128, 24) == 0  # and nothing below, whatever the memory held


def test_one_step_sends_one_page_at_most():
    _, oled, screen, display = make()
    for _ in range(12):
        oled.transfers.clear()
        display.step(screen)
        assert sum(oled.transfers) <= 6 + 128 + 1
    oled.transfers.clear()
    assert display.step(screen) is False
    assert oled.transfers == []  # an unchanged screen costs nothing


def test_only_pages_that_changed_are_sent():
    _, oled, screen, display = make()
    screen.show_out_of_service("a")
    settle(display, screen)
    screen.show_out_of_service("b")
    oled.transfers.clear()
    settle(display, screen)
    pages = [n for n in oled.transfers if n == 128]
    assert 1 <= len(pages) <= 2


def test_each_icon_and_each_sentence_is_a_picture_of_its_own():
    seen = {}
    for name in ICONS:
        screen = Screen()
        screen.icon = name
        seen[picture(screen)] = name
    assert len(seen) == len(ICONS)
    screen = Screen()
    screen.show_result(Result("tunion", "accepted"), 200, 4800)
    before = picture(screen)
    screen.show_result(Result("tunion", "accepted"), 200, 4799)
    assert picture(screen) != before


def test_icons_stay_on_their_grid():
    assert sorted(icons.STROKES) == sorted(ICONS)
    for strokes in icons.STROKES.values():
        for line in strokes:
            assert len(line) > 1
            for x, y in line:
                assert 0 <= x < 16 and 0 <= y < 16


def test_an_unknown_icon_draws_nothing():
    screen = Screen()
    screen.icon = "unicorn"
    _, oled, _, display = make()
    settle(display, screen)
    assert oled.lit(0, 0, 32, 32) == 0
    assert oled.lit(40, 0, 88, 9) > 0


def test_a_change_in_the_middle_of_drawing_ends_in_the_new_picture():
    _, oled, screen, display = make()
    for _ in range(4):
        display.step(screen)
    screen.show_ready()
    settle(display, screen)
    assert bytes(oled.memory) == picture(screen)


def test_no_display_is_tried_now_and_then_and_never_raises():
    clock, oled, screen, display = make()
    oled.there = False
    for _ in range(600):
        assert display.step(screen) is False
        clock.advance_us(1000000)
    assert not display.alive
    assert 10 <= display.errors <= 20  # 1, 2, 4 … 60 s apart
    oled.there = True
    clock.advance_us(60000000)
    settle(display, screen)
    assert display.alive and bytes(oled.memory) == picture(screen)


def test_a_display_that_comes_back_gets_the_whole_picture():
    clock, oled, screen, display = make()
    settle(display, screen)
    oled.there = False
    screen.show_ready()
    assert display.step(screen) is False
    assert display.errors == 1
    oled.power_cycle()
    oled.there = True
    assert display.step(screen) is False  # not before a second has passed
    assert not oled.on
    clock.advance_us(1000000)
    settle(display, screen)
    assert oled.on and bytes(oled.memory) == picture(screen)


def test_a_display_that_lost_its_supply_unseen_comes_back_by_itself():
    clock, oled, screen, display = make()
    settle(display, screen)
    oled.power_cycle()
    clock.advance_us(30000000)
    settle(display, screen)
    assert oled.on and bytes(oled.memory) == picture(screen)
    assert display.errors == 0


def test_an_error_at_any_transfer_is_survived():
    for n in range(19):
        clock, oled, screen, display = make()
        oled.fail_after = n
        for _ in range(12):
            display.step(screen)
        oled.fail_after = None
        clock.advance_us(1000000)
        settle(display, screen)
        assert bytes(oled.memory) == picture(screen)
        assert display.errors == (1 if n < 18 else 0)
