"""The parts soldered to the virtual board, found when they are needed."""

from __future__ import annotations

from typing import Any

from faretap.sim.part import SerialPart

READER_RESET_PIN = 4  # READER_RESET in boards/VIRTUAL/pins.csv
PSAM_RESET_PIN = 14  # PSAM_RESET
PSAM_UART = 3


class Refused(Exception):
    """What the bench is told instead of an answer: one sentence."""


def default_parts() -> dict[int, SerialPart]:
    """The reader chip on UART1, the scan engine on UART2, a PSAM on UART3; the board's wires do
    the pacing."""
    from faretap.sim.chips.gm65 import Gm65
    from faretap.sim.chips.pn532 import Pn532
    from faretap.sim.chips.psam import Psam
    from faretap.sim.chips.psam_slot import PsamSlot

    return {1: Pn532(paced=False), 2: Gm65(paced=False), PSAM_UART: PsamSlot(Psam())}


def card(name: str, options: dict[str, Any], **files: str) -> Any:
    """A card model by name, with options that anybody may choose, and files that only the board
    does; Refused says what is wrong with them."""
    from faretap.sim import cards
    from faretap.sim.cards.options import check

    try:
        check(options)
        return cards.make(name, **options, **files)
    except ValueError as e:
        raise Refused(f"There is {e}." if str(e).startswith("no ") else f"{e}.") from None


def code(name: str) -> bytes:
    """The bytes of a known code by name; Refused names those that there are."""
    from faretap.sim import codes

    try:
        return codes.make(name)
    except ValueError as e:
        raise Refused(f"There is {e}.") from None


def with_method(parts: dict[int, SerialPart], method: str, what: str) -> Any:
    """The part that has `method`; Refused says that the board has no such part."""
    for part in parts.values():
        if hasattr(part, method):
            return part
    raise Refused(f"This board has no {what}.")
