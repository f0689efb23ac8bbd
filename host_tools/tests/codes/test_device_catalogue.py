"""Every simulated code on the firmware: the outcome and broken signature that its maker names."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import pytest

from faretap.sim.codes import AMOUNT, CODES
from validator.media import code_rules
from validator.qr.framing import MAX_CODE

from .device import NOW, Clock, fresh, show

# The engine's driver hands on nothing longer.
NAMES = [name for name, code in CODES.items() if len(code.make(NOW)) <= MAX_CODE]


def test_the_catalogue_has_what_is_to_be_told_apart() -> None:
    seen = {CODES[name].expected[1] for name in NAMES}
    assert len(NAMES) > 150
    assert seen >= {"", "bad_signature", "expired", "not_yet_valid", "unknown_issuer"}
    assert seen >= {"over_limit", "needs_online", "malformed", "unsupported"}


@pytest.mark.parametrize("name", NAMES)
def test_outcome_and_signature(name: str) -> None:
    entry = CODES[name]
    result = show(entry.make(NOW), Clock(), fresh())
    assert (result.outcome, result.reason) == entry.expected, result.detail
    if result.reason == "bad_signature":
        assert entry.broken and result.detail["signature"] == entry.broken[0]
    if result.outcome == "accepted":
        assert result.code is not None and result.fare == AMOUNT
        assert result.settled is not None and result.token_source
    else:
        assert result.code is None and result.settled is None and result.evidence is None


ACCEPTED = [name for name, entry in CODES.items() if entry.expected == ("accepted", "")]


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_code_is_good_for_one_ride(name: str) -> None:
    code = CODES[name].make(NOW)
    clock, rules = Clock(), fresh()
    first = show(code, clock, rules)
    first.settled()
    clock.pass_s(1)
    again = show(code, clock, rules)
    assert (again.outcome, again.reason) == ("declined", "too_soon")
    assert again.again == ("accepted", "") and again.settled is None
    clock.pass_s(3)
    reason = "needs_online" if first.medium == "cpm" else "replayed"
    assert show(code, clock, rules).reason == reason


@pytest.mark.parametrize("name", [name for name in CODES if "-twin-" in name])
def test_a_twin_is_the_code_that_it_is_a_twin_of(name: str) -> None:
    """Whichever is shown first."""
    twin = CODES[name].make(NOW)
    code = CODES[CODES[name].kind].make(NOW)
    for first, second in ((code, twin), (twin, code)):
        clock, rules = Clock(), fresh()
        show(first, clock, rules).settled()
        clock.pass_s(5)
        result = show(second, clock, rules)
        assert result.reason == ("needs_online" if result.medium == "cpm" else "replayed")


@pytest.mark.parametrize("name", ACCEPTED)
def test_nothing_rides_while_the_clock_is_not_set(name: str) -> None:
    result = show(CODES[name].make(NOW), Clock(0, trusted=False), fresh())
    assert (result.outcome, result.reason) == ("declined", "clock_untrusted")


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_listed_rider_does_not_ride(name: str) -> None:
    result = show(CODES[name].make(NOW), Clock(), fresh(deny=lambda token: True))
    assert (result.outcome, result.reason) == ("declined", "deny_listed")


def test_a_bad_signature_is_one_whatever_the_clock_says() -> None:
    for name in ("mot-wrong-user-key", "union-wrong-key", "alipay-wrong-issuer-key"):
        result = show(CODES[name].make(NOW), Clock(0, trusted=False), fresh())
        assert result.reason == "bad_signature", name


def test_media_that_nobody_configured_accept_nothing() -> None:
    rules = code_rules.load({})
    for name in ACCEPTED:
        result = show(CODES[name].make(NOW), Clock(), fresh(rules))
        reason = "needs_online" if result.medium == "cpm" else "unknown_issuer"
        assert (result.outcome, result.reason) == ("declined", reason), name
