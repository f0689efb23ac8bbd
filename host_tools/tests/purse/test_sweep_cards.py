"""The table of simulated purses, each on a validator with the test purse scheme and its PSAM."""

from __future__ import annotations

import pytest

from faretap.sim import cards
from faretap.sim.cards import CARDS, purse_scheme
from faretap.sim.cards.tunion import TUnion
from faretap.sim.cards.tunion_layout import BOARDED, Composite, LogEntry, Trip

from .bench import AMOUNT, Validator, add_up

ATTACKERS = ("tunion-forged", "tunion-relay")
ALL = [name for name, entry in CARDS.items() if entry.purse is not None]
PURSES = [name for name in ALL if not name.startswith(ATTACKERS)]
PASSENGERS = {"tunion-student": 100, "tunion-elderly": 50}


def made(name: str) -> TUnion:
    card = cards.make(name)
    assert isinstance(card, TUnion)
    return card


def test_every_purse_is_here() -> None:
    assert len(PURSES) >= 24
    assert {name for name in CARDS if name.startswith("tunion")} == set(ALL)
    numbers = [made(name).pan for name in PURSES]
    # `tunion` and its twin with another FCI are one rider.
    assert len(set(numbers)) == len(numbers) - 1


@pytest.mark.parametrize("name", PURSES)
def test_every_purse_of_the_table(name: str) -> None:
    entry = CARDS[name]
    assert entry.purse is not None
    card = made(name)
    before = card.memory.contents
    validator = Validator(purse_scheme.configuration())
    result = validator.tap(card)
    assert (result.outcome, result.reason) == entry.purse, result.detail
    fare = PASSENGERS.get(name, AMOUNT)
    debited = entry.purse[0] == "accepted" or name == "tunion-wrong-mac2"
    assert [debit.amount for debit in card.debits] == ([fare] if debited else [])
    assert card.balance == before.balance - (fare if debited else 0)
    for claim in add_up(validator, {name: (card, before)}):
        assert claim.accepted == (entry.purse[0] == "accepted")
    assert card.pan.encode() not in bytes(validator.flash.data)
    if debited:
        entry_of_log = LogEntry.parse(card.memory.contents.log[0])
        assert (entry_of_log.amount, entry_of_log.terminal) == (fare, validator.psam.terminal)


@pytest.mark.parametrize("name", ["tunion", "tunion-sm4", "tunion-phone", "tunion-overdraft"])
def test_a_ride_by_software_psam(name: str) -> None:
    card = made(name)
    validator = Validator(purse_scheme.soft())
    assert validator.tap(card).outcome == "accepted"
    assert len(card.debits) == 1 and validator.psam.serial == 1


@pytest.mark.parametrize(
    "name", ["tunion", "tunion-sm4", "tunion-phone", "tunion-city", "tunion-city-14"]
)
def test_board_and_alight(name: str) -> None:
    card = made(name)
    before = card.memory.contents
    validator = Validator(purse_scheme.composite())
    assert validator.tap(card).outcome == "accepted"
    boarded = Composite.parse(card.memory.contents.composites[0])
    assert (boarded.state, boarded.marked, boarded.boarding.station) == (BOARDED, 400, 3)
    assert boarded.boarding.bus == b"B0000042" and boarded.boarding.line.hex() == "0012"
    validator.power_cut(purse_scheme.composite(station=11))
    assert validator.tap(card, later=900).outcome == "accepted"
    alighted = Composite.parse(card.memory.contents.composites[0])
    assert (alighted.state, alighted.amount, alighted.alighting.station) == (2, 300, 11)
    assert alighted.boarding == boarded.boarding
    trips = [Trip.parse(record) for record in card.memory.contents.trips[:2]]
    assert [(trip.kind, trip.amount) for trip in trips] == [(4, 300), (3, 0)]
    assert trips[0].balance == card.balance == before.balance - 300
    assert [debit.kind for debit in card.debits] == [9, 9]
    add_up(validator, {name: (card, before)})


def test_boarded_elsewhere_pays_what_was_marked_there_and_boards_here() -> None:
    card = made("tunion-boarded-elsewhere")
    before = card.memory.contents
    validator = Validator(purse_scheme.composite())
    assert validator.tap(card).outcome == "accepted"
    record = Composite.parse(card.memory.contents.composites[0])
    assert (record.state, record.boarding.line.hex()) == (BOARDED, "0012")
    assert [debit.amount for debit in card.debits] == [400]
    add_up(validator, {"rider": (card, before)})


def test_no_command_that_is_not_needed() -> None:
    """Exchanges of a tap with the card; those with the PSAM are MAC1, its answer, and MAC2."""
    counts = {}
    for name, section in (
        ("single", purse_scheme.configuration()),
        ("composite", purse_scheme.composite()),
    ):
        validator = Validator(section)
        validator.tap(made("tunion"))
        asked = len(validator.psam.commands)
        counts[name] = len(validator.link.exchanges)
        # SELECT PPSE, SELECT, 17, INITIALIZE, DEBIT; 1A and two of the cache.
        assert counts[name] == {"single": 5, "composite": 8}[name]
        validator.tap(made("tunion-phone"))
        assert len(validator.psam.commands) - asked == 3
