"""The pytest plugin, in pytest runs of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def test_pays(rider, records, validator):
    summary = rider.tap("quickpass-debit")
    assert summary["outcome"] == "accepted"
    assert records.of(summary).fare_fen == 200
    assert rider.scan("mot")["outcome"] == "accepted"
    assert [r.outcome for r in records.all()] == ["accepted"] * 2
    assert validator.link.call("info")["taps"] == 2

def test_fails(rider, power, reader_faults):
    assert rider.tap("tunion", via="link")["outcome"] == "accepted"
    power.cycle()
    reader_faults.arm("Q07", kind="dcs")
    assert rider.tap("tunion", via="wire", seed=9)["outcome"] == "declined", "as it should not"

@pytest.mark.radio
def test_air(rider):
    raise AssertionError

@pytest.mark.two_slots
def test_two(validator):
    raise AssertionError

def test_two_by_fixture(another_validator):
    raise AssertionError

@pytest.mark.wire
@pytest.mark.power_cut
@pytest.mark.configuration(fares={"flat": 300})
def test_dearer(rider):
    rider.present("tunion")
    rider.withdraw()
    assert rider.tap("tunion", via="link", seed=4)["fare"] == 300
"""


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Without what this process says of itself to workers of its own."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def run(inner: pytest.Pytester, *arguments: object) -> pytest.RunResult:
    words = [str(each) for each in arguments]
    return inner.runpytest_subprocess("-p", "faretap.pytest_plugin", "-rs", *words)


def test_fixtures_markers_and_what_a_failure_leaves(inner: pytest.Pytester) -> None:
    inner.makepyfile(TESTS)
    result = run(inner, "--bundles", "left", "-W", "ignore")
    result.assert_outcomes(passed=2, failed=1, skipped=3)
    result.stdout.fnmatch_lines(
        [
            "rack: virtual",
            "*as it should not*",
            "what virtual-1 left: *test_fails*",
            "*virtual-1 has no radio*",
            "*virtual-1 has no two_slots*",
        ]
    )
    (left,) = (inner.path / "left").iterdir()
    names = {path.name for path in left.iterdir()}
    assert names == {
        *("link.jsonl", "console.txt", "apdu", "records.jsonl", "slot.json", "flash.bin"),
    }
    traffic = [json.loads(line) for line in (left / "link.jsonl").read_text().splitlines()]
    asked = [m["to"].get("method") for m in traffic if "to" in m]
    assert "tap.link" in asked and "records.read" not in asked[: asked.index("tap.link")]
    told = [m["from"] for m in traffic if "from" in m]
    assert any(m.get("method") == "card.transceive" for m in told)
    hello = [n for n, m in enumerate(traffic) if m.get("from", {}).get("method") == "hello"]
    taps = [n for n, m in enumerate(traffic) if m.get("from", {}).get("method") == "tap"]
    assert hello and taps[0] < hello[0] < taps[-1]  # also after the power cycle
    traces = sorted((left / "apdu").iterdir())
    assert [path.name for path in traces] == [
        "0001-virtual-1-tunion.apdu.jsonl",
        "0002-virtual-1-tunion.apdu.jsonl",
    ]
    assert all('"command": "00a4' in path.read_text() for path in traces)
    records = [json.loads(line) for line in (left / "records.jsonl").read_text().splitlines()]
    assert [r["outcome"] for r in records].count("accepted") == 2
    slot = json.loads((left / "slot.json").read_text())
    assert slot["info"]["boots"] >= 2 and slot["identity"]["board"] == "VIRTUAL"
    assert any("power off" in text for _, text in slot["events"])
    assert (left / "flash.bin").stat().st_size == 8 * 1024 * 1024
    assert b"ets " in (left / "console.txt").read_bytes()


RACK = """
[[slot]]
name = "a"
board = "VIRTUAL"
port = "virtual:a"
virtual = {unpaced = true}

[[slot]]
name = "b"
board = "VIRTUAL"
port = "virtual:b"
virtual = {unpaced = true}
"""

SPREAD = """
import contextlib, json, os, time
from pathlib import Path
import pytest

LOG = Path(__file__).with_name("log.jsonl")

def note(**what):
    with LOG.open("a") as file:
        file.write(json.dumps({"at": time.monotonic(), **what}) + "\\n")

@contextlib.contextmanager
def used(*slots):
    for begins in (True, False):
        for slot in slots:
            note(slot=slot.name, worker=os.environ["PYTEST_XDIST_WORKER"], begins=begins)
        if begins:
            yield

@pytest.mark.parametrize("n", range(2))
def test_each(slot, rider, n):
    with used(slot):
        assert rider.tap("tunion", via="link", seed=n)["outcome"] == "accepted"

@pytest.mark.parametrize("n", range(2))
def test_both(slot, another_slot, n):
    with used(slot, another_slot):
        assert {slot.name, another_slot.name} == {"a", "b"}
        assert slot.identity["serial"] != another_slot.identity["serial"]
"""


def test_workers_share_the_slots_of_a_rack(inner: pytest.Pytester) -> None:
    """Each slot has one user at a time; both are used. Two tests that want both do not wait for
    each other for ever."""
    inner.makepyfile(test_spread=SPREAD)
    inner.makefile(".toml", rack=RACK)
    result = run(inner, "--rack", "rack.toml", "--rack-wait", 60, "-n", "2", "-W", "ignore")
    result.assert_outcomes(passed=4)
    lines = (inner.path / "log.jsonl").read_text().splitlines()
    log = sorted((json.loads(line) for line in lines), key=lambda each: each["at"])
    users: dict[str, str] = {}
    for each in log:
        if each["begins"]:
            assert each["slot"] not in users
            users[each["slot"]] = each["worker"]
        else:
            assert users.pop(each["slot"]) == each["worker"]
    assert len(log) == 12 and not users


GOOD = 'name = "good"\nvia = {link = 1}\n[[riders]]\nmedium = "tunion"\n'


def test_scenario_files_are_tests(inner: pytest.Pytester) -> None:
    files = {
        "good": GOOD,
        "wrong": GOOD.replace("good", "wrong") + 'name = "Li"\nexpect = "declined expired"\n',
        "mistaken": GOOD + "sede = 3\n",
        "pair": "validators = 2\n" + GOOD,
    }
    for name, text in files.items():
        (inner.path / f"{name}.scenario.toml").write_text(text)
    (inner.path / "other.toml").write_text("x = 1\n")
    result = run(inner, "-v", "--bundles", "left", "--reports", "reports", "-W", "ignore")
    result.assert_outcomes(passed=1, failed=2, skipped=1)
    result.stdout.fnmatch_lines_random(
        [
            "good.scenario.toml::good PASSED*",
            "Li at virtual-1, *: accepted, not declined expired*",
            "*riders[[]0[]].sede: there is no such key*",
            "*what virtual-1 left: *wrong*",
        ]
    )
    (left,) = (inner.path / "left").iterdir()
    assert {"link.jsonl", "flash.bin", "apdu"} <= {path.name for path in left.iterdir()}
    assert any((left / "apdu").iterdir())
    assert (inner.path / "reports" / "good" / "report.html").exists()
    assert (inner.path / "reports" / "wrong" / "junit.xml").exists()


def test_loaded_twice(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point, by -p, and by a conftest."""
    info = inner.path / "site" / "faretap_entry-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faretap-entry\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[pytest11]\nfaretap.pytest_plugin = faretap.pytest_plugin\n"
    )
    path = os.pathsep.join([str(info.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    inner.makeconftest('pytest_plugins = ["faretap.pytest_plugin"]')
    inner.makepyfile("def test_it(rack):\n    assert rack.name == 'virtual'\n")
    run(inner, "-p", "faretap.pytest_plugin").assert_outcomes(passed=1)
    inner.runpytest_subprocess().assert_outcomes(passed=1)


def test_an_option_that_names_no_rack(inner: pytest.Pytester) -> None:
    inner.makepyfile("def test_it(slot):\n    pass\n")
    result = run(inner, "--rack", "nowhere.toml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*There is no rack file nowhere.toml*"])


def test_a_slot_that_cannot_be_opened_is_no_skip(inner: pytest.Pytester) -> None:
    inner.makepyfile("def test_it(slot):\n    pass\n\ndef test_then(slot):\n    pass\n")
    inner.makefile(
        ".toml",
        rack='[[slot]]\nname = "gone"\nboard = "ESP32_BUS"\nport = "socket://127.0.0.1:9"\n'
        "limits = {start = 0.2}\n",
    )
    result = run(inner, "--rack", "rack.toml")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*gone is in quarantine: *"])


def test_it_weighs_little_where_it_is_not_used() -> None:
    """Everybody who has the package installed loads it with every pytest run."""
    heavy = ("pydantic", "cryptography", "serial", "faretap.sim.cards", "faretap.rack.slot")
    code = f"import sys, faretap.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", Path(__file__).name
