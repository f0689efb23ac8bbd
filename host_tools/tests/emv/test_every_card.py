"""The table of simulated cards, each through the firmware's kernel: outcome and reason."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import pytest

from faretap.sim import cards
from faretap.sim.cards import AMOUNT, CARDS

from .kernel import Kernel


@pytest.mark.parametrize("name", CARDS)
def test_every_card_of_the_table(name: str) -> None:
    entry = CARDS[name]
    result = Kernel().tap(cards.make(name), amount=AMOUNT)
    assert result.outcome == entry.outcome, result.detail
    if entry.reason is not None:
        assert result.reason == entry.reason, result.detail
