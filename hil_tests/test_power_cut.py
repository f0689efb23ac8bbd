"""Power goes whenever it likes: what was told to anybody stays, in order, in an unbroken chain."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from faretap.link import LinkError
from faretap.present import scan, tap
from faretap.records import check_chain
from faretap.records.model import Record
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim import codes


def up_again(session: Session) -> None:
    assert session.bench is not None
    session.bench.power(True)
    session.await_running(10.0)


def whole(session: Session) -> list[Record]:
    """All records, once they are in order and their chain holds."""
    records = pull(session.link, 0)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert check_chain(records) == []
    assert all(record.chain_ok is not False for record in records)
    return records


def same(record: Record, summary: dict[str, Any]) -> bool:
    told = (summary["medium"], summary["outcome"], summary["reason"], summary["token"])
    return told == (record.medium, record.outcome, record.reason, record.token or "")


def test_records_outlive_power_cuts(session: Session) -> None:
    told: list[dict[str, Any]] = []
    bodies: dict[int, bytes] = {}
    boots = session.link.call("info")["boots"]
    for _ in range(4):
        told.append(tap(session, "tunion", via="link"))
        told.append(tap(session, "quickpass-debit"))
        told.append(scan(session, codes.make("mot")))
        before = whole(session)
        assert session.bench is not None
        session.bench.power(False)
        up_again(session)
        after = whole(session)
        assert [r.body for r in after] == [r.body for r in before]
        for record in after:
            assert bodies.setdefault(record.seq, record.body) == record.body
    assert len(told) == len(after)
    assert all(same(record, summary) for record, summary in zip(after, told, strict=True))
    assert [summary["seq"] for summary in told] == [record.seq for record in after]
    info = session.link.call("info")
    assert info["boots"] == boots + 4
    assert info["journal"]["next"] == len(told) + 1
    assert [record.boot for record in after] == [boots + n // 3 for n in range(12)]


@pytest.mark.parametrize("seed", range(2))
def test_power_cut_at_random_during_taps(session: Session, seed: int) -> None:
    """The plug is pulled when the validator has said so many bytes: while it asks a card, while
    it writes, between the notification and the answer."""
    bench, link = session.bench, session.link
    assert bench is not None
    chance = random.Random(seed)
    left = 0
    read = link.device.read

    def reading(size: int = 1) -> bytes:
        nonlocal left
        data: bytes = read(size)
        if left > 0:
            left -= len(data)
            if left <= 0:
                bench.power(False)
        return data

    link.device.read = reading
    told: dict[int, dict[str, Any]] = {}

    def note(method: str, params: dict[str, Any]) -> None:
        if method == "tap" and params["seq"] is not None:
            assert told.setdefault(params["seq"], params) == params, "two taps with one number"

    session.on_notification = note
    cuts = 0
    for _ in range(8):
        left = chance.randrange(100, 3000)
        while left > 0:
            card = chance.choice(("tunion", "quickpass-phone", "empty"))
            try:
                tap(session, card, via="link", timeout=0.4)
            except LinkError:
                break
        cuts += bench.status()["power"] is False
        left = 0
        up_again(session)
        records = whole(session)
        for seq, summary in told.items():
            assert seq <= len(records), f"record {seq} was told and is not there"
            assert same(records[seq - 1], summary)
        # At most the tap that was under way is there without having been told.
        assert len(records) <= len(told) + cuts
        after = tap(session, "tunion-low", via="link")
        assert after["seq"] == len(records) + 1
    assert cuts == 8
    whole(session)


def test_power_cut_with_a_card_on_the_reader(session: Session, until: Callable[..., None]) -> None:
    """The card is still there when power comes back: it is a new tap, and nothing is lost."""
    bench = session.bench
    assert bench is not None

    def said() -> int:
        """Bytes that the validator has sent to its reader chip."""
        return int(bench.status()["uarts"]["1"]["sent"])

    first = tap(session, "tunion", via="link")
    for _ in range(2):
        session.forget_notifications()
        enough = said() + 150  # by then the card's records are being read
        bench.present("quickpass-debit")
        until(lambda enough=enough: said() > enough, 5.0, bench)
        bench.power(False)
        bench.power(True)
        summary = session.wait_for("tap", 10.0)
        bench.withdraw()
        assert summary is not None
        assert summary["seq"] > first["seq"]
        session.await_running(10.0)
    records = whole(session)
    assert same(records[first["seq"] - 1], first)
    assert summary is not None and same(records[summary["seq"] - 1], summary)
    assert tap(session, "tunion-low")["seq"] == len(records) + 1
