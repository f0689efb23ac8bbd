"""Failures of the configuration tools."""

from __future__ import annotations

from faretap.errors import FaretapError


class ConfigError(FaretapError):
    """A configuration, a bundle or a fleet that cannot be taken.

    `problems` are all that was found, one sentence each: where, what stands there, what would be
    right; `summary` says how many.
    """

    def __init__(self, cause: str, next_step: str = "", problems: tuple[str, ...] = ()) -> None:
        text = " ".join((f"{cause}:", *problems)) if problems else cause
        super().__init__(text, next_step)
        self.summary = f"{cause}." if problems else cause
        self.problems = problems


def many(subject: str, problems: list[str]) -> ConfigError:
    """One error of all problems that `subject` has."""
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    return ConfigError(f"{subject} has {count}", problems=tuple(problems))


class KeyFileError(FaretapError):
    """An operator key that cannot be made, read or opened."""
