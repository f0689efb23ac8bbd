"""Every simulated purse on the validator's own code: outcomes, exchanges, and what cards hold."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import pytest

from faretap.sim import cards
from faretap.sim.cards import purse_scheme
from faretap.sim.cards.catalogue import CARDS
from faretap.sim.cards.tunion import TUnion
from faretap.sim.chips.psam import Psam
from faretap.sim.chips.psam_slot import PsamSlot
from validator.media import purse_torn

from .bench import Validator
from .test_device_slot import slot

# Attackers have tests of their own: test_attackers.py.
ATTACKERS = ("tunion-forged", "tunion-relay")
PURSES = [n for n, entry in CARDS.items() if entry.purse and not n.startswith(ATTACKERS)]
# Not PPSE and SELECT: file 17, INITIALIZE, DEBIT; or with file 1A and two records written.
SINGLE = ["00B09700", "80500102", "80540100"]
# Boarding is a composite purchase of 0.
BOARDING = {
    "tunion-no-zero": ("declined", "card_refused"),
    "tunion-no-composite": ("declined", "unsupported"),
}
COMPOSITE = ["00B09700", "00B201D4", "80500302", "80DC00F0", "80DC02D0", "80540100"]


def make(name: str) -> TUnion:
    card = cards.make(name)
    assert isinstance(card, TUnion)
    return card


@pytest.mark.parametrize("name", PURSES)
@pytest.mark.parametrize("mode", ["single", "composite"])
def test_every_purse(name: str, mode: str) -> None:
    section = purse_scheme.configuration() if mode == "single" else purse_scheme.composite()
    card = make(name)
    before = card.balance
    result = Validator(section).tap(card)
    outcome = CARDS[name].purse
    if mode == "composite":
        outcome = BOARDING.get(name, outcome)
    assert (result.outcome, result.reason) == outcome
    left = before - card.balance
    if result.outcome == "accepted":
        assert result.fare == left and len(card.debits) == 1
        assert result.balance == card.balance
    elif result.reason == "bad_signature":
        assert result.detail["debited"] and len(card.debits) == 1
    else:
        assert not card.debits


@pytest.mark.parametrize("name", ["tunion", "tunion-student", "tunion-sm4", "tunion-overdraft"])
def test_software_psam(name: str) -> None:
    card = make(name)
    validator = Validator(purse_scheme.soft())
    result = validator.tap(card)
    assert (result.outcome, len(card.debits)) == ("accepted", 1)
    debit = result.debit
    assert debit.state == purse_torn.PAID
    assert (debit.tac, debit.mac2) == (card.debits[0].tac, card.debits[0].mac2)


def test_no_exchange_that_is_not_needed() -> None:
    for section, expected in (
        (purse_scheme.configuration(), SINGLE),
        (purse_scheme.composite(), COMPOSITE),
    ):
        validator = Validator(section)
        card = make("tunion")
        for seconds in (0, 600):
            validator.tap(card, later=seconds)
            sent = [command[:4].hex().upper() for command, _ in validator.link.exchanges]
            assert sent == ["00A40400", "00A40400", *expected]


def test_whole_taps_over_the_slot() -> None:
    """Card, journal and PSAM with nothing between that is not the validator's own."""
    parts: list[PsamSlot] = []

    def in_a_slot(psam: Psam) -> object:
        parts.append(PsamSlot(psam, ta1=0x95))
        return slot(parts[-1])

    validator = Validator(purse_scheme.composite(), raw=in_a_slot)
    card = make("tunion")
    assert validator.tap(card).fare == 0
    validator.section = purse_scheme.composite(station=6)
    validator.rules["station"] = 6
    result = validator.tap(card, later=900)
    assert (result.outcome, result.fare, card.balance) == ("accepted", 200, 4800)
    parts[0].remove()
    result = validator.tap(card, later=900)
    assert (result.outcome, result.reason) == ("declined", "out_of_service")
    assert len(card.debits) == 2
    # Other media go on: nothing was raised. Back in its slot, it serves again.
    parts[0].insert(validator.psam)
    validator.power_cut()
    assert validator.tap(card, later=900).outcome == "accepted"
