"""What a scenario file may say: every table, key, range and default, once.

Errors are made from these classes, as for the configuration: path, value, what would be right.
Times are seconds since the scenario began, or text such as "00:12:30".
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from faretap.config.values import Means, Moment, Number, Pattern, Right, Section, wrong
from faretap.rack.results import PHASES
from faretap.sim import cards, codes

OUTCOMES = ("accepted", "declined", "retry", "nothing")
MOMENTS = ("tap", "after")
MEASURES = ("own", "card", "tap", *PHASES)
WAYS = ("wire", "link", "radio")

_TIME = "seconds, or a time such as 00:12:30"
_DAYS = 7
_MEDIUM = "the name of a card or a code (`faretap tap --list`, `faretap scan --list`)"


def medium_of(name: str) -> tuple[str, str]:
    """("card" or "code", name) of a name as a scenario has it; ValueError if there is none."""
    kind, colon, rest = name.partition(":")
    if colon:
        known = {"card": list(cards.CARDS), "code": list(codes.CODES)}
        if rest not in known.get(kind, ()):
            raise ValueError
        return kind, rest
    if name in cards.CARDS:
        return "card", name
    if name in codes.CODES:
        return "code", name
    raise ValueError


def _seconds(value: object) -> object:
    if isinstance(value, str):
        found = re.fullmatch(r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]\d(?:\.\d+)?)", value)
        if not found:
            raise wrong(_TIME)
        hours, minutes, seconds = found.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(_TIME)
    return float(value)


class _Span(Right):
    def __init__(self) -> None:
        super().__init__(f"{_TIME}, up to {_DAYS} days")

    def check(self, value: Any) -> Any:
        if not 0 <= value <= _DAYS * 86400:
            raise ValueError
        return value


class _MediumName(Right):
    def __init__(self) -> None:
        super().__init__(_MEDIUM)

    def check(self, value: Any) -> Any:
        medium_of(value)
        return value


class _Expected(Right):
    """As `results.as_expected` takes it."""

    def __init__(self) -> None:
        super().__init__("accepted, declined, retry or nothing, with a reason if it matters, such "
                         'as "declined expired"; several behind "|"')  # fmt: skip

    def check(self, value: Any) -> Any:
        for each in value.split("|"):
            words = each.split()
            if not 1 <= len(words) <= 2 or words[0] not in OUTCOMES:
                raise ValueError
        return value


def _pace(value: object) -> object:
    words = '"fast", or how many seconds pass in one of the host, 1 to 3600'
    if value == "fast":
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 3600:
        raise wrong(words)
    return float(value)


def _range(value: object) -> object:
    """A number, or [least, most]."""
    words = "a number, or [least, most]"
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value, value]
    good = isinstance(value, (list, tuple)) and len(value) == 2
    if not good or not all(isinstance(v, int) and v >= 0 for v in value):  # type: ignore[attr-defined]
        raise wrong(words)
    return tuple(value)  # type: ignore[arg-type]


Name = Annotated[
    str, Pattern(r"[\w][\w .'-]{0,39}", "up to 40 letters, digits, spaces, '.', '_', '-'")
]
Time = Annotated[float, BeforeValidator(_seconds), _Span()]
Medium = Annotated[str, _MediumName()]
Expected = Annotated[str, _Expected()]
Way = Annotated[str, Pattern("|".join(WAYS), ", ".join(WAYS))]
Weight = Annotated[int, Number(0, 10000)]
Percent = Annotated[int, Number(0, 100, "percent")]
Fault = Annotated[str, Pattern(r"Q[0-9]{2}", "an id of the fault catalogue, such as Q16")]
Measure = Annotated[str, Pattern("|".join(MEASURES), ", ".join(MEASURES))]
Milliseconds = Annotated[float, Number(0, 600000, "ms")]
Range = Annotated[tuple[int, int], BeforeValidator(_range), Right("a number, or [least, most]")]
Pace = Annotated[float, BeforeValidator(_pace), Right('"fast", or a number from 1 to 3600')]


class Stop(Section):
    """A stop of the line: riders board while the vehicle stands there."""

    name: Annotated[Name, Means("What it is called in reports.")]
    at: Annotated[Time, Means("When the vehicle arrives.")]
    dwell: Annotated[Time, Means("How long it stands.")] = 30.0


class Tear(Section):
    """The rider pulls the card away, and taps again when told so."""

    apdu: Annotated[
        Range | None, Means("At which APDU, from 1; of [least, most] one by the seed.")
    ] = None
    moment: Annotated[
        str,
        Pattern("before|after", "before or after"),
        Means("Before the card takes the APDU, or when it has and answers."),
    ] = "before"
    step: Annotated[
        str | None,
        Pattern(
            r"[a-z]+(#[0-9]+)?(:(before|during|after))?",
            'a step of a purse, such as "debit:after"',
        ),
        Means("Of a purse: at this step instead."),
    ] = None
    share: Annotated[Percent, Means("How many of these riders do so.")] = 100

    @model_validator(mode="after")
    def _one(self) -> Tear:
        if (self.apdu is None) == (self.step is None):
            raise wrong("either apdu or step")
        if self.apdu and not 1 <= self.apdu[0] <= self.apdu[1]:
            raise wrong("apdu from 1 on, the least first")
        return self


class Back(Section):
    """Riders come again with the same card or a new code of the same account."""

    after: Annotated[Time, Means("How long after they were here.")]
    share: Annotated[Percent, Means("How many of them do.")] = 100
    times: Annotated[int, Number(1, 1000), Means("How often.")] = 1
    expect: Annotated[Expected | None, Means("What is right then. Left out: as at first.")] = None


class Riders(Section):
    """A rider, or a number of them that are drawn by the seed. Each has a card or an account of
    their own."""

    name: Annotated[Name | None, Means("Of these riders. Left out: the medium's.")] = None
    medium: Annotated[Medium | None, Means("What they present.")] = None
    mix: Annotated[
        dict[Medium, Weight] | None,
        Field(min_length=1),
        Means("What they present, with weights."),
    ] = None
    options: Annotated[
        dict[str, Any], Means("Of the card (balance, pan…) or the fields of the code.")
    ] = {}
    count: Annotated[int | None, Number(1, 100000), Means("How many.")] = None
    per_minute: Annotated[
        float | None,
        Number(0, 6000, "a minute"),
        Means("Instead: how many come in a minute, of each stop's dwell or from `at` to `until`."),
    ] = None
    at: Annotated[Time, Means("When the first may come.")] = 0.0
    until: Annotated[Time | None, Means("When the last may come.")] = None
    stops: Annotated[
        list[str] | None,
        Field(min_length=1),
        Means('Where they board instead, by the stops\' names; ["*"] is all of them.'),
    ] = None
    expect: Annotated[
        Expected | None, Means("What is right. Left out: what the catalogue says of the medium.")
    ] = None
    tear: Annotated[Tear | None, Means("They pull their card away.")] = None
    back: Annotated[Back | None, Means("They come again.")] = None
    via: Annotated[Way | None, Means("How they are presented. Left out: as the scenario.")] = None

    @model_validator(mode="after")
    def _agrees(self) -> Riders:
        if (self.medium is None) == (self.mix is None):
            raise wrong("either medium or mix")
        if self.mix is not None and not sum(self.mix.values()):
            raise wrong("a mix with a weight above 0")
        if self.count is not None and self.per_minute is not None:
            raise wrong("either count or per_minute")
        if self.stops is not None and self.until is not None:
            raise wrong("either stops or until")
        if self.per_minute is not None and self.stops is None and self.until is None:
            raise wrong("until or stops with per_minute")
        if self.until is not None and self.until < self.at:
            raise wrong("until after at")
        return self


class FaultAt(Section):
    """A fault of the reader or the scan engine."""

    at: Annotated[Time, Means("When it begins.")]
    q: Annotated[Fault, Means("Its id.")]
    settings: Annotated[
        dict[str, Any], Means("Its own options, and times, skip, every, chance, seed.")
    ] = {}
    until: Annotated[Time | None, Means("When it is cleared. Left out: never.")] = None
    allow: Annotated[
        Expected | None,
        Means("What riders may see besides, from `at` to `until` or to the next power cut."),
    ] = None


class PowerAt(Section):
    """The supply goes, and comes back at once."""

    at: Annotated[Time | None, Means("When.")] = None
    every: Annotated[int | None, Number(1, 100000), Means("Or with every so many riders.")] = None
    moment: Annotated[
        str,
        Pattern("|".join(MOMENTS), "tap or after"),
        Means("In the middle of the tap, at a place that the seed chooses, or right after it."),
    ] = "tap"

    @model_validator(mode="after")
    def _one(self) -> PowerAt:
        if (self.at is None) == (self.every is None):
            raise wrong("either at or every")
        return self


class DenyAt(Section):
    """A deny list arrives."""

    at: Annotated[Time, Means("When.")]
    riders: Annotated[list[str], Field(min_length=1), Means("Names of the riders that it lists.")]
    others: Annotated[
        int, Number(0, 1000000), Means("How many tokens of strangers are on it.")
    ] = 1000


class ChangeAt(Section):
    """Another configuration arrives."""

    at: Annotated[Time, Means("When.")]
    configuration: Annotated[dict[str, Any], Means("What is other than before, table by table.")]


class Limits(Section):
    """Of the times that the validator measured, over all taps that are neither torn nor cut."""

    p50: Annotated[dict[Measure, Milliseconds], Means("Half of them within so many ms.")] = {}
    p95: Annotated[dict[Measure, Milliseconds], Means("95 of 100.")] = {}
    p99: Annotated[dict[Measure, Milliseconds], Means("99 of 100.")] = {}
    max: Annotated[dict[Measure, Milliseconds], Means("All.")] = {}


class Short(Section):
    """The same in little, for every day."""

    riders: Annotated[
        int, Number(1, 100000), Means("How many in all; each table of riders gives its share.")
    ]
    via: Annotated[dict[Way, Weight] | None, Means("Ways of presenting, with weights.")] = None
    power_every: Annotated[int | None, Number(1, 100000), Means("In place of power.every.")] = None


class Scenario(Section):
    """The whole file."""

    format: Annotated[int, Number(1, 1), Means("Of this file.")] = 1
    name: Annotated[Name, Means("What it is called in reports.")]
    about: Annotated[str, Means("What it shows.")] = ""
    seed: Annotated[int, Number(0, 2**31 - 1), Means("The same one, the same riders.")] = 1
    start: Annotated[
        Moment | None, Means("The time at which it begins. Left out: the time of the day.")
    ] = None
    pace: Annotated[
        Pace,
        Means('"fast": each rider comes when the one before is served, and the validator\'s clock '
              "follows. A number: so many seconds pass in one of the host's."),
    ] = 0.0  # fmt: skip
    via: Annotated[
        dict[Way, Weight],
        Field(min_length=1),
        Means("Ways of presenting, with weights; a slot uses those that it has."),
    ] = {"wire": 1}
    validators: Annotated[
        int, Number(1, 16), Means("How many the vehicle has; riders take any of them.")
    ] = 1
    patience: Annotated[
        int, Number(1, 20), Means("How often a rider taps who is told to tap again.")
    ] = 3
    collect_every: Annotated[
        int, Number(10, 100000), Means("Riders between two times that records are brought home.")
    ] = 500
    configuration: Annotated[
        dict[str, Any], Means("What is other than in the bench configuration, table by table.")
    ] = {}
    stop: Annotated[list[Stop], Means("The stops.")] = []
    riders: Annotated[list[Riders], Field(min_length=1), Means("Who comes.")]
    fault: Annotated[list[FaultAt], Means("What goes wrong with reader and engine.")] = []
    power: Annotated[list[PowerAt], Means("When the supply goes.")] = []
    deny: Annotated[list[DenyAt], Means("Which lists arrive.")] = []
    change: Annotated[list[ChangeAt], Means("Which configurations arrive.")] = []
    expect: Annotated[
        dict[Expected, Range], Means("How many taps end so; each rider is looked at anyway.")
    ] = {}
    limits: Annotated[Limits, Means("How long taps may take.")] = Limits()
    short: Annotated[Short | None, Means("The short form.")] = None

    @model_validator(mode="after")
    def _agrees(self) -> Scenario:
        stops = [stop.name for stop in self.stop]
        for name in stops:
            if stops.count(name) > 1:
                raise wrong(f"a name of its own for each stop: {name} stands there twice")
        if "*" in stops:
            raise wrong('stops with names other than "*"')
        for riders in self.riders:
            for name in riders.stops or ():
                if name != "*" and name not in stops:
                    known = ", ".join(stops) or "none are named"
                    raise wrong(f"stops that there are ({known}), not {name}")
            if riders.stops and not stops:
                raise wrong("a table [[stop]] for riders who board at stops")
        names = {riders.name for riders in self.riders if riders.name}
        for deny in self.deny:
            for name in deny.riders:
                if name not in names:
                    raise wrong(f"names of riders in deny.riders; {name} is none")
        if not sum(self.via.values()):
            raise wrong("via with a weight above 0")
        return self
