"""A scenario as what happens one after the other: the same for the same seed.

plan = make_plan(loaded.scenario, short=True)
for step in plan.steps: ...
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from faretap.rack.scenario import riders as who
from faretap.rack.scenario.schema import (
    Back,
    ChangeAt,
    DenyAt,
    FaultAt,
    PowerAt,
    Riders,
    Scenario,
    Tear,
    medium_of,
)

_APDUS = 8  # of a tap, at most, in which the supply may go


@dataclass(frozen=True)
class Person:
    """A rider. `table` is the name of the riders that they belong to."""

    number: int
    name: str
    table: str
    medium: str
    options: dict[str, Any]
    expect: str

    @property
    def kind(self) -> str:
        return medium_of(self.medium)[0]


@dataclass(frozen=True)
class Ride:
    """A rider comes. `lose_at` and `lose` pull the card away at an APDU, `tear` at a purse's step;
    `cut` is at which APDU the supply goes, 0: after the tap, None: it stays."""

    at: float
    person: Person
    expect: str
    via: str = "wire"
    door: int = 0
    stop: str = ""
    lose_at: int | None = None
    lose: str = "before"
    tear: str = ""
    cut: int | None = None
    cut_after: float = 0.0  # share of a tap's time, where nobody counts APDUs
    visit: int = 1


@dataclass(frozen=True)
class Fault:
    at: float
    fault: FaultAt
    seed: int


@dataclass(frozen=True)
class Clear:
    at: float
    fault: FaultAt


@dataclass(frozen=True)
class Cut:
    """The supply goes between two riders."""

    at: float


@dataclass(frozen=True)
class Deny:
    """A list of `tokens` of these riders, under the key of the run."""

    at: float
    deny: DenyAt
    people: tuple[Person, ...]
    seed: int


@dataclass(frozen=True)
class Change:
    """`configuration`: all that is other than in the bench configuration from now on."""

    at: float
    change: ChangeAt


Step = Ride | Fault | Clear | Cut | Deny | Change


@dataclass(frozen=True)
class Plan:
    """Steps in the order of time. `keeps` are the riders whose card is needed again."""

    scenario: Scenario
    seed: int
    short: bool
    steps: tuple[Step, ...]
    needs: frozenset[str]
    keeps: frozenset[int] = field(default_factory=frozenset)

    @property
    def rides(self) -> list[Ride]:
        return [step for step in self.steps if isinstance(step, Ride)]

    @property
    def seconds(self) -> float:
        """How long it takes in the scenario's time."""
        return self.steps[-1].at if self.steps else 0.0

    def of_door(self, door: int) -> list[Step]:
        """What the validator at that door sees: its riders, and what happens to all."""
        return [s for s in self.steps if not isinstance(s, Ride) or s.door == door]


def make_plan(scenario: Scenario, *, short: bool = False, seed: int | None = None) -> Plan:
    """`short`: the short form, if the scenario has one."""
    seed = scenario.seed if seed is None else seed
    short = short and scenario.short is not None
    maker = _Maker(scenario, seed, short)
    rides = maker.rides()
    steps: list[Step] = [*rides, *maker.events()]
    # Of the same moment, what happens to the validator comes before who comes to it.
    steps.sort(key=lambda step: (step.at, isinstance(step, Ride)))
    return Plan(
        scenario,
        seed,
        short,
        tuple(maker.with_cuts(steps)),
        frozenset(maker.needs()),
        frozenset(ride.person.number for ride in rides if who.is_purse(ride.person.medium)),
    )


class _Maker:
    """Each table has random numbers of its own: to change one leaves the others as they are."""

    def __init__(self, scenario: Scenario, seed: int, short: bool) -> None:
        self._scenario = scenario
        self._seed = seed
        self._short = scenario.short if short else None
        self._people: list[Person] = []

    def _chance(self, *what: object) -> random.Random:
        return random.Random(f"{self._seed} {' '.join(map(str, what))}")

    # -- riders ------------------------------------------------------------------------------

    def rides(self) -> list[Ride]:
        counts = self._counts()
        denied = self._denied()
        found: list[Ride] = []
        for n, (riders, count) in enumerate(zip(self._scenario.riders, counts, strict=True)):
            chance = self._chance("riders", n)
            for at, stop in self._moments(riders, count, chance):
                first = self._ride(riders, at, stop, chance)
                found.append(first)
                found += self._returns(riders.back, first, chance)
        return [self._as_listed(ride, denied) for ride in found]

    def _counts(self) -> list[int]:
        counts = [self._count(riders) for riders in self._scenario.riders]
        if self._short is None or sum(counts) <= self._short.riders:
            return counts
        share = self._short.riders / sum(counts)
        return [max(1, round(count * share)) if count else 0 for count in counts]

    def _count(self, riders: Riders) -> int:
        if riders.per_minute is None:
            return 1 if riders.count is None else riders.count
        seconds = sum(end - begin for begin, end, _ in self._windows(riders))
        return round(riders.per_minute * seconds / 60)

    def _windows(self, riders: Riders) -> list[tuple[float, float, str]]:
        if riders.stops is None:
            end = riders.at if riders.until is None else riders.until
            return [(riders.at, end, "")]
        return [
            (stop.at, stop.at + stop.dwell, stop.name)
            for stop in self._scenario.stop
            if "*" in riders.stops or stop.name in riders.stops
        ]

    def _moments(
        self, riders: Riders, count: int, chance: random.Random
    ) -> list[tuple[float, str]]:
        """When they come and where: anywhere in their windows, each second as likely."""
        windows = self._windows(riders)
        weights = [end - begin for begin, end, _ in windows]
        if not sum(weights):
            weights = [1.0] * len(windows)
        found = []
        for _ in range(count):
            ((begin, end, stop),) = chance.choices(windows, weights)
            found.append((round(begin + chance.random() * (end - begin), 3), stop))
        return sorted(found)

    def _ride(self, riders: Riders, at: float, stop: str, chance: random.Random) -> Ride:
        if riders.mix is None:
            assert riders.medium is not None
            medium = riders.medium
        else:
            (medium,) = chance.choices(list(riders.mix), list(riders.mix.values()))
        number = len(self._people) + 1
        person = Person(
            number,
            riders.name or medium,
            riders.name or "",
            medium,
            who.own_options(medium, number + 100_000 * (self._seed % 1000), riders.options),
            riders.expect or who.expected_of(medium),
        )
        self._people.append(person)
        ride = Ride(
            at,
            person,
            person.expect,
            via=self._way(riders, chance),
            door=chance.randrange(self._scenario.validators),
            stop=stop,
        )
        tear = riders.tear
        if tear and chance.randrange(100) < tear.share:
            ride = _torn(ride, tear, chance)
        return ride

    def _way(self, riders: Riders, chance: random.Random) -> str:
        ways = self._scenario.via
        if self._short and self._short.via:
            ways = self._short.via
        (way,) = chance.choices(list(ways), list(ways.values()))
        return riders.via or way

    def _returns(self, back: Back | None, first: Ride, chance: random.Random) -> list[Ride]:
        if back is None or chance.randrange(100) >= back.share:
            return []
        plain = replace(first, lose_at=None, tear="", expect=back.expect or first.expect)
        return [
            replace(plain, at=round(first.at + n * back.after, 3), visit=n + 1)
            for n in range(1, back.times + 1)
        ]

    def _denied(self) -> dict[str, float]:
        """From when on the riders of a table are on a list."""
        found: dict[str, float] = {}
        for deny in self._scenario.deny:
            for name in deny.riders:
                found[name] = min(deny.at, found.get(name, deny.at))
        return found

    def _as_listed(self, ride: Ride, denied: dict[str, float]) -> Ride:
        since = denied.get(ride.person.table)
        if since is None or ride.at < since:
            return ride
        listed = "declined deny_listed"
        if ride.expect.startswith("accepted"):
            return replace(ride, expect=listed)
        # What is wrong besides may be found first.
        return replace(ride, expect=f"{ride.expect}|{listed}")

    # -- everything else ---------------------------------------------------------------------

    def events(self) -> list[Step]:
        scenario = self._scenario
        found: list[Step] = []
        for n, fault in enumerate(scenario.fault):
            seed = self._chance("fault", n).getrandbits(30)
            found.append(Fault(fault.at, fault, seed))
            if fault.until is not None:
                found.append(Clear(fault.until, fault))
        found += [Cut(power.at) for power in scenario.power if power.at is not None]
        for n, deny in enumerate(scenario.deny):
            listed = [p for p in self._people if p.table in self._listed_until(deny)]
            seed = self._chance("deny", n).getrandbits(30)
            found.append(Deny(deny.at, deny, tuple(listed), seed))
        found += [Change(change.at, change) for change in scenario.change]
        return found

    def _listed_until(self, deny: DenyAt) -> set[str]:
        """A list holds what those before it held."""
        return {name for each in self._scenario.deny if each.at <= deny.at for name in each.riders}

    def with_cuts(self, steps: list[Step]) -> list[Step]:
        """The supply goes with every so many riders, at each door by itself."""
        found = list(steps)
        for n, power in enumerate(self._scenario.power):
            every = self._every(power)
            if every is None:
                continue
            chance = self._chance("power", n)
            counts = [0] * self._scenario.validators
            for place, step in enumerate(found):
                if not isinstance(step, Ride):
                    continue
                counts[step.door] += 1
                if counts[step.door] % every == 0:
                    cut = 0 if power.moment == "after" else chance.randint(1, _APDUS)
                    found[place] = replace(
                        step, cut=cut, cut_after=chance.random(), lose_at=None, tear=""
                    )
        return found

    def _every(self, power: PowerAt) -> int | None:
        if power.every is not None and self._short and self._short.power_every:
            return self._short.power_every
        return power.every

    def needs(self) -> set[str]:
        """What a slot has to be able to do."""
        scenario = self._scenario
        found = {riders.via for riders in scenario.riders if riders.via}
        if scenario.fault:
            found.add("faults")
        if scenario.power:
            found.add("power_cut")
        if scenario.validators > 1:
            found.add("two_slots")
        return found


def _torn(ride: Ride, tear: Tear, chance: random.Random) -> Ride:
    if tear.step:
        return replace(ride, tear=tear.step)
    assert tear.apdu is not None
    return replace(ride, lose_at=chance.randint(*tear.apdu), lose=tear.moment)
