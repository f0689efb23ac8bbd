"""Cases of torn purchases: where a ride begins, what follows, and the sum at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from faretap.sim import cards
from faretap.sim.cards import purse_scheme
from faretap.sim.cards.purse_memory import Contents
from faretap.sim.cards.tunion import TUnion
from faretap.sim.cards.tunion_layout import ALIGHTED, BOARDED, Composite
from faretap.sim.chips.psam import Psam

from .bench import (
    LOST,
    OPEN,
    PAID,
    Claim,
    Raw,
    Sizes,
    Tear,
    Validator,
    World,
    add_up,
    claims,
    restored,
)

SINGLE = purse_scheme.configuration()
BOARD = purse_scheme.composite()
ALIGHT = purse_scheme.composite(station=6)

SECTIONS = {"single": SINGLE, "board": BOARD, "alight": ALIGHT}
FARES = {"single": 200, "board": 0, "alight": 200}
STATES = {"single": 0, "board": BOARDED, "alight": ALIGHTED}

DEBIT = b"\x80\x54"


def purse(seed: int = 1, **options: Any) -> TUnion:
    card = cards.make("tunion", seed=seed, **options)
    assert isinstance(card, TUnion)
    return card


# What every such card holds at first.
BLANK = purse().memory.contents


@dataclass(frozen=True)
class Stage:
    """Where a kind of ride begins, and the exchanges of one that is not torn."""

    world: World
    sizes: Sizes
    debit: int
    """Number of the exchange with DEBIT."""


@cache
def stage(kind: str) -> Stage:
    card = purse()
    validator = Validator(BOARD if kind == "alight" else SECTIONS[kind])
    if kind == "alight":
        assert validator.tap(card).outcome == "accepted"
        validator = Validator(ALIGHT, validator.world(card))
    world = validator.world(card)
    result = validator.tap(card)
    assert (result.outcome, result.reason) == ("accepted", ""), result.detail
    exchanges = validator.link.exchanges
    (debit,) = [n for n, (command, _) in enumerate(exchanges, 1) if command[:2] == DEBIT]
    return Stage(world, validator.link.sizes, debit)


def tears(sizes: Sizes) -> Iterator[Tear]:
    """Every byte of every exchange; the errors that a reader makes of it take turns."""
    for exchange, (command, answer) in enumerate(sizes, 1):
        for byte in range(command + answer):
            yield Tear(exchange, byte, how=exchange + byte)


class Case:
    """One rider, torn away, on a validator that another rider may use meanwhile."""

    def __init__(self, kind: str, raw: Callable[[Psam], Any] = Raw, **options: Any) -> None:
        self.kind = kind
        begin = stage(kind)
        self.validator = Validator(SECTIONS[kind], begin.world, raw)
        self.card = restored(purse(**options), begin.world.contents)
        self.before = begin.world.contents
        # What the rider's card held when the journal was as new, and what was loaded since.
        self.first = BLANK
        self.loaded = 0
        self.other: TUnion | None = None

    def others_ride(self) -> None:
        """Another card is served normally; it boards, if this is a line to board on."""
        if self.other is None:
            self.other = purse(seed=77)
        count = len(self.other.debits)
        result = self.validator.tap(self.other)
        assert result.outcome == "accepted", (result.reason, result.detail)
        assert len(self.other.debits) == count + 1

    def again(self, tear: Tear | None = None) -> None:
        """The same card comes back and rides: with one debit, whenever that was made."""
        result = self.validator.tap(self.card, tear)
        assert result.outcome == "accepted", (result.reason, result.detail)
        self.rode()

    def rode(self) -> None:
        told = self.sum()
        # A purchase of 0 that proves the card is none of the ride's.
        proofs = [claim for claim in told if claim.proof]
        debits = [
            debit
            for debit in self.card.debits[len(self.before.debits) :]
            if not any(claim.names(debit) for claim in proofs)
        ]
        assert [debit.amount for debit in debits] == [FARES[self.kind]]
        assert Composite.parse(self.card.memory.contents.composites[0]).state == STATES[self.kind]
        mine = [claim for claim in told if claim.names(debits[0])]
        assert len(mine) == 1 and mine[0].accepted
        assert mine[0].tac == debits[0].tac and mine[0].mac2 == debits[0].mac2

    def sum(self) -> list[Claim]:
        riders = {"rider": (self.card, self.first)}
        if self.other is not None:
            riders["other"] = (self.other, BLANK)
        return self.sum_of(riders)

    def sum_of(self, riders: dict[str, tuple[TUnion, Contents]]) -> list[Claim]:
        return add_up(self.validator, riders, {"rider": self.loaded})

    def open_claims(self) -> list[Claim]:
        """Debits of the torn rider of which the records do not know whether they happened."""
        return self.open_claims_of(self.card, self.sum())

    def open_claims_of(self, card: TUnion, told: list[Claim] | None = None) -> list[Claim]:
        token = self.validator.rules["token"](card.rider.encode())
        if told is None:
            told = claims(self.validator.records())
        mine = [c for c in told if c.token == token and not c.proof]
        # A purchase that was paid names one of which nobody can tell: that is the end of it here.
        marked = {c.marked for c in mine if c.status == PAID}
        # Of those that begin at one counter one at most happened: the last one stands for all.
        later = [{d.counter for d in mine[n:]} for n in range(1, len(mine) + 1)]
        return [
            claim
            for claim, counters in zip(mine, later, strict=True)
            if claim.status in (OPEN, LOST)
            and claim.counter not in counters
            and claim.number not in marked
        ]

    def never_came_back(self, tear: Tear) -> None:
        """The records know of the debit that may have happened, and of no other."""
        begin = stage(self.kind)
        opened = self.open_claims()
        assert len(opened) == (tear.exchange == begin.debit)
        for claim in opened:
            assert claim.amount == FARES[self.kind]
            assert (claim.before, claim.counter) == (self.before.balance, self.before.counter)


FOLLOWS = (
    "again",
    "other-again",
    "power-again",
    "power-other-again",
    "other-power-again",
    "never",
    "power-never",
    "power-other",
)


def follow(case: Case, what: str) -> None:
    """What happens behind a tear; the sum is right at each moment."""
    case.sum()
    for step in what.split("-"):
        if step == "again":
            case.again()  # sums up by itself
            continue
        if step == "other":
            case.others_ride()
        elif step == "power":
            case.validator.power_cut()
        case.sum()
