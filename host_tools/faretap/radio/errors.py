"""What can go wrong when a reader plays a card."""

from __future__ import annotations

from faretap.errors import FaretapError


class RadioError(FaretapError):
    """The card cannot be played by that reader, or the reader stopped."""


class NotByRadio(RadioError):
    """This card is none that a PN532 can play."""
