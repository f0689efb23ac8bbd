"""One configuration for many vehicles: a base file, and a CSV with what differs.

The first row names the columns: `serial`, and paths such as identity.vehicle or
cards.terminal.serial. Each further row is one validator. An empty cell leaves the base's value.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from faretap.config.errors import ConfigError, many
from faretap.config.problems import bare, names, step
from faretap.config.schema import Configuration
from faretap.config.source import Source, check
from faretap.reading import TABLE, read_csv

UNIQUE = ("identity.vehicle", "cards.terminal.serial", "purse.terminal")
"""What two validators of a fleet must not share, if the configuration names it at all."""

MAX_VEHICLES = 10000


@dataclass(frozen=True)
class Vehicle:
    """One row: the validator's serial and its whole configuration."""

    serial: str
    source: Source


def vehicles(base: Source, path: Path) -> list[Vehicle]:
    """Every row's configuration, checked; ConfigError with the problems of all rows."""
    rows = read_csv(path, TABLE, ConfigError)
    columns = [name.strip() for name in next(rows, (0, []))[1]]
    _check_columns(columns, path)
    found: list[str] = []
    taken: list[_Row] = []
    fleet = list(_read(base, path, columns, rows, found, taken))
    found += _shared(taken)
    if not fleet and not found:
        found.append("no row names a validator.")
    if found:
        raise many(str(path), found)
    return fleet


def _check_columns(columns: list[str], path: Path) -> None:
    if "serial" not in columns:
        raise ConfigError(
            f"{path} has no column serial.", "It names the validator, as `faretap info` shows it."
        )
    for name in columns:
        if columns.count(name) > 1:
            raise ConfigError(f"{path} has two columns {name}.")
        if name != "serial" and _kind(name) is None:
            raise ConfigError(
                f"{path}: the column {name} is no key of a configuration.",
                f"Keys begin with {', '.join(names(Configuration))}.",
            )


def _kind(path: str) -> Any:
    """The type at a dotted path: of a single value, or None."""
    here: Any = Configuration
    for part in path.split("."):
        here = step(here, part)
        if here is None:
            return None
    kind = bare(here)
    if get_origin(kind) is Literal:
        return str
    return kind if kind in (str, int, bool) else None


_Row = tuple[int, str, dict[str, Any]]  # line, serial, what the configuration says


def _read(
    base: Source,
    path: Path,
    columns: list[str],
    rows: Iterator[tuple[int, list[str]]],
    found: list[str],
    taken: list[_Row],
) -> Iterator[Vehicle]:
    count = 0
    for number, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        count += 1
        if len(row) != len(columns) or count > MAX_VEHICLES:
            what = f"{len(row)} cells for {len(columns)} columns"
            if count > MAX_VEHICLES:
                raise ConfigError(f"{path} has more than {MAX_VEHICLES} rows.")
            found.append(f"line {number}: {what}.")
            continue
        raw = copy.deepcopy(base.raw)
        serial = ""
        try:
            for name, cell in zip(columns, (cell.strip() for cell in row), strict=True):
                if name == "serial":
                    serial = cell.lower()
                    raw["serials"] = [serial]
                elif cell:
                    _set(raw, name, cell)
            yield Vehicle(serial, check(raw, f"line {number}", base.folder))
        except ConfigError as e:
            found += [f"line {number}: {p}" for p in e.problems or (e.cause,)]
        taken.append((number, serial, raw))


def _set(raw: dict[str, Any], path: str, cell: str) -> None:
    *above, last = path.split(".")
    here = raw
    for part in above:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise ConfigError(f"{path}: the base file has no table there.")
    kind = _kind(path)
    value: Any = cell
    if kind is int:
        try:
            value = int(cell)
        except ValueError as e:
            raise ConfigError(f"{path}: {cell!r}; right would be a number.") from e
    elif kind is bool:
        if cell.lower() not in ("true", "false"):
            raise ConfigError(f"{path}: {cell!r}; right would be true or false.")
        value = cell.lower() == "true"
    here[last] = value


def _shared(rows: list[_Row]) -> list[str]:
    """What two rows share and must not."""
    found = []
    for path in ("serial", *UNIQUE):
        lines: dict[Any, int] = {}
        for number, serial, raw in rows:
            value = serial if path == "serial" else _value(raw, path)
            if value in (None, "") or not isinstance(value, str):
                continue
            if value in lines:
                found.append(
                    f"line {number}: {path}: {value!r}, as line {lines[value]} has; "
                    "right would be one of its own."
                )
            lines.setdefault(value, number)
    return found


def _value(raw: dict[str, Any], path: str) -> Any:
    here: Any = raw
    for part in path.split("."):
        if not isinstance(here, dict):
            return None
        here = here.get(part)
    return here
