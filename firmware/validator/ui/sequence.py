"""A short score of steps played without waiting: the lights and the buzzer run on it."""


class Sequence:
    """Plays (value, ms) steps by calling `put(value)` at each; the last value stays.

    ms of None holds a step for good. `loop` plays the score again and again.
    """

    def __init__(self, put, clock):
        self._put = put
        self._clock = clock
        self._steps = ()
        self._at = 0
        self._since = 0
        self._loop = False

    def play(self, steps, loop=False):
        """Start a score now, in place of the one that is playing; its first step comes at once."""
        self._steps = steps
        self._loop = loop
        self._at = 0
        self._since = self._clock.ticks_ms()
        if steps:
            self._put(steps[0][0])

    @property
    def playing(self):
        return self._at < len(self._steps)

    def step(self):
        """Do what is due. Returns ms until the next change, or None if nothing will change."""
        clock = self._clock
        while self._at < len(self._steps):
            ms = self._steps[self._at][1]
            if ms is None:
                return None
            now = clock.ticks_ms()
            late = clock.diff(now, self._since) - ms
            if late < 0:
                return -late
            # Counted from when the step was due: a late call does not stretch the score. Taken off
            # `now`, because a sum could leave the range of ticks.
            self._since = now - late
            self._at += 1
            if self._at == len(self._steps):
                if not self._loop:
                    return None
                self._at = 0
            self._put(self._steps[self._at][0])
        return None
