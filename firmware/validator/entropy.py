"""Random bytes for all that must not be foreseen: 9F37, keys, challenges, tokens of sessions.

    from validator import entropy

    entropy.random(4)

`os.urandom` of MicroPython for ESP32 is `esp_random`. With the radio off, as it always is here,
that is a pseudo-random register: ESP-IDF's bootloader fills it with noise at each start (SAR ADC),
and then switches the noise off. So it is one source among several, which go through SHA-256 into a
pool:

- the register, again and again: its start is noise of this boot;
- a seed in NVS, 32 bytes, that each boot replaces: what earlier boots gathered;
- the chip's id, its clocks, and noise that the board has (`Board.noise`);
- the times, in µs, at which riders' and hosts' bytes come.

One of them that an attacker does not know is enough. The pool's next state does not lead back to
earlier output. A register that repeats itself is a `fault`: then nobody is served.

Output is made in idle time (`prepare`), 32 bytes at a time; a tap only takes some of it.
"""

import os
from hashlib import sha256

_BLOCK = 16  # bytes of the source at once
_SIZE = 32
_LOW = 12  # bytes left of the output: a tap takes 4, a purse a few more
_SEED = "seed"


class Pool:
    """`source(n)` gives n bytes that are hoped to be random."""

    def __init__(self, source=os.urandom):
        self._source = source
        self._state = bytes(_SIZE)
        self._out = b""
        self._at = 0
        self._last = b""
        self._times = 0
        self._count = 0
        self.fault = ""

    def stir(self, data):
        """Mix in what others may not know. Adds, and takes nothing away."""
        self._state = sha256(b"in" + self._state + data).digest()
        self._out = b""
        self._at = 0

    def tick(self, us):
        """Mix in when something came from outside; costs no memory."""
        self._times = (self._times * 31 ^ us) & 0x3FFFFFFF

    def prepare(self):
        """Idle work: output for the next tap, with what came in since."""
        if len(self._out) - self._at < _LOW:
            self._make()

    def _make(self):
        block = self._source(_BLOCK)
        if block == self._last or block == block[:1] * _BLOCK:
            self.fault = "the random source repeats itself"
        self._last = block
        self._count += 1
        more = b"%d %d " % (self._times, self._count)
        self._state = sha256(b"go" + self._state + more + block).digest()
        self._out = sha256(b"out" + self._state).digest()
        self._at = 0

    def take(self, n):
        """n bytes that were never given out before."""
        at = self._at
        if at + n <= len(self._out):
            self._at = at + n
            return self._out[at : at + n]
        parts = []
        while n > 0:
            self._make()
            parts.append(self._out[:n])
            self._at = min(n, _SIZE)
            n -= _SIZE
        return b"".join(parts)


pool = Pool()


def random(n):
    """n random bytes."""
    return pool.take(n)


def begin(nvs, *known):
    """At the start: `known` are bytes that are this chip's and this moment's."""
    for data in known:
        pool.stir(data)
    seed = bytearray(_SIZE)
    try:
        nvs.get_blob(_SEED, seed)
        pool.stir(seed)
    except OSError:
        pass
    for _ in range(4):
        pool.take(_SIZE)  # and each asks the source again: a stuck one shows here
    try:
        nvs.set_blob(_SEED, pool.take(_SIZE))
        nvs.commit()
    except OSError:
        pass  # that it cannot be written, others find out and say
