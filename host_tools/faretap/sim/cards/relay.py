"""A relay in front of a genuine QuickPass card: what it can change, because nobody signs it.

The card at the other end is a simulated one with its keys. The relay has none: it passes commands
and answers on, and plays one trick with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .card import OK, Card, Command, bcd, tlv
from .purse import ElectronicCash
from .quickpass import PDOL, QuickPass, invented_par

TRICKS = {
    "par-dropped": "leaves the account reference (9F24) out",
    "par-changed": "shows the account reference of somebody else",
    "aac-as-arqc": "says ARQC in 9F10 where the card said AAC",
    "cryptogram": "changes the cryptogram (9F26)",
    "track-2": "puts the expiry date of track 2 (57) off to 2049",
    "amount": "asks the card for 0.01 yuan",
    "downgrade": "tells the card that the terminal knows fDDA version 00 only",
    "version": "the same, and says that the application is an old one (9F08)",
    "old": "the same, for a card that does not sign what version it is of",
    "hold": "keeps the record back that makes the card pay, then lies about its balance",
}

_AMOUNT, _TTQ = 0x9F02, 0x9F66
_ASKED = 2 + sum(size for _, size in PDOL)  # bytes in GET PROCESSING OPTIONS
_Change = Callable[[bytes], bytes | None]


class Relay:
    """`trick` is one of TRICKS, `make` the class of the card behind it, options are its own.

    `lies` is what the relay says that the balance is once it has kept a record back: None for
    what it would be if the card had paid.
    """

    def __init__(
        self,
        *,
        trick: str,
        make: Callable[..., Card] | None = None,
        lies: int | None = None,
        **options: Any,
    ) -> None:
        if trick not in TRICKS:
            raise ValueError(f"trick is one of {', '.join(TRICKS)}, not {trick!r}")
        default = ElectronicCash if trick == "hold" else QuickPass
        self.card: Any = (make or default)(**options)
        self.trick = trick
        self.lies = lies
        self.held = 0
        """Fen of payments that were kept from the card."""
        self._amount = 0
        self._last: tuple[int, int] | None = None
        self._mirror()

    def _mirror(self) -> None:
        card = self.card
        self.uid, self.atqa, self.sak = card.uid, card.atqa, card.sak
        self.ats, self.seconds = card.ats, card.seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["card"], name)

    def power_off(self) -> None:
        self.card.power_off()
        self._mirror()

    def apdu(self, command: bytes) -> bytes:
        parsed = Command.parse(command)
        if parsed is not None and parsed.ins == 0xA8 and len(parsed.data) == _ASKED:
            command = self._ask(command)
        if self.trick == "hold" and parsed is not None:
            if parsed.ins == 0xB2 and (parsed.p2 >> 3, parsed.p1) == self._last and self._amount:
                self.held += self._amount
                return b""
            if parsed.ins == 0xCA and parsed.p1 << 8 | parsed.p2 == 0x9F79 and self.held:
                told = self.card.balance - self.held if self.lies is None else self.lies
                return tlv(0x9F79, bcd(f"{told:012d}", 6)) + OK
        answer: bytes = self.card.apdu(command)
        if answer[-2:] != OK:
            return answer
        changed = _edit(answer[:-2], self._changes())
        if self.trick == "old" and parsed is not None and parsed.ins == 0xA8:
            changed = tlv(
                0x77, changed[2 if changed[1] < 0x80 else 3 :] + tlv(0x9F08, b"\x00\x20")
            )
        if parsed is not None and parsed.ins == 0xA8:
            self._last = _last_record(changed)
        return changed + OK

    def _ask(self, command: bytes) -> bytes:
        """GET PROCESSING OPTIONS as the card gets it."""
        sent = bytearray(command)
        at = 7
        for tag, size in PDOL:
            if tag == _AMOUNT:
                digits = sent[at : at + size].hex()
                self._amount = int(digits) if digits.isdigit() else 0
                if self.trick == "amount":
                    sent[at : at + size] = bcd("1".zfill(12), 6)
            elif tag == _TTQ and self.trick in ("downgrade", "version", "old"):
                sent[at + 3] &= 0x7F
            at += size
        return bytes(sent)

    def _changes(self) -> dict[int, _Change]:
        other = invented_par("6299990000000009999").encode()
        tricks: dict[str, dict[int, _Change]] = {
            "par-dropped": {0x9F24: lambda value: None},
            "par-changed": {0x9F24: lambda value: other},
            "aac-as-arqc": {0x9F10: lambda value: value[:4] + b"\xa0" + value[5:]},
            "cryptogram": {0x9F26: lambda value: bytes(byte ^ 1 for byte in value)},
            "track-2": {0x57: _later},
            "version": {0x9F08: lambda value: b"\x00\x20"},
        }
        return tricks.get(self.trick, {})


class Mute(ElectronicCash):
    """A phone without keys that plays electronic cash: all that it says is invented, and it falls
    silent where a card would pay."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"forge": "sdad", **options})

    def _read_record(self, command: Command) -> bytes:
        if (command.p2 >> 3, command.p1) == self._commits_at and self._open:
            return b""
        return super()._read_record(command)


def _later(value: bytes) -> bytes:
    number, mark, rest = value.hex().partition("d")
    return bytes.fromhex(number + mark + "4912" + rest[4:])


def _edit(data: bytes, changes: dict[int, _Change]) -> bytes:
    """The same data objects, with what `changes` makes of the values of some."""
    out = b""
    at = 0
    while changes and at < len(data):
        start = at
        tag = data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            tag = tag << 8 | data[at]
            at += 1
        size = data[at]
        at += 1
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        value = data[at : at + size]
        at += size
        if data[start] & 0x20:
            out += tlv(tag, _edit(value, changes))
        elif tag in changes:
            changed = changes[tag](value)
            out += b"" if changed is None else tlv(tag, changed)
        else:
            out += data[start:at]
    return out if changes else data


def _last_record(answer: bytes) -> tuple[int, int] | None:
    """(SFI, number) of the last record that GPO's answer names."""
    found: list[bytes] = []

    def keep(value: bytes) -> bytes:
        found.append(value)
        return value

    _edit(answer, {0x94: keep})
    return (found[0][-4] >> 3, found[0][-2]) if found and len(found[0]) >= 4 else None
