"""Green, yellow and red lights on pins or PWM channels, in patterns.

lights = Lights(clock, green=Pin(25, Pin.OUT), yellow=None, red=PWM(Pin(26)))
lights.show("accepted")     # first step at once
lights.step()               # from a task, again and again
"""

from .sequence import Sequence

GREEN = 1
YELLOW = 2
RED = 4

# name: (steps of (lamps, ms), loop). The last step of an outcome stays until the next pattern.
PATTERNS = {
    "accepted": (((GREEN, None),), False),
    "declined": (((RED, 250), (0, 100), (RED, 250), (0, 100), (RED, None)), False),
    "retry": (((YELLOW, 150), (0, 150)), True),
    "ready": (((0, None),), False),
    "starting": (((YELLOW, 500), (0, 500)), True),
    "out_of_service": (((RED, 200), (0, 1800)), True),
}


class Lights:
    """A lamp is a pin (callable with 0 or 1), a PWM channel (`duty_u16`), or None for no lamp.

    active_low   lamps that are lit by a low level
    brightness   of 65535, for PWM
    """

    def __init__(
        self, clock, green=None, yellow=None, red=None, active_low=False, brightness=65535
    ):
        self._lamps = ((GREEN, green), (YELLOW, yellow), (RED, red))
        self._active_low = active_low
        self._brightness = brightness
        self._sequence = Sequence(self._put, clock)
        self.lit = 0  # bit mask of what is on now
        self.pattern = ""
        self._put(0)

    def show(self, name):
        """Start a pattern; KeyError if there is none of that name."""
        steps, loop = PATTERNS[name]
        self.pattern = name
        self._sequence.play(steps, loop)

    def step(self):
        """Do what is due; ms until the next change, or None."""
        return self._sequence.step()

    def names(self):
        """The lamps that are on, as a list of names."""
        return [
            n for bit, n in ((GREEN, "green"), (YELLOW, "yellow"), (RED, "red")) if self.lit & bit
        ]

    def _put(self, mask):
        self.lit = mask
        for bit, lamp in self._lamps:
            if lamp is None:
                continue
            on = bool(mask & bit)
            if hasattr(lamp, "duty_u16"):
                duty = self._brightness if on else 0
                lamp.duty_u16(65535 - duty if self._active_low else duty)
            else:
                lamp(1 if on != self._active_low else 0)
