"""What a simulated card is, and the part that all ISO 7816-4 cards share."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OK = b"\x90\x00"
WRONG_LENGTH = b"\x67\x00"
CONDITIONS_NOT_SATISFIED = b"\x69\x85"
NO_CURRENT_EF = b"\x69\x86"
WRONG_DATA = b"\x6a\x80"
FUNCTION_NOT_SUPPORTED = b"\x6a\x81"
NOT_FOUND = b"\x6a\x82"
RECORD_NOT_FOUND = b"\x6a\x83"
WRONG_P1P2 = b"\x6a\x86"
WRONG_OFFSET = b"\x6b\x00"
WRONG_INS = b"\x6d\x00"
WRONG_CLA = b"\x6e\x00"

PPSE = b"2PAY.SYS.DDF01"


class Card(Protocol):
    """A card as a reader sees it.

    `ats` is the whole ATS with its length byte (empty when the card is no ISO-DEP card),
    `apdu` answers a command with data and status word, or with b"" when the card stays mute,
    `power_off` is the field going away: volatile state is lost. `seconds` is how long the card
    takes for a command on average, for whoever plays it in real time.
    """

    uid: bytes
    atqa: int
    sak: int
    ats: bytes
    seconds: float

    def apdu(self, command: bytes) -> bytes: ...

    def power_off(self) -> None: ...


def tlv(tag: int, value: bytes) -> bytes:
    """One BER-TLV object, definite length."""
    head = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
    size = len(value)
    if size < 0x80:
        return head + bytes([size]) + value
    if size < 0x100:
        return head + bytes([0x81, size]) + value
    return head + b"\x82" + size.to_bytes(2, "big") + value


def luhn_digit(digits: str) -> str:
    """The check digit that makes `digits` plus it a valid card number (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def bcd(digits: str, size: int, fill: str = "F") -> bytes:
    """`digits` as cn, left justified in `size` bytes and filled with `fill`."""
    if len(digits) > 2 * size:
        raise ValueError(f"{len(digits)} digits do not fit into {size} bytes")
    return bytes.fromhex(digits.ljust(2 * size, fill))


@dataclass(frozen=True)
class Command:
    """A command APDU taken apart; `le` is None when there is none, 256 for a zero byte."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Command | None:
        """A short APDU of cases 1 to 4; None when lengths do not agree."""
        if len(raw) < 4:
            return None
        cla, ins, p1, p2 = raw[:4]
        body = raw[4:]
        if not body:
            return cls(cla, ins, p1, p2)
        if len(body) == 1:
            return cls(cla, ins, p1, p2, le=body[0] or 256)
        lc = body[0]
        if lc == 0 or len(body) not in (1 + lc, 2 + lc):
            return None
        le = (body[-1] or 256) if len(body) == 2 + lc else None
        return cls(cla, ins, p1, p2, body[1 : 1 + lc], le)


@dataclass(frozen=True)
class Application:
    """An application of a card: its AID, its FCI, and who answers its commands."""

    aid: bytes
    fci: Callable[[], bytes]
    handle: Callable[[Command], bytes]


def plastic_uid(number: str) -> bytes:
    """A 7-byte UID for the plastic card of that number: another card has another one."""
    return b"\x04" + hashlib.sha256(number.encode()).digest()[:6]


class FileCard:
    """A contactless card with applications that are selected by name.

    SELECT finds an application by its AID or by the first bytes of it (ISO 7816-4, 11.2.2), PPSE
    included; everything else goes to the selected application. The options are those of every
    card: `seed` (a phone's random UID), `uid`, and `not_ready`: how many SELECT commands after
    power-up are refused with 6985, as by a phone whose applet is still waking up (Q31). A phone
    counts on while the field is off, so `not_ready` counts over the life of the object.
    """

    atqa = 0x0004
    sak = 0x20
    ats = bytes.fromhex("0578807002")
    seconds = 0.012

    def __init__(self, uid: bytes, seed: int = 1, not_ready: int = 0) -> None:
        if len(uid) not in (4, 7, 10):
            raise ValueError(f"a UID has 4, 7 or 10 bytes, not {len(uid)}")
        self.uid = uid
        if len(uid) == 7:
            self.atqa |= 0x0040
        self.random = random.Random(seed)
        self.not_ready = not_ready
        self.applications: list[Application] = []
        self.selected: Application | None = None
        self.commands: list[bytes] = []

    def power_off(self) -> None:
        self.selected = None

    def apdu(self, command: bytes) -> bytes:
        self.commands.append(bytes(command))
        parsed = Command.parse(command)
        if parsed is None:
            return WRONG_LENGTH
        if parsed.ins == 0xA4:
            return self._select(parsed)
        if self.selected is None:
            return WRONG_INS
        return self.selected.handle(parsed)

    def _select(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if self.not_ready > 0:
            self.not_ready -= 1
            return CONDITIONS_NOT_SATISFIED
        if command.p1 != 0x04 or command.p2 & 0xFC:
            return FUNCTION_NOT_SUPPORTED if command.p1 != 0x04 else WRONG_P1P2
        matches = [a for a in self.applications if a.aid.startswith(command.data)]
        if not command.data or not matches:
            return NOT_FOUND
        if command.p2 & 0x02:  # next occurrence
            after = matches.index(self.selected) + 1 if self.selected in matches else 0
            if after >= len(matches):
                return NOT_FOUND
            self.selected = matches[after]
        else:
            self.selected = matches[0]
        return self.selected.fci() + OK


def ppse(entries: list[tuple[bytes, str, int]]) -> Application:
    """The directory of a contactless card: (AID, label, priority) of each application."""
    directory = b"".join(
        tlv(0x61, tlv(0x4F, aid) + tlv(0x50, label.encode()) + tlv(0x87, bytes([priority])))
        for aid, label, priority in entries
    )
    fci = tlv(0x6F, tlv(0x84, PPSE) + tlv(0xA5, tlv(0xBF0C, directory)))
    return Application(PPSE, lambda: fci, lambda command: WRONG_INS)
