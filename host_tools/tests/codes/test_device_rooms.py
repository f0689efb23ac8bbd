"""No kind of code can fill the room of another: at the level of codes, until each is full."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

from faretap.sim.codes import make

from .device import NOW, Clock, fresh, show

ENOUGH = 6000


def fill(rules: dict[str, Any], name: str, field: str, form: str) -> int:
    """Ride on codes of a kind until some hundred are refused; how many rode."""
    clock = Clock()
    rode = refused = 0
    for n in range(ENOUGH):
        clock.us += 5_000_000
        value: Any = form % n if form else n + 1
        result = show(make(name, at=NOW, **{field: value}), clock, rules)
        if result.outcome == "accepted":
            result.settled()
            rode += 1
        else:
            assert result.reason == "storage_full", (n, result.detail)
            refused += 1
        if refused == 100:
            return rode
    raise AssertionError("it has no bound")


def rides(rules: dict[str, Any], name: str, **fields: Any) -> bool:
    outcome: str = show(make(name, at=NOW, **fields), Clock(), rules).outcome
    return outcome == "accepted"


def test_payment_codes_close_no_ride_codes() -> None:
    rules = fresh()
    assert fill(
        rules, "cpm", "pan", "62999800000%08d"
    )  # as many as the room of a small partition holds
    for name in ("mot", "union", "alipay"):
        assert rides(rules, name), name


def test_ride_codes_close_no_payment_codes() -> None:
    """Thousands of one issuer, whose codes are genuine."""
    rules = fresh()
    assert fill(rules, "union", "qr_id", "")  # as many as the room of a small partition holds
    assert rides(rules, "cpm")
