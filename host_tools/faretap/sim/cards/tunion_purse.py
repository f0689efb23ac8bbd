"""The purchase of a T-Union purse: INITIALIZE, UPDATE CAPP DATA CACHE, DEBIT, and its proof.

What a DEBIT changes (balance, counter, log, trip and composite records, proof) changes in one
step, `Memory.commit`: a card that loses its power keeps the whole old state or the whole new one.

Choices made where the standard is silent or not public:

- The cached records count for this purchase only; any command but UPDATE CAPP DATA CACHE and DEBIT
  ends a purchase that was begun.
- UPDATE CAPP DATA CACHE names a record of file 1A by its number or by the second byte of its
  identifier, and may write its first bytes only; of file 1E it writes a whole record.
- GET TRANSACTION PROVE is asked with the counter that the card has after the debit, as public
  terminals do; `proof="before"` is a card that wants the one of INITIALIZE. The proof stays until
  the next debit, also over an INITIALIZE.
- The log counts a purchase by the counter of its INITIALIZE; `log="after"` is a card that notes
  the next one, `log="none"` one whose log nobody may read.
- A purchase of 0 is one like any other; `zero=False` is a card that refuses it at INITIALIZE,
  `zero="debit"` one that refuses it at DEBIT.
- GET BALANCE by P1: 00 what can be spent, 01 the overdraft limit, 02 overdraft used, 03 own money.
  `top_bit` sets the highest bit of each, as some cards have it: it is no money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from . import purse_keys as keys
from .card import (
    CONDITIONS_NOT_SATISFIED,
    NOT_FOUND,
    OK,
    RECORD_NOT_FOUND,
    WRONG_CLA,
    WRONG_INS,
    WRONG_LENGTH,
    WRONG_P1P2,
    Command,
)
from .purse_memory import Contents, Debit, Memory
from .tunion_layout import TRIP_SIZE, LogEntry

MAC_WRONG = b"\x93\x02"
INSUFFICIENT = b"\x94\x01"
COUNTER_EXHAUSTED = b"\x94\x02"
KEY_NOT_SUPPORTED = b"\x94\x03"
PROOF_NOT_AVAILABLE = b"\x94\x06"

TRIP, COMPOSITE = 0x1E, 0x1A

_PURSE = 0x02
_KINDS = {0x01: keys.PURCHASE, 0x03: keys.COMPOSITE}
_KEY_INDEX = 0x01  # of a purchase key
_TOP_BIT = 0x80000000
_MAX_AMOUNT = 0x7FFFFFFF


@dataclass(frozen=True)
class CardKeys:
    """The card's own keys, 16 bytes each."""

    purchase: bytes
    tac: bytes
    algorithm: int
    version: int = 0x01


@dataclass
class _Open:
    """A purchase between INITIALIZE and DEBIT: gone without power."""

    kind: int
    amount: int
    terminal: bytes
    counter: int
    random: bytes
    trips: list[bytes] = field(default_factory=list)
    composites: dict[int, bytes] = field(default_factory=dict)


class Purse:
    """Answers the purse commands (CLA 80). `power()` is called where power may be lost, right
    before a debit becomes true; it raises `PowerLost` if it is."""

    def __init__(
        self,
        memory: Memory,
        card_keys: CardKeys,
        random: Random,
        power: Callable[[], None],
        *,
        overdraft: int = 0,
        proof: str = "after",
        log: str = "before",
        wrong_mac2: bool = False,
        blocked: bool = False,
        zero: bool | str = True,
        top_bit: bool = False,
        composite: bool = True,
    ) -> None:
        if proof not in ("after", "before"):
            raise ValueError(f"proof is after or before, not {proof!r}")
        if log not in ("before", "after", "none"):
            raise ValueError(f"log is before, after or none, not {log!r}")
        self._memory = memory
        self._keys = card_keys
        self._random = random
        self._power = power
        self._overdraft = overdraft
        self._proof_lag = 1 if proof == "after" else 0
        self._log_lag = 1 if log == "after" else 0
        self._wrong_mac2 = wrong_mac2
        self._blocked = blocked
        self._zero = zero
        self._top = _TOP_BIT if top_bit else 0
        self._has_composite = composite
        self._open: _Open | None = None

    def power_off(self) -> None:
        self._open = None

    def forget(self) -> None:
        """Another command came: a purchase that was begun is over."""
        self._open = None

    def handle(self, command: Command) -> bytes:
        handlers = {
            0x50: self._initialize,
            0xDC: self._cache,
            0x54: self._debit,
            0x5A: self._prove,
            0x5C: self._balance,
        }
        handler = handlers.get(command.ins)
        if handler is None:
            return WRONG_INS
        if command.cla != 0x80:
            return WRONG_CLA
        if command.ins not in (0xDC, 0x54):
            self.forget()
        answer = handler(command)
        if answer[-2:] != OK and command.ins == 0xDC:
            self.forget()
        return answer

    @property
    def _state(self) -> Contents:
        return self._memory.contents

    @property
    def available(self) -> int:
        """What can be spent, in fen: own money and what may be overdrawn."""
        return self._state.balance + self._overdraft

    # Commands

    def _balance(self, command: Command) -> bytes:
        if command.p1 > 0x03 or command.p2 != _PURSE:
            return WRONG_P1P2
        own = self._state.balance
        value = (self.available, self._overdraft, max(0, -own), max(0, own))[command.p1]
        return exactly((value | self._top).to_bytes(4, "big"), command.le)

    def _initialize(self, command: Command) -> bytes:
        if command.p1 not in _KINDS or command.p2 != _PURSE:
            return WRONG_P1P2
        if len(command.data) != 11:
            return WRONG_LENGTH
        if self._blocked:
            return CONDITIONS_NOT_SATISFIED
        if _KINDS[command.p1] == keys.COMPOSITE and not self._has_composite:
            return WRONG_P1P2
        if command.data[0] != _KEY_INDEX:
            return KEY_NOT_SUPPORTED
        amount = int.from_bytes(command.data[1:5], "big")
        state = self._state
        if not amount and self._zero is False:
            return CONDITIONS_NOT_SATISFIED
        if amount > _MAX_AMOUNT or amount > self.available:
            return INSUFFICIENT
        if state.counter == 0xFFFF:
            return COUNTER_EXHAUSTED
        random = self._random.randbytes(4)
        answer = exactly(
            (self.available | self._top).to_bytes(4, "big")
            + state.counter.to_bytes(2, "big")
            + self._overdraft.to_bytes(3, "big")
            + bytes([self._keys.version, self._keys.algorithm])
            + random,
            command.le or 256,
        )
        if answer[-2:] == OK:
            kind = _KINDS[command.p1]
            self._open = _Open(kind, amount, command.data[5:11], state.counter, random)
        return answer

    def _cache(self, command: Command) -> bytes:
        purchase = self._open
        if purchase is None or purchase.kind != keys.COMPOSITE:
            return CONDITIONS_NOT_SATISFIED
        if command.p2 & 0x07:
            return WRONG_P1P2
        data = command.data
        if command.p2 >> 3 == TRIP:
            if command.p1 != 0x00:
                return RECORD_NOT_FOUND
            if len(data) != TRIP_SIZE:
                return WRONG_LENGTH
            purchase.trips.append(data)
            return OK
        if command.p2 >> 3 != COMPOSITE:
            return NOT_FOUND
        number = self._composite_number(command.p1)
        if number is None:
            return RECORD_NOT_FOUND
        if not 0 < len(data) <= len(self._state.composites[number]):
            return WRONG_LENGTH
        purchase.composites[number] = data
        return OK

    def _composite_number(self, name: int) -> int | None:
        records = self._state.composites
        for number, record in enumerate(records):
            if record[1] == name:
                return number
        return name - 1 if 1 <= name <= len(records) else None

    def _debit(self, command: Command) -> bytes:
        if command.p1 != 0x01 or command.p2 != 0x00:
            self.forget()
            return WRONG_P1P2
        purchase, self._open = self._open, None
        if purchase is None:
            return CONDITIONS_NOT_SATISFIED
        if not purchase.amount and self._zero == "debit":
            return CONDITIONS_NOT_SATISFIED
        if len(command.data) != 15 or command.le not in (None, 8, 256):
            return WRONG_LENGTH
        serial, moment, mac1 = command.data[:4], command.data[4:11], command.data[11:]
        own, algorithm = self._keys, self._keys.algorithm
        session = keys.session_key(
            own.purchase, purchase.random, purchase.counter, serial, algorithm
        )
        amount, kind, terminal = purchase.amount, purchase.kind, purchase.terminal
        covered = keys.purchase_data(amount, kind, terminal, moment)
        if keys.mac(session, covered, algorithm) != mac1:
            return MAC_WRONG
        mac2 = keys.mac(session, keys.confirmation_data(amount), algorithm)
        if self._wrong_mac2:
            mac2 = mac2[:3] + bytes([mac2[3] ^ 0x01])
        debit = Debit(
            purchase.counter,
            kind,
            amount,
            terminal,
            serial,
            moment,
            mac2,
            keys.tac(own.tac, amount, kind, terminal, serial, moment, algorithm),
        )
        noted = (purchase.counter + self._log_lag) & 0xFFFF
        log = LogEntry(noted, amount, kind, terminal, moment, self._overdraft)
        after = self._state.with_debit(debit, log.pack(), purchase.trips, purchase.composites)
        self._power()
        self._memory.commit(after)
        return debit.tac + debit.mac2 + OK

    def _prove(self, command: Command) -> bytes:
        if command.p1 != 0x00:
            return WRONG_P1P2
        if len(command.data) != 2:
            return WRONG_LENGTH
        debits = self._state.debits
        asked = int.from_bytes(command.data, "big")
        if (
            not debits
            or debits[-1].kind != command.p2
            or asked != debits[-1].counter + self._proof_lag
        ):
            return PROOF_NOT_AVAILABLE
        return exactly(debits[-1].mac2 + debits[-1].tac, command.le or 256)


def exactly(content: bytes, le: int | None) -> bytes:
    """`content` if `le` asks for it or for everything, fewer bytes if it asks for fewer; 6Cxx
    with the right length if it asks for more, as PBOC cards answer."""
    if le is None:
        return WRONG_LENGTH
    if le in (256, len(content)):
        return content + OK
    if le > len(content):
        return bytes([0x6C, len(content)])
    return content[:le] + OK
