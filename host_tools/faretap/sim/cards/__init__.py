"""Simulated cards and phones: `make("tunion", balance=80)`; `names()` lists them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from .card import Card
from .catalogue import AMOUNT, CARDS, Entry
from .traced import Traced


def names() -> dict[str, str]:
    """Every card that `make` knows, with one line about it and what a validator makes of it."""
    return {name: f"{entry.text} [{entry.expected()}]" for name, entry in CARDS.items()}


def make(name: str, *, trace: str | None = None, **options: Any) -> Card:
    """A new card. ValueError names what is wrong with the name or an option.

    `trace` is a file: every APDU of the card goes there as JSON lines, for `faretap replay`.
    It and a purse's `state` are for callers who may write files: options from elsewhere go through
    `options.check` first.
    """
    if name not in CARDS:
        raise ValueError(f"no card {name!r}: choose one of {', '.join(CARDS)}")
    entry = CARDS[name]
    try:
        card = entry.make(**{**entry.options, **options})
    except (TypeError, ArithmeticError, KeyError, struct.error) as error:
        raise ValueError(f"card {name}: {error}") from error
    return card if trace is None else Traced(card, Path(trace), name)


__all__ = ["AMOUNT", "CARDS", "Card", "Entry", "Traced", "make", "names"]
