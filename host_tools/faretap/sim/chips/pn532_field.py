"""The antenna side of the simulated PN532: cards in the field, targets, registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..cards.card import Card
from .picc_b import CHIP_DID
from .pn532_iso_dep import IsoDepReader
from .presented import Presented


class Playing(Protocol):
    """Another chip near the antenna that may be playing a card."""

    def presented(self) -> Presented | None: ...


Later = Callable[[float, Callable[[], None]], None]

FIFO_DATA = 0x6339
FSDI = 5  # the chip's own RATS asks for frames of 64 bytes
_REQA = 0x26


@dataclass
class Target:
    """An activated card with its logical number, and what its exchange still owes the host."""

    number: int
    presented: Presented
    selected: bool = True
    reader: IsoDepReader = field(init=False)
    command: bytearray = field(default_factory=bytearray)
    pending: bytes = b""
    lost_status: int | None = None

    def __post_init__(self) -> None:
        self.meet(self.presented)

    def meet(self, presented: Presented) -> None:
        """This is the card, and it is there."""
        self.presented = presented
        self.lost_status = None
        self.reader = IsoDepReader(presented.picc, CHIP_DID if presented.type_b else 0)


class Field:
    """What the antenna sees. Cards lose their power when the field goes off."""

    def __init__(self, later: Later = lambda seconds, function: None) -> None:
        self._later = later
        self._generation = 0
        self.on = False
        self.cards: list[Presented] = []
        self.chips: list[Playing] = []
        self.targets: list[Target] = []
        self.auto_rats = True
        self.reset_seconds = 0.0051
        self.registers: dict[int, int] = {}

    def switch(self, on: bool) -> None:
        if self.on and not on:
            self._generation += 1
            stubborn = [p for p in self.cards if p.half_open]
            self.release_all()
            for presented in self.cards:
                if presented not in stubborn:
                    presented.picc.deselect()
            if stubborn:
                self._reset_later(stubborn)
        elif on:
            self._generation += 1
        self.on = on

    def _reset_later(self, stubborn: list[Presented]) -> None:
        """Q33: only a field that is off long enough resets a card."""
        generation = self._generation

        def unpowered() -> None:
            if generation == self._generation:
                for presented in stubborn:
                    presented.half_open = False
                    presented.picc.deselect()

        self._later(self.reset_seconds, unpowered)

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

    def visible(self, uid: bytes = b"", type_b: bool = False) -> list[Presented]:
        """Cards that answer an activation, those with `uid` only if one is asked for."""
        wanted = _without_cascade_tags(uid)
        played = (chip.presented() for chip in self.chips)
        return [
            p
            for p in [*self.cards, *filter(None, played)]
            if p.type_b == type_b
            and not p.half_open
            and (not wanted or type_b or p.card.uid == wanted)
        ]

    def activate(self, found: list[Presented]) -> bytes:
        """Make `found` the targets; the target data that InListPassiveTarget answers."""
        self.release_all()
        self.registers.pop(FIFO_DATA, None)
        data = bytearray([len(found)])
        for number, presented in enumerate(found, 1):
            self.targets.append(Target(number, presented))
            picc = presented.picc
            picc.deselect()
            picc.wake()
            data.append(number)
            if presented.type_b:
                b = presented.picc_b
                attrib = b.attrib_by_reader(FSDI)
                data += b.atqb + bytes([len(attrib)]) + attrib
                continue
            data += picc.atqa.to_bytes(2, "big") + bytes([picc.sak, len(picc.uid)]) + picc.uid
            if self.auto_rats and picc.iso_dep:
                data += picc.activate(FSDI)
        return bytes(data)

    def look_for_lost(self) -> None:
        """A chip that plays a card offers it anew after each release: the same UID is the same
        target again."""
        for target in self.targets:
            if target.lost_status is None:
                continue
            for chip in self.chips:
                presented = chip.presented()
                if presented is not None and presented.card.uid == target.presented.card.uid:
                    target.meet(presented)

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
