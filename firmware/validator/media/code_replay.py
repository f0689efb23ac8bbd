"""Which codes have been ridden on: none may be a second time before it expires.

A remembered code is 12 bytes, as its record carries them: digest 8, expiry 4 (unix seconds,
little endian). The digest is of what was signed, so that bytes which no signature covers do not
make another code of it.
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


class Replay:
    """Room for `capacity` codes, in one block of memory.

    A code that has not expired is never forgotten. Where all have not, there is no room, and the
    next code must be refused: otherwise the one whose place it took could be shown again.
    """

    def __init__(self, capacity):
        self._digests = bytearray(capacity * DIGEST)
        self._expires = bytearray(capacity * 4)
        self._capacity = capacity
        self._at = 0

    def _expiry(self, i):
        return struct.unpack_from("<I", self._expires, 4 * i)[0]

    def _find(self, code):
        if code not in self._digests:  # in C: nearly every code ends here
            return -1
        data = self._digests
        for i in range(self._capacity):
            if data[DIGEST * i : DIGEST * i + DIGEST] == code:
                return i
        return -1

    def seen(self, code, now):
        """Whether the code with this digest was ridden on and has not expired."""
        i = self._find(code)
        return i >= 0 and self._expiry(i) >= now

    def has_room(self, now):
        """Whether one more code can be remembered; `add` then takes that place."""
        for _ in range(self._capacity):
            if self._expiry(self._at) < now:
                return True
            self._at = (self._at + 1) % self._capacity
        return False

    def add(self, code, expires):
        """Remember the code with this digest until `expires`, after `has_room` has said yes."""
        i = self._find(code)
        if i < 0:
            i = self._at
            self._at = (i + 1) % self._capacity
            self._digests[DIGEST * i : DIGEST * i + DIGEST] = code
        elif self._expiry(i) > expires:
            return
        struct.pack_into("<I", self._expires, 4 * i, min(expires, 0xFFFFFFFF))

    def restore(self, codes):
        """Remember the 12-byte `codes` of the journal's records, in any order.

        Of more than there is room for, those that expire last are kept. There never were more
        that had not expired, so that nothing is lost.
        """
        for code in codes:
            expires = struct.unpack_from("<I", code, DIGEST)[0]
            if not self.has_room(1):  # 0 is what an empty place has
                self._at = self._soonest()
                if self._expiry(self._at) >= expires:
                    continue
            self.add(bytes(code[:DIGEST]), expires)

    def _soonest(self):
        soonest = 0
        for i in range(1, self._capacity):
            if self._expiry(i) < self._expiry(soonest):
                soonest = i
        return soonest


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
