"""Validators to try, besides those of the rack (`faretap.pytest_plugin`): virtual boards that run
the current firmware out of their flash, for tests that look into them, break them or unplug them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faretap.address import host_and_number
from faretap.config import samples
from faretap.image.whole import whole_flash
from faretap.session import Session, connect
from faretap.virtual import VirtualProcess, spawn
from faretap.virtual.bench import BenchClient

MakeBoard = Callable[..., VirtualProcess]


@pytest.fixture(scope="session")
def flash_image() -> bytes:
    """The flash of a validator that was just flashed with the current firmware."""
    return whole_flash("VIRTUAL")


@pytest.fixture
def make_board(tmp_path: Path, flash_image: bytes) -> Iterator[MakeBoard]:
    """`make_board(flash=..., paced=False, **options of spawn)`: each call is a board of its own.

    Bytes take no time unless `paced`, so that tests are quick; buffers overflow all the same.
    """
    with contextlib.ExitStack() as running:
        count = 0

        def make(
            flash: bytes = flash_image, paced: bool = False, **options: Any
        ) -> VirtualProcess:
            nonlocal count
            state = tmp_path / f"board{count}"
            count += 1
            state.mkdir()
            (state / "flash.bin").write_bytes(flash)
            return running.enter_context(spawn(state, unpaced=not paced, **options))

        yield make


@pytest.fixture
def board(make_board: MakeBoard) -> VirtualProcess:
    return make_board()


@pytest.fixture
def session(board: VirtualProcess) -> Iterator[Session]:
    with connect(board.port_url, wait=10.0) as opened:
        yield opened


Provision = Callable[..., Session]


@pytest.fixture
def provision(session: Session) -> Provision:
    """`provision(**changes)` gives the validator the bench configuration, with whole members of it
    changed, and its clock the time; it takes test riders then."""

    def give(**changes: Any) -> Session:
        session.link.call("clock.set", {"unix": int(time.time())})
        session.forget_notifications()
        samples.provision(session.link, **changes)
        assert session.wait_for("hello", 15.0), "it did not come back with its configuration"
        return session

    return give


@pytest.fixture
def bench(provision: Provision) -> Session:
    """A validator that runs the bench configuration."""
    return provision()


class Listener:
    """Everything that a validator says, as its TX line carries it, whoever has the port."""

    def __init__(self, board: VirtualProcess) -> None:
        self._bench = board.bench()
        self._bench.watch()
        self.heard = bytearray()

    def catch_up(self) -> bytes:
        """All bytes so far; those of what happened before this call are among them."""
        self._bench.status()  # its answer comes after the events before it
        while (event := self._bench.event(0.0)) is not None:
            if event["event"] == "console":
                self.heard += bytes.fromhex(event["hex"])
        return bytes(self.heard)

    def close(self) -> None:
        self._bench.close()


@pytest.fixture
def listener() -> Iterator[Callable[[VirtualProcess], Listener]]:
    """`listener(board)`: ears at that board."""
    with contextlib.ExitStack() as listening:

        def begin(board: VirtualProcess) -> Listener:
            ears = Listener(board)
            listening.callback(ears.close)
            return ears

        yield begin


@pytest.fixture
def listen(board: VirtualProcess, listener: Callable[[VirtualProcess], Listener]) -> Listener:
    return listener(board)


class Cable:
    """A TCP line to a board that can be pulled out: `url` is the port, `pull()` cuts it."""

    def __init__(self, target: str) -> None:
        self._target = host_and_number(target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._server.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [near, far]
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def pull(self) -> None:
        """Cut everything that runs over it; nobody gets through afterwards."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cable() -> Iterator[Callable[[str], Cable]]:
    """`cable(port)`: a cable to that port."""
    laid: list[Cable] = []

    def lay(target: str) -> Cable:
        laid.append(Cable(target))
        return laid[-1]

    yield lay
    for one in laid:
        one.pull()


@pytest.fixture
def until() -> Callable[..., None]:
    """`until(condition, seconds, bench)`: wait for something that `condition()` can see."""

    def wait(condition: Callable[[], bool], seconds: float, bench: Any) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            if isinstance(bench, BenchClient):
                bench.event(0.02)  # whatever happens on the board meanwhile
            else:
                time.sleep(0.02)

    return wait
