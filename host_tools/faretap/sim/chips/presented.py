"""A card on an antenna, and whether and where it is going to be pulled away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..cards.card import Card
from ..cards.iso_dep import Picc, Suffering
from .picc_b import PiccB

When = Literal["before", "after"]


@dataclass
class Presented:
    """A card in the field. `since` is the moment at which it got power, in the chip's seconds."""

    card: Card
    lose_at_apdu: int | None = None
    lose: When = "before"
    faults: Suffering | None = None
    type_b: bool = False
    half_open: bool = False
    since: float = 0.0
    apdus: int = 0
    picc: Picc = field(init=False)
    picc_b: PiccB = field(init=False)

    def __post_init__(self) -> None:
        self.picc = Picc(self.card, self.faults)
        self.picc_b = PiccB(self.picc)

    def leaves_at_this_apdu(self) -> When | None:
        """Count one APDU; says when the card leaves if this is the one (the first is 1)."""
        self.apdus += 1
        if self.lose_at_apdu is not None and self.apdus == self.lose_at_apdu:
            return self.lose
        return None


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
