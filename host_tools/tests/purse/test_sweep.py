"""A purse card torn away at every byte of every exchange, and everything that can follow.

Each case ends with the sum: what left the cards is what the records claim. Nothing is sampled.
A case that fails is named by its number, its exchange and its byte.
"""

from __future__ import annotations

from itertools import product

import pytest

from .bench import Tear
from .cases import FOLLOWS, SECTIONS, Case, follow, stage, tears


@pytest.mark.parametrize("what", FOLLOWS)
@pytest.mark.parametrize("kind", SECTIONS)
def test_torn_at_every_byte(kind: str, what: str) -> None:
    begin = stage(kind)
    for number, tear in enumerate(tears(begin.sizes)):
        try:
            case = Case(kind)
            result = case.validator.tap(case.card, tear)
            assert result.outcome != "accepted"
            moved = tear.exchange == begin.debit and tear.byte >= begin.sizes[begin.debit - 1][0]
            assert len(case.card.debits) - len(case.before.debits) == moved
            follow(case, what)
            if "again" not in what:
                case.never_came_back(tear)
        except AssertionError as e:
            raise AssertionError(f"case {number}, {kind}, {tear}, then {what}: {e}") from e


@pytest.mark.parametrize("how", range(4))
@pytest.mark.parametrize("kind", SECTIONS)
def test_debit_torn_at_every_byte_whatever_the_reader_makes_of_it(kind: str, how: int) -> None:
    begin = stage(kind)
    command, answer = begin.sizes[begin.debit - 1]
    for byte in range(command + answer):
        tear = Tear(begin.debit, byte, how)
        for what in FOLLOWS:
            try:
                case = Case(kind)
                result = case.validator.tap(case.card, tear)
                assert (result.outcome, result.reason) == ("retry", "card_lost")
                follow(case, what)
            except AssertionError as e:
                raise AssertionError(f"{kind}, {tear}, then {what}: {e}") from e


@pytest.mark.parametrize("what", ["again", "power-again", "other-power-again", "never"])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("kind", SECTIONS)
def test_torn_again_at_every_byte_of_the_second_tap(kind: str, moved: bool, what: str) -> None:
    """DEBIT is lost, or its answer; then the tap that asks what became of it is torn."""
    begin = stage(kind)
    first = Tear(begin.debit, begin.sizes[begin.debit - 1][0] if moved else 0)
    clean = Case(kind)
    clean.validator.tap(clean.card, first)
    clean.again()
    sizes = clean.validator.link.sizes
    assert len(sizes) >= 3
    for number, tear in enumerate(tears(sizes)):
        try:
            case = Case(kind)
            case.validator.tap(case.card, first)
            result = case.validator.tap(case.card, tear)
            assert result.outcome != "accepted"
            follow(case, what)
            assert len(case.open_claims()) <= (what == "never")
        except AssertionError as e:
            raise AssertionError(
                f"case {number}, {kind}, {first}, then {tear}, then {what}: {e}"
            ) from e


@pytest.mark.parametrize("kind", SECTIONS)
def test_torn_many_times_at_debit(kind: str) -> None:
    """Debits that did not happen do not pile up, and the one that did is found."""
    case = Case(kind)
    for n in range(6):
        case.card.tear("debit:during" if n % 2 else "debit:before")
        assert case.validator.tap(case.card).outcome == "retry"
        follow(case, "power")
        assert len(case.open_claims()) == 1
    case.card.tear("debit:after")
    case.validator.tap(case.card)
    assert len(case.card.debits) == len(case.before.debits) + 1
    follow(case, "power-other-again")
    assert case.open_claims() == []


@pytest.mark.parametrize("what", ["again", "power-again", "other-again", "other-power-again"])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("kind", SECTIONS)
def test_torn_again_in_the_purchase_of_0(kind: str, moved: bool, what: str) -> None:
    """DEBIT is torn, somebody else rides, and the tap that has to prove the card is torn at every
    byte: no ride is charged twice, and composite records stay as they are."""
    begin = stage(kind)
    first = Tear(begin.debit, begin.sizes[begin.debit - 1][0] if moved else 0)
    clean = Case(kind)
    clean.validator.tap(clean.card, first)
    clean.others_ride()
    clean.again()
    sizes = clean.validator.link.sizes
    exchanges = clean.validator.link.exchanges
    zeros = [c for c, _ in exchanges if c[:2] == b"\x80\x50" and not any(c[6:10])]
    assert bool(zeros) >= moved
    # Before and behind what the card does; at DEBIT, each byte.
    places = [
        tear
        for tear in tears(sizes)
        if tear.byte in (0, sizes[tear.exchange - 1][0])
        or exchanges[tear.exchange - 1][0][:2] == b"\x80\x54"
    ]
    for number, tear in enumerate(places):
        try:
            case = Case(kind)
            case.validator.tap(case.card, first)
            case.others_ride()
            result = case.validator.tap(case.card, tear)
            assert result.outcome != "accepted"
            assert len(case.open_claims()) == 1
            follow(case, what)
            assert case.open_claims() == []
        except AssertionError as e:
            raise AssertionError(
                f"case {number}, {kind}, {first}, then {tear}, then {what}: {e}"
            ) from e


@pytest.mark.parametrize("kind", SECTIONS)
def test_torn_many_times_in_the_purchase_of_0(kind: str) -> None:
    """Each may move the counter; none takes the place of the debit that it is for."""
    for hows in product(("before", "during", "after"), repeat=3):
        case = Case(kind)
        case.card.tear("debit:after")
        case.validator.tap(case.card)
        for how in hows:
            case.others_ride()
            case.card.tear(f"debit:{how}")
            assert case.validator.tap(case.card).outcome == "retry"
            case.sum()
        case.validator.power_cut()
        case.again()
        assert case.open_claims() == []
