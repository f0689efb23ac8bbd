"""Debits whose answer was lost: what is known of them, in RAM and in the journal.

A record's evidence for a purse, version 50 (hex), big endian, 52 bytes; then, where money moved
and there is an acquirer's key, the first 20 bytes of file 15 (issuer, number), sealed as
`media/evidence.py` does:

    50 | state 1 | type 1 (06 purchase, 09 composite) | counter 2 and balance 4 before | amount 4 |
    terminal 6 | terminal serial 4 | YYYYMMDDhhmmss BCD 7 | MAC1 4 | key version 1 | algorithm 1 |
    of 4: record that was open for this debit | void 4: record whose debit did not happen |
    MAC2 4 | TAC 4
"""

import struct

from validator.store import record

VERSION = 0x50

OPEN = 0  # written before DEBIT goes out: may have happened
LOST = 1  # nobody answered: may have happened
PAID = 2  # MAC2 is right
UNCHECKED = 3  # of firmware before 2: the card said so, and MAC2 was not checked
WRONG = 4  # the card says that it paid, and its MAC2 is wrong
REFUSED = 5  # the card refused: nothing moved
VOID = 6  # nothing of its own; the record `void` did not happen
UNPROVEN = 7  # key and counter proven by a purchase of 0, the rest is the card's word; TAC kept

STATES = ("open", "lost", "paid", "unchecked", "wrong", "refused", "void", "unproven")

_FORMAT = ">BBBHII6s4s7s4sBBII4s4s"
SIZE = 52
_NONE = b"\0\0\0\0"


class Debit:
    """One debit: members as in the layout above; `counter`, money and records as numbers."""

    def __init__(self, kind=0, counter=0, before=0, amount=0):
        self.state = OPEN if kind else VOID
        self.type = kind
        self.counter = counter
        self.before = before
        self.amount = amount
        self.terminal = bytes(6)
        self.serial = self.mac1 = self.mac2 = self.tac = _NONE
        self.when = bytes(7)
        self.version = 0
        self.algorithm = 0
        self.of = 0
        self.void = 0
        self.answer = b""  # of a card that refused DEBIT, or answered what is none: status word
        self.public = b""  # file 15
        self.unix = 0  # what `when` says
        self.mine = False  # it has a record whose end this is
        self.proves = 0  # a purchase of 0: the record of the torn debit that it is for
        self.proof = b""  # beside it: MAC2 and TAC that the card has told of that debit

    def evidence(self, seal):
        """For a record of its own: 52 bytes, and who paid, for the acquirer."""
        data = self.pack()
        if seal and self.state in (PAID, UNPROVEN, WRONG):
            data += seal.seal(self.public[:20])
        return data

    def pack(self):
        """52 bytes."""
        return struct.pack(
            _FORMAT,
            VERSION,
            self.state,
            self.type,
            self.counter,
            self.before,
            self.amount,
            self.terminal,
            self.serial,
            self.when,
            self.mac1,
            self.version,
            self.algorithm,
            self.of,
            self.void,
            self.mac2,
            self.tac,
        )


def unpack(evidence):
    """The Debit in a record's evidence, or None."""
    if evidence is None or len(evidence) < SIZE or evidence[0] != VERSION:
        return None
    debit = Debit()
    (
        _,
        debit.state,
        debit.type,
        debit.counter,
        debit.before,
        debit.amount,
        debit.terminal,
        debit.serial,
        debit.when,
        debit.mac1,
        debit.version,
        debit.algorithm,
        debit.of,
        debit.void,
        debit.mac2,
        debit.tac,
    ) = struct.unpack(_FORMAT, bytes(evidence[:SIZE]))
    return debit


class Torn:
    """Debits that may have happened, by the rider's token; one a rider, the oldest gives way. And
    who has ridden on one that nobody could check, until the issuer has answered."""

    KEEP = 16
    KEEP_UNPROVEN = 64

    def __init__(self):
        self._open = []  # (token, number of the record, 52 bytes)
        self._unproven = {}  # token: number of that debit's record
        self._probes = {}  # token: (purchases of 0 that may have happened since, proof told)

    def __len__(self):
        return len(self._open)

    def add(self, token, seq, debit):
        """A debit that may happen from now on; `seq` is its open record. It takes the place of an
        earlier one; adding that one again brings it back."""
        self.drop(token)
        self._open.append((bytes(token), seq, debit.pack()))
        if len(self._open) > self.KEEP:
            self._open.pop(0)

    def drop(self, token):
        """What is known of this rider is settled."""
        self._probes.pop(token, None)
        self._open = [e for e in self._open if e[0] != token]

    def of(self, token):
        """(number of the record, Debit) of this rider, or None."""
        for known, seq, packed in self._open:
            if known == token:
                return seq, unpack(packed)
        return None

    def probes(self, token):
        """(purchases of 0 for the sake of this rider's torn debit, MAC2 and TAC that the card told
        of it before the first, or None)."""
        return self._probes.get(token, (0, None))

    def note_probe(self, token, proof):
        """Another one is about to happen: it moves the counter, and takes the proof's place. Known
        as long as the debit is; forgetting it costs the rider a charge that is marked."""
        count, told = self.probes(token)
        self._probes[bytes(token)] = (count + 1, told or proof)

    def unproven(self, token):
        """Whether this rider has ridden so; of a full memory everybody has."""
        return token in self._unproven or len(self._unproven) >= self.KEEP_UNPROVEN

    def mark_unproven(self, token, seq):
        """This rider rode on the word of the card; `seq` is the record of the torn debit."""
        self._unproven[bytes(token)] = seq

    def rebuild(self, journal, count=256):
        """Take from the last `count` records what was open when the power went; once, at boot."""
        from validator.store.purchase_read import Contexts

        contexts = Contexts()
        for seq, body, _, _, _ in journal.read(max(1, journal.next_seq - count), True):
            if not seq:
                contexts.add(body)
                continue
            try:
                self.recall(seq, record.decode(body, contexts.find))
            except record.RecordError:
                pass

    def recall(self, seq, fields):
        """One of these records, in their order, decoded."""
        token = fields["token"]
        debit = unpack(fields["evidence"])
        if fields["medium"] != "tunion" or token is None or debit is None:
            return
        if "proof" in fields["detail"]:
            # A purchase of 0 takes no debit's place.
            known = self.of(token)
            if known and known[0] == fields["detail"]["proof"] and debit.state != REFUSED:
                self.note_probe(token, bytes.fromhex(fields["detail"]["told"]))
            return
        if debit.state == OPEN or (debit.state == LOST and not debit.of):
            self.add(token, seq, debit)
            return
        if debit.state == UNPROVEN:
            self.mark_unproven(token, debit.of)
        known = self.of(token)
        # A debit that was paid, and its record in one: whatever was open before it gave way to it.
        # One that the card refused, or whose MAC2 was wrong, says nothing of an earlier one.
        if known and (
            known[0] == debit.of
            or (debit.state == PAID and (fields["version"] == 2 or known[0] == debit.void))
        ):
            self.drop(token)


def initialize(kind, data):
    """INITIALIZE FOR PURCHASE (06) or CAPP PURCHASE (09): key index 1, amount 4, terminal 6."""
    return bytes((0x80, 0x50, 0x03 if kind == 9 else 0x01, 0x02, 11)) + data + b"\x0f"
