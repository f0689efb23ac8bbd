"""`machine.Pin`: outputs are told to the board, inputs read what the board drives them with."""

import vboard
from utime import ticks_diff, ticks_us

_INPUT_ONLY = (34, 35, 36, 37, 38, 39)
_FLASH = (6, 7, 8, 9, 10, 11)
_ABSENT = (20, 24, 28, 29, 30, 31)


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3

    _pins = {}

    def __new__(cls, id, mode=-1, pull=-1, value=None, **settings):
        if isinstance(id, Pin):
            id = id._id
        if not isinstance(id, int):
            raise TypeError("can't convert %s to int" % type(id).__name__)
        if not 0 <= id < 40 or id in _ABSENT:
            raise ValueError("invalid pin")
        self = cls._pins.get(id)
        if self is None:
            self = object.__new__(cls)
            self._id = id
            self._mode = None
            self._pull = None
            self._level = 0
            self._told = None
            self._handler = None
            self._trigger = 0
            cls._pins[id] = self
        return self

    def __init__(self, id, mode=-1, pull=-1, value=None, **settings):
        if mode != -1 or pull != -1 or value is not None or settings:
            self.init(mode, pull, value, **settings)

    def init(self, mode=-1, pull=-1, value=None, drive=None, hold=None):
        if mode in (Pin.OUT, Pin.OPEN_DRAIN):
            if self._id in _INPUT_ONLY:
                raise ValueError("pin can only be input")
            if self._id in _FLASH:
                raise ValueError("pin %d belongs to the flash" % self._id)
        if pull != -1:
            if pull is not None and self._id in _INPUT_ONLY:
                raise ValueError("pin has no pull resistor")
            self._pull = pull
        # The level first, so that an output never shows the one it had before.
        if value is not None:
            self._level = 1 if value else 0
        if mode != -1:
            self._mode = mode
        self._tell()

    def _tell(self):
        if self._mode in (Pin.OUT, Pin.OPEN_DRAIN) and self._told != self._level:
            self._told = self._level
            vboard.tell("pin %d %d" % (self._id, self._level))

    def value(self, level=None):
        if level is None:
            if self._mode in (Pin.OUT, Pin.OPEN_DRAIN):
                return self._level
            vboard.poll_inputs()
            return vboard.inputs.get(self._id, 1 if self._pull == Pin.PULL_UP else 0)
        self._level = 1 if level else 0
        self._tell()

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self._level)

    def irq(self, handler=None, trigger=3, wake=None, hard=False):
        self._handler = handler
        self._trigger = trigger
        if handler is None:
            vboard.on_input.pop(self._id, None)
        else:
            vboard.on_input[self._id] = self._edge
        return self

    def _edge(self, level):
        import micropython

        if self._trigger & (Pin.IRQ_RISING if level else Pin.IRQ_FALLING):
            micropython.schedule(self._handler, self)

    def __repr__(self):
        return "Pin(%d)" % self._id


class Signal:
    def __init__(self, pin, *args, invert=False, **settings):
        self._pin = pin if isinstance(pin, Pin) else Pin(pin, *args, **settings)
        self._invert = invert

    def value(self, level=None):
        if level is None:
            return self._pin.value() ^ self._invert
        self._pin.value(bool(level) ^ self._invert)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


def time_pulse_us(pin, level, timeout_us=1000000):
    """Length of a pulse, -2 if none began in time, -1 if it did not end in time."""
    start = ticks_us()
    while pin.value() != level:
        if ticks_diff(ticks_us(), start) >= timeout_us:
            return -2
    start = ticks_us()
    while pin.value() == level:
        if ticks_diff(ticks_us(), start) >= timeout_us:
            return -1
    return ticks_diff(ticks_us(), start)
