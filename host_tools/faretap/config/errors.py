"""Failures of the configuration tools."""

from __future__ import annotations

from faretap.errors import FaretapError


class ConfigError(FaretapError):
    """A configuration, a bundle or a fleet that cannot be taken.

    `problems` are all that was found, one sentence each: where, what stands there, what would be
    right.
    """

    def __init__(self, cause: str, next_step: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(cause, next_step)
        self.problems = problems


class KeyFileError(FaretapError):
    """An operator key that cannot be made, read or opened."""
