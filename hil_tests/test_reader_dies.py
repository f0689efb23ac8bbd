"""A reader chip that stops answering (Q16): noticed, shown, healed; the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from faretap.session import Session
from faretap.testing.hands import ReaderFaults, Rider, Supply

pytestmark = pytest.mark.wire

NOTICED_S = 2.5  # two seconds is the limit for the validator; asking it takes some as well


def reader(session: Session) -> dict[str, Any]:
    found: dict[str, Any] = session.link.call("info")["reader"]
    return found


def test_dead_until_reset_is_healed_by_the_reset_pin(
    validator: Session, rider: Rider, reader_faults: ReaderFaults, until: Callable[..., None]
) -> None:
    bench = validator.bench
    assert rider.tap("tunion", via="wire")["outcome"] == "accepted"
    reader_faults.arm("Q16", until="reset")
    start = time.monotonic()
    until(lambda: reader(validator)["recoveries"] == 1, 10.0, bench)
    assert time.monotonic() - start < NOTICED_S + 1.0
    assert rider.tap("tunion", via="wire", seed=2)["outcome"] == "accepted"
    log = [r["text"] for r in validator.link.call("log.recent") if r["area"] == "reader"]
    assert any(text.startswith("failed") for text in log) and "works again" in log


def test_dead_for_good_shows_out_of_service_and_codes_and_link_go_on(
    validator: Session,
    rider: Rider,
    reader_faults: ReaderFaults,
    power: Supply,
    until: Callable[..., None],
) -> None:
    bench = validator.bench
    until(lambda: reader(validator)["state"] == "polling", 10.0, bench)
    reader_faults.arm("Q16", until="power")
    start = time.monotonic()

    def shown() -> bool:
        return "Out of service" in validator.link.call("screen")["lines"]

    until(shown, 10.0, bench)
    assert time.monotonic() - start < NOTICED_S
    slowest = 0.0
    for _ in range(20):
        before = time.monotonic()
        validator.link.call("ping")
        slowest = max(slowest, time.monotonic() - before)
    assert slowest < 0.5  # never as long as a reader's time-outs
    assert rider.scan("mot", via="wire")["outcome"] == "accepted"
    until(lambda: reader(validator)["failed"] >= 1, 20.0, bench)
    assert reader(validator)["state"] == "fault"
    power.cycle()  # the supply brings both back
    until(lambda: reader(validator)["state"] == "polling", 10.0, bench)
    assert rider.tap("tunion", via="wire")["outcome"] == "accepted"
