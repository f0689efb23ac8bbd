"""Simulated cards and phones: `make("tunion", balance=80)`; `names()` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .card import Card
from .plain import Empty, Garbage, Mifare
from .quickpass import QuickPass
from .tunion import TUnion

_CARDS: dict[str, tuple[str, Callable[..., Card]]] = {
    "tunion": ("T-Union purse, 50.00 yuan", TUnion),
    "tunion-student": ("T-Union purse of a student, 20.00 yuan", TUnion.student),
    "tunion-low": ("T-Union purse with 0.80 yuan left", TUnion.low),
    "quickpass-debit": ("QuickPass debit card with fDDA", QuickPass),
    "quickpass-credit": ("QuickPass credit card with fDDA", QuickPass.credit),
    "quickpass-phone": (
        "QuickPass in a phone: token, random UID, holder verified",
        QuickPass.phone,
    ),
    "phone-not-ready": ("the same phone; its first SELECT is refused (6985)", QuickPass.waking),
    "mifare": ("MIFARE Classic: activated, but no ISO-DEP card", Mifare),
    "garbage": ("ISO-DEP card that answers random bytes", Garbage),
    "empty": ("ISO-DEP card without any application (6A82)", Empty),
}


def names() -> dict[str, str]:
    """Every card that `make` knows, with one line about it."""
    return {name: text for name, (text, _) in _CARDS.items()}


def make(name: str, **options: Any) -> Card:
    """A new card. ValueError names what is wrong with the name or an option."""
    if name not in _CARDS:
        raise ValueError(f"no card {name!r}: choose one of {', '.join(_CARDS)}")
    try:
        return _CARDS[name][1](**options)
    except TypeError as error:
        raise ValueError(f"card {name}: {error}") from error


__all__ = ["Card", "make", "names"]
