"""Nobody rides on what is not proven: every attacker of the catalogue, and sweeps of them.

`FARETAP_SOAK=10000` sets the number of seeds of each sweep; `make soak` does.
"""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os

import pytest

from faretap.sim import cards
from faretap.sim.cards import CARDS, purse_scheme
from faretap.sim.cards.tunion_attack import Forged, Plan, PurseRelay, _Attacker
from faretap.sim.chips.psam import Psam
from validator.media.reasons import REASONS

from .attack import KINDS, Outcome, elsewhere, play
from .bench import UNPROVEN, Validator, claims
from .cases import purse

SEEDS = int(os.environ.get("FARETAP_SOAK", "60"))

ATTACKERS = [name for name in CARDS if name.startswith(("tunion-forged", "tunion-relay"))]


def made(name: str) -> _Attacker:
    card = cards.make(name)
    assert isinstance(card, _Attacker)
    return card


@pytest.mark.parametrize("kind", KINDS)
def test_sweep(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    total = Outcome()
    for seed in range(SEEDS):
        try:
            total.add(play(kind, seed))
        except AssertionError as e:
            raise AssertionError(f"{kind}, seed {seed}: {e}") from e
    assert total.taps == SEEDS * 9
    if kind == "keyless":
        assert total.rides == total.unproven == 0
    else:
        assert total.rides  # it pays, as long as it lets the purchase through
        assert total.unproven <= SEEDS
    assert total.tries >= 2, "an attacker has locked a PSAM"
    with capsys.disabled():
        if SEEDS > 1000:
            print(f"\n{kind}, {SEEDS} seeds: {total}")


@pytest.mark.parametrize("name", ATTACKERS)
def test_their_first_tap(name: str) -> None:
    result = Validator(purse_scheme.configuration()).tap(made(name))
    assert (result.outcome, result.reason) == CARDS[name].purse


def test_the_catalogue_has_them() -> None:
    assert len(ATTACKERS) >= 9
    assert {type(made(name)) for name in ATTACKERS} == {Forged, PurseRelay}


@pytest.mark.parametrize("between", ["", "other", "power"])
@pytest.mark.parametrize("mode", ["single", "composite"])
@pytest.mark.parametrize("name", [n for n in ATTACKERS if n.startswith("tunion-forged")])
def test_without_keys_nobody_rides_ever(name: str, mode: str, between: str) -> None:
    section = purse_scheme.configuration() if mode == "single" else purse_scheme.composite()
    validator = Validator(section)
    card = made(name)
    for _ in range(20):
        assert validator.tap(card).outcome != "accepted"
        if between == "other":
            validator.tap(purse(seed=77))
        elif between == "power":
            validator.power_cut()
    assert not any(
        c.accepted
        for c in claims(validator.records())
        if not c.proof and c.amount and c.token == validator.rules["token"](card.rider.encode())
    )


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("later", [2, 600])
def test_nobody_locks_a_psam(later: int, power: bool) -> None:
    """Phones without keys, one after another, also with the power cut between them."""
    validator = Validator(purse_scheme.configuration())
    last = None
    for seed in range(40):
        last = validator.tap(Forged(seed=100 + seed, plan={"mac2": "random"}), later=later)
        if power:
            validator.power_cut()
        assert validator.psam.tries["8011"] >= 2
    assert last is not None and last.reason == "out_of_service"
    # Slowed down as long as the power stays; whoever can cut it does not get a try back.
    assert (validator.psam.tries["8011"] > 2) == (later == 2 and not power)
    if validator.psam.tries["8011"] == 2:
        validator.power_cut()
        assert validator.tap(purse()).reason == "out_of_service"
        # An operator's word stakes one try; a rider with the key gives them all back.
        psam = validator.rules["psams"][0]
        assert validator.rules["tries"].release(psam.key)
        assert validator.tap(purse()).outcome == "accepted"
        assert validator.psam.tries["8011"] == 15
        # And another PSAM serves at once.
        validator.psam = Psam(terminal="300089000341")
        validator.power_cut()
        assert validator.tap(purse(seed=2)).outcome == "accepted"


@pytest.mark.parametrize("mac2", ["00000000", "ffffffff", "00000001", "random"])
def test_no_value_of_mac2_means_not_checked(mac2: str) -> None:
    validator = Validator(purse_scheme.configuration())
    result = validator.tap(Forged(plan={"mac2": mac2}))
    assert (result.outcome, result.reason) == ("declined", "bad_signature")
    assert [c[1] for c in validator.psam.commands][-1] == 0x72


def test_a_relay_that_swallows_debit_pays_when_it_comes_back() -> None:
    """At once: the PSAM has the session, and its invented proof is wrong. Later: the genuine card
    cannot prove a counter that it does not have."""
    for between in (False, True):
        validator = Validator(purse_scheme.configuration())
        card = PurseRelay(plan={"debit": "silent"})
        validator.tap(card)
        if between:
            validator.tap(purse(seed=77))
        card.plan = Plan()  # lets everything through; line and proof are invented
        result = validator.tap(card)
        assert (result.outcome, bool(card.debits)) == (
            ("accepted", True) if between else ("declined", False)
        )


def test_a_relay_with_a_transaction_elsewhere_rides_once_and_is_counted() -> None:
    validator = Validator(purse_scheme.configuration())
    card = PurseRelay(seed=3)
    outcomes = []
    for _ in range(3):
        card.plan = Plan(debit="silent")
        assert validator.tap(card).outcome == "retry"
        elsewhere(card)
        validator.tap(purse(seed=77))
        card.plan = Plan()
        result = validator.tap(card)
        outcomes.append((result.outcome, result.reason))
        if result.outcome != "accepted":
            break
    assert outcomes == [("accepted", ""), ("declined", "unsettled")]
    token = validator.rules["token"](card.rider.encode())
    assert [c.status for c in claims(validator.records()) if c.accepted and c.token == token] == [
        UNPROVEN
    ]
    # It stays so after a restart, and under another number that the card's key does not tell from
    # its own.
    for digits in ("", "777"):
        validator.power_cut()
        card.plan = Plan(digits=digits)
        assert validator.tap(card).reason == "unsettled"


def test_refuse_is_for_those_who_lose_no_fare_to_anybody() -> None:
    validator = Validator(purse_scheme.configuration(torn_unproven="refuse"))
    card = purse(tear="debit:after")
    validator.tap(card)
    validator.tap(purse(seed=77))
    for _ in range(2):
        result = validator.tap(card)
        assert (result.outcome, result.reason) == ("declined", "unsettled")
        assert result.detail["unsettled"] and len(card.debits) == 1
    assert validator.records()[-1]["reason"] in REASONS
    validator.power_cut()
    assert validator.tap(card).reason == "unsettled"


@pytest.mark.parametrize("zero", [False, "debit"])
def test_a_card_that_makes_no_purchase_of_0_has_proven_nothing(zero: bool | str) -> None:
    validator = Validator(purse_scheme.configuration())
    card = purse(tear="debit:after", zero=zero)
    validator.tap(card)
    validator.tap(purse(seed=77))
    result = validator.tap(card)
    assert (result.outcome, result.reason) == ("declined", "unsettled")
    assert len(card.debits) == 1
    record = validator.records()[-1]
    assert (record["outcome"], record["reason"]) == ("declined", "unsettled")
    # At once, the PSAM still knows it: settled, whatever the card makes of 0.
    validator = Validator(purse_scheme.configuration())
    card = purse(tear="debit:after", zero=zero)
    validator.tap(card)
    assert validator.tap(card).outcome == "accepted" and len(card.debits) == 1


def test_with_form_14_nothing_binds_the_number_and_nobody_rides_on_it() -> None:
    validator = Validator(purse_scheme.configuration())
    card = cards.make("tunion-city-14", tear="debit:after")
    assert validator.tap(card).outcome == "retry"  # type: ignore[arg-type]
    validator.tap(cards.make("tunion-city"))  # type: ignore[arg-type]
    assert validator.tap(card).reason == "unsettled"  # type: ignore[arg-type]


def test_a_type_byte_grants_nothing_without_consent() -> None:
    for consent, fare in ((False, 200), (True, 50)):
        validator = Validator(purse_scheme.configuration(types_unproven=consent))
        result = validator.tap(made("tunion-relay-type"))
        assert (result.outcome, result.fare) == ("accepted", fare)


def test_only_what_is_in_the_key_makes_a_rider() -> None:
    """The digits that a relay can change are in no token, on no deny list and in no window."""
    seen = set()
    for digits in ("", "000", "777", "999"):
        validator = Validator(purse_scheme.configuration())
        card = made("tunion-relay-number")
        card.plan.digits = digits
        assert validator.tap(card).outcome == "accepted"
        seen.add(validator.records()[-1]["token"])
    assert len(seen) == 1
    # Every digit behind them is: the card has another key then, and refuses MAC1.
    for at in range(12, 20):
        validator = Validator(purse_scheme.configuration())
        honest = purse()
        honest.files[0x15] = (
            honest.files[0x15][:at]
            + bytes([honest.files[0x15][at] ^ 0x01])
            + honest.files[0x15][at + 1 :]
        )
        assert validator.tap(honest).reason in ("card_refused", "malformed")
    # Issuer: its first four bytes, in form 24.
    for at, reason in ((0, "card_refused"), (3, "card_refused"), (4, ""), (7, "")):
        validator = Validator(purse_scheme.configuration())
        honest = purse()
        honest.files[0x15] = (
            honest.files[0x15][:at]
            + bytes([honest.files[0x15][at] ^ 0x01])
            + honest.files[0x15][at + 1 :]
        )
        assert validator.tap(honest).reason == reason
