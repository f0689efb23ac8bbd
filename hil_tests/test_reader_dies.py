"""A reader chip that stops answering (Q16): noticed, shown, healed; the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from faretap.present import scan, tap
from faretap.session import Session
from faretap.sim import codes

NOTICED_S = 2.5  # two seconds is the limit for the validator; asking it takes some as well


def reader(session: Session) -> dict[str, Any]:
    found: dict[str, Any] = session.link.call("info")["reader"]
    return found


def test_dead_until_reset_is_healed_by_the_reset_pin(
    session: Session, until: Callable[..., None]
) -> None:
    bench = session.bench
    assert bench is not None
    assert tap(session, "tunion")["medium"] == "tunion"
    bench.fault("Q16", until="reset")
    start = time.monotonic()
    until(lambda: reader(session)["recoveries"] == 1, 10.0, bench)
    assert time.monotonic() - start < NOTICED_S + 1.0
    assert tap(session, "tunion")["medium"] == "tunion"
    log = [r["text"] for r in session.link.call("log.recent") if r["area"] == "reader"]
    assert any(text.startswith("failed") for text in log) and "works again" in log


def test_dead_for_good_shows_out_of_service_and_codes_and_link_go_on(
    session: Session, until: Callable[..., None]
) -> None:
    bench = session.bench
    assert bench is not None
    until(lambda: reader(session)["state"] == "polling", 10.0, bench)
    bench.fault("Q16", until="power")
    start = time.monotonic()

    def shown() -> bool:
        return "Out of service" in session.link.call("screen")["lines"]

    until(shown, 10.0, bench)
    assert time.monotonic() - start < NOTICED_S
    slowest = 0.0
    for _ in range(20):
        before = time.monotonic()
        session.link.call("ping")
        slowest = max(slowest, time.monotonic() - before)
    assert slowest < 0.5  # never as long as a reader's time-outs
    assert scan(session, codes.make("mot"))["medium"] == "ride_code"
    until(lambda: reader(session)["failed"] >= 1, 20.0, bench)
    assert reader(session)["state"] == "fault"
    bench.cycle()  # the supply brings both back
    session.await_running(15.0)
    until(lambda: reader(session)["state"] == "polling", 10.0, bench)
    assert tap(session, "tunion")["medium"] == "tunion"
