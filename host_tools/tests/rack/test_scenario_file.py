"""Scenario files: what ships is right, and every mistake is told with what would be right."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from faretap.rack.scenario import ScenarioError, check, find, load, make_plan, shipped
from faretap.rack.scenario.file import SUFFIX, merged
from faretap.sim import cards, codes

NAMES = {
    "morning-peak", "taxi-shift", "wrong-cards", "phones-only", "reader-dies", "power-cuts",
    "deny-list", "ten-hours",
}  # fmt: skip


def test_what_ships() -> None:
    assert {path.name.removesuffix(SUFFIX) for path in shipped()} == NAMES
    peak = make_plan(load("morning-peak").scenario)
    assert len(peak.rides) == 600
    assert len({ride.person.medium for ride in peak.rides}) >= 15
    assert make_plan(load("ten-hours").scenario).seconds > 9.9 * 3600
    for path in shipped():
        scenario = load(path).scenario
        assert scenario.about and scenario.short
        short = make_plan(scenario, short=True)
        assert 20 <= len(short.rides) < len(make_plan(scenario).rides)


def test_a_file_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "ten-hours"
    own.write_text('name = "mine"\n[[riders]]\nmedium = "tunion"\n')
    monkeypatch.chdir(tmp_path)
    assert load("ten-hours").scenario.name == "mine"
    assert find(own) == own
    with pytest.raises(ScenarioError, match="no scenario evening-peak.*morning-peak"):
        load("evening-peak")


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"name = ", "is not TOML"), (b"name = '\xff'", "not UTF-8"), (None, "cannot be read")],
)
def test_files_that_cannot_be_read(tmp_path: Path, data: bytes | None, says: str) -> None:
    path = tmp_path / "bad.scenario.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ScenarioError, match=says):
        load(path)


RIGHT = """
name = "right"
[[stop]]
name = "A"
at = 0
[[riders]]
name = "them"
medium = "tunion"
stops = ["A"]
"""

MISTAKES: list[tuple[str, str]] = [
    ("seed = -1", "seed: -1; right would be 0 to 2147483647"),
    ("seed = '7'", "seed: '7'; right would be 0 to 2147483647"),
    ("sed = 7", "sed: there is no such key; did you mean seed"),
    ("format = 2", "format: 2; right would be 1 to 1"),
    ("pace = 'slow'", "pace: 'slow'; right would be \"fast\""),
    ("via = {air = 1}", "via.air: 'air'; right would be wire, link, radio"),
    ("via = {wire = 0}", "via with a weight above 0"),
    ("validators = 0", "validators: 0; right would be 1 to 16"),
    ("start = 2030-01-01T04:00:00", "start: datetime.datetime"),
    ("[[riders]]", "riders[1]: right would be either medium or mix"),
    ("[[riders]]\nmedium = 'tunyon'", "riders[1].medium: 'tunyon'; right would be the name of"),
    ("[[riders]]\nmix = {}", "riders[1].mix: right would be at least one entry"),
    ("[[riders]]\nmix = {x = 1}", "riders[1].mix.x: 'x'; right would be the name of a card"),
    ("[[riders]]\nmix = {tunion = 0}", "a mix with a weight above 0"),
    ("[[riders]]\nmedium = 'tunion'\ncount = 2\nper_minute = 2", "either count or per_minute"),
    ("[[riders]]\nmedium = 'tunion'\nper_minute = 2", "until or stops with per_minute"),
    ("[[riders]]\nmedium = 'tunion'\nat = '1:99'", "riders[1].at: '1:99'; right would be seconds"),
    ("[[riders]]\nmedium = 'tunion'\nat = true", "riders[1].at: True; right would be seconds"),
    ("[[riders]]\nmedium = 'tunion'\nat = 9\nuntil = 8", "until after at"),
    ("[[riders]]\nmedium = 'tunion'\nat = -1", "riders[1].at: -1; right would be seconds"),
    ("[[riders]]\nmedium = 'tunion'\nstops = ['B']", "stops that there are (A), not B"),
    ("[[riders]]\nmedium = 'tunion'\nexpect = 'paid'", "riders[1].expect: 'paid'; right would be"),
    ("[[riders]]\nmedium = 'tunion'\ntear = {}", "riders[1].tear: right would be either apdu"),
    ("[[riders]]\nmedium = 'tunion'\ntear = {apdu = 0}", "apdu from 1 on"),
    ("[[riders]]\nmedium = 'mot'\ntear = {apdu = 1}", "riders[1].tear: right would be none"),
    ("[[riders]]\nmedium = 'tunion'\ntear = {step = 'x:after'}", "riders[1].options: tear is at"),
    (
        "[[riders]]\nmedium = 'tunion'\noptions = {colour = 1}",
        "riders[1].options: no option",
    ),
    ("[[riders]]\nmedium = 'mot'\noptions = {limit = -1}", "riders[1].options:"),
    ("[[riders]]\nmedium = 'tunion'\nback = {}", "riders[1].back.after: missing; right would be"),
    ("[[stop]]\nname = 'A'\nat = 9", "a name of its own for each stop: A stands there twice"),
    ("[[fault]]\nat = 1\nq = '16'", "fault[0].q: '16'; right would be an id of the fault"),
    ("[[power]]", "power[0]: right would be either at or every"),
    ("[[power]]\nat = 1\nmoment = 'before'", "power[0].moment: 'before'; right would be tap or"),
    ("[[deny]]\nat = 1\nriders = ['those']", "names of riders in deny.riders; those is none"),
    ("[configuration.fares]\nflat = -2", "configuration.fares.flat: -2; right would be 0 to"),
    (
        "[[change]]\nat = 1\nconfiguration = {fare = 1}",
        "change[0].configuration.fare: there is no",
    ),
    ("[limits]\np95 = {owl = 3}", "limits.p95.owl: 'owl'; right would be own, card, tap"),
    ("[expect]\naccepted = [1]", "expect.accepted: [1]; right would be a number, or"),
    ("[short]", "short.riders: missing; right would be 1 to 100000"),
]


def _with(text: str) -> str:
    """In front where it belongs to the whole file, behind where it is a table."""
    return f"{RIGHT}\n{text}" if text.startswith("[") else f"{text}\n{RIGHT}"


@pytest.mark.parametrize(("text", "says"), MISTAKES)
def test_a_mistake_is_told_with_what_would_be_right(text: str, says: str) -> None:
    check(tomllib.loads(RIGHT))
    with pytest.raises(ScenarioError) as wrong:
        check(tomllib.loads(_with(text)))
    assert any(says in problem for problem in wrong.value.problems), wrong.value.problems
    assert len(wrong.value.problems) == 1


def test_all_mistakes_at_once() -> None:
    text = "seed = -1\npatience = 0\n" + RIGHT + "[[power]]\n[[fault]]\nat = 1\nq = 'x'\n"
    with pytest.raises(ScenarioError, match="mine has 4 problems") as wrong:
        check(tomllib.loads(text), "mine")
    assert len(wrong.value.problems) == 4


def test_every_card_and_code_can_be_named() -> None:
    media = [f"card:{name}" for name in cards.CARDS] + [f"code:{name}" for name in codes.CODES]
    scenario = check({"name": "all", "riders": [{"medium": name} for name in media]})
    rides = make_plan(scenario).rides
    assert [ride.person.medium for ride in rides] == media
    empty = [ride.person for ride in rides if ride.person.medium.endswith(":empty")]
    assert [person.kind for person in empty] == ["card", "code"]


def test_tables_are_merged_one_by_one() -> None:
    below = {"a": {"x": 1, "y": {"z": 2}}, "b": [1]}
    assert merged(below, {"a": {"y": {"w": 3}}, "b": [2]}) == {
        "a": {"x": 1, "y": {"z": 2, "w": 3}},
        "b": [2],
    }
    assert below == {"a": {"x": 1, "y": {"z": 2}}, "b": [1]}
