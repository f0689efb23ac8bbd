"""Memory that runs out in the middle of a tap, anywhere: never the fault of what was presented.

The error is raised at the n-th call that the firmware's media, EMV and code modules make, of a
function or of a built-in that may need memory, for every n.
"""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from faretap.sim import cards
from faretap.sim.cards.purse import ElectronicCash
from faretap.testing.scarce import OURS, run
from validator.media import decision

from .kernel import Kernel


def every(tap: Callable[[], Any], error: type[Exception] = MemoryError, step: int = 1) -> int:
    """Of how many taps that were hit, none blamed the rider."""
    _, calls = run(0, tap)
    assert calls > 50
    blamed = 0
    for at in range(1, calls + 1, step):
        result, _ = run(at, tap, error)
        blamed += result is None or result.outcome != "accepted"
    assert blamed > calls // step // 2  # it does hit
    return blamed


@pytest.mark.parametrize("name", ["quickpass-debit", "quickpass-legacy", "quickpass-signed-late"])
def test_cards(name: str) -> None:
    def tap() -> Any:
        kernel.seconds += 60
        return kernel.tap(cards.make(name), durable=False)

    kernel = Kernel()
    tap()
    every(tap, step=19)
    every(tap, RecursionError, step=97)


@pytest.mark.parametrize("kind", ["", "late"])
def test_electronic_cash_is_paid_once(kind: str) -> None:
    kernel = Kernel()

    def made() -> ElectronicCash:
        purse = cards.make("quickpass-ecash", balance=1000, late=kind == "late")
        assert isinstance(purse, ElectronicCash)
        return purse

    kernel.tap(made())
    _, calls = run(0, lambda: Kernel().tap(made()))
    paid = 0
    for at in range(1, calls + 1, 11 if not kind else 37):
        kernel.records.clear()
        kernel.restart()
        kernel.rules["riders"] = Kernel().rules["riders"]
        kernel.seconds += 60
        purse = made()
        run(at, lambda purse=purse: kernel.tap(purse, durable=False))  # type: ignore[misc]
        purse.power_off()
        kernel.seconds += 60
        before = purse.balance
        paid += before == 800
        result = kernel.tap(purse)
        assert result.outcome == "accepted", (at, before, result, result.detail)
        assert purse.balance == 800, (at, before)
    assert paid > 3


@pytest.mark.parametrize("error", [OSError, ImportError, RuntimeError])
def test_what_else_fails_in_the_validator(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(decision, "check", fail)
    result = Kernel().tap(cards.make("quickpass-debit"))
    assert (result.outcome, result.reason) == ("retry", OURS)
