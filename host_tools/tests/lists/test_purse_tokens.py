"""The deny list knows a purse as the validator does: by what is in its key."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import pytest

from faretap.lists.tokens import token_of
from faretap.sim import cards
from faretap.sim.cards.tunion import TUnion
from validator.store.token import CARD_SCOPE, Tokens

KEY = bytes(range(16))


@pytest.mark.parametrize("name", ["tunion", "tunion-city", "tunion-city-hex"])
def test_the_same_rider_on_both_ends(name: str) -> None:
    card = cards.make(name)
    assert isinstance(card, TUnion)
    on_device = Tokens(KEY).token(CARD_SCOPE, card.rider.encode())
    number = card.rider[3:].upper() if name == "tunion-city-hex" else card.pan
    assert token_of(KEY, number) == on_device
    assert token_of(KEY, card.rider) == on_device


def test_the_digits_that_nobody_signs_are_none() -> None:
    assert token_of(KEY, "3184990000000000012") == token_of(KEY, "3104990000000000012")
    assert token_of(KEY, "6224990000000000012") != token_of(KEY, "3104990000000000012")
    assert token_of(KEY, "3104990000000000013") != token_of(KEY, "3104990000000000012")
