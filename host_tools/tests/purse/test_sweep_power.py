"""Power cut at every flash operation of a purchase, and a journal that fails."""

from __future__ import annotations

from typing import Any

import pytest

from flash_sim import HOW, PowerCut
from validator.store import record
from validator.store.journal import JournalError

from .bench import Tear, Validator
from .cases import FARES, SECTIONS, Case, follow, stage

FIRST_TAPS = ("clean", "lost", "torn")
"""What the power is cut in: a tap, the tap behind a lost answer of DEBIT, or behind no DEBIT."""


def prepared(kind: str, first: str) -> Case:
    case = Case(kind)
    begin = stage(kind)
    command = begin.sizes[begin.debit - 1][0]
    if first != "clean":
        case.validator.tap(case.card, Tear(begin.debit, command if first == "lost" else 0))
        case.validator.power_cut()
    return case


def operations(kind: str, first: str) -> int:
    case = prepared(kind, first)
    before = len(case.validator.flash.log)
    assert case.validator.tap(case.card).outcome == "accepted"
    return len(case.validator.flash.log) - before


@pytest.mark.parametrize("what", ["again", "other-again", "never"])
@pytest.mark.parametrize("first", FIRST_TAPS)
@pytest.mark.parametrize("kind", SECTIONS)
def test_power_cut_at_every_flash_operation(kind: str, first: str, what: str) -> None:
    """Open record, last record, its after word, and whatever the journal does for them."""
    count = operations(kind, first)
    assert count >= (2 if first == "lost" else 3)
    rode = 0
    for number in range(count):
        for how in HOW:
            try:
                case = prepared(kind, first)
                begun = len(case.card.debits)
                case.validator.flash.cut_at(number, how)
                with pytest.raises(PowerCut):
                    case.validator.tap(case.card)
                made = len(case.card.debits) - begun
                case.validator.power_cut()
                # No debit without its record: the sum sees to that.
                told = [claim for claim in case.sum() if claim.accepted]
                opened = len(case.open_claims())
                if len(told) > (kind == "alight"):
                    # Nobody saw it, perhaps, but the record is there: this ride is paid and over.
                    rode += 1
                    assert opened == 0 and case.validator.screen.shown == []
                    case.rode()
                    continue
                assert opened <= 1 and (not made or opened == 1)
                if number == 0:
                    assert not made
                follow(case, what)
            except AssertionError as e:
                where = f"{kind}, {first}, operation {number} {how}, then {what}"
                raise AssertionError(f"{where}: {e}") from e
    # The last record when it was whole, and its after word in any state.
    assert rode == 1 + len(HOW)


@pytest.mark.parametrize("what", ["again", "power-again", "other-again", "other-power-again"])
@pytest.mark.parametrize("fails", [1, 2])
@pytest.mark.parametrize("kind", SECTIONS)
def test_a_journal_that_fails_once(kind: str, fails: int, what: str) -> None:
    """Without the open record nothing is debited; where neither its end nor a record of its own
    can be made nobody rides, but the debit is known, and the next tap is for it."""
    case = Case(kind)
    calls = 0
    append = case.validator.journal.append

    def failing(body: bytes, *more: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == fails:
            raise JournalError("flash does not keep what is written to it")
        number: int = append(body, *more)
        return number

    case.validator.journal.append = failing  # type: ignore[method-assign]
    if fails == 2:
        case.validator.journal.end = lambda *_: False  # type: ignore[method-assign]
    result = case.validator.tap(case.card)
    assert result.outcome == "declined"
    assert len(case.card.debits) - len(case.before.debits) == (fails == 2)
    assert len(case.open_claims()) == (fails == 2)
    follow(case, what)


@pytest.mark.parametrize("kind", SECTIONS)
def test_an_end_that_flash_does_not_keep(kind: str) -> None:
    """A record of its own closes the debit, and the rider rides."""
    case = Case(kind)
    made = case.validator.journal
    end = made.end
    made.end = lambda *_: False  # type: ignore[method-assign]
    assert case.validator.tap(case.card).outcome == "accepted"
    made.end = end  # type: ignore[method-assign]
    *_, opened, closed = case.validator.records()
    assert (opened["outcome"], closed["outcome"]) == ("retry", "accepted")
    assert closed["detail"]["of"] == opened["number"] and closed["version"] == 1
    case.sum()
    case.validator.power_cut()
    case.sum()
    assert case.open_claims() == []


@pytest.mark.parametrize("kind", SECTIONS)
def test_what_is_known_survives_any_number_of_power_cuts(kind: str) -> None:
    case = Case(kind)
    case.card.tear("debit:after")
    case.validator.tap(case.card)
    for _ in range(5):
        case.validator.power_cut()
        case.others_ride()
    case.again()
    case.validator.power_cut()
    case.sum()
    assert case.open_claims() == []


def test_a_second_ride_is_a_second_debit() -> None:
    """What was torn and finished is over: it pays no later ride."""
    case = Case("single")
    case.card.tear("debit:after")
    case.validator.tap(case.card)
    case.again()
    for rides in (2, 3):
        case.validator.power_cut()
        assert case.validator.tap(case.card, later=60).outcome == "accepted"
        assert [debit.amount for debit in case.card.debits] == [FARES["single"]] * rides
        assert all(claim.accepted for claim in case.sum())


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_journal_that_is_nearly_full(kind: str) -> None:
    """Whoever is debited gets both records; otherwise the card is not even touched."""
    case = Case(kind)
    journal = case.validator.journal
    for size in (150, 400, 900, 60):
        case = Case(kind)
        journal = case.validator.journal
        token = bytes(8)
        while journal.has_room():
            body = record.encode(
                {"seq": journal.next_seq, "time": 1, "medium": "cpm", "outcome": "declined"}
                | {"reason": "unverified", "token": token, "other": {200: bytes(size)}}
            )
            journal.append(body)
            probe = len(case.card.debits)
            if journal.has_room(2):
                continue
            result = case.validator.tap(case.card, later=30)
            debited = len(case.card.debits) - probe
            assert result.outcome == "accepted" or (result.reason, debited) == ("storage_full", 0)
            if debited:
                break
        assert case.open_claims() == []


def test_many_riders_are_torn_and_all_come_back() -> None:
    """As many as a bus has at a stop, in any order."""
    from .cases import purse

    case = Case("single")
    validator: Validator = case.validator
    riders = {}
    for seed in range(100, 112):
        card = purse(seed=seed, tear="debit:after" if seed % 3 else "debit:before")
        riders[str(seed)] = (card, card.memory.contents)
        assert validator.tap(card, later=2).outcome == "retry"
    validator.power_cut()
    for seed in (*range(111, 105, -1), *range(100, 106)):
        card, _ = riders[str(seed)]
        assert validator.tap(card, later=2).outcome == "accepted"
        assert sum(debit.amount for debit in card.debits) == 200
    told = case.sum_of(riders)
    assert sum(claim.accepted for claim in told) == len(riders)
