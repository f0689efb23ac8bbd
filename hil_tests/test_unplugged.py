"""The cable is pulled out in the middle of something: the next host finds a working validator."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faretap import boards
from faretap.flash.errors import FlashError
from faretap.flash.flasher import flash
from faretap.link import LinkError
from faretap.present import scan, tap, tap_on_link
from faretap.records.pull import pull
from faretap.session import Session, connect
from faretap.sim import cards, codes
from faretap.virtual import VirtualProcess, spawn

Lay = Callable[[str], Any]


@contextlib.contextmanager
def next_host(board: VirtualProcess, records: int | None = None) -> Iterator[Session]:
    """Another connection, and that all is well there."""
    with connect(board.port_url, wait=10.0) as session:
        info = session.link.call("info")
        assert (info["boots"], info["mode"]) == (1, "app")
        if records is not None:
            assert info["journal"]["records"] == records
        yield session


def served(session: Session, seconds: float) -> dict[str, Any]:
    """A tap over the link, as soon as the card before has been put away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return tap(session, "tunion", via="link")
        except LinkError as e:
            assert "another card" in str(e) and time.monotonic() < deadline


@pytest.mark.parametrize("n", [1, 3])
def test_in_a_tap_over_the_link(
    board: VirtualProcess, cable: Lay, until: Callable[..., None], n: int
) -> None:
    line = cable(board.port_url)
    card = cards.make("tunion")
    answer, count = card.apdu, 0

    def pull_out(command: bytes) -> bytes:
        nonlocal count
        count += 1
        if count == n:
            line.pull()
        return answer(command)

    card.apdu = pull_out  # type: ignore[method-assign]
    with connect(line.url, wait=10.0) as session, pytest.raises(LinkError, match="broke"):
        tap_on_link(session, card)
    with board.bench() as bench, next_host(board) as session:
        # The validator asks on, for seconds at most; whoever is there now knows of no card.
        until(lambda: session.link.call("info")["taps"] == 1, 12.0, bench)
        assert served(session, 5.0)["seq"] == 2
        lost, whole = pull(session.link, 0)
        assert lost.outcome == "retry"
        assert lost.token is None
        assert whole.outcome == "declined" and whole.token
        assert tap(session, "quickpass-debit")["seq"] == 3


def test_in_a_tap_on_the_wire(
    board: VirtualProcess, cable: Lay, until: Callable[..., None]
) -> None:
    """Riders do not care whether a host is there: the tap goes on and is recorded."""
    line = cable(board.port_url)
    with connect(line.url, wait=10.0) as session:
        assert session.bench is not None
        session.bench.present("quickpass-debit")
        line.pull()
    with board.bench() as bench, next_host(board) as session:
        until(lambda: session.link.call("info")["taps"] == 1, 10.0, bench)
        assert tap(session, "tunion", via="link")["outcome"] == "declined"
        bench.withdraw()
        tap(session, "tunion")
        media = [record.medium for record in pull(session.link, 0)]
        assert media == ["quickpass", "tunion", "tunion"]


def test_in_the_records(board: VirtualProcess, cable: Lay) -> None:
    line = cable(board.port_url)
    with connect(line.url, wait=10.0) as session:
        for _ in range(30):
            scan(session, codes.make("cpm"), via="link")
        whole = pull(session.link, 0)
        read, left = session.link.device.read, 2000

        def reading(size: int = 1) -> Any:
            nonlocal left
            left -= size
            if left < 0:
                line.pull()
            return read(size)

        session.link.device.read = reading
        with pytest.raises(LinkError):
            for _ in range(20):
                pull(session.link, 0)
    with next_host(board, records=30) as session:
        assert [r.body for r in pull(session.link, 0)] == [r.body for r in whole]


def test_in_the_flashing(board: VirtualProcess, cable: Lay) -> None:
    """Half of it written: told so, and the same command again puts it right; records stay."""
    with connect(board.port_url, wait=10.0) as session:
        before = tap(session, "tunion", via="link")
        assert session.bench is not None
        session.bench.power(False)
    state = board.state / "flash.bin"
    stood = state.read_bytes()
    board.stop()
    # Spoil a sector of each piece, so that there is something to write at several places.
    ruined = bytearray(stood)
    for name in ("factory", "vfs", "app_a"):
        part = boards.load("VIRTUAL").partitions[name]
        ruined[part.offset : part.offset + 4096] = b"\xff" * 4096
    state.write_bytes(ruined)
    with spawn(board.state, unpaced=True) as again:
        line = cable(again.port_url)

        def progress(what: str, done: int, total: int) -> None:
            if what == "writing" and done > 0:
                line.pull()

        with pytest.raises(FlashError, match="went away|stopped answering|fails"):
            flash(line.url, "VIRTUAL", progress=progress)
        report = flash(again.port_url, "VIRTUAL")
        assert 4096 <= report.written < 3 * 4096  # what had been written before stands
        with connect(again.port_url, wait=10.0) as session:
            assert [r.token for r in pull(session.link, 0)] == [before["token"]]
            assert tap(session, "tunion", via="link")["seq"] == 2


def test_at_a_raised_rate(board: VirtualProcess, cable: Lay, until: Callable[..., None]) -> None:
    """The one that vanished took the rate with it: the validator comes back by itself."""
    line = cable(board.port_url)
    with connect(line.url, wait=10.0) as session:
        assert session.link.set_baud(921600) == 921600
        assert tap(session, "tunion", via="link")["seq"] == 1
        line.pull()
    with board.bench() as bench:

        def baud() -> int:
            return int(bench.status()["uarts"]["0"]["baud"])

        assert baud() == 921600
        start = time.monotonic()
        until(lambda: baud() == 115200, 14.0, bench)
        assert time.monotonic() - start > 5.0  # a host that only pauses keeps its rate
    with next_host(board, records=1) as session:
        log = session.link.call("log.recent")
        assert "no host at 921600 baud" in [record["text"] for record in log]


@pytest.mark.parametrize("baud", [460800, 921600])
def test_raised_rates(make_board: Callable[..., VirtualProcess], baud: int) -> None:
    board = make_board(paced=True)
    with connect(board.port_url, wait=10.0) as session:
        assert session.link.set_baud(baud) == baud
        assert session.link.call("info")["link"]["baud"] == baud
        assert session.bench is not None
        assert session.bench.status()["uarts"]["0"]["baud"] == baud
        summaries = [
            tap(session, "quickpass-debit", via="link"),
            tap(session, "tunion"),
            scan(session, codes.make("mot"), via="link"),
        ]
        assert [record.seq for record in pull(session.link, 0)] == [s["seq"] for s in summaries]
        assert session.link.damaged == 0
    # Whoever closes in good order leaves the usual rate behind.
    with next_host(board, records=3) as session:
        assert session.link.call("info")["link"]["baud"] == 115200


def test_a_rate_that_the_validator_has_not(session: Session) -> None:
    with pytest.raises(LinkError, match="between 9600 and 921600"):
        session.link.set_baud(2000000)
    assert session.link.call("info")["link"]["baud"] == 115200
