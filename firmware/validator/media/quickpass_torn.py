"""Payments of electronic cash that may have happened: known until the card is back and tells.

One a card, by the token of its certified number: neither counter nor balance says whose it is.
"""

_ROOM = 16


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
    nobody could check, until the issuer has answered."""

    def __init__(self):
        self._open = {}  # token: (number of its record, Debit)
        self._unproven = {}  # token: number of that payment's record

    def __len__(self):
        return len(self._open)

    def has_room(self, token):
        return token in self._open or len(self._open) < _ROOM

    def add(self, token, seq, debit):
        """A payment that may happen from now on; `seq` is its record."""
        self._open[bytes(token)] = (seq, debit)

    def of(self, token):
        """(number of the record, Debit) of this card, or None."""
        return self._open.get(token)

    def drop(self, token):
        self._open.pop(token, None)

    def unproven(self, token):
        """Whether this card has ridden so; of a full memory every card has."""
        return token in self._unproven or len(self._unproven) >= _ROOM

    def mark_unproven(self, token, seq):
        self._unproven[bytes(token)] = seq

    def recall(self, seq, fields):
        """One of the journal's records, in their order, decoded."""
        detail = fields["detail"]
        token = fields["token"]
        cash = detail.get("cash")
        if fields["medium"] != "quickpass" or not token:
            return
        if cash:
            self.add(token, seq, Debit(cash[0], cash[1], cash[2], bool(cash[3])))
            return
        known = self.of(token)
        if known and known[0] in (detail.get("of"), detail.get("void"), detail.get("unknown")):
            self.drop(token)
        if detail.get("state") == "unproven":
            self.mark_unproven(token, detail["of"])
