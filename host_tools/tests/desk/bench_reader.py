"""The reader's other side: a simulated PN532 at the end of a pseudo terminal."""

from __future__ import annotations

from typing import Any

from faretap.sim import cards
from faretap.sim.cards import Card
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.pty_line import PtyLine

NFCPY_PATH = "tty:DESK0:pn532"


class Bench:
    """The reader's other side: its path, its chip, and cards that come and go."""

    def __init__(self, line: PtyLine) -> None:
        self.line = line
        self.path = line.path
        assert isinstance(line.part, Pn532)
        self.chip = line.part

    def lay(self, card: Card | str, **presentation: Any) -> Card:
        laid = cards.make(card) if isinstance(card, str) else card
        self.line.run(lambda: self.chip.field_present(laid, **presentation))
        return laid

    def take(self) -> None:
        self.line.run(lambda: self.chip.field_remove())
