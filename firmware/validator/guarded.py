"""Time for what must not be forgotten: it never goes back, and no setting of the clock moves it.

The wall clock may be set forward and back. Guarded time G begins with the latest time that flash
knows of, or with the wall clock's when that is known for the first time in this boot, whichever is
later. From then on it goes on with the ticks.
"""

_SET = 2  # seconds that the two may differ by without anybody having set the clock


class GuardedTime:
    """`clock` as in hal.py. All times are unix seconds; those that are kept are G's."""

    def __init__(self, clock):
        self._clock = clock
        self._now = 0
        self._ms = 0  # of the second that is running
        self._ticks = clock.ticks_ms()
        self._known = False

    def now(self):
        """G. To be asked at least once in some days, because ticks wrap."""
        clock = self._clock
        ticks = clock.ticks_ms()
        ms = self._ms + clock.diff(ticks, self._ticks)
        self._ticks = ticks
        self._now += ms // 1000
        self._ms = ms % 1000
        if not self._known and clock.trusted:
            self._known = True
            self.reach(clock.unix())
        return self._now

    def reach(self, time):
        """Flash knows of `time`: G is not behind it."""
        if time > self._now:
            self._now = time

    def wall(self):
        """The wall clock's time, or None as long as nobody knows it."""
        clock = self._clock
        return clock.unix() if clock.trusted else None

    def elapsed(self, since):
        """Seconds since the time `since`, which flash has. Never negative; where the clock was
        set, the fewest that it can be."""
        g = self.now() - since
        if g < 0:
            self.reach(since)
            g = 0
        wall = self.wall()
        return g if wall is None or not 0 <= wall - since < g else wall - since

    def ahead(self):
        """Seconds that G is ahead of the wall clock; negative if that was set forward; 0 if the
        two go together."""
        g = self.now()
        wall = self.wall()
        return 0 if wall is None or -_SET <= g - wall <= _SET else g - wall
