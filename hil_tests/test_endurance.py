"""Many riders: memory stays where it is."""

from __future__ import annotations

import pytest

from faretap.present import scan, tap
from faretap.session import Session
from faretap.sim import codes

CARDS = ("tunion", "quickpass-debit", "quickpass-phone", "mifare")


def heap(session: Session) -> int:
    """Free bytes of the heap, after the collection that `info` does.

    The best of some: a collection keeps what only looks like a reference, some 2 KB at times.
    """
    return max(int(session.link.call("info")["heap_free"]) for _ in range(5))


def test_heap_after_many_taps(session: Session) -> None:
    def ride(n: int) -> None:
        if n % 7 == 6:
            scan(session, codes.make(("mot", "cpm", "union", "url")[n % 4]), via="link")
        else:
            lose = 1 + n % 5 if n % 3 == 2 else None
            tap(session, CARDS[n % len(CARDS)], via="link", lose_at_apdu=lose)

    for n in range(50):
        ride(n)
    before = heap(session)
    lowest = before
    for n in range(200):
        ride(n)
        if n % 40 == 0:
            lowest = min(lowest, heap(session))
    after = heap(session)
    info = session.link.call("info")
    assert (info["taps"], info["boots"]) == (250, 1)
    # The kept log records and answers differ in length; a leak of 20 bytes a tap would show.
    assert after > before - 4000, (before, after)
    assert lowest > before - 6000, (before, lowest)


def test_heap_after_many_refused_calls(session: Session) -> None:
    from faretap.link import Refused

    def nonsense(n: int) -> None:
        for method, params in (
            ("no.such.call", {}),
            ("scan.link", {"hex": "x" * (1 + n % 90)}),
            ("tap.link", {"uid": "00"}),
        ):
            with pytest.raises(Refused):
                session.link.call(method, params)

    for n in range(30):
        nonsense(n)
    before = heap(session)
    for n in range(100):
        nonsense(n)
    assert heap(session) > before - 4000
    assert tap(session, "tunion", via="link")["seq"] == 1
