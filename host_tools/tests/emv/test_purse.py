"""Electronic cash: whatever is pulled out, and when, a rider pays once and rides, or does not."""

from __future__ import annotations

from typing import Any

import pytest

from faretap.records.evidence import objects, unseal
from faretap.sim import cards
from faretap.sim.cards.purse import ElectronicCash
from faretap.sim.cards.scheme import acquirer

from .kernel import Kernel

SERIES = 9  # APDUs of a tap


def card(balance: int = 1000, **options: Any) -> ElectronicCash:
    made = cards.make("quickpass-ecash", balance=balance, **options)
    assert isinstance(made, ElectronicCash)
    return made


def test_one_tap() -> None:
    purse, kernel = card(), Kernel()
    result = kernel.tap(purse)
    assert (result.outcome, result.balance, purse.balance) == ("accepted", 800, 800)
    assert len(kernel.log) == SERIES
    assert objects(unseal(result.evidence, acquirer()))[0x9F27] == b"\x40"
    assert not len(kernel.rules["torn"])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("lose_at", range(1, SERIES + 1))
def test_torn_away_and_tapped_again(lose_at: int, after: bool) -> None:
    purse, kernel = card(), Kernel()
    first = kernel.tap(purse, lose_at=lose_at, after=after)
    assert (first.outcome, first.reason) == ("retry", "card_lost")
    assert purse.balance == (800 if lose_at == SERIES and after else 1000)
    kernel.seconds += 3
    second = kernel.tap(purse)
    assert second.outcome == "accepted", second.detail
    assert purse.balance == 800 and second.balance == 800
    assert second.evidence is not None
    # And that was that: the next ride is a ride of its own.
    kernel.seconds += 60
    assert kernel.tap(purse).outcome == "accepted"
    assert purse.balance == 600 and not len(kernel.rules["torn"])


@pytest.mark.parametrize("lose_at", range(1, 13))
def test_torn_again_while_it_is_recognised(lose_at: int) -> None:
    purse, kernel = card(), Kernel()
    kernel.tap(purse, lose_at=SERIES, after=True)
    assert purse.balance == 800
    for attempt in range(3):
        kernel.seconds += 2
        result = kernel.tap(purse, lose_at=lose_at if attempt < 2 else 0, after=True)
        if result.outcome == "accepted":
            break
        assert result.reason == "card_lost"
    assert result.outcome == "accepted" and purse.balance == 800


def test_the_evidence_of_the_torn_tap_is_the_one_that_settles() -> None:
    purse, kernel = card(), Kernel()
    torn = kernel.tap(purse, lose_at=SERIES, after=True)
    kernel.seconds += 3
    accepted = kernel.tap(purse)
    assert accepted.evidence == torn.evidence
    assert objects(unseal(accepted.evidence, acquirer()))[0x9F02].hex() == "000000000200"


def test_a_record_that_could_not_be_written_costs_no_second_debit() -> None:
    purse, kernel = card(), Kernel()
    assert kernel.tap(purse, durable=False).outcome == "accepted"
    kernel.seconds += 3
    again = kernel.tap(purse)
    assert again.outcome == "accepted" and purse.balance == 800
    kernel.seconds += 3
    assert kernel.tap(purse).reason == "too_soon"


def test_another_card_with_such_a_counter_and_balance_pays_for_itself() -> None:
    first, other, kernel = card(), card(balance=800, seed=9, atc=1), Kernel()
    kernel.tap(first, lose_at=SERIES, after=True)
    kernel.seconds += 3
    result = kernel.tap(other)
    assert result.outcome == "accepted" and other.balance == 600
    assert result.token_source == other.pan.encode()
    kernel.seconds += 3
    assert kernel.tap(first).outcome == "accepted" and first.balance == 800


def test_a_torn_tap_that_was_not_paid_gives_no_free_ride_later() -> None:
    purse, kernel = card(), Kernel()
    kernel.tap(purse, lose_at=SERIES, after=False)
    assert purse.balance == 1000
    for balance in (800, 600, 400):
        kernel.seconds += 60
        assert kernel.tap(purse).outcome == "accepted"
        assert purse.balance == balance


def test_a_recognised_card_must_prove_itself() -> None:
    purse, kernel = card(), Kernel()
    kernel.tap(purse, lose_at=SERIES, after=True)
    forger = card(balance=800, atc=1, forge="sdad")
    kernel.seconds += 3
    result = kernel.tap(forger)
    assert (result.outcome, result.reason) == ("declined", "bad_signature")
    assert kernel.tap(purse).outcome == "accepted" and purse.balance == 800


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"expiry": "2012"}, "expired"),
        ({"forge": "icc"}, "bad_signature"),
        ({"claims_ca": 0x77}, "unknown_issuer"),
        ({"secretive": True}, "unsupported"),
        ({"balance": 199, "boasts": True}, "insufficient_balance"),
    ],
)
def test_what_is_refused_is_not_paid(options: dict[str, Any], reason: str) -> None:
    purse, kernel = cards.make("quickpass-ecash", **options), Kernel()
    assert isinstance(purse, ElectronicCash)
    before = purse.balance
    assert kernel.tap(purse).reason == reason
    assert purse.balance == before
    assert bytes.fromhex("00B2011C00") not in kernel.log


def test_over_the_limit_and_denied_are_not_paid() -> None:
    purse, kernel = card(balance=100000), Kernel()
    assert kernel.tap(purse, amount=5001).reason == "over_limit"
    kernel.trusted = False
    assert kernel.tap(purse).reason == "clock_untrusted"
    listed = Kernel(deny=lambda token: True)
    assert listed.tap(purse).reason == "deny_listed"
    assert purse.balance == 100000


def test_a_debit_for_nothing_is_said_to_be_one() -> None:
    # Its signature comes with the record that makes it pay.
    purse, kernel = card(forge="sdad"), Kernel()
    result = kernel.tap(purse)
    assert (result.reason, result.detail["debited"]) == ("bad_signature", True)
    assert not len(kernel.rules["torn"])


def test_no_debit_is_remembered_for_ever() -> None:
    purse, kernel = card(), Kernel()
    kernel.tap(purse, lose_at=SERIES, after=True)
    kernel.seconds += 3600
    assert kernel.tap(purse).outcome == "accepted" and purse.balance == 600
