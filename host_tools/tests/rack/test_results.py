"""Runs as data: there and back, and what is no run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.rack.results import (
    Check,
    Event,
    ResultsError,
    Run,
    SlotIdentity,
    Tap,
    as_expected,
    load,
    save,
)

SUMMARY = {
    "seq": 41,
    "medium": "quickpass",
    "outcome": "declined",
    "reason": "expired",
    "token": "0011223344556677",
    "masked": "629999******1234",
    "phases": {"detect": 12, "select": 20, "read": 61, "verify": 30, "decide": None},
    "us": {"own": 40123, "card": 71456, "verify": 30100},
}
INFO = {
    "board": "VIRTUAL",
    "version": "1.2.0",
    "hash": "0123456789abcdef",
    "serial": "02fa00000001",
    "micropython": "1.24.0",
    "heap_free": 12345,
}

texts = st.text(max_size=12)
numbers = st.floats(0, 1e6, allow_nan=False)
taps = st.builds(
    Tap,
    at=numbers,
    slot=texts,
    rider=texts,
    medium=texts,
    outcome=texts,
    reason=texts,
    expected=texts,
    ok=st.booleans(),
    phases=st.dictionaries(texts, numbers, max_size=3),
    own_us=st.none() | st.integers(0, 10**7),
    card_us=st.none() | st.integers(0, 10**7),
    wall_ms=st.none() | numbers,
    seq=st.none() | st.integers(0, 10**6),
    stop=texts,
    via=texts,
    notes=st.lists(texts, max_size=2),
)
runs = st.builds(
    Run,
    name=texts,
    seed=st.none() | st.integers(0, 2**40),
    started=numbers,
    seconds=st.none() | numbers,
    compressed=numbers,
    source=texts,
    slots=st.lists(st.builds(SlotIdentity, *[texts] * 9), max_size=2),
    taps=st.lists(taps, max_size=3),
    events=st.lists(st.builds(Event, numbers, texts, texts, texts), max_size=2),
    checks=st.lists(st.builds(Check, texts, st.booleans(), texts, texts, st.booleans())),
)


@given(runs)
@settings(max_examples=40, deadline=None)
def test_there_and_back(run: Run) -> None:
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_files(tmp_path: Path) -> None:
    run = Run("morning", seed=7, taps=[Tap(0.5, "a", "mot")], checks=[Check("chain", True)])
    path = save(run, tmp_path / "new" / "folder")
    assert load(path) == load(path.parent) == run
    assert len(path.read_text(encoding="utf-8").splitlines()) > 10  # a line an entry


def test_from_what_a_validator_says() -> None:
    tap = Tap.of(SUMMARY, at=1.5, slot="bus-1", rider="old", expected="declined expired", stop="7")
    assert tap.ok and tap.result == "declined expired"
    assert tap.phases == {"detect": 12, "select": 20, "read": 61, "verify": 30}
    assert (tap.own_us, tap.card_us, tap.total_ms, tap.seq) == (40123, 71456, 123, 41)
    text = json.dumps(Run("x", taps=[tap]).to_json())
    assert "0011223344556677" not in text and "1234" not in text
    slot = SlotIdentity.of("bus-1", INFO, via="wire", port="virtual")
    assert (slot.board, slot.hash, slot.via) == ("VIRTUAL", "0123456789abcdef", "wire")
    assert Tap.of({}, at=0, slot="a", rider="b").result == "nothing"
    assert Tap(0, "a", "b").total_ms is None


@pytest.mark.parametrize(
    ("expected", "outcome", "reason", "ok"),
    [
        ("", "retry", "card_lost", True),
        ("accepted", "accepted", "", True),
        ("accepted", "declined", "expired", False),
        ("declined expired", "declined", "expired", True),
        ("declined expired", "declined", "deny_listed", False),
        ("declined", "declined", "deny_listed", True),
        ("retry card_lost|accepted", "accepted", "", True),
        ("retry card_lost|accepted", "retry", "card_lost", True),
        ("retry card_lost|accepted", "retry", "malformed", False),
        ("accepted", "", "", False),
    ],
)
def test_expectations(expected: str, outcome: str, reason: str, ok: bool) -> None:
    assert as_expected(expected, outcome, reason) is ok


def test_what_makes_a_run_fail() -> None:
    run = Run(
        "x", taps=[Tap(0, "a", "b")], checks=[Check("c", True), Check("d", False, skipped=True)]
    )
    assert run.ok
    assert not Run("x", taps=[Tap(0, "a", "b", ok=False)]).ok
    assert not Run("x", checks=[Check("c", False)]).ok


GOOD = Run(
    "x",
    seed=1,
    slots=[SlotIdentity("a")],
    taps=[Tap(1.0, "a", "mot", phases={"read": 3})],
    events=[Event(1.0, "power", "cut")],
    checks=[Check("chain", True)],
).to_json()


def _changed(*path: Any, to: Any) -> Any:
    value: Any = copy.deepcopy(GOOD)
    at = value
    for key in path[:-1]:
        at = at[key]
    if to is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "holds no run"),
        ({}, "holds no run"),
        (_changed("faretap_run", to=2), "format 2, not 1"),
        (_changed("name", to=3), "run.name is 3, not str"),
        (_changed("name", to=KeyError), "run lacks 'name'"),
        (_changed("seed", to="1"), "run.seed is '1', not int"),
        (_changed("taps", to={}), "run.taps is {}, not list"),
        (_changed("taps", 0, "at", to=True), "taps[0].at is True, not float"),
        (_changed("taps", 0, "at", to=float("nan")), "taps[0].at is nan"),
        (_changed("taps", 0, "rider", to=KeyError), "taps[0] lacks 'rider'"),
        (_changed("taps", 0, to=5), "taps[0] is 5, not an object"),
        (_changed("taps", 0, "ok", to=1), "taps[0].ok is 1, not bool"),
        (_changed("taps", 0, "phases", "read", to="3"), "taps[0].phases is"),
        (_changed("taps", 0, "notes", to=[1]), "taps[0].notes is [1]"),
        (_changed("slots", 0, "board", to=None), "slots[0].board is None, not str"),
        (_changed("events", 0, "kind", to=KeyError), "events[0] lacks 'kind'"),
        (_changed("checks", 0, "name", to=KeyError), "checks[0] lacks 'name'"),
    ],
)
def test_every_mistake_is_named(value: Any, said: str) -> None:
    with pytest.raises(ResultsError) as caught:
        Run.from_json(value, "it")
    assert said in str(caught.value) and str(caught.value).startswith("it")


def test_members_of_later_times_are_passed_over() -> None:
    assert Run.from_json(_changed("weather", to="rain")) == Run.from_json(GOOD)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ResultsError, match="is not JSON"):
        load(tmp_path)
