"""Simulated ride codes as a scan engine delivers them: `make("mot")`; `names()` lists them.

make("mot", at=1893456000)              for that moment; for now without `at`
make("mot-wrong-root")                  with a defect
make("mot", at=1893456000, limit=100)   with a field set, and signed as it should be
CODES["mot-wrong-root"].expected        ("declined", "bad_signature")
configuration()                         the "codes" section that a validator needs for them
"""

from __future__ import annotations

import time
from typing import Any

from .catalogue import AMOUNT, CODES, Code, configuration


def names() -> dict[str, str]:
    """Every code that `make` knows, with one line about it and what a validator makes of it."""
    return {name: f"{code.note} [{code.outcome()}]" for name, code in CODES.items()}


def make(name: str, at: int | None = None, **fields: Any) -> bytes:
    """The bytes of a code made at `at` (unix seconds, now if None): the same for the same `at`.

    ValueError lists the kinds for an unknown name, and says what is wrong with a field.
    """
    if name not in CODES:
        kinds = ", ".join(entry.kind for entry in CODES.values() if not entry.defect)
        raise ValueError(f"no code {name!r}: choose one of {kinds}, or such as mot-wrong-root")
    try:
        return CODES[name].make(int(time.time()) if at is None else at, **fields)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"code {name}: {error}") from error


__all__ = ["AMOUNT", "CODES", "Code", "configuration", "make", "names"]
