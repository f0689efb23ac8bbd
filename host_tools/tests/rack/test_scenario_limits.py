"""Limits on times, beside another way to count."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faretap.rack.results import Tap
from faretap.rack.scenario.limits import limit_checks, measured, percentile
from faretap.rack.scenario.schema import Limits


def tap(own: int, read: float, outcome: str = "accepted") -> Tap:
    phases = {"read": read, "verify": 2.0}
    return Tap(0.0, "a", "r", outcome=outcome, own_us=own, card_us=1000, phases=phases)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_nearest_rank(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    exact = Fraction(str(share)) * len(values)
    assert sum(v <= found for v in values) >= exact
    assert sum(v < found for v in values) < exact


def test_what_is_measured() -> None:
    taps = [tap(1500, 10.0), tap(2500, 20.0), tap(9000, 90.0, "retry"), Tap(0.0, "a", "r")]
    assert measured(taps, "own") == [1.5, 2.5]
    assert measured(taps, "card") == [1.0, 1.0]
    assert measured(taps, "read") == [10.0, 20.0]
    assert measured(taps, "tap") == [12.0, 22.0]
    assert measured(taps, "commit") == []


@pytest.mark.parametrize(("most", "ok"), [(19.9, False), (20.0, True)])
def test_a_limit_holds_or_not(most: float, ok: bool) -> None:
    taps = [tap(1000, float(n)) for n in range(1, 21)]
    (check,) = limit_checks(Limits(max={"read": most}), taps, "a")
    assert (check.ok, check.skipped, check.slot) == (ok, False, "a")
    assert check.text == "20.0 ms of 20 taps"
    (check,) = limit_checks(Limits(p95={"read": 19.0}), taps)
    assert check.ok
    (check,) = limit_checks(Limits(p95={"read": 18.9}), taps)
    assert not check.ok


def test_without_taps_a_limit_is_skipped() -> None:
    (check,) = limit_checks(Limits(p50={"own": 1.0}), [Tap(0.0, "a", "r")])
    assert check.skipped
