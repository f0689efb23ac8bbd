"""Memory that runs out while a code is looked at, anywhere: never the fault of the code."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim import codes
from faretap.testing.scarce import OURS, Scarce, run
from validator.media import code_decision

from .device import NOW, Clock, fresh, load, show


@pytest.mark.parametrize("name", ["mot", "union", "alipay", "cpm", "cpm-numeric", "url"])
def test_codes(name: str) -> None:
    rules = load()
    code = codes.make(name, at=NOW)

    def tap() -> Any:
        return show(code, Clock(), fresh(rules))

    for _ in range(4):
        result = tap()  # keys and tables are made
    _, calls = run(0, tap) if result.outcome == "accepted" else (None, 0)
    for at in range(1, calls + 1, 3):
        run(at, tap)
        if at % 19 == 0:
            run(at, tap, RecursionError)
    again, _ = run(0, tap) if calls else (result, 0)
    assert (again.outcome, again.reason) == (result.outcome, result.reason)


def test_a_code_that_memory_failed_may_be_shown_again_at_once() -> None:
    rules, clock = fresh(), Clock()
    code = codes.make("mot", at=NOW)
    seen = set()
    for at in range(1, 60):
        try:
            with Scarce(at):
                result = show(code, clock, rules)
        except MemoryError:
            continue
        seen.add((result.outcome, result.reason))
        assert result.reason in ("", OURS), at
    assert ("retry", OURS) in seen


@pytest.mark.parametrize("error", [OSError, ImportError, RuntimeError])
def test_what_else_fails_in_the_validator(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(code_decision, "_accepted", fail)
    result = show(codes.make("mot", at=NOW), Clock(), fresh())
    assert (result.outcome, result.reason) == ("retry", OURS)
