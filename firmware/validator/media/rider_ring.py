"""Who was here: for the same-card window and cumulative limits."""

import struct

_ENTRY = "<8sIII"  # token, first ride and last ride in unix seconds, fen since the first
_SIZE = 20


class Riders:
    """The last `capacity` riders, in one block of memory; the oldest makes room for a new one.

    A limit can only count what is remembered: it is as long as the ring, and ends with the power.
    """

    def __init__(self, capacity):
        self._data = bytearray(capacity * _SIZE)
        self._next = 0

    def _find(self, token):
        data = self._data
        first = token[0]
        for at in range(0, len(data), _SIZE):
            if data[at] == first and data[at : at + 8] == token:
                return at
        return -1

    def last(self, token):
        """When this rider last rode, unix seconds, or None."""
        at = self._find(token)
        return None if at < 0 else struct.unpack_from(_ENTRY, self._data, at)[2]

    def spent(self, token, now, seconds):
        """Fen that this rider rode for within `seconds` from the first ride on."""
        at = self._find(token)
        if at < 0:
            return 0
        _, first, _, fen = struct.unpack_from(_ENTRY, self._data, at)
        return fen if 0 <= now - first < seconds else 0

    def note(self, token, now, fen, seconds):
        """A ride that counts."""
        at = self._find(token)
        first = now
        if at < 0:
            at = self._next
            self._next = (at + _SIZE) % len(self._data)
        else:
            before = self.spent(token, now, seconds)
            fen += before
            if before:
                first = struct.unpack_from(_ENTRY, self._data, at)[1]
        struct.pack_into(_ENTRY, self._data, at, token, first, now, min(fen, 0xFFFFFFFF))
