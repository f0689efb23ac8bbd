"""A passive buzzer on a PWM channel: one tone per outcome, told apart without looking.

buzzer = Buzzer(clock, PWM(Pin(27)))
buzzer.play("accepted")     # sounds at once
buzzer.step()               # from a task, again and again
"""

from .sequence import Sequence

_HIGH = 2700  # Hz, the resonance of common piezo discs: loudest
_LOW = 1800

# name: steps of (Hz, ms), 0 Hz being silence. One, three, two: riders count.
TUNES = {
    "accepted": ((_HIGH, 120), (0, None)),
    "declined": ((_LOW, 120), (0, 80), (_LOW, 120), (0, 80), (_LOW, 120), (0, None)),
    "retry": ((_HIGH, 70), (0, 70), (_HIGH, 70), (0, None)),
}


class Buzzer:
    """pwm: `freq(hz)` and `duty_u16(duty)`, as machine.PWM has, or None where there is no buzzer.

    volume   duty of 65535 while it sounds; a square wave of one half is the loudest
    """

    def __init__(self, clock, pwm=None, volume=32768):
        self._pwm = pwm
        self._volume = volume
        self._sequence = Sequence(self._put, clock)
        self.hz = 0
        self._put(0)

    def play(self, name):
        """Start a tune in place of the one that sounds; KeyError if there is none of that name."""
        self._sequence.play(TUNES[name])

    def step(self):
        """Do what is due; ms until the next change, or None."""
        return self._sequence.step()

    def _put(self, hz):
        self.hz = hz
        pwm = self._pwm
        if pwm is None:
            return
        if hz:
            pwm.freq(hz)  # first: a changed frequency under a running duty is heard as a click
            pwm.duty_u16(self._volume)
        else:
            pwm.duty_u16(0)
