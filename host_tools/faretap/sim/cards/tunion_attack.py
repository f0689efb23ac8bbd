"""Attackers in the form of T-Union purses: one without keys, and one between card and validator.

`Forged` knows no key and has no money, but all that crosses the air: what a validator sends it
uses for its log line and proof. `PurseRelay` is a genuine card with somebody in front of it who
may swallow commands, withhold answers and change whatever nobody signs. What they do is chosen by
name, or freely by a sweep (`plan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .card import OK
from .tunion import TUnion
from .tunion_layout import LogEntry
from .tunion_purse import PROOF_NOT_AVAILABLE

_INITIALIZE, _DEBIT, _PROVE = 0x50, 0x54, 0x5A
_READ_BINARY, _READ_RECORD, _SELECT = 0xB0, 0xB2, 0xA4
_LOG, _ADMINISTRATION, _PUBLIC = 0x18, 0x17, 0x15


@dataclass
class Plan:
    """What the attacker does, from now on.

    `debit` of an amount: "answer" (Forged: an invented MAC2; a relay: pass it on), "silent"
    (Forged stays mute; a relay swallows it), "withhold" (pass it on, and keep the answer),
    "refuse" (say 6985 and swallow it); `zero` the same for a purchase of 0. `mac2` what an
    invented MAC2 is: 8 hex digits, or "random". `log` whether it shows a line of the last DEBIT
    that it saw; `proof` "none", "random", or "true" (whatever the card says; Forged has seen
    none). `ahead` is added to the counter, `kind` the card type, `digits` the first three digits
    of the number.
    """

    debit: str = "answer"
    zero: str = "answer"
    mac2: str = "00000000"
    log: bool = True
    proof: str = "random"
    ahead: int = 0
    kind: int | None = None
    digits: str = ""


class _Attacker(TUnion):
    """What both know: what the validator sent."""

    def __init__(self, *, plan: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.plan = Plan(**(plan or {}))
        self._asked = b""
        self.line = b""
        self._counter = 0
        self._gone = False

    def power_off(self) -> None:
        super().power_off()
        self._gone = False

    def apdu(self, command: bytes) -> bytes:
        if self._gone:
            return b""
        answer = self._play(bytes(command))
        self._gone = not answer
        return answer

    def _play(self, command: bytes) -> bytes:
        raise NotImplementedError

    def _honest(self, command: bytes) -> bytes:
        """The answer of the card as such."""
        return super().apdu(command)

    def _invented(self) -> bytes:
        plan = self.plan
        return self.random.randbytes(4) if plan.mac2 == "random" else bytes.fromhex(plan.mac2)

    def _seen(self, command: bytes) -> int:
        """Note what an INITIALIZE or DEBIT told; fen of the purchase."""
        if command[1] == _INITIALIZE:
            self._asked = command
        amount = int.from_bytes(self._asked[6:10], "big")
        if command[1] == _DEBIT and amount:
            kind = 0x09 if self._asked[2] == 0x03 else 0x06
            self.line = LogEntry(
                self._counter, amount, kind, self._asked[10:16], command[9:16], 0
            ).pack()
        return amount

    def _disguised(self, command: bytes, answer: bytes) -> bytes:
        """Files that nobody signs."""
        plan, data = self.plan, bytearray(answer)
        if command[1] == _READ_BINARY and command[2] & 0x1F == _ADMINISTRATION:
            if plan.kind is not None and len(data) > 12:
                data[10] = plan.kind
        elif plan.digits:
            at = bytes(data).find(self.files[_PUBLIC][:20])
            if at >= 0:
                data[at + 10 : at + 12] = bytes.fromhex("0" + plan.digits)
        return bytes(data)


class Forged(_Attacker):
    """A phone without keys. Its "debits" move nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._counter = self.counter

    def _play(self, command: bytes) -> bytes:
        plan = self.plan
        if command[1] == _INITIALIZE and len(command) >= 16:
            amount = self._seen(command)
            if not amount and plan.zero == "refuse":
                return b"\x69\x85"
            counter = (self._counter + plan.ahead) & 0xFFFF
            return (
                (5000).to_bytes(4, "big")
                + counter.to_bytes(2, "big")
                + bytes(3)
                + b"\x01\x01"
                + self.random.randbytes(4)
                + OK
            )
        if command[1] == 0xDC:
            return OK
        if command[1] == _DEBIT:
            amount = self._seen(command)
            self._counter += 1
            act = plan.debit if amount else plan.zero
            if act in ("silent", "withhold"):
                return b""
            if act == "refuse":
                return b"\x69\x85"
            return self.random.randbytes(4) + self._invented() + OK
        if command[1] == _PROVE:
            if plan.proof == "none":
                return PROOF_NOT_AVAILABLE
            return self._invented() + self.random.randbytes(4) + OK
        if command[1] == _READ_RECORD and command[3] >> 3 == _LOG and self.line and plan.log:
            return self.line + OK
        return self._disguised(command, self._honest(command))


class PurseRelay(_Attacker):
    """Somebody in front of a genuine card, whose money and keys are real."""

    def _play(self, command: bytes) -> bytes:
        plan = self.plan
        if command[1] == _INITIALIZE and len(command) >= 16:
            amount = self._seen(command)
            if not amount and plan.zero == "refuse":
                return b"\x69\x85"
            answer = self._honest(command)
            if answer[-2:] != OK:
                return answer
            self._counter = int.from_bytes(answer[4:6], "big")
            told = (self._counter + plan.ahead) & 0xFFFF
            return answer[:4] + told.to_bytes(2, "big") + answer[6:]
        if command[1] == _DEBIT:
            act = plan.debit if self._seen(command) else plan.zero
            if act == "silent":
                return b""
            if act == "refuse":
                return b"\x69\x85"
            answer = self._honest(command)
            return b"" if act == "withhold" else answer
        if command[1] == _PROVE and plan.proof != "true":
            if plan.proof == "none":
                return PROOF_NOT_AVAILABLE
            return self._invented() + self.random.randbytes(4) + OK
        if command[1] == _READ_RECORD and command[3] >> 3 == _LOG and self.line and plan.log:
            return self.line + OK
        return self._disguised(command, self._honest(command))
