"""What can go wrong at the desk, each with its next step."""

from __future__ import annotations

from faretap.errors import FaretapError


class DeskError(FaretapError):
    """The reader on the desk or the card on it."""


class ReaderError(DeskError):
    """The reader is absent, busy, forbidden, or does not answer."""


class NoCard(DeskError):
    """No card came within the wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"No card was laid on the reader within {seconds:g} s.",
            "Lay one card flat on it, alone, and try again; --wait gives more time.",
        )


class CardLost(DeskError):
    """The card was pulled away, or fell silent. `answers` is how many answers it had given."""

    def __init__(self, answers: int) -> None:
        when = f"after {answers} answers" if answers != 1 else "after 1 answer"
        super().__init__(
            f"The card was pulled away or fell silent {when}.",
            "Lay it down again and leave it there until the result shows.",
        )
        self.answers = answers


class CardNonsense(DeskError):
    """The card breaks ISO/IEC 14443-4: nothing more can be asked of it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The card's answers break the transmission protocol ({what}).",
            "Lay it down again, alone; if it stays so, the card is defective.",
        )
