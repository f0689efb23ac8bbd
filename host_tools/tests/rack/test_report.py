"""The report of a run: its numbers against another way to count, its files against their rules."""

from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import faretap.cli.report  # noqa: F401
from faretap.cli.common import app
from faretap.rack.report import figures, report
from faretap.rack.report.junit import junit
from faretap.rack.report.page import page
from faretap.rack.results import PHASES, Check, Event, Run, SlotIdentity, Tap, load

TAGS = re.compile(
    "html|head|meta|title|style|body|header|section|h1|h2|h3|p|b|div|span|table|tr|th|td|figure|"
    "figcaption|svg|g|rect|circle|line|path|polygon|text"
)
NASTY = '<script>alert("1")</script> & \x00\x1b[31m\ud800'


def sample(taps: int = 150, seed: int = 5) -> Run:
    rng = random.Random(seed)
    run = Run("morning <peak>", seed=seed, started=1_790_000_000.0, seconds=60.0)
    run.slots = [
        SlotIdentity(f"bus-{n}", "VIRTUAL", "1.2.0", "0123456789abcdef", f"02fa{n:08}", via="wire")
        for n in (1, 2)
    ]
    kinds = [
        ("tunion", "tunion", "accepted"),
        ("mot", "ride_code", "accepted"),
        ("quickpass-expired", "quickpass", "declined expired"),
    ]
    for n in range(taps):
        rider, medium, expected = rng.choice(kinds)
        outcome, _, reason = expected.partition(" ")
        tap = Tap(
            at=60 * n / taps,
            slot=f"bus-{1 + n % 2}",
            rider=rider,
            medium=medium,
            outcome=outcome,
            reason=reason,
            expected=expected,
            phases={phase: rng.randint(0, 40) for phase in PHASES},
            own_us=rng.randint(10_000, 90_000),
            card_us=rng.randint(10_000, 90_000),
            wall_ms=rng.uniform(50, 300),
            seq=n + 1,
        )
        if n % 40 == 7:
            tap.outcome, tap.reason, tap.ok = "retry", "card_lost", False
            tap.phases["read"] = 5000  # waited for the card: does not count
        run.taps.append(tap)
    run.events = [Event(20, "power", "cut", "bus-1"), Event(40, "fault", "Q16", "")]
    run.checks = [
        Check("records once", True, "149 of 149"),
        Check("p95 of own", False, "80 ms, not below 60"),
        Check("chain", True, slot="bus-2"),
        Check("two slots", True, "one slot only", skipped=True),
    ]
    return run


def rank(values: list[float], percent: int) -> float:
    """Straight from the definition: the smallest value with that share of all at or below it."""
    for value in sorted(values):
        if Fraction(sum(v <= value for v in values), len(values)) >= Fraction(percent, 100):
            return value
    raise AssertionError


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=120))
@settings(max_examples=60, deadline=None)
def test_percentiles(values: list[float]) -> None:
    spread = figures.Spread.of(values)
    assert spread is not None
    assert (spread.n, spread.max) == (len(values), max(values))
    got = (spread.p50, spread.p95, spread.p99)
    assert got == (rank(values, 50), rank(values, 95), rank(values, 99))


@given(st.lists(st.floats(0, 1e5) | st.integers(0, 400), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_histograms_hold_every_value_once(values: list[float]) -> None:
    bins = figures.histogram(values)
    assert sum(b.count for b in bins) == len(values)
    assert len(bins) <= 27
    width = bins[0].high - bins[0].low
    assert width > 0
    for a, b in zip(bins, bins[1:], strict=False):
        assert a.high == pytest.approx(b.low)
    slack = width * 1e-6
    for b in bins:
        inside = sum(b.low + slack <= v < b.high - slack for v in values)
        around = sum(b.low - slack <= v < b.high + slack for v in values)
        assert inside <= b.count <= around
    assert re.fullmatch(r"[125]0*(\.0)?|0\.0*[125]|[125](\.0)?e-?\d+", f"{width:.6g}"), width


def table(root: ET.Element, name: str) -> list[list[str]]:
    found = root.find(f".//table[@id='{name}']")
    assert found is not None, name
    return [["".join(cell.itertext()) for cell in row] for row in found]


def test_the_page_shows_the_right_numbers() -> None:
    run = sample()
    root = ET.fromstring(page(run))
    counted = [t for t in run.taps if t.outcome != "retry"]
    rows = {row[0].split(":")[0]: row[1:] for row in table(root, "phases")[1:]}
    assert list(rows) == [*PHASES, "total", "own", "card", "wall"]
    for name, (n, *shown) in rows.items():
        if name in PHASES:
            values = [float(t.phases[name]) for t in counted]
        elif name == "total":
            values = [float(sum(t.phases[p] for p in PHASES)) for t in counted]
        elif name == "wall":
            values = [t.wall_ms or 0 for t in counted]
        else:
            values = [
                float((t.own_us if name == "own" else t.card_us) or 0) / 1000 for t in counted
            ]
        assert int(n) == len(values)
        wanted = [rank(values, 50), rank(values, 95), rank(values, 99), max(values)]
        for text, value in zip(shown, wanted, strict=True):
            assert float(text) == pytest.approx(value, abs=0.0006 if value < 100 else 0.06), name
    quickpass = [float(t.own_us or 0) / 1000 for t in counted if t.rider == "quickpass-expired"]
    of_medium = {r[0].split(":")[0]: r[1:] for r in table(root, "phases-quickpass")[1:]}
    assert int(of_medium["own"][0]) == len(quickpass)
    assert float(of_medium["own"][2]) == pytest.approx(rank(quickpass, 95), abs=0.0006)


def test_the_page_counts_outcomes() -> None:
    run = sample()
    head, *rows = table(ET.fromstring(page(run)), "outcomes")
    assert set(head[4:]) == {"accepted", "declined expired", "retry card_lost"}
    for row in rows[:-1]:
        taps = [t for t in run.taps if t.rider == row[0]]
        assert int(row[2]) == len(taps)
        assert int(row[3] or 0) == sum(not t.ok for t in taps)
        for result, cell in zip(head[4:], row[4:], strict=True):
            same = [t for t in taps if f"{t.outcome} {t.reason}".strip() == result]
            assert int(cell or 0) == len(same)
    assert rows[-1][:4] == ["all", "", "150", str(len(run.failed_taps))]


def test_failures_come_first() -> None:
    run = sample()
    text = page(run)
    headings = re.findall(r"<h2>([^<]+)</h2>", text)
    assert headings == [
        "Failures",
        "Outcomes",
        "Times",
        "Histograms",
        "Timeline",
        "Checks",
        "Slots",
    ]
    shown = table(ET.fromstring(text), "failed-taps")[1:]
    assert [row[5] for row in shown] == [str(t.seq) for t in run.failed_taps]
    assert table(ET.fromstring(text), "failed-checks")[1:] == [
        ["p95 of own", "", "80 ms, not below 60"]
    ]
    for check in run.checks:
        check.ok = True
    run.taps = [t for t in run.taps if t.ok]
    assert "<h2>Failures" not in page(run) and ">passed</span>" in page(run)


def test_the_page_needs_nothing_else() -> None:
    text = page(sample())
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|@import|url\(|src=", text)
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_every_text_is_escaped(tmp_path: Path) -> None:
    run = sample(40)
    run.name = run.source = NASTY
    for slot in run.slots:
        slot.name = slot.board = slot.port = slot.trouble = NASTY
    for tap in run.taps:
        tap.rider = tap.medium = tap.slot = tap.expected = NASTY
        tap.notes, tap.ok = [NASTY], False
    run.events.append(Event(1, NASTY, NASTY, NASTY))
    run.checks.append(Check(NASTY, False, NASTY, NASTY))
    text = page(run)
    assert "<script" not in text and "alert(&quot;1&quot;)" in text
    root = ET.fromstring(text)  # well-formed all the same
    assert all(TAGS.fullmatch(e.tag) for e in root.iter())
    ET.fromstring(junit(run))
    assert load(report(run, tmp_path).json) == run


@pytest.mark.parametrize("many", [0, 3600])
def test_pictures_show_every_slot_and_every_tap_or_columns_for_many(many: int) -> None:
    run = sample(many or 150)
    for tap in run.taps[::3]:
        tap.slot = "bus-3"  # one that is not among the identities
    svg = next(
        e
        for e in ET.fromstring(page(run)).iter("svg")
        if e.get("aria-label") == "Timeline of the taps"
    )
    lanes = [e.text for e in svg.iter("text") if e.get("class") == "name"]
    assert lanes == ["bus-1", "bus-2", "bus-3"]
    classes = [e.get("class") for e in svg.iter()]
    assert classes.count("event") == 2 * (1 + 3)  # a line and a number each, one in every lane
    assert classes.count("ring") == len(run.failed_taps)
    drawn = sum(classes.count(kind) for kind in ("accepted", "declined", "retry", "nothing"))
    crowded = {lane for lane in lanes if sum(t.slot == lane for t in run.taps) > 1000}
    assert bool(crowded) == bool(many)
    alone = [t for t in run.taps if t.slot not in crowded or not t.ok]
    assert drawn == len(alone)
    assert ("column" in classes) == bool(crowded)


def test_histogram_pictures_have_the_counts() -> None:
    run = sample()
    root = ET.fromstring(page(run))
    figure = next(f for f in root.iter("figure") if f[0].text == "verify, ms")
    counts = [int((t.text or "").rpartition(": ")[2]) for t in figure.iter("title")]
    assert sum(counts) == sum(t.outcome != "retry" for t in run.taps)


def test_runs_with_little_in_them() -> None:
    empty = Run("")
    nothing = Run("nothing", taps=[Tap(0.0, "a", "mot", ok=False, notes=["did not react"])])
    one = Run("one", taps=[Tap(0.0, "a", "mot", "ride_code", "accepted", phases={"read": 0})])
    for run in (empty, nothing, one):
        ET.fromstring(page(run))
        ET.fromstring(junit(run))
    assert "did not react" in page(nothing)


# JUnit: what https://github.com/windyroad/JUnit-Schema and Jenkins' junit-10.xsd both ask for

CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out", "system-err"],
    "properties": ["property"],
    "testcase": ["skipped", "failure"],
    "property": [],
    "failure": [],
    "skipped": [],
    "system-out": [],
    "system-err": [],
}
NEEDED = {
    "testsuites": set(),
    "testsuite": {
        *("name", "timestamp", "hostname", "tests", "failures", "errors", "time"),
        *("package", "id"),
    },
    "testcase": {"name", "classname", "time"},
    "property": {"name", "value"},
    "failure": {"type"},
    "skipped": set(),
    "properties": set(),
    "system-out": set(),
    "system-err": set(),
}
ALLOWED = {"testsuite": {"skipped"}, "failure": {"message"}, "skipped": {"message"}}


def valid(element: ET.Element) -> None:
    order = CHILDREN[element.tag]
    places = [order.index(child.tag) for child in element]
    assert places == sorted(places), f"order in {element.tag}"
    have, need = set(element.attrib), NEEDED[element.tag]
    assert need <= have <= need | ALLOWED.get(element.tag, set())
    for name in {"tests", "failures", "errors", "skipped", "id"} & have:
        int(element.attrib[name])
    if "time" in have:
        assert re.fullmatch(r"\d+\.\d+", element.attrib["time"])
    for child in element:
        valid(child)


def test_junit() -> None:
    run = sample()
    root = ET.fromstring(junit(run))
    valid(root)
    (suite,) = root
    cases = suite.findall("testcase")
    assert [c.find("system-out") for c in cases] == [None] * len(cases)
    assert int(suite.attrib["tests"]) == len(cases) == 4 + 3
    failed = [c for c in cases if c.find("failure") is not None]
    names = {t.rider for t in run.failed_taps}
    assert int(suite.attrib["failures"]) == len(failed) == 1 + len(names)
    assert int(suite.attrib["skipped"]) == 1
    assert suite.attrib["timestamp"] == "2026-09-21T14:13:20"
    tunion = next(c for c in cases if c.attrib["name"] == "tunion: accepted")
    seconds = sum(t.wall_ms or 0 for t in run.taps if t.rider == "tunion") / 1000
    assert float(tunion.attrib["time"]) == pytest.approx(seconds, abs=0.001)


def test_a_failure_does_not_tell_everything() -> None:
    run = Run("x", taps=[Tap(n, "a", "mot", ok=False) for n in range(500)])
    failure = ET.fromstring(junit(run)).find(".//failure")
    assert failure is not None and len((failure.text or "").splitlines()) == 21
    assert (failure.text or "").endswith("… and 480 more")
    assert "and 300 more" in page(run)


# Files and commands

runner = CliRunner()


def test_files_and_the_command(tmp_path: Path) -> None:
    run = sample()
    written = report(run, tmp_path / "out")
    assert load(tmp_path / "out") == run
    assert written.html.read_text(encoding="utf-8") == page(run)
    shown = runner.invoke(app, ["report", "show", str(tmp_path / "out")])
    assert shown.exit_code == 1  # the run failed
    assert "p95 of own" in shown.output and "retry card_lost" in shown.output
    asked = runner.invoke(app, ["report", "show", str(written.json), "--json"])
    told = json.loads(asked.output)
    assert told["taps"] == 150 and not told["ok"]
    own = [(t.own_us or 0) / 1000 for t in run.taps if t.outcome != "retry"]
    assert told["times_ms"]["all"]["own"]["p95"] == rank(own, 95)
    again = runner.invoke(
        app, ["report", "show", str(written.json), "--write", str(tmp_path / "again")]
    )
    assert again.exit_code == 1
    for name in ("run.json", "junit.xml", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_run_that_passed_exits_with_0(tmp_path: Path) -> None:
    report(Run("x", taps=[Tap(0, "a", "mot", outcome="accepted")]), tmp_path)
    assert runner.invoke(app, ["report", "show", str(tmp_path)]).exit_code == 0
