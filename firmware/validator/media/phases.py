"""How long each phase of a tap took, by the validator's own clock."""

PHASES = ("detect", "select", "read", "verify", "decide", "commit", "signal")


class Phases:
    """Stop-watch that is never stopped: `mark(name)` closes the running phase under that name.

    A phase that is marked more than once adds up (a second SELECT after a field reset). Times are
    counted in microseconds and reported in whole milliseconds, so that many short phases do not
    vanish in rounding.
    """

    def __init__(self, clock):
        self._clock = clock
        self._us = [0] * len(PHASES)
        self._since = clock.ticks_us()

    def start(self):
        """Forget everything; the first phase runs from now."""
        for i in range(len(PHASES)):
            self._us[i] = 0
        self._since = self._clock.ticks_us()

    def mark(self, name):
        """End the running phase and book it under `name`; ValueError if that is not a phase."""
        i = PHASES.index(name)
        now = self._clock.ticks_us()
        self._us[i] += self._clock.diff(now, self._since)
        self._since = now

    def add(self, name, us):
        """Book time that was measured elsewhere, in µs."""
        self._us[PHASES.index(name)] += us

    def us(self, name):
        """Accumulated time of a phase, in µs."""
        return self._us[PHASES.index(name)]

    def ms(self, name):
        """Accumulated time of a phase, in ms."""
        return (self._us[PHASES.index(name)] + 500) // 1000

    def as_dict(self):
        """{phase: ms} of every phase, those that never ran with 0."""
        return {name: self.ms(name) for name in PHASES}
