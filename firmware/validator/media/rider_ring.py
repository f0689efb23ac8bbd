"""Who was here: for the same-card window, cumulative limits, and debits that were torn."""

import struct

_ENTRY = "<8sIII"  # token, first ride and last ride in unix seconds, fen since the first
_SIZE = 20
_MAX_LATER = 8  # transactions


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


class Debit:
    """An electronic cash payment that the card may have made: what a second tap needs to know."""

    __slots__ = ("token", "atc", "before", "amount", "evidence", "since")

    def __init__(self, token, atc, before, amount, evidence, since):
        self.token = token
        self.atc = atc
        self.before = before  # fen
        self.amount = amount
        self.evidence = evidence
        self.since = since  # unix seconds


class Torn:
    """Debits from the moment they can happen until their record is durable; few, and not for long.

    Losing one costs a rider a second debit at worst, so that they outlive any retry at the door,
    but not a shift.
    """

    KEEP_S = 600

    def __init__(self, capacity=4):
        self._capacity = capacity
        self._debits = []

    def __len__(self):
        return len(self._debits)

    def add(self, debit):
        """A debit that may happen now; what was open of this rider before has not happened."""
        self.drop_rider(debit.token)
        self._debits.append(debit)
        if len(self._debits) > self._capacity:
            self._debits.pop(0)

    def drop(self, debit):
        if debit in self._debits:
            self._debits.remove(debit)

    def drop_rider(self, token):
        self._debits = [d for d in self._debits if d.token != token]

    def made(self, atc, balance, now):
        """The debit that a card with this counter and balance has made, or None.

        The counter may have gone on a little: by taps that proved only who the card is.
        """
        self._debits = [d for d in self._debits if 0 <= now - d.since < self.KEEP_S]
        for debit in self._debits:
            if (
                debit.amount
                and debit.before - debit.amount == balance
                and 0 <= atc - debit.atc <= _MAX_LATER
            ):
                return debit
        return None
