"""The root of what a tool tells its user: one sentence with the cause and the next step."""

from __future__ import annotations


class FaretapError(Exception):
    """A failure that the user can act on. `str(error)` is the sentence to show.

    Subclasses name the layer: port, link, flash, image, board, record. `next_step` may be empty
    where the sentence says it already.
    """

    def __init__(self, cause: str, next_step: str = "") -> None:
        super().__init__(f"{cause} {next_step}".strip())
        self.cause = cause
        self.next_step = next_step


class PortError(FaretapError):
    """The port cannot be opened, or went away."""
