"""Sweeps of attackers: what a seed makes of one, and the sum at the end.

Three of them: keyless, who knows all that crosses the air; a relay before a genuine card; the same
with foreign transactions of that card between. Other riders, power cuts and restarts come between
as the seed wills.

    outcome = play("relay", seed)
    outcome.free        rides that no debit of the card pays for
    outcome.unproven    rides on the card's word: at most one a card, each on record as such
"""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from faretap.sim.cards import purse_scheme
from faretap.sim.cards.tunion import TUnion
from faretap.sim.cards.tunion_attack import Forged, Plan, PurseRelay, _Attacker

from .bench import MOVED, REFUSED, UNPROVEN, VOID, WRONG, Claim, Validator, claims
from .cases import purse

KINDS = ("keyless", "relay", "relay-foreign")
TAPS = 9

_MODES: dict[str, dict[str, Any]] = {
    "single": purse_scheme.configuration(),
    "composite": purse_scheme.composite(marked_amount=400),
    "refuse": purse_scheme.configuration(torn_unproven="refuse"),
}


@dataclass
class Outcome:
    taps: int = 0
    rides: int = 0
    """Taps that were accepted."""
    free: int = 0
    unproven: int = 0
    marked: int = 0
    """Charges that a record marks, because another one may have been for the same ride."""
    tries: int = 15
    """The fewest that the PSAM had left."""

    def add(self, other: Outcome) -> None:
        self.taps += other.taps
        self.rides += other.rides
        self.free += other.free
        self.unproven += other.unproven
        self.marked += other.marked
        self.tries = min(self.tries, other.tries)


def play(kind: str, seed: int) -> Outcome:
    """One attacker and what it tries; AssertionError where records and purses disagree."""
    random = Random(f"{kind} {seed}")
    mode = random.choice(list(_MODES))
    validator = Validator(_MODES[mode])
    options: dict[str, Any] = {"seed": 1000 + seed, "log": random.choice(["before", "none"])}
    attacker: _Attacker = (
        Forged(**options)
        if kind == "keyless"
        else PurseRelay(**options, proof=random.choice(["after", "before"]))
    )
    other = purse(seed=77)
    blank = attacker.memory.contents, other.memory.contents
    out = Outcome()
    for _ in range(TAPS):
        attacker.plan = _plan(random, validator, other)
        result = validator.tap(attacker, later=random.choice([6, 30, 400]))
        out.taps += 1
        out.rides += result.outcome == "accepted"
        out.tries = min(out.tries, *validator.psam.tries.values())
        for between in random.choices(["", "other", "power", "foreign"], k=2):
            if between == "other":
                # Whatever state the attack has left the validator in, a rider who is honest is
                # served, or turned away: never charged without a ride.
                debits = len(other.debits)
                served = validator.tap(other).outcome == "accepted"
                assert served == (len(other.debits) > debits)
            elif between == "power":
                validator.power_cut()
            elif between == "foreign" and kind == "relay-foreign":
                elsewhere(attacker)
    _sum(validator, attacker, blank[0], out)
    _sum(validator, other, blank[1], Outcome())
    if kind == "keyless":
        assert not out.rides and not attacker.debits
    assert out.unproven <= (mode != "refuse"), "more than one a card"
    assert out.free <= out.unproven, "a free ride that no record tells of"
    return out


def _plan(random: Random, validator: Validator, other: TUnion) -> Plan:
    acts = ["answer", "answer", "silent", "silent", "withhold"]
    # A MAC2 that crossed the air before, one of nothing, and one of luck.
    known = [debit.mac2.hex() for debit in other.debits[-2:]]
    shown = [command[16:20].hex() for command, _ in _exchanges(validator) if command[1] == 0x54]
    return Plan(
        debit=random.choice(acts),
        zero=random.choice([*acts, "refuse"]),
        mac2=random.choice(["00000000", "random", *known, *shown]),
        log=random.random() < 0.8,
        proof=random.choice(["random", "random", "none", "true"]),
        ahead=random.choice([0, 0, 0, 1, 2, -1]),
        kind=random.choice([None, 3]),
        digits=random.choice(["", "777", "310"]),
    )


def _exchanges(validator: Validator) -> list[tuple[bytes, bytes]]:
    link = getattr(validator, "link", None)
    return link.exchanges if link else []


def elsewhere(attacker: _Attacker) -> None:
    """A transaction of the genuine card at somebody else's validator, behind the relay's back."""
    there = Validator(purse_scheme.configuration(), raw=_foreign)
    line = attacker.line
    attacker.plan = Plan(proof="true", log=False)
    assert there.tap(attacker).outcome == "accepted"
    attacker.line = line


def _foreign(psam: Any) -> Any:
    from .test_sweep_elsewhere import _Elsewhere

    return _Elsewhere(psam)


def _sum(validator: Validator, card: TUnion, before: Any, out: Outcome) -> None:
    """What left the card here is on record, each debit once; what rode free is counted."""
    told = claims(validator.records())
    token = validator.rules["token"](card.rider.encode())
    mine = [claim for claim in told if claim.token == token]
    debits = [
        debit
        for debit in card.debits[len(before.debits) :]
        if debit.terminal == validator.psam.terminal
    ]
    for debit in debits:
        named = [claim for claim in mine if claim.names(debit)]
        assert len(named) == 1, "a debit without a record"
        assert named[0].status not in (REFUSED, VOID), "a debit that the records deny"
        if named[0].status in MOVED and named[0].status not in (UNPROVEN, WRONG):
            assert named[0].mac2 == debit.mac2
    for claim in mine:
        made = any(claim.names(debit) for debit in debits)
        if claim.accepted:
            out.marked += bool(claim.marked)
            out.unproven += claim.status == UNPROVEN
            assert made or claim.status == UNPROVEN, "a ride that nothing proves"
            out.free += not made
    _no_second_charge(mine, debits)


def _no_second_charge(mine: list[Claim], debits: list[Any]) -> None:
    """Whoever paid more often than rode finds it on record: as open, or as wrong."""
    paid = [debit for debit in debits if debit.amount]
    rode = [claim for claim in mine if claim.accepted and claim.amount]
    unsettled = [
        claim for claim in mine if not claim.accepted and any(claim.names(debit) for debit in paid)
    ]
    assert len(paid) <= len(rode) + len(unsettled), "a second charge without a mark"
