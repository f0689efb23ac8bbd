"""`faretap bench`: what a tap costs the validator itself, apart from card, air and reader chip."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from faretap.config import samples
from faretap.errors import FaretapError
from faretap.present import moment, scan, tap
from faretap.session import Session
from faretap.sim import codes
from faretap.sim.cards import scheme

Say = Callable[[str], None]


def provision(session: Session) -> None:
    """Give the validator a configuration that takes test riders, the same one as often as it
    likes. Only for a validator that nobody has claimed, or the test operator has."""
    purse = samples.bench_configuration()["purse"]
    purse["window_s"] = 0
    _provision(session, purse)


def _provision(session: Session, purse: dict[str, Any]) -> None:
    cards = scheme.configuration()
    cards["limits"]["window_s"] = 0
    session.forget_notifications()
    samples.provision(session.link, cards=cards, purse=purse)
    if session.wait_for("hello", 30.0) is None:
        raise FaretapError(
            "The validator did not come back with the bench configuration.",
            "See what it prints: faretap log --port PORT.",
        )
    session.await_running(10.0)
    session.tell_time(always=True)


def restart(session: Session) -> None:
    """From a cold start: nothing is cached."""
    session.forget_notifications()
    session.link.call("reset")
    if session.wait_for("hello", 30.0) is None:
        raise FaretapError("The validator did not come back after a reset.")
    session.await_running(10.0)


def everything(session: Session, count: int, say: Say) -> dict[str, Any]:
    """{medium: {"cold", "cached"}} of those that the configuration accepts."""
    session.tell_time()
    return {
        "quickpass": quickpass(session, count, say),
        "mot": ride_codes(session, count, say),
        "purse": purses(session, count, say),
    }


def quickpass(session: Session, count: int, say: Say) -> dict[str, Any]:
    """Own share of a tap and of its authentication, ms; the first tap after a start ("cold") reads
    the issuer's certificate, later ones ("cached") know it. `allocated`: bytes of the heap."""
    say(f"QuickPass: {min(count, 3)} cold taps, {count} with the issuer known")
    cold: list[dict[str, Any]] = []
    cached: list[dict[str, Any]] = []
    for _ in range(min(count, 3)):
        restart(session)
        cold.append(tap(session, "quickpass-debit", via="link"))
    session.link.call("bench.weigh", {"on": True})
    for _ in range(count):
        cached.append(tap(session, "quickpass-debit", via="link"))
    session.link.call("bench.weigh", {"on": False})
    return {"cold": _own(cold), "cached": _own(cached)}


def ride_codes(session: Session, count: int, say: Say) -> dict[str, Any]:
    """The same for MoT codes: three signatures with nothing known, and with the issuer known."""
    say(f"ride codes: {min(count, 3)} cold, {count} with the issuer known")
    cold: list[dict[str, Any]] = []
    cached: list[dict[str, Any]] = []
    for _ in range(min(count, 3)):
        restart(session)
        cold.append(scan(session, _code(session, len(cold)), via="link"))
    session.link.call("bench.weigh", {"on": True})
    for i in range(count):
        cached.append(scan(session, _code(session, 100 + i), via="link"))
    session.link.call("bench.weigh", {"on": False})
    return {"cold": _own(cold), "cached": _own(cached)}


def purses(session: Session, count: int, say: Say) -> dict[str, Any]:
    """The same for a purchase from a purse, single and composite (to board); the PSAM's time
    stands apart. The validator is given another configuration for the latter, and keeps it."""
    say(f"purses: {count} single purchases, {count} to board")
    found = {"single": _purchases(session, count)}
    purse = {**samples.bench_configuration()["purse"], **_COMPOSITE}
    _provision(session, purse)
    found["composite"] = _purchases(session, count)
    return found


_COMPOSITE = {"mode": "composite", "marked_amount": 500, "window_s": 0}


def _purchases(session: Session, count: int) -> dict[str, Any]:
    session.link.call("bench.weigh", {"on": True})
    taps = [tap(session, "tunion", via="link") for _ in range(count)]
    session.link.call("bench.weigh", {"on": False})
    return _own(taps)


def _code(session: Session, number: int) -> bytes:
    # Another account each time: a code is good for one ride.
    return codes.make("mot", at=moment(session), account=f"{number:016d}")


def _own(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    def ms(name: str) -> float:
        return round(float(statistics.median(s["us"][name] for s in summaries)) / 1000, 3)

    row = {
        "own_ms": ms("own"),
        "verify_ms": ms("verify"),
        "psam_ms": ms("psam"),
        "exchanges": statistics.median(s["exchanges"] for s in summaries),
        "n": len(summaries),
        "outcomes": sorted({s["outcome"] for s in summaries}),
    }
    weighed = [s["allocated"] for s in summaries if "allocated" in s]
    if weighed:
        row["allocated"] = max(weighed)
    return row
