"""Cards that answer anything: nothing is raised, nothing debited twice, nothing claimed that is
not there."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.cards import purse_scheme
from faretap.sim.cards.tunion import TUnion
from validator.media import purse_torn

from .bench import Validator

SECTIONS = {"single": purse_scheme.configuration(), "composite": purse_scheme.composite()}


@dataclass
class Odd:
    """A card of which some answers are others: {number of the exchange: answer}."""

    card: TUnion
    instead: dict[int, bytes]
    count: int = 0
    denied: bool = False
    """It made a debit, and said that it had refused it."""

    def apdu(self, command: bytes) -> bytes:
        self.count += 1
        answer = self.card.apdu(command)
        told = self.instead.get(self.count, answer)
        if command[:2] == b"\x80\x54" and told[-2:-1] in (b"\x69", b"\x6a", b"\x93"):
            self.denied = True
        return told

    def power_off(self) -> None:
        self.card.power_off()


words = st.sampled_from(
    [bytes.fromhex(w) for w in ("9000", "6985", "6A82", "6C00", "6C1E", "61FF", "6581", "9302")]
)
answers = st.one_of(
    st.binary(max_size=3),
    words,
    st.builds(lambda data, word: data + word, st.binary(max_size=160), words),
)


def claimed(validator: Validator) -> tuple[int, int]:
    """Fen that the records say were paid, and records that say that nobody knows."""
    paid = 0
    unknown: set[int] = set()
    for seq, fields in enumerate(validator.records(), 1):
        debit = purse_torn.unpack(fields["evidence"])
        if debit is None:
            continue
        unknown -= {debit.of, debit.void}
        if debit.state == purse_torn.OPEN:
            unknown.add(seq)
        elif debit.state == purse_torn.LOST:
            unknown.add(debit.of or seq)
        elif debit.state in (purse_torn.PAID, purse_torn.UNCHECKED, purse_torn.WRONG):
            paid += debit.amount
        assert (fields["outcome"] == "accepted") == (
            debit.state in (purse_torn.PAID, purse_torn.UNCHECKED)
        )
    return paid, len(unknown)


@pytest.mark.parametrize("mode", SECTIONS)
@given(st.dictionaries(st.integers(1, 9), answers, min_size=1, max_size=3), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_any_answers(mode: str, instead: dict[int, bytes], seed: int) -> None:
    validator = Validator(SECTIONS[mode])
    card = cards.make("tunion", seed=seed)
    assert isinstance(card, TUnion)
    odd = Odd(card, instead)
    result = validator.tap(odd)  # type: ignore[arg-type]
    assert result.outcome in ("accepted", "declined", "retry")
    assert len(card.debits) <= 1
    paid, unknown = claimed(validator)
    left = sum(debit.amount for debit in card.debits)
    if result.outcome == "accepted":
        # What it says of itself may be made up; what PSAM and card signed is not.
        assert paid == left and not unknown
    elif not unknown and not odd.denied:
        assert paid == left
    # And the same card, honest again: one debit for both taps.
    if unknown:
        again = validator.tap(card)
        assert again.outcome == "accepted", again
        assert len(card.debits) == 1
        assert claimed(validator) == (sum(debit.amount for debit in card.debits), 0)
