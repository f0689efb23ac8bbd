"""Scenarios played at a virtual validator, and the commands around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from faretap.cli import scenario as scenario_commands
from faretap.cli.scenario import commands
from faretap.errors import FaretapError
from faretap.rack.file import load as load_rack
from faretap.rack.results import Run, load
from faretap.rack.scenario import Loaded, check, make_plan
from faretap.rack.scenario.play import options_of
from faretap.rack.scenario.run import choose, play_on, run_on_rack
from faretap.rack.slot import Slot
from faretap.shown import Screen

Play = Callable[..., Run]


@pytest.fixture
def play() -> Play:
    """`play(**tables)`: a scenario on a fresh virtual validator."""

    def played(**tables: Any) -> Run:
        loaded = Loaded(check({"name": "test", **tables}), Path("test.scenario.toml"))
        plan = make_plan(loaded.scenario)
        rack = load_rack("virtual")
        with Slot(rack, rack.slots[0], **options_of(plan)) as slot:
            return play_on([slot], loaded, plan)

    return played


def failed(run: Run) -> list[str]:
    return [check.name for check in run.failed_checks]


def test_a_shift_with_everything(play: Play) -> None:
    run = play(
        seed=3,
        via={"link": 1},
        patience=2,
        collect_every=10,
        configuration={"fares": {"flat": 250}},
        stop=[{"name": "A", "at": 0, "dwell": 20}],
        riders=[
            {"name": "them", "mix": {"tunion": 1, "mot": 1}, "count": 8, "stops": ["A"]},
            {"name": "torn", "medium": "quickpass-debit", "tear": {"apdu": 2}, "at": 30},
            {"name": "after", "medium": "quickpass-debit", "at": 31,
             "tear": {"apdu": 2, "moment": "after"}},
            {"name": "purse", "medium": "tunion", "tear": {"step": "debit:after"}, "at": 32},
            {"name": "wire", "medium": "quickpass-phone", "via": "wire", "at": 33,
             "tear": {"apdu": 3}},
            {"name": "twice", "medium": "quickpass-credit", "at": 35,
             "back": {"after": 2, "expect": "declined too_soon"}},
            {"name": "again", "medium": "quickpass-credit", "at": 35, "back": {"after": 600}},
            {"name": "poor", "medium": "tunion", "options": {"balance": 249}, "at": 36,
             "expect": "declined insufficient_balance"},
            {"name": "dearer", "medium": "tunion", "options": {"balance": 300}, "at": 700,
             "expect": "declined insufficient_balance"},
            {"name": "cut", "mix": {"tunion": 1, "quickpass-debit": 1, "mot": 1}, "count": 6,
             "at": 800, "until": 900},
        ],
        power=[{"every": 19}, {"every": 21}, {"at": 790}],
        change=[{"at": 650, "configuration": {"fares": {"flat": 310, "types": {"student": 310}}}}],
        expect={"accepted": [18, 22], "declined": 3},
    )  # fmt: skip
    assert run.ok, [tap for tap in run.taps if not tap.ok] + run.failed_checks
    seen = {name: [t.result for t in run.taps if t.rider == name] for name in
            ("torn", "after", "purse", "wire", "twice", "again", "poor", "dearer")}  # fmt: skip
    assert seen["torn"] == seen["after"] == seen["wire"] == ["retry card_lost", "accepted"]
    assert seen["purse"][-1] == "accepted" and len(seen["purse"]) == 2
    assert seen["twice"] == ["accepted", "declined too_soon"]
    assert seen["again"] == ["accepted", "accepted"]
    assert seen["poor"] == seen["dearer"] == ["declined insufficient_balance"]
    assert [t.via for t in run.taps if t.rider == "wire"] == ["wire", "wire"]
    assert {t.stop for t in run.taps if t.rider == "them"} == {"A"}
    assert sum(e.kind == "power" and e.text == "off" for e in run.events) == 3
    assert any(e.kind == "configuration" and "310" in e.text for e in run.events)
    purses = next(c for c in run.checks if "purse" in c.name)
    assert int(purses.text.split()[0]) >= 2
    (identity,) = run.slots
    assert identity.board == "VIRTUAL" and identity.hash and not identity.trouble
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_what_is_wrong_is_found(play: Play) -> None:
    """Riders who see something else, limits that do not hold, totals that are others."""
    run = play(
        via={"link": 1},
        riders=[
            {"name": "right", "medium": "tunion"},
            {"name": "wrong", "medium": "tunion", "expect": "declined expired"},
            {"name": "other", "medium": "mifare", "expect": "declined expired"},
        ],
        expect={"accepted": 1, "declined": [1, 2]},
        limits={"max": {"own": 0, "read": 600000}},
    )
    assert {tap.rider: tap.ok for tap in run.taps} == {
        "right": True,
        "wrong": False,
        "other": False,
    }
    assert failed(run) == ["max of own within 0 ms", "accepted: 1"]
    wrong = next(tap for tap in run.failed_taps if tap.rider == "wrong")
    assert (wrong.result, wrong.expected) == ("accepted", "declined expired")
    assert wrong.notes == ["rider 2 with tunion"]


def test_a_reader_that_is_disturbed_and_dies(play: Play) -> None:
    def dead(**more: Any) -> Run:
        return play(
            riders=[
                {"name": "before", "medium": "tunion", "at": 1},
                {"name": "dead", "medium": "tunion", "at": 11},
                {"name": "code", "medium": "mot", "at": 12},
                {"name": "after", "medium": "tunion", "at": 21},
            ],
            fault=[
                {"at": 0, "q": "Q07", "settings": {"kind": "dcs", "times": 2}, "until": 5},
                {"at": 10, "q": "Q16", "settings": {"until": "power"}, "allow": "nothing"},
            ],
            power=[{"at": 20}],
            patience=1,
            **more,
        )

    run = dead()
    assert run.ok, run.failed_taps + run.failed_checks
    assert [t.result for t in run.taps] == ["accepted", "nothing", "accepted", "accepted"]
    assert [e.text for e in run.events if e.kind == "fault"] == [
        "Q07 kind dcs, times 2",
        "Q07 is over",
        "Q16 until power",
    ]


def test_the_host_lets_the_validator_have_its_time_back(tmp_path: Path) -> None:
    scenario = check({"name": "x", "start": 1_900_000_000, "riders": [{"medium": "mot"}]})
    loaded = Loaded(scenario, Path("x"))
    plan = make_plan(scenario)
    rack = load_rack("virtual")
    with Slot(rack, rack.slots[0], **options_of(plan)) as slot:
        first = int(slot.session.link.call("info")["clock"]["unix"])
        assert play_on([slot], loaded, plan).ok
        again = int(slot.session.link.call("info")["clock"]["unix"])
        assert 0 <= again - first < 120


# -- commands -------------------------------------------------------------------------------------

FILE = """
name = "two doors"
validators = 2
via = { link = 1 }
[[riders]]
mix = { tunion = 2, quickpass-debit = 1 }
count = 6
until = 60
[expect]
accepted = 6
"""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_commands, "out", Screen(width=220))


def command(*arguments: object) -> Result:
    result = CliRunner().invoke(commands, [str(each) for each in arguments])
    if isinstance(result.exception, FaretapError):
        raise result.exception
    return result


def test_a_vehicle_with_two_validators(tmp_path: Path) -> None:
    file = tmp_path / "doors.scenario.toml"
    file.write_text(FILE)
    report = tmp_path / "report"
    result = command("run", file, "--rack", "virtual:2", "--report", report)
    assert result.exit_code == 0, result.output
    assert "6  accepted" in result.output and "ok  accepted: 6: 6 taps" in result.output
    run = load(report)
    assert run.ok and run.source == "doors.scenario.toml"
    assert {tap.slot for tap in run.taps} == {"virtual-1", "virtual-2"}
    assert (report / "report.html").exists() and (report / "junit.xml").exists()
    with pytest.raises(FaretapError, match="virtual; 0 can play it. virtual-1 has no two_slots"):
        command("run", file, "--rack", "virtual")
    with pytest.raises(FaretapError, match="without --all"):
        command("run", file, "--rack", "virtual:2", "--all")


def test_exit_status_and_json(tmp_path: Path) -> None:
    file = tmp_path / "bad.scenario.toml"
    file.write_text('name="x"\n[[riders]]\nmedium="tunion"\nexpect="declined"\nvia="link"\n')
    result = command("run", file, "--json")
    assert result.exit_code == 1
    assert Run.from_json(json.loads(result.stdout)).failed_taps[0].result == "accepted"


def test_a_slot_that_is_lost_is_told(tmp_path: Path, make_rack: Callable[[str], Any]) -> None:
    """One that does not answer fails the run, with its name and why."""
    rack = make_rack(
        '[[slot]]\nname = "gone"\nboard = "ESP32_BUS"\nport = "socket://127.0.0.1:9"\n'
        "limits = {start = 0.5}\n"
    )
    file = tmp_path / "one.scenario.toml"
    file.write_text('name = "one"\n[[riders]]\nmedium = "tunion"\n')
    from faretap.rack.scenario import load as load_scenario

    run = run_on_rack(rack, load_scenario(file))
    assert not run.ok
    assert [(s.name, bool(s.trouble)) for s in run.slots] == [("gone", True)]
    assert [(c.name, c.slot) for c in run.failed_checks] == [("the scenario was played", "gone")]


def test_slots_that_cannot_are_left_out(make_rack: Callable[[str], Any]) -> None:
    rack = make_rack(
        '[[slot]]\nname = "plain"\nboard = "ESP32_BUS"\nport = "socket://127.0.0.1:9"\n'
        '[[slot]]\nname = "able"\nboard = "VIRTUAL"\nport = "virtual:able"\n'
    )
    scenario = check({"name": "x", "riders": [{"medium": "tunion"}], "power": [{"at": 1}]})
    plan = make_plan(scenario)
    assert [spec.name for spec in choose(rack, plan)] == ["able"]
    assert [spec.name for spec in choose(rack, plan, everywhere=True)] == ["able"]
    with pytest.raises(FaretapError, match="plain has no power_cut"):
        choose(rack, plan, ["plain"])
    plain = make_plan(check({"name": "x", "riders": [{"medium": "tunion"}]}))
    assert [spec.name for spec in choose(rack, plain, everywhere=True)] == ["plain", "able"]


def test_list_and_check(tmp_path: Path) -> None:
    rows = json.loads(command("list", "--json").stdout)
    peak = next(row for row in rows if row["name"] == "morning-peak")
    assert peak["rides"] == 600 and peak["short"] <= 80
    assert "power_cut" in next(row for row in rows if row["name"] == "power-cuts")["needs"]
    assert "morning-peak" in command("list").output
    bad = tmp_path / "bad.scenario.toml"
    bad.write_text('name = "x"\nsede = 1\n')
    result = command("check", bad, "ten-hours")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].endswith("riders: missing; right would be a list of tables.")
    assert lines[1].endswith("sede: there is no such key; did you mean seed.")
    assert "rides in 9:" in lines[2] or "rides in 10:" in lines[2]
    assert command("check", "taxi-shift").exit_code == 0
