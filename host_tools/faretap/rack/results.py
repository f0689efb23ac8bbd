"""What a run on a rack gave, as data: taps, events, checks, and on which validators.

    run = Run("morning peak", seed=7, started=time.time())
    run.slots.append(SlotIdentity.of("bus-1", slot.identity, via="wire"))
    run.taps.append(Tap.of(summary, at=1.25, slot="bus-1", rider="tunion", expected="accepted"))
    run.checks.append(Check("every accepted tap is in the records once", True))
    save(run, directory)

Times of the run are seconds since it started. A run never holds a token or the number of a card.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from faretap.errors import FaretapError
from faretap.reading import RESULTS, read_json
from faretap.writing import make_folder, write_text

VERSION = 1
FILE = "run.json"
_LAST = 253402300799  # unix time of the last second that has a date
PHASES = ("detect", "select", "read", "verify", "decide", "commit", "signal")

_T = TypeVar("_T")


class ResultsError(FaretapError):
    """A file that holds no run, or not one of this version."""


@dataclass
class SlotIdentity:
    """The validator of a slot, as it said itself; `trouble` is why it was given up, if it was."""

    name: str
    board: str = ""
    version: str = ""
    hash: str = ""
    serial: str = ""
    micropython: str = ""
    via: str = ""
    port: str = ""
    trouble: str = ""

    @classmethod
    def of(
        cls, name: str, info: dict[str, Any], *, via: str = "", port: str = "", trouble: str = ""
    ) -> SlotIdentity:
        """From the answer to `info`."""
        said = {
            key: str(info.get(key) or "")
            for key in ("board", "version", "hash", "serial", "micropython")
        }
        return cls(name, **said, via=via, port=port, trouble=trouble)


@dataclass
class Tap:
    """One rider at one validator.

    `expected` is "accepted", "declined expired", "declined" (for any reason), or "" where nothing
    is expected; "retry card_lost|accepted" allows either. `phases` are whole or broken ms by the
    validator's clock; `own_us` its own share of the tap and `card_us` what card, air and reader
    chip took, in µs; `wall_ms` how long the host saw it take. None is what was not measured.
    """

    at: float
    slot: str
    rider: str
    medium: str = ""
    outcome: str = ""
    reason: str = ""
    expected: str = ""
    ok: bool = True
    phases: dict[str, float] = field(default_factory=dict)
    own_us: int | None = None
    card_us: int | None = None
    wall_ms: float | None = None
    seq: int | None = None
    stop: str = ""
    via: str = ""
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        summary: dict[str, Any],
        *,
        at: float,
        slot: str,
        rider: str,
        expected: str = "",
        wall_ms: float | None = None,
        stop: str = "",
        via: str = "",
        notes: Iterable[str] = (),
    ) -> Tap:
        """From the validator's summary of the tap; ok if it is what was expected."""
        outcome, reason = str(summary.get("outcome") or ""), str(summary.get("reason") or "")
        us = summary.get("us") or {}
        return cls(
            at=at,
            slot=slot,
            rider=rider,
            medium=str(summary.get("medium") or ""),
            outcome=outcome,
            reason=reason,
            expected=expected,
            ok=as_expected(expected, outcome, reason),
            phases={k: v for k, v in (summary.get("phases") or {}).items() if v is not None},
            own_us=us.get("own"),
            card_us=us.get("card"),
            wall_ms=wall_ms,
            seq=summary.get("seq"),
            stop=stop,
            via=via,
            notes=list(notes),
        )

    @property
    def result(self) -> str:
        """ "accepted", "declined expired" …; "nothing" where the validator did not react."""
        return f"{self.outcome} {self.reason}".strip() or "nothing"

    @property
    def total_ms(self) -> float | None:
        """All phases together, as the validator counts them; None if it told none."""
        return sum(self.phases.values()) if self.phases else None


def as_expected(expected: str, outcome: str, reason: str) -> bool:
    """Whether outcome and reason are one of those that `expected` allows, separated by "|"."""
    if not expected:
        return True
    for each in expected.split("|"):
        words = each.split()
        if words and words[0] == outcome and (len(words) == 1 or words[1] == reason):
            return True
    return False


@dataclass
class Event:
    """What was done to a validator, or happened to it: `kind` is "fault", "power",
    "configuration", "link", "quarantine" or another short word. No slot means all of them."""

    at: float
    kind: str
    text: str
    slot: str = ""


@dataclass
class Check:
    """A truth that was looked at after the run, or a limit. `text` says what was found; a check
    that could not be made is `skipped`, for the reason in `text`."""

    name: str
    ok: bool
    text: str = ""
    slot: str = ""
    skipped: bool = False


@dataclass
class Run:
    """One run. `started` is unix time; `seconds` how long it took by the host; `compressed` how
    many seconds of the scenario's time went by in one of those."""

    name: str
    seed: int | None = None
    started: float = 0.0
    seconds: float | None = None
    compressed: float = 1.0
    source: str = ""
    slots: list[SlotIdentity] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.failed_taps and not self.failed_checks

    @property
    def failed_taps(self) -> list[Tap]:
        return [t for t in self.taps if not t.ok]

    @property
    def failed_checks(self) -> list[Check]:
        return [c for c in self.checks if not c.ok and not c.skipped]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` makes the same run of them."""
        return {"faretap_run": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, value: Any, source: str = "This") -> Run:
        """ResultsError names what is wrong. Members of later times are passed over."""
        if not isinstance(value, dict) or "faretap_run" not in value:
            raise ResultsError(f"{source} holds no run.", "Give the run.json of a report.")
        if value["faretap_run"] != VERSION:
            raise ResultsError(
                f"{source} holds a run of format {value['faretap_run']!r}, not {VERSION}.",
                "Use the faretap that wrote it.",
            )
        run = _make(cls, value, source, "run")
        if not 0 <= run.started <= _LAST:
            raise ResultsError(f"{source}: run.started is {run.started:g}, not unix time.")
        run.slots = _each(SlotIdentity, run.slots, source, "slots")
        run.taps = _each(Tap, run.taps, source, "taps")
        run.events = _each(Event, run.events, source, "events")
        run.checks = _each(Check, run.checks, source, "checks")
        return run


def save(run: Run, directory: Path) -> Path:
    """Write `run.json` there; its path."""
    make_folder(directory, ResultsError)
    path = directory / FILE
    write_text(path, _lines(run.to_json()), ResultsError)
    return path


def _lines(value: dict[str, Any]) -> str:
    """JSON with a line a tap, so that it can be read, searched and compared."""
    members = []
    for name, member in value.items():
        if isinstance(member, list) and member:
            entries = ",\n  ".join(json.dumps(e, ensure_ascii=False) for e in member)
            text = f"[\n  {entries}\n ]"
        else:
            text = json.dumps(member, ensure_ascii=False)
        members.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def load(path: Path) -> Run:
    """A run from its file, or from the folder of its report."""
    if os.path.isdir(path):  # noqa: PTH112 - which takes any name
        path = path / FILE
    return Run.from_json(read_json(path, RESULTS, ResultsError), str(path))


# What a member may be, by its annotation; bool is no number here.
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "list": (list,),
    "dict": (dict,),
    "None": (type(None),),
}


def _make(kind: type[_T], value: Any, source: str, where: str) -> _T:
    if not isinstance(value, dict):
        raise ResultsError(f"{source}: {where} is {value!r}, not an object.")
    taken = {}
    for member in fields(kind):  # type: ignore[arg-type]
        if member.name not in value:
            continue
        given = value[member.name]
        _check(given, str(member.type), source, f"{where}.{member.name}")
        taken[member.name] = given
    try:
        return kind(**taken)
    except TypeError as e:
        missing = str(e).partition(": ")[2] or str(e)
        raise ResultsError(f"{source}: {where} lacks {missing}.") from None


def _check(given: Any, annotation: str, source: str, where: str) -> None:
    kinds: tuple[type, ...] = ()
    for each in annotation.split(" | "):
        kinds += _KINDS[each.partition("[")[0]]
    good = isinstance(given, kinds) and (bool in kinds or not isinstance(given, bool))
    if good and isinstance(given, (int, float)) and not isinstance(given, bool):
        good = _number(given)
    if good and annotation == "dict[str, float]":
        good = all(_number(v) for v in given.values())
    if good and annotation == "list[str]":
        good = all(isinstance(v, str) for v in given)
    if not good:
        raise ResultsError(f"{source}: {where} is {given!r}, not {annotation}.")


def _number(value: Any) -> bool:
    # Enough for unix time in ms; what is above cannot be shown as a time.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e13


def _each(kind: type[_T], values: list[Any], source: str, where: str) -> list[_T]:
    return [_make(kind, v, source, f"{where}[{i}]") for i, v in enumerate(values)]
