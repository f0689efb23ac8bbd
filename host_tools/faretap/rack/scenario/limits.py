"""Limits on the times that validators measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from faretap.rack.results import Check, Tap
from faretap.rack.scenario.schema import Limits

_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of `values` does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def measured(taps: Sequence[Tap], what: str) -> list[float]:
    """ms of every whole tap: own share, the card's, all phases together, or one phase."""
    whole = [tap for tap in taps if tap.phases and tap.outcome != "retry"]
    if what == "own":
        return [tap.own_us / 1000 for tap in whole if tap.own_us is not None]
    if what == "card":
        return [tap.card_us / 1000 for tap in whole if tap.card_us is not None]
    if what == "tap":
        return [tap.total_ms for tap in whole if tap.total_ms is not None]
    return [tap.phases[what] for tap in whole if what in tap.phases]


def limit_checks(limits: Limits, taps: Sequence[Tap], slot: str = "") -> list[Check]:
    """A check for each limit."""
    found = []
    for name, share in _SHARES.items():
        for what, most in getattr(limits, name).items():
            title = f"{name} of {what} within {most:g} ms"
            values = measured(taps, what)
            if not values:
                found.append(Check(title, False, "nothing was measured", slot, skipped=True))
                continue
            value = percentile(values, share)
            text = f"{value:.1f} ms of {len(values)} taps"
            found.append(Check(title, value <= most, text, slot))
    return found
