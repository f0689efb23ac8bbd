"""Payments of electronic cash that may have happened: known until the card is back and tells.

One a card, by the token of its certified number: neither counter nor balance says whose it is.
"""

import struct

from validator.media.result import Refused
from validator.media.riders import QUICKPASS

_KEPT = "<HII"  # what riders.py keeps: ATC, balance before, amount
_ROOM = 4  # entries that one card may leave: a payment, rides of card and account, its word
_RESERVE = 4


class Debit:
    """A payment from the moment it can happen.

    `atc` of its transaction, `before` the balance then and `amount`, fen; `proven`: the card's
    signature over all but the balance was right before it could pay.
    """

    __slots__ = ("atc", "before", "amount", "proven")

    def __init__(self, atc, before, amount, proven):
        self.atc = atc
        self.before = before
        self.amount = amount
        self.proven = proven

    def pack(self):
        """As a record's detail "cash" has it."""
        return [self.atc, self.before, self.amount, int(self.proven)]


class Torn:
    """Nothing is forgotten to make room: without room nobody pays. And who rode on a payment that
    nobody could check, until the operator settles it. `riders` of media/riders.py keeps them."""

    def __init__(self, riders):
        self._riders = riders

    def has_room(self, token):
        """Whether what may have to be kept of this card has room."""
        riders = self._riders
        if riders is None:
            raise Refused("out_of_service", "no memory of riders")
        # The last places of a bucket are for those whose payment can be settled.
        room = _ROOM if riders.torn(QUICKPASS, token) else _ROOM + _RESERVE
        return riders.has_room(QUICKPASS, token, room)

    def add(self, token, seq, debit):
        """A payment that may happen from now on; `seq` is its record."""
        riders = self._riders
        data = struct.pack(_KEPT, debit.atc, debit.before, debit.amount)
        time = riders.time.wall() or riders.time.now()
        riders.open(QUICKPASS, token, seq, time, data, int(debit.proven))

    def of(self, token):
        """(number of the record, Debit) of this card, or None."""
        known = self._riders.torn(QUICKPASS, token) if self._riders else None
        if known is None:
            return None
        atc, before, amount = struct.unpack(_KEPT, known[4][:10])
        return known[0], Debit(atc, before, amount, bool(known[2]))

    def drop(self, token):
        """What is known of this card is settled."""
        self._riders.close(QUICKPASS, token)

    def unproven(self, token):
        """Whether this card has ridden so."""
        return self._riders.unproven_of(QUICKPASS, token) is not None

    def mark_unproven(self, token, of, seq=None):
        """This card rode on a payment that nobody could check; `of` is its record."""
        self._riders.mark_unproven(QUICKPASS, token, of, seq)

    def recall(self, seq, fields):
        """One of the newest records, in their order, decoded, at a start."""
        detail = fields["detail"]
        token = fields["token"]
        cash = detail.get("cash")
        if not token:
            return
        if cash:
            self.add(token, seq, Debit(cash[0], cash[1], cash[2], bool(cash[3])))
            return
        of = detail.get("of") or detail.get("void") or detail.get("unknown")
        if of:
            self._riders.close(QUICKPASS, token, seq, of)
        if detail.get("state") == "unproven":
            self.mark_unproven(token, of, seq)
