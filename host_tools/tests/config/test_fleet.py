"""One base file, one CSV, a configuration for each vehicle."""

from __future__ import annotations

from pathlib import Path

import pytest

from faretap.config import fleet
from faretap.config.errors import ConfigError
from faretap.config.source import Source

BASE = {
    "version": 3,
    "life_cycle": "service",
    "identity": {"operator": "Example", "line": "52"},
    "fares": {"flat": 200},
    "cards": {},
}
HEAD = "serial,identity.vehicle,identity.line,fares.flat,cards.terminal.serial\n"


def made(tmp_path: Path, rows: str, head: str = HEAD) -> list[fleet.Vehicle]:
    path = tmp_path / "fleet.csv"
    path.write_text(head + rows, encoding="utf-8")
    return fleet.vehicles(Source("base.toml", BASE, tmp_path), path)


def problems(tmp_path: Path, rows: str, head: str = HEAD) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as e:
        made(tmp_path, rows, head)
    return e.value.problems or (str(e.value),)


def test_a_row_is_a_validator(tmp_path: Path) -> None:
    rows = "240AC4010203,京A1,,,FT000001\n\n240ac4010204, A2 ,53,300,FT000002\n"
    one, two = made(tmp_path, rows)
    assert one.serial == "240ac4010203"
    assert one.source.body() == {
        "format": 1,
        "version": 3,
        "life_cycle": "service",
        "serials": ["240ac4010203"],
        "identity": {"operator": "Example", "line": "52", "vehicle": "京A1"},
        "fares": {"flat": 200},
        "cards": {"terminal": {"serial": "FT000001"}},
    }
    body = two.source.body()
    assert body["identity"] == {"operator": "Example", "vehicle": "A2", "line": "53"}
    assert body["fares"] == {"flat": 300}
    assert BASE["identity"] == {"operator": "Example", "line": "52"}


def test_with_the_mark_that_spreadsheets_put_first(tmp_path: Path) -> None:
    assert len(made(tmp_path, "240ac4010203,A1,,,\n", "\ufeff" + HEAD)) == 1


def test_what_two_rows_must_not_share(tmp_path: Path) -> None:
    rows = "240ac4010203,A1,,,FT000001\n240ac4010203,A1,52,,FT000001\n"
    assert [p.split("'")[0] for p in problems(tmp_path, rows)] == [
        "line 3: serial: ",
        "line 3: identity.vehicle: ",
        "line 3: cards.terminal.serial: ",
    ]


def test_a_value_of_the_base_is_shared_too(tmp_path: Path) -> None:
    base = {**BASE, "identity": {"vehicle": "A1"}}
    path = tmp_path / "fleet.csv"
    path.write_text("serial\n240ac4010203\n240ac4010204\n")
    with pytest.raises(ConfigError, match="line 3: identity.vehicle: 'A1', as line 2 has"):
        fleet.vehicles(Source("base.toml", base, tmp_path), path)


def test_all_rows_are_checked(tmp_path: Path) -> None:
    rows = "240ac4010203,A1,,x,\nzz,A2,,,\n240ac4010205,A3,,-1,SHORT\n1,2\n,A4,,,\n"
    found = problems(tmp_path, rows)
    assert [p.split(";")[0] for p in found] == [
        "line 2: fares.flat: 'x'",
        "line 3: serials[0]: 'zz'",
        "line 4: fares.flat: -1",
        "line 4: cards.terminal.serial: 'SHORT'",
        "line 5: 2 cells for 5 columns.",
        "line 6: serials[0]: ''",
    ]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("identity.vehicle\n", "no column serial"),
        ("serial,serial\n", "two columns serial"),
        ("serial,vehicle\n", "the column vehicle is no key"),
        ("serial,identity\n", "the column identity is no key"),
        ("serial,cards.ca_keys\n", "the column cards.ca_keys is no key"),
        ("serial,identity.vehicle.x\n", "is no key"),
        ("", "no column serial"),
    ],
)
def test_columns(tmp_path: Path, head: str, said: str) -> None:
    assert said in problems(tmp_path, "", head)[0]


def test_no_rows_and_no_file(tmp_path: Path) -> None:
    assert problems(tmp_path, "") == ("no row names a validator.",)
    with pytest.raises(ConfigError, match="cannot be read"):
        fleet.vehicles(Source("base.toml", BASE, tmp_path), tmp_path / "none.csv")


def test_kinds_of_cells(tmp_path: Path) -> None:
    head = "serial,cards.fdda_01_required,life_cycle\n"
    one, two = made(tmp_path, "240ac4010203,TRUE,bench\n240ac4010204,false,\n", head)
    assert one.source.body()["cards"] == {"fdda_01_required": True}
    assert one.source.body()["life_cycle"] == "bench"
    assert two.source.body()["cards"] == {"fdda_01_required": False}
    found = problems(tmp_path, "240ac4010203,yes,bench\n", head)
    assert found == ("line 2: cards.fdda_01_required: 'yes'; right would be true or false.",)
