"""A torn rider who comes back late: after rides elsewhere, after a load, with another card.

The card tells what became of the torn debit as long as it can; where it cannot any more, the
records keep saying that nobody knows, and never something that is not so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from faretap.sim.cards.tunion_layout import LogEntry
from faretap.sim.chips.psam import Psam

from .bench import LOST, PAID, UNPROVEN, VOID, Tear, Validator
from .cases import FARES, SECTIONS, SINGLE, Case, follow, purse, stage

LOG_RECORDS = 10


def ride_elsewhere(case: Case, rides: int) -> None:
    """So many rides of the torn card on validators of another line."""
    there = Validator(SINGLE, raw=lambda psam: _Elsewhere(psam))
    there.clock.seconds = case.validator.clock.seconds
    for _ in range(rides):
        assert there.tap(case.card, later=30).outcome == "accepted"
    case.validator.clock.seconds = there.clock.seconds


class _Elsewhere:
    """A slot with the PSAM of another terminal."""

    def __init__(self, psam: Psam) -> None:
        psam.terminal = bytes.fromhex("310000000001")
        psam.files = {**psam.files, 0x16: psam.terminal}
        self.psam = psam

    async def reset(self) -> bytes:
        self.psam.reset()
        return b"\x3b\x00"

    async def transceive(self, command: bytes) -> bytes:
        return self.psam.apdu(bytes(command))


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("log", ["before", "after"])
@pytest.mark.parametrize("moved", [False, True])
def test_rides_elsewhere_before_coming_back(moved: bool, log: str, power: bool) -> None:
    for rides in range(LOG_RECORDS + 4):
        case = Case("single", log=log)
        case.card.tear("debit:after" if moved else "debit:before")
        case.validator.tap(case.card)
        ride_elsewhere(case, rides)
        if power:
            case.validator.power_cut()
        debits = len(case.card.debits)
        result = case.validator.tap(case.card)
        assert result.outcome == "accepted"
        # Nobody rides twice for one debit, nor pays twice for one ride: who rode elsewhere since
        # begins a new ride.
        where = f"{rides} rides elsewhere"
        new = [debit.amount for debit in case.card.debits[debits:]]
        told = case.sum()
        if moved and not rides:
            # Behind a restart the PSAM has no session: a purchase of 0 has proven the card.
            assert new == ([0] if power else []), where
            assert told[0].status == (UNPROVEN if power else PAID), where
        else:
            # A purchase of 0 has proven key and counter before the debit gave way.
            assert new == [0, FARES["single"]], where
            # The counter alone is proven: where it has moved, nobody knows, and the second charge
            # says so.
            assert told[0].status == (LOST if rides else VOID), where
            assert told[-1].marked == (1 if rides else 0), where
        follow(case, "power-other")


@pytest.mark.parametrize("what", ["again", "power-other-again"])
@pytest.mark.parametrize("loads", range(1, 12))
@pytest.mark.parametrize("moved", [False, True])
def test_a_card_that_was_loaded_meanwhile(moved: bool, loads: int, what: str) -> None:
    """A load has a counter of its own, raises the balance, and stands in the same log."""
    case = Case("single")
    case.card.tear("debit:after" if moved else "debit:before")
    case.validator.tap(case.card)
    contents = case.card.memory.contents
    moment = bytes.fromhex("20260801120030")
    for n in range(loads):
        entry = LogEntry(7 + n, 10_000, 0x02, bytes.fromhex("400000000001"), moment)
        contents = replace(
            contents,
            balance=contents.balance + 10_000,
            log=(entry.pack(), *contents.log[:-1]),
        )
    case.card.memory.commit(contents)
    case.loaded = 10_000 * loads
    if loads < LOG_RECORDS or not moved:
        follow(case, what)
    else:
        # The log is full of loads: the card cannot tell any more, and nobody says it could.
        result = case.validator.tap(case.card)
        assert result.outcome == "accepted"
        case.sum()


VARIANTS: dict[str, dict[str, Any]] = {
    "log-after": {"log": "after"},
    "no-log": {"log": "none"},
    "proof-before": {"proof": "before"},
    "sm4": {"algorithm": 4},
    "file-15": {"fci_has_file_15": False},
    "unlisted": {"listed": False},
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("kind", SECTIONS)
def test_other_cards_torn_at_every_byte_of_debit(kind: str, name: str) -> None:
    options = VARIANTS[name]
    card = Case(kind, **options)
    card.validator.tap(card.card)
    exchanges = card.validator.link.exchanges
    (at,) = [n for n, (command, _) in enumerate(exchanges, 1) if command[:2] == b"\x80\x54"]
    command, answer = card.validator.link.sizes[at - 1]
    for byte in range(command + answer):
        for what in ("again", "power-again", "other-power-again", "never"):
            try:
                case = Case(kind, **options)
                case.validator.tap(case.card, Tear(at, byte, byte))
                follow(case, what)
            except AssertionError as e:
                raise AssertionError(f"{name}, {kind}, byte {byte}, then {what}: {e}") from e


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_counter_that_rolls_over_is_none_that_goes_back(kind: str) -> None:
    for counter in (0x7FFE, 0x7FFF, 0x8000, 0xFFFD):
        for tear in ("debit:before", "debit:after"):
            case = Case(kind)
            begin = stage(kind)
            case.before = replace(case.before, counter=counter)
            case.first = replace(case.first, counter=counter - (kind == "alight"))
            case.card.memory.commit(case.before)
            case.card.tear(tear)
            case.validator.tap(case.card)
            assert begin.debit
            follow(case, "power-again")


def test_a_lost_answer_costs_nothing_when_money_was_loaded_to_the_same_balance() -> None:
    """The balance alone proves nothing: the debit happened, and a load of the fare hides it."""
    case = Case("single")
    case.card.tear("debit:after")
    case.validator.tap(case.card)
    contents = case.card.memory.contents
    load = LogEntry(9, 200, 0x02, bytes(6), bytes.fromhex("20260801120030"))
    case.card.memory.commit(
        replace(contents, balance=contents.balance + 200, log=(load.pack(), *contents.log[:-1]))
    )
    case.loaded = 200
    follow(case, "again")
    assert case.card.balance == 5000


def test_another_card_is_never_taken_for_the_torn_one() -> None:
    case = Case("single")
    case.card.tear("debit:after")
    case.validator.tap(case.card)
    twin = purse(seed=2)
    twin.memory.commit(case.card.memory.contents)  # the same in all but its number
    before = twin.memory.contents
    assert case.validator.tap(twin).outcome == "accepted"
    assert len(twin.debits) == len(before.debits) + 1
    assert len(case.open_claims_of(case.card)) == 1
    result = case.validator.tap(case.card)
    assert result.outcome == "accepted" and result.fare == FARES["single"] == 200
    assert [debit.amount for debit in case.card.debits] == [200, 0]
