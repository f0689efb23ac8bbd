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

from validator.media.result import Refused
from validator.media.riders import PURSE
from validator.media.terminal import when

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
_KEPT = "<HHBHB4s"  # what riders.py keeps: counter, balance before, amount, terminal serial
_COMPOSITE = 0x10
_ROOM = 4  # entries that one rider may leave: a debit, a purchase of 0, a ride, the card's word
_RESERVE = 4


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
    """Debits that may have happened, by the rider's token, one a rider; and who has ridden on one
    that nobody could check, until the operator settles it. `riders` of media/riders.py keeps them;
    `psams` of the rules says whose terminal it was."""

    def __init__(self, riders, rules):
        self._riders = riders
        self._rules = rules

    def admit(self, token):
        """Refused if what may have to be kept of this rider has no room."""
        riders = self._riders
        if riders is None:
            raise Refused("out_of_service", "no memory of riders")
        # The last places of a bucket are for those whose debit can be settled.
        room = _ROOM if riders.torn(PURSE, token) else _ROOM + _RESERVE
        if not riders.has_room(PURSE, token, room):
            raise Refused("storage_full", "riders")

    def is_scarce(self, token):
        """Whether so little room is left that a card has to prove its key before a debit of it is
        kept: whoever has no key could fill all of it with cards that he makes up."""
        table = self._riders.table
        least = max(table.room // 5, min(table.room // 2, 2 * (_ROOM + _RESERVE)))
        return self._riders.is_scarce(PURSE, token, least)

    def add(self, token, seq, debit):
        """A debit that may happen from now on; `seq` is its open record. It takes the place of an
        earlier one; adding that one again brings it back."""
        data = struct.pack(
            _KEPT,
            debit.counter,
            debit.before & 0xFFFF,
            debit.before >> 16,
            debit.amount & 0xFFFF,
            debit.amount >> 16,
            debit.serial,
        )
        flags = _COMPOSITE if debit.type == 9 else 0
        self._riders.open(PURSE, token, seq, debit.unix, data, _check(debit.terminal), flags)

    def drop(self, token):
        """What is known of this rider is settled."""
        self._riders.close(PURSE, token)

    def of(self, token):
        """(number of the record, Debit) of this rider, or None. The Debit has what is needed to
        know it again: no MAC1, key version and algorithm."""
        known = self._riders.torn(PURSE, token)
        if known is None:
            return None
        seq, time, check, flags, data = known
        counter, before, more, amount, rest, serial = struct.unpack(_KEPT, data)
        debit = Debit(
            9 if flags & _COMPOSITE else 6, counter, before | more << 16, amount | rest << 16
        )
        debit.serial = serial
        debit.unix = time
        debit.when = when(time)
        for psam in self._rules["psams"]:
            if _check(psam.terminal) == check:
                debit.terminal = psam.terminal
        return seq, debit

    def probes(self, token):
        """(purchases of 0 for the sake of this rider's torn debit, MAC2 and TAC that the card told
        of it before the first, or None)."""
        return self._riders.probes(PURSE, token)

    def note_probe(self, token, proof, seq=None):
        """Another one is about to happen: it moves the counter, and takes the proof's place. Known
        as long as the debit is."""
        self._riders.note_probe(PURSE, token, proof, seq)

    def unproven(self, token):
        """Whether this rider has ridden so."""
        return self._riders.unproven_of(PURSE, token) is not None

    def mark_unproven(self, token, of, seq=None):
        """This rider rode on the word of the card; `of` is the record of the torn debit."""
        self._riders.mark_unproven(PURSE, token, of, seq)

    def recall(self, seq, fields):
        """One of the newest records, in their order, decoded, at a start."""
        token = fields["token"]
        debit = unpack(fields["evidence"])
        if token is None or debit is None:
            return
        riders = self._riders
        detail = fields["detail"]
        if "proof" in detail:
            # A purchase of 0 takes no debit's place.
            known = riders.torn(PURSE, token)
            if known and known[0] == detail["proof"] and debit.state != REFUSED:
                self.note_probe(token, bytes.fromhex(detail["told"]), seq)
            return
        if debit.state == OPEN or (debit.state == LOST and not debit.of):
            debit.unix = fields["time"]
            self.add(token, seq, debit)
            return
        if debit.state == UNPROVEN:
            self.mark_unproven(token, debit.of, seq)
        # A debit that was paid, and its record in one: whatever was open before it gave way to it.
        # One that the card refused, or whose MAC2 was wrong, says nothing of an earlier one.
        upto = debit.of
        if debit.state == PAID and not upto:
            upto = seq if fields["version"] == 2 else debit.void
        elif not upto:
            upto = debit.void  # proven by a purchase of 0, whatever became of this one
        if upto:
            riders.close(PURSE, token, seq, upto)


def _check(terminal):
    """A byte by which the terminal of a PSAM is told from a few others."""
    check = 0
    for byte in terminal:
        check = (check << 3 | check >> 5) & 0xFF ^ byte
    return check


def initialize(kind, data):
    """INITIALIZE FOR PURCHASE (06) or CAPP PURCHASE (09): key index 1, amount 4, terminal 6."""
    return bytes((0x80, 0x50, 0x03 if kind == 9 else 0x01, 0x02, 11)) + data + b"\x0f"
