"""What every NFC reader driver has in common: its errors, and a card it found.

A driver has `chip`, `open()`, `field(on)`, `poll()`, `transceive(apdu)`, `present()`,
`deselect()`, `check()` and `recover()`, all coroutines but `chip`; see
`validator.nfc.pn532.Pn532Reader`. It may have `removal_grace_ms`, `low_power` (False: the field
stays as it is between polls) and `traffic()`, which the poller uses.
"""


class ReaderError(Exception):
    """Base of what goes wrong with reader chip or card. `reason`: one short word."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class ReaderDead(ReaderError):
    """The chip does not answer, or must be recovered before it is of use again."""


class CardLost(ReaderError):
    """The card left or stays silent: tap again."""


class CardProtocolError(ReaderError):
    """The card breaks ISO 14443-4, or two of them talk at once (reason "collision")."""


class Target:
    """A card after activation.

    kind   "A" or "B"
    uid    bytes, 4, 7 or 10; phones show a random one (08 …), so it is never an identity (Q29).
           Type B: the PUPI, which is as good as random
    atqa   int, 16 bits; sak int, 8 bits. Type B: 0, and 0x20 for a card of ISO 14443-4
    ats    bytes as answered to RATS, with its length byte; b"" if not ISO 14443-4.
           Type B: the ATQB, 12 bytes from its 50 on
    count  number of cards seen in the field; 2 is a collision for the rider to resolve (Q22)
    apdu   True if the card takes APDUs (ISO 14443-4)
    """

    def __init__(self, uid, atqa, sak, ats=b"", count=1, kind="A"):
        self.kind = kind
        self.uid = uid
        self.atqa = atqa
        self.sak = sak
        self.ats = ats
        self.count = count
        self.apdu = bool(sak & 0x20) and len(ats) > 0

    def __repr__(self):
        what = (self.kind, self.sak, len(self.uid), self.count)
        return "<Target %s, sak %02x, %d byte uid, count %d>" % what


def random_uid(uid):
    """True for a UID that its card makes up for each field: 4 bytes, 08 (ISO 14443-3, 6.5.4)."""
    return len(uid) == 4 and uid[0] == 0x08
