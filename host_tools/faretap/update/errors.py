"""The error of an update."""

from __future__ import annotations

from faretap.errors import FaretapError


class UpdateError(FaretapError):
    """A validator was not updated; `reason` is the validator's word for it, if it refused."""

    def __init__(self, cause: str, next_step: str = "", reason: str = "") -> None:
        super().__init__(cause, next_step)
        self.reason = reason
