"""Wrong MAC2 that a PSAM takes before it locks itself for ever: counted, and kept over restarts.

    tries = Tries(nvs, clock, log)            any of them None: in RAM, without pauses, silent
    tries.wrong(key, 13)                      63CD: so many are left; None: the PSAM does not say
    tries.right(key)                          the count begins anew
    tries.fault(key)                          "" while the PSAM may be asked, else why not

`key` is 7 bytes: DF 2, last 5 of the terminal id. `nvs` is an `esp32.NVS` or the like.

A card without keys costs one try. At the last two the PSAM is not asked any more, and its purses
are out of service: until another PSAM is in the slot, or an operator says `release`, which stakes
one try. So that a row of such cards does not come to that in half a minute, the PSAM pauses longer
after each once fewer than half are left; one right MAC2 of any rider between them ends it.
"""

from validator.sam import PAUSE

_MOST = 15  # of a PSAM that does not say how many are left
_LAST = 2
_CALM = 8
_PAUSE_MS = 15000
_RELEASED = 0x100  # beside the number: an operator has said that it may be asked again


class Tries:
    def __init__(self, nvs=None, clock=None, log=None):
        self._nvs = nvs
        self._clock = clock
        self._log = log
        self._known = {}  # key: number of tries left, with _RELEASED or not; -1: all of them
        self._paused = {}  # key: (since, ms)
        self._unsaved = []

    def left(self, key):
        """How many wrong ones the PSAM still takes, as far as it said so, or None."""
        value = self._value(key)
        return None if value < 0 else value & 0xFF

    def fault(self, key):
        value = self._value(key)
        if 0 <= value <= _LAST:
            return "%d tries of MAC2 left" % value if value else "locked"
        paused = self._paused.get(key)
        if paused:
            clock = self._clock
            if clock.diff(clock.ticks_ms(), paused[0]) < paused[1]:
                return PAUSE
            del self._paused[key]
        return ""

    def wrong(self, key, left):
        before = self._value(key)
        if left is None:
            left = max(0, (before & 0xFF if before >= 0 else _MOST) - 1)
        self._known[key] = left
        # Before the next card: whoever can cut the power does not get the try back.
        self._save(key)
        if self._clock and _LAST < left < _CALM:
            pause = _PAUSE_MS << (_CALM - 1 - left)
            self._paused[key] = (self._clock.ticks_ms(), pause)
        if self._log:
            what = "%s: a wrong MAC2, %d tries left" % (key.hex(), left)
            if left > _LAST:
                self._log.warning("psam", what)
            else:
                self._log.error("psam", what + ": out of service")

    def right(self, key):
        if self._value(key) >= 0:
            self._known[key] = -1
            self._unsaved.append(key)  # in idle time: until then the count is too low, no harm
        self._paused.pop(key, None)

    def release(self, key):
        """An operator lets the PSAM be asked again; False where the next try may be its last."""
        left = self.left(key)
        if left is None:
            return True
        if left < _LAST:
            return False
        self._known[key] = left | _RELEASED
        self._save(key)
        return True

    def keep(self):
        """Idle work: what `right` has left to be written."""
        while self._unsaved:
            self._save(self._unsaved.pop())

    def _value(self, key):
        value = self._known.get(key)
        if value is None:
            value = -1
            if self._nvs:
                try:
                    value = self._nvs.get_i32(_name(key))
                except OSError:
                    pass  # never written
            self._known[key] = value
        return value

    def _save(self, key):
        if not self._nvs:
            return
        try:
            self._nvs.set_i32(_name(key), self._known[key])
            self._nvs.commit()
        except OSError as e:
            if self._log:
                self._log.error("psam", "tries not kept: %r" % e)


def _name(key):
    return "p" + key.hex()  # 15 characters, as many as NVS takes
