"""Time and byte streams as the rest of the firmware sees them.

Drivers never import `machine` or `time`: they are given a `Clock` and a `Serial`, so that a test
gives them fakes whose time is virtual. Both behave the same on ESP32 and on MicroPython for Linux.
"""

import asyncio
import time


class Clock:
    """Monotonic time that wraps (see `time.ticks_ms`), and the wall clock with its trust."""

    def __init__(self):
        self.keep = None  # keep(seconds): set the clock that runs on through a reset
        self.limit_s = 0  # how long the clock is believed after it was set; 0: for ever
        self._set_at = 0  # unix seconds; 0: nobody with a real clock has told us the time
        self._offset = 0

    @property
    def trusted(self):
        """Whether the time was set, and not too long ago."""
        if not self._set_at:
            return False
        return not self.limit_s or 0 <= self.unix() - self._set_at < self.limit_s

    def kept(self, set_at):
        """The clock ran on through a reset; it was set at `set_at`, unix seconds, or never (0)."""
        self._set_at = set_at

    def ticks_ms(self):
        return time.ticks_ms()

    def ticks_us(self):
        return time.ticks_us()

    def diff(self, later, earlier):
        """Signed difference of two tick readings of the same unit."""
        return time.ticks_diff(later, earlier)

    def sleep_ms(self, ms):
        """To be awaited at once. No coroutine: a tap waits some thousand times, and each would
        leave garbage behind."""
        return asyncio.sleep_ms(ms)

    def unix(self):
        """Seconds since 1970-01-01 UTC. Means something only if `trusted`."""
        return _epoch_seconds() + self._offset

    def set_unix(self, seconds):
        if self.keep:
            self.keep(seconds)
        self._offset = seconds - _epoch_seconds()
        self._set_at = seconds


def _epoch_seconds():
    # ESP32 counts from 2000-01-01, Linux and CPython from 1970-01-01.
    return int(time.time()) + _EPOCH


_EPOCH = 0 if time.gmtime(0)[0] == 1970 else 946684800


class Serial:
    """A UART with timed reads for asyncio tasks.

    `uart` is a `machine.UART`: `any()`, `readinto(buf)`, `write(buf)`, `init(baudrate=…)`.
    """

    def __init__(self, uart, clock):
        self._uart = uart
        self._clock = clock
        self._scratch = bytearray(64)  # what nobody wants goes there

    def any(self):
        """Number of bytes that can be read without waiting (at least 1 if there are some)."""
        return self._uart.any()

    def write(self, buf):
        self._uart.write(buf)

    def set_baud(self, baud):
        self._uart.init(baudrate=baud)

    def set_parity(self, odd):
        self._uart.init(parity=1 if odd else 0)

    def drain(self):
        """Throw away what was received and not read (Q05: a late answer is not the next one)."""
        n = 0
        while self._uart.any() and n < 1024:
            n += self._uart.readinto(self._scratch) or 0
        return n

    async def readinto(self, buf, timeout_ms, spin_ms=4):
        """Wait until something is there, read what is there into `buf`, return how many bytes.

        0 means that `timeout_ms` passed in silence. For the first `spin_ms` the task only yields,
        because a reader chip's answer is usually imminent and a sleep costs a whole tick; after
        that it sleeps a millisecond at a time, so that an idle validator costs nothing.
        """
        uart = self._uart
        clock = self._clock
        start = clock.ticks_ms()
        while not uart.any():
            waited = clock.diff(clock.ticks_ms(), start)
            if waited >= timeout_ms:
                return 0
            await clock.sleep_ms(0 if waited < spin_ms else 1)
        return uart.readinto(buf) or 0
