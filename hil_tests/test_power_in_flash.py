"""The power goes in the middle of a flash operation of the running firmware, counted by the board:
what a rider or an operator was told of is there afterwards, and the validator serves."""

from __future__ import annotations

import contextlib
import time

import pytest

from faretap.config import push, samples
from faretap.errors import FaretapError
from faretap.present import tap
from faretap.records.pull import pull
from faretap.session import Session
from faretap.virtual import VirtualProcess
from faretap.virtual.bench import BenchClient

HOW = ("undone", "half", "done")


def start(session: Session, hands: BenchClient) -> None:
    session.forget_notifications()
    hands.power(True)
    assert session.wait_for("hello", 20.0), "it does not start again"
    session.tell_time()


def off(hands: BenchClient, seconds: float = 10.0) -> bool:
    """The power went by itself within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not hands.status()["power"]:
            return True
        hands.event(0.02)
    return False


@pytest.mark.parametrize("how", HOW)
def test_a_configuration_arrives_whole_or_not_at_all(
    bench: Session, board: VirtualProcess, how: str
) -> None:
    with board.bench() as hands:
        version = push.info(bench.link)["version"]
        for operation in (9, 26):
            hands.cut(operation, how)
            new = samples.bench_bundle(version=version + 1)
            told = False
            with contextlib.suppress(FaretapError):
                told = push.push(bench.link, new)["version"] == version + 1
            if told:
                hands.cut(0)
                hands.power(False)
            assert off(hands), "the power was to be cut"
            start(bench, hands)
            info = push.info(bench.link)
            assert info["version"] in (version, version + 1), info
            assert not told or info["version"] == version + 1
            version = info["version"]
            assert tap(bench, "quickpass-debit", via="link")["outcome"] in ("accepted", "declined")


@pytest.mark.parametrize("how", HOW)
def test_an_accepted_tap_is_there(bench: Session, board: VirtualProcess, how: str) -> None:
    told: set[int] = set()
    with board.bench() as hands:
        for operation in range(1, 4):
            hands.cut(operation, how)
            for name in ("quickpass-debit", "tunion"):
                with contextlib.suppress(FaretapError):
                    told.add(tap(bench, name, via="link", timeout=1.5)["seq"])
            hands.cut(0)
            hands.power(False)
            start(bench, hands)
        records = pull(bench.link)
        assert told <= {r.seq for r in records}
        assert all(r.chain_ok is not False for r in records)
