"""The antenna side of the simulated PN532: cards in the field, targets, registers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..cards.card import Card
from ..cards.iso_dep import Picc

FIFO_DATA = 0x6339
_REQA = 0x26

When = Literal["before", "after"]


@dataclass
class Presented:
    """A card in the field, and whether and where it is going to be pulled away."""

    card: Card
    lose_at_apdu: int | None = None
    lose: When = "before"
    apdus: int = 0
    picc: Picc = field(init=False)

    def __post_init__(self) -> None:
        self.picc = Picc(self.card)

    def leaves_at_this_apdu(self) -> When | None:
        """Count one APDU; says when the card leaves if this is the one (the first is 1)."""
        self.apdus += 1
        if self.lose_at_apdu is not None and self.apdus == self.lose_at_apdu:
            return self.lose
        return None


@dataclass
class Target:
    """An activated card with its logical number, and what its exchange still owes the host."""

    number: int
    presented: Presented
    selected: bool = True
    command: bytearray = field(default_factory=bytearray)
    pending: bytes = b""
    lost_status: int | None = None


class Phantom:
    """A second card that a fault invents beside the real one (Q22)."""

    atqa = 0x0004
    sak = 0x20
    ats = bytes.fromhex("0578807002")
    uid = bytes.fromhex("C0FFEE22")
    seconds = 0.005

    def apdu(self, command: bytes) -> bytes:
        return b"\x6a\x82"

    def power_off(self) -> None:
        return None


class Field:
    """What the antenna sees. Cards lose their power when the field goes off."""

    def __init__(self) -> None:
        self.on = False
        self.cards: list[Presented] = []
        self.targets: list[Target] = []
        self.auto_rats = True
        self.registers: dict[int, int] = {}

    def switch(self, on: bool) -> None:
        if self.on and not on:
            self.release_all()
            for presented in self.cards:
                presented.picc.deselect()
        self.on = on

    def enter(self, presented: Presented) -> None:
        self.cards.append(presented)

    def leave(self, card: Card | None = None, status: int = 0x01) -> None:
        """One card, or all, leave; their targets stay listed but answer with `status`."""
        for presented in [p for p in self.cards if card is None or p.card is card]:
            self.cards.remove(presented)
            presented.picc.deselect()
            for target in self.targets:
                if target.presented is presented:
                    target.lost_status = status

    def visible(self, uid: bytes = b"") -> list[Presented]:
        """Cards that answer an activation, those with `uid` only if one is asked for."""
        wanted = _without_cascade_tags(uid)
        return [p for p in self.cards if not wanted or p.card.uid == wanted]

    def activate(self, found: list[Presented]) -> bytes:
        """Make `found` the targets; the target data that InListPassiveTarget answers."""
        self.release_all()
        self.registers.pop(FIFO_DATA, None)
        data = bytearray([len(found)])
        for number, presented in enumerate(found, 1):
            self.targets.append(Target(number, presented))
            card = presented.card
            data += bytes([number]) + card.atqa.to_bytes(2, "big")
            data += bytes([card.sak, len(card.uid)]) + card.uid
            presented.picc.deselect()
            if self.auto_rats and presented.picc.iso_dep:
                data += presented.picc.activate()
        return bytes(data)

    def nothing_answered(self) -> None:
        """A poll without answer leaves the REQA in the chip's FIFO; hosts look at it there."""
        self.release_all()
        self.registers[FIFO_DATA] = _REQA

    def release_all(self) -> None:
        for target in self.targets:
            target.presented.picc.deselect()
        self.targets.clear()

    def target(self, number: int) -> Target | None:
        for target in self.targets:
            if target.number == number:
                return target
        return None


def _without_cascade_tags(uid: bytes) -> bytes:
    """The UID of InitiatorData, where 88 stands before each part that another one follows."""
    if len(uid) == 8 and uid[0] == 0x88:
        return uid[1:]
    if len(uid) == 12 and uid[0] == 0x88 and uid[4] == 0x88:
        return uid[1:4] + uid[5:]
    return uid
