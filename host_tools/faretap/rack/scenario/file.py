"""Scenario files: read, checked, listed.

scenario = load("morning-peak")             # one that ships
scenario = load("mine.scenario.toml")       # ScenarioError.problems: all that is wrong with it
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from faretap.config import samples, source
from faretap.config.errors import ConfigError
from faretap.config.problems import problems
from faretap.rack.file import RackError
from faretap.rack.scenario.schema import Scenario, medium_of
from faretap.reading import read_toml
from faretap.sim import cards, codes
from faretap.sim.cards import options as card_options

SUFFIX = ".scenario.toml"


class ScenarioError(RackError):
    """A scenario that cannot be taken. `problems`: a sentence each, with path, value, what would
    be right."""

    def __init__(self, cause: str, next_step: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(" ".join((cause, *problems)), next_step)
        self.problems = problems


@dataclass(frozen=True)
class Loaded:
    """A scenario and where it comes from."""

    scenario: Scenario
    path: Path

    @property
    def source(self) -> str:
        return self.path.name


def folder() -> Path:
    """Where the scenarios are that ship."""
    return Path(str(files("faretap") / "scenarios"))


def shipped() -> list[Path]:
    return sorted(folder().glob("*" + SUFFIX))


def find(name: str | Path) -> Path:
    """The file of that name, or the one that ships under it."""
    path = Path(name)
    if os.path.lexists(path) or not isinstance(name, str):
        return path
    for each in shipped():
        if name in (each.name, each.name.removesuffix(SUFFIX)):
            return each
    known = ", ".join(each.name.removesuffix(SUFFIX) for each in shipped())
    raise ScenarioError(
        f"There is no scenario {name}.", f"Name a file, or one of those that ship: {known}."
    )


def load(name: str | Path) -> Loaded:
    """ScenarioError names everything that is wrong with it."""
    path = find(name)
    raw = read_toml(path, ScenarioError)
    return Loaded(check(raw, str(path)), path.absolute())


def check(raw: dict[str, Any], name: str = "The scenario") -> Scenario:
    try:
        scenario = Scenario.model_validate(raw)
        found = _beyond(scenario)
    except ValidationError as e:
        found = [s.replace("the configuration", "the file") for s in problems(e, Scenario)]
    if found:
        count = f"{len(found)} problems" if len(found) > 1 else "a problem"
        raise ScenarioError(f"{name} has {count}:", problems=tuple(found))
    return scenario


def _beyond(scenario: Scenario) -> list[str]:
    """What only making the things can tell: options of cards and codes, configurations."""
    found = []
    for n, riders in enumerate(scenario.riders):
        where = f"riders[{n}]"
        for medium in [riders.medium] if riders.medium else (riders.mix or {}):
            kind, name = medium_of(medium)
            options = dict(riders.options)
            if riders.tear and riders.tear.step:
                options["tear"] = riders.tear.step
            if kind == "code" and riders.tear:
                found.append(f"{where}.tear: right would be none: {name} is a code.")
                continue
            if not options:
                continue  # all of the catalogues can be made
            try:
                if kind == "card":
                    card_options.check(options)
                    cards.make(name, **options)
                else:
                    codes.make(name, **options)
            except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as e:
                found.append(f"{where}.options: {e}.")
    changes: dict[str, Any] = {}
    for where, each in [
        ("configuration", scenario.configuration),
        *((f"change[{n}].configuration", c.configuration) for n, c in enumerate(scenario.change)),
    ]:
        try:
            changes = merged(changes, each)
            source.check(samples.bench_configuration(**members(changes)), where)
        except ConfigError as e:
            found += [f"{where}.{problem}" for problem in e.problems] or [f"{where}: {e}"]
    return found


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, table by table."""
    out = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def members(changes: dict[str, Any]) -> dict[str, Any]:
    """Whole members of the bench configuration, with `changes` in them."""
    now = samples.bench_configuration()
    return {key: merged(now, changes)[key] for key in changes}
