"""Two runs compared, and the limits that fail a release."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import faretap.cli.report  # noqa: F401
from faretap.cli.common import app
from faretap.rack.report.diff import DEFAULT, LimitError, compare, limits, parse_limit
from faretap.rack.results import Check, Run, Tap, save


def run(count: int = 200, seed: int = 3) -> Run:
    rng = random.Random(seed)
    taps = []
    for n in range(count):
        rider, medium = rng.choice([("tunion", "tunion"), ("debit", "quickpass")])
        taps.append(
            Tap(
                at=float(n),
                slot="a",
                rider=rider,
                medium=medium,
                outcome="accepted",
                expected="accepted",
                phases={"select": 20 + n % 7, "verify": 40 + n % 11, "commit": 3},
                own_us=40_000 + 137 * (n % 50),
            )
        )
    return Run("peak", seed=seed, taps=taps, checks=[Check("chain", True)])


def changed(change: Callable[[Tap], None], **of: str) -> Run:
    """The same run, with `change` to each tap that is of that rider or medium."""
    other = copy.deepcopy(run())
    for tap in other.taps:
        if all(getattr(tap, key) == value for key, value in of.items()):
            change(tap)
    return other


def slower(share: float) -> Callable[[Tap], None]:
    def slow(tap: Tap) -> None:
        tap.own_us = round((tap.own_us or 0) * (1 + share))

    return slow


def test_a_run_is_like_itself() -> None:
    comparison = compare(run(), run())
    assert comparison.ok and not comparison.otherwise and not comparison.notes
    assert {c.ratio for c in comparison.changes} == {1.0}
    assert {c.verdict for c in comparison.changes} == {"same"}


@pytest.mark.parametrize(("share", "ok"), [(0.09, True), (0.11, False), (-0.5, True)])
def test_the_limit_is_a_share(share: float, ok: bool) -> None:
    comparison = compare(run(), changed(slower(share)), limits(["p95.own=10%"], ()))
    assert comparison.ok is ok
    (change,) = [c for c in comparison.changes if c.key == "p95.own"]
    assert change.ratio == pytest.approx(1 + share, rel=1e-4)
    assert change.broken is not ok
    if not ok:
        assert comparison.broken[0].startswith("p95.own went from ")
        assert "+11.0%, allowed is +10.0%" in comparison.broken[0]


def test_what_became_faster_and_slower_is_told() -> None:
    def change(tap: Tap) -> None:
        tap.phases["select"] -= 8
        tap.phases["verify"] += 10

    found = {c.key: c.verdict for c in compare(run(), changed(change)).changes}
    assert found["p50.select"] == "faster" and found["p50.verify"] == "slower"
    assert found["p50.commit"] == "same" and found["p50.verify.tunion"] == "slower"


def test_one_medium_does_not_hide_behind_the_others() -> None:
    comparison = compare(run(), changed(slower(0.2), medium="tunion"), limits(["p95.own=off"]))
    keys = {c.key for c in comparison.changes if c.broken}
    assert "p50.own.tunion" in keys and "p50.own.quickpass" not in keys


def test_a_medium_has_its_own_limit_before_the_one_for_each() -> None:
    after = changed(slower(0.2))
    given = limits(["p50.own.*=10%", "p50.own.tunion=30%"], ())
    assert {c.key for c in compare(run(), after, given).changes if c.broken} == {
        "p50.own.quickpass"
    }


def test_less_than_the_clock_can_tell_is_nothing() -> None:
    def one_ms(tap: Tap) -> None:
        tap.phases["commit"] = 4  # a third more, and perhaps only a microsecond

    def two_ms(tap: Tap) -> None:
        tap.phases["commit"] = 5

    given = limits(["p95.commit=10%"], ())
    assert compare(run(), changed(one_ms), given).ok
    assert not compare(run(), changed(two_ms), given).ok


def test_from_nothing() -> None:
    def none(tap: Tap) -> None:
        tap.phases["commit"] = 0

    comparison = compare(changed(none), run(), limits(["p50.commit=50%"], ()))
    assert comparison.broken == ["p50.commit went from 0 to 3 ms: from nothing, allowed is +50.0%"]
    json.dumps(comparison.to_json(), allow_nan=False)


def test_taps_that_have_to_be_repeated_are_not_timed() -> None:
    def lost(tap: Tap) -> None:
        if tap.at < 30:
            tap.outcome, tap.reason, tap.expected = "retry", "card_lost", ""
            tap.own_us = 10**7

    assert compare(changed(lost), changed(lost)).ok
    after = changed(lost)
    (change,) = [c for c in compare(run(), after).changes if c.key == "p95.own"]
    assert change.after < 1000


def test_too_few_taps_say_nothing() -> None:
    comparison = compare(run(10), run(10, seed=4), limits(defaults=("p95.own=1%",)))
    assert comparison.ok
    (change,) = [c for c in comparison.changes if c.key == "p95.own"]
    assert change.note == "10 taps are too few for p95"
    asked = compare(run(10), run(10), limits(["p95.own=1%"]))
    assert asked.broken == ["p95.own cannot be judged: 10 taps are too few for p95"]


def test_what_was_not_measured() -> None:
    assert not compare(run(), run(), limits(["p95.wall=10%"])).ok
    assert not compare(run(), run(), limits(["p95.own.cpm=10%"])).ok
    bare = changed(lambda tap: setattr(tap, "own_us", None))
    comparison = compare(bare, bare)
    assert comparison.ok and "p95.own was not measured in both runs" in comparison.notes
    assert not compare(run(), Run("peak")).ok and not compare(Run("peak"), run()).ok


def decline(tap: Tap) -> None:
    if tap.at < 20:
        tap.outcome, tap.reason, tap.ok = "declined", "expired", False


def test_other_outcomes_fail() -> None:
    after = changed(decline, rider="tunion")
    moved = len(after.failed_taps)
    assert moved
    comparison = compare(run(), after)
    (other,) = comparison.otherwise
    assert (other.rider, other.moved) == ("tunion", moved)
    assert other.after["declined expired"] == moved
    assert other.before == {"accepted": other.after["accepted"] + moved}
    assert [s for s in comparison.broken if "ended otherwise (tunion)" in s]
    assert [s for s in comparison.broken if "not as expected" in s]
    assert compare(run(), after, limits(["outcomes=20%", "failures=20%"])).ok
    assert not compare(run(), after, limits(["outcomes=20%"])).ok
    assert not compare(run(), after, limits(["failures=20%"])).ok


def test_better_outcomes_are_told_and_do_not_fail() -> None:
    comparison = compare(changed(decline, rider="tunion"), run())
    assert comparison.ok and comparison.otherwise[0].rider == "tunion"


def test_an_outcome_that_nobody_expects_counts_as_other() -> None:
    def unknown(tap: Tap) -> None:
        tap.expected = ""
        if tap.at < 20:
            tap.outcome, tap.reason = "declined", "expired"

    before = changed(lambda tap: setattr(tap, "expected", ""))
    assert not compare(before, changed(unknown)).ok


def test_runs_of_other_length_are_compared_by_share() -> None:
    long = run()
    long.taps += copy.deepcopy(long.taps)
    comparison = compare(run(), long)
    assert comparison.ok and not comparison.otherwise


def test_other_riders_are_noted() -> None:
    other = changed(lambda tap: setattr(tap, "rider", "new"), rider="tunion")
    notes = compare(run(), other).notes
    assert "riders of the first run only: tunion" in notes
    assert "riders of the second run only: new" in notes


def test_a_check_that_fails_anew() -> None:
    bad = run()
    bad.checks = [Check("chain", False, "record 7 broken", slot="bus-1")]
    assert compare(run(), bad).broken == ["check failed: chain (bus-1): record 7 broken"]
    assert compare(bad, bad).ok
    skipped = run()
    skipped.checks = [Check("chain", False, "no slot", skipped=True)]
    assert compare(run(), skipped).ok


@pytest.mark.parametrize(
    "text",
    ["", "p95", "p95.own", "p95.own=10", "p90.own=10%", "p95.nothing=1%", "p95=10%", "own=10%"]
    + ["outcomes.own=1%", "p95.own=x%", "p95.own=1.2.3%", "p95.own=-5%", "p95.own.a.b=5%"],
)
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(LimitError) as caught:
        parse_limit(text)
    assert "10%" in str(caught.value)


def test_limits_that_are() -> None:
    limit = parse_limit(" p99.own.ride_code = 2.5% ")
    assert (limit.what, limit.series, limit.medium, limit.share) == (
        "p99",
        "own",
        "ride_code",
        0.025,
    )
    keys = {each.key for each in limits()}
    assert {"p95.own", "p50.own.*", "outcomes", "failures"} <= keys and len(keys) == len(DEFAULT)
    assert "p95.own" not in {each.key for each in limits(["p95.own=off"])}


runner = CliRunner()


def test_the_command(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    save(run(), before)
    save(changed(slower(0.5)), after)
    same = runner.invoke(app, ["report", "diff", str(before), str(before)])
    assert same.exit_code == 0 and "within the limits" in same.output
    bad = runner.invoke(app, ["report", "diff", str(before), str(after)])
    assert bad.exit_code == 1 and "broken: p95.own went from" in bad.output
    wide = ["p50.own=60%", "p95.own=60%", "p99.own=60%", "p50.own.*=60%"]
    options = [word for limit in wide for word in ("--limit", limit)]
    assert runner.invoke(app, ["report", "diff", str(before), str(after), *options]).exit_code == 0
    told = runner.invoke(app, ["report", "diff", str(before), str(after), "--json"])
    assert told.exit_code == 1
    value = json.loads(told.output)
    assert value["ok"] is False
    own = next(c for c in value["changes"] if c["key"] == "p95.own")
    assert own["verdict"] == "slower" and own["ratio"] == pytest.approx(1.5, rel=1e-4)
