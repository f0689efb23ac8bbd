"""What a code is known again by: none rides a second time before it expires (riders.py).

A code that rides is 12 bytes in its record: digest 8, expiry 4 (unix seconds, little endian). The
digest is of what was signed, so that bytes which no signature covers do not make another code of
it.
"""

import struct
from hashlib import sha256

DIGEST = 8
_PRESENTATION_MS = 2000


def digest(kind, key):
    """8 bytes for the bytes `key` that make a code of this `kind` (medium) the code it is."""
    h = sha256(kind.encode())
    h.update(key)
    return h.digest()[:DIGEST]


def pack(code, expires):
    """The 12 bytes of a digest and its expiry."""
    return code + struct.pack("<I", min(expires, 0xFFFFFFFF))


class Presentation:
    """The code that was shown last, and what became of it.

    A phone stays where it is for some seconds, and the engine reads its code again and again: that
    is one presentation, for as long as no more than 2 s pass between two readings.
    """

    def __init__(self):
        self._code = None
        self._at = 0
        self._outcome = None

    def again(self, code, clock):
        """(medium, outcome, reason) of the presentation that this reading belongs to, or None."""
        now = clock.ticks_ms()
        if code != self._code or clock.diff(now, self._at) >= _PRESENTATION_MS:
            return None
        self._at = now
        return self._outcome

    def note(self, code, clock, result):
        """What a reading came to, once that cannot change any more."""
        self._code = code
        self._at = clock.ticks_ms()
        self._outcome = (result.medium, result.outcome, result.reason)
