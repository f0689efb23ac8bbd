"""Tap by radio, end to end: nfcpy plays the card on a PN532, a virtual validator reads it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from faretap.present import PresentError
from faretap.present import tap as tap_on_wire
from faretap.radio import Emulator, NotByRadio, open_emulator, tap, tap_by_radio
from faretap.records.pull import pull
from faretap.sim.chips.field import Air
from tests.radio.conftest import Validator

seeds = itertools.count(910_000)


@pytest.fixture
def emulator(validator: Validator) -> Iterator[Emulator]:
    with open_emulator(validator.radio) as opened:
        yield opened


def own_number(name: str) -> dict[str, Any]:
    """Another card of the kind each time, if cards of it differ."""
    return {} if name == "empty" else {"seed": next(seeds)}


CARDS = ["quickpass-debit", "quickpass-phone", "quickpass-expired", "tunion", "empty"]


@pytest.mark.parametrize("name", CARDS)
def test_the_outcome_is_that_of_the_wire(
    validator: Validator, emulator: Emulator, name: str
) -> None:
    session = validator.session
    by_radio = tap(session, emulator, name, options=own_number(name))
    on_wire = tap_on_wire(session, name, options=own_number(name))
    for key in ("medium", "outcome", "reason", "balance", "exchanges"):
        assert by_radio[key] == on_wire[key], key
    if name == "quickpass-debit":  # not only the same as on the wire
        assert (by_radio["outcome"], by_radio["reason"]) == ("accepted", "")
    record = pull(session.link, by_radio["seq"])[0]
    assert (record.outcome, record.reason) == (by_radio["outcome"], by_radio["reason"])
    assert record.token == (by_radio["token"] or None)


@pytest.mark.parametrize("lose", ["before", "after"])
def test_a_card_pulled_away_is_told_to_come_again(
    validator: Validator, emulator: Emulator, lose: str
) -> None:
    card = {**own_number("tunion"), "lose": lose}
    summary = tap(validator.session, emulator, "tunion", options=card, lose_at_apdu=2)
    assert (summary["outcome"], summary["reason"]) == ("retry", "card_lost")


def test_a_reader_that_is_opened_for_one_tap(validator: Validator) -> None:
    summary = tap_by_radio(
        validator.session, validator.radio, "quickpass-debit", options=own_number("a")
    )
    assert summary["outcome"] == "accepted"


def test_out_of_reach(
    validator: Validator, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Air, "offer", lambda self, face: None)
    with pytest.raises(PresentError, match="its reader never found the card"):
        tap(validator.session, emulator, "tunion", timeout=0.5)


def test_what_cannot_be_presented(validator: Validator, emulator: Emulator) -> None:
    with pytest.raises(PresentError, match="cannot be presented"):
        tap(validator.session, emulator, "nonsense")
    with pytest.raises(NotByRadio):
        tap(validator.session, emulator, "mifare")
