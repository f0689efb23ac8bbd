"""Waits that a far end could make endless: transfers, pushes, the bench port, RFC 2217."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from faretap.config import push
from faretap.config.errors import ConfigError
from faretap.errors import FaretapError
from faretap.flash import port as flashing
from faretap.link import LinkError, open_port, transfer
from faretap.records import pull
from faretap.session import Recent
from faretap.virtual.bench import BenchClient, BenchError
from tests.config import bundles

pytestmark = pytest.mark.timeout(60)


class Line:
    """Stands for a `Link` whose validator answers `state` as the script has it."""

    name = "a line"
    device = SimpleNamespace(baudrate=115200)

    def __init__(self, states: Iterator[dict[str, Any]], words: bool = False) -> None:
        self.on_block: Callable[[int, int, bytes], None] = lambda *block: None
        self.states = states
        self.words = words
        self.sent = 0

    @property
    def link(self) -> Any:
        return self

    def call(self, method: str, params: Any = None, **more: Any) -> Any:
        if method == "transfer.begin":
            return {"id": 1, "next": 0, "block": transfer.BLOCK}
        if method == "transfer.state":
            return {"id": 1, **next(self.states)}
        raise AssertionError(method)

    def send_block(self, channel: int, sequence: int, payload: bytes) -> None:
        self.sent += 1
        if self.words:  # a flood of words, each about another block
            for n in range(200):
                self.on_block(2, 1, bytes([0, 0, n % 3, 0, n % 7]))


STATES: dict[str, Iterator[dict[str, Any]]] = {
    "busy": itertools.repeat({"busy": True, "next": 0, "held": 0}),
    "to and fro": itertools.cycle(
        [{"busy": False, "next": 0, "held": 5}, {"busy": False, "next": 2048, "held": 0}]
    ),
    "nothing": itertools.repeat({}),
    "beyond": itertools.cycle(
        [{"busy": False, "next": 1 << 39, "held": 0}, {"busy": False, "next": 0, "held": 0}]
    ),
    "held": itertools.repeat({"busy": False, "next": 0, "held": 1 << 30}),
}


@pytest.mark.parametrize("words", [False, True], ids=["quiet", "words"])
@pytest.mark.parametrize("kind", STATES)
def test_a_transfer_gets_on_or_ends(
    kind: str, words: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_STATE_S", 0.0)
    monkeypatch.setattr(transfer, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(transfer, "_LEAST_BAUD", 1 << 20)
    line = Line(STATES[kind], words)
    with pytest.raises((LinkError, AssertionError)) as ended:
        transfer.send(line, "thing", bytes(9000))
    assert isinstance(ended.value, LinkError) or "transfer.finish" in str(ended.value)


class Time:
    """Stands for `time` in a module: each look takes a while."""

    def __init__(self, each: float) -> None:
        self.now = 0.0
        self.each = each

    def monotonic(self) -> float:
        self.now += self.each
        return self.now


def test_to_and_fro_is_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended by the best place ever, long before the end of any transfer of that size."""
    clock = Time(0.1)
    monkeypatch.setattr(transfer, "time", clock)
    monkeypatch.setattr(transfer, "_STATE_S", 0.0)
    with pytest.raises(LinkError, match="takes nothing in"):
        transfer.send(Line(STATES["to and fro"]), "thing", bytes(2_000_000))
    assert clock.now < 40


class Source:
    """Stands for a session whose validator's source sends `pieces`, one a call."""

    name = "a line"
    device = SimpleNamespace(baudrate=115200)

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.on_block: Callable[[int, int, bytes], None] = lambda *block: None
        self.pieces = pieces

    @property
    def link(self) -> Any:
        return self

    def call(self, method: str, params: Any = None, **more: Any) -> Any:
        self.on_block(transfer.FROM_VALIDATOR, 0, next(self.pieces))
        return {"blocks": 1, "more": True}


def piece(cursor: int, step: int, count: int = 1) -> bytes:
    return cursor.to_bytes(4, "big") + (b"\x00\x01" + bytes([step]) + b"x") * count


def test_a_cursor_that_stays() -> None:
    source = Source(itertools.repeat(piece(5, 0, 10)))
    with pytest.raises(LinkError, match="it stays at 5"):
        list(transfer.pull(source, "records", {"from": 5}))


def test_a_source_that_is_slow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece every now and then is progress, but not at that pace."""
    clock = Time(20.0)
    monkeypatch.setattr(transfer, "time", clock)
    source = Source(piece(n, 1) for n in itertools.count(1))
    with pytest.raises(LinkError, match="too slowly"):
        list(transfer.pull(source, "records", {"from": 1}))
    assert clock.now < 600


def test_records_that_are_slow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time(2.0)
    monkeypatch.setattr(pull, "time", clock)
    wire = {"after": "ff" * 5, "chain": "00" * 8, "body": "00"}

    def call(method: str, params: dict[str, Any]) -> Any:
        seq = max(params["from"], 1)
        return {"records": [{**wire, "seq": seq}], "contexts": [], "next": seq + 1}

    with pytest.raises(FaretapError, match="too slowly"):
        pull.pull(SimpleNamespace(call=call), on_problem=lambda e: None)
    assert clock.now < 100


def test_notifications_that_nobody_takes_are_dropped() -> None:
    recent = Recent(100)
    for n in range(10_000):
        recent.put("tap", {"n": n})
    assert recent.get() == ("tap", {"n": 9900})
    recent.clear()
    assert recent.get() is None


@pytest.mark.parametrize("places", [(10, 0), (0,), (600, 10), (1, 2, 1, 2)], ids=str)
def test_a_push_gets_on_or_ends(places: tuple[int, ...]) -> None:
    wanted = itertools.cycle(places)
    made: list[str] = []

    class Caller:
        def call(self, method: str, params: Any = None, **more: Any) -> Any:
            made.append(method)
            if method == "config.info":
                return {"operator": "aa", "hash": "00", "seen": 1, "version": 1}
            if method == "config.begin":
                return {"next": 0, "size": 60, "in_force": False}
            return {"next": next(wanted)}

    with pytest.raises(ConfigError, match="takes nothing"):
        push.push(Caller(), bundles.bundles()["V1"])
    assert len(made) < 100


# -- ports ----------------------------------------------------------------------------------------


@contextmanager
def server(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """Somebody at a TCP port who talks as he likes, to everybody who comes."""
    listening = socket.create_server(("127.0.0.1", 0))
    lines: list[socket.socket] = []

    def one(line: socket.socket) -> None:
        with suppress(OSError):
            talk(line)

    def accept() -> None:
        with suppress(OSError):
            while True:
                line, _ = listening.accept()
                lines.append(line)
                threading.Thread(target=one, args=(line,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        for each in (listening, *lines):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


HELLO = json.dumps({"hello": "faretap virtual validator"}).encode() + b"\n"


def forever(data: bytes, first: bytes = b"") -> Callable[[socket.socket], None]:
    def talk(line: socket.socket) -> None:
        line.sendall(first)
        while True:
            line.sendall(data)

    return talk


BENCHES = {
    "no end of a line": forever(b"x" * 65536),
    "no end of an answer": forever(b"x" * 65536, HELLO),
    "events": forever(b'{"event": "pin", "x": "' + b"y" * 900 + b'"}\n', HELLO),
    "others' answers": forever(b'{"id": 99, "ok": true}\n', HELLO),
    "deep": forever(b"[" * 9000 + b"\n", HELLO),
    "no object": forever(b"5\n", HELLO),
}


@pytest.mark.parametrize("kind", BENCHES)
def test_a_bench_port_that_says_other_things(kind: str) -> None:
    began = time.monotonic()
    with (
        server(BENCHES[kind]) as where,
        pytest.raises(BenchError) as told,
        BenchClient(where, timeout=0.5) as bench,
    ):
        bench.status()
    assert len(str(told.value)) < 300
    assert time.monotonic() - began < 20


NEGOTIATIONS: dict[str, Callable[[socket.socket], object]] = {
    "mute": lambda line: line.recv(1),
    "negotiates": forever(bytes([255, 253, 99, 255, 251, 99, 255, 254, 99, 255, 252, 99]) * 99),
    "a command without an end": forever(b"a" * 65536, bytes([255, 250, 44])),
    "zeros": forever(bytes(65536)),
    "commands": forever(bytes([255, 250, 44, 101, 0, 0, 0, 0, 255, 240]) * 99),
}


@pytest.mark.parametrize("kind", NEGOTIATIONS)
def test_a_server_that_negotiates_for_ever(kind: str) -> None:
    """A port that opens all the same is closed again without a wait."""
    with server(NEGOTIATIONS[kind]) as where:
        try:
            device = open_port(f"rfc2217://{where}")
        except FaretapError as e:
            assert where in str(e)
        else:
            device.read(10)
            device.close()
    assert not [
        t for t in threading.enumerate() if "rfc2217" in t.name.lower() and where in t.name
    ]


def test_a_peer_that_never_reads() -> None:
    """What a port does not take in within its time is an error, not a wait."""
    import serial

    with server(lambda line: None) as where:
        device = open_port(f"socket://{where}")
        device.write_timeout = 0.2
        with pytest.raises(serial.SerialException):
            for _ in range(10_000):
                device.write(bytes(1 << 20))
        device.close()


def test_what_waits_in_a_socket_is_known() -> None:
    with server(forever(bytes(4096))) as where:
        device = open_port(f"socket://{where}")
        while device.in_waiting < 1000:
            assert device.read(1) == b"\0"
        device.close()


@pytest.mark.parametrize("begin", [b"", b"\xc0"], ids=["noise", "a packet"])
def test_a_chip_whose_packet_has_no_end(begin: bytes) -> None:
    import serial

    with server(forever(b"x" * 65536, begin)) as where:
        device = flashing.open_for_flashing(f"socket://{where}", 115200)
        with pytest.raises(serial.SerialException, match="no end"):
            for _ in range(100_000):
                assert device.read(4096)
        device.close()


@pytest.mark.parametrize(
    ("data", "each", "seconds"), [(b"x", 1.0, 30), (b"\xc0\x01\xc0", 2.0, 3700)], ids=str
)
def test_a_chip_that_is_slow_for_ever(
    data: bytes, each: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import serial

    clock = Time(each)
    monkeypatch.setattr(flashing, "time", clock)
    port = flashing._Ends(lambda size: data)
    with pytest.raises(serial.SerialException):
        for _ in range(10_000):
            port.read()
    assert clock.now < seconds
    clock = Time(1.0)
    monkeypatch.setattr(flashing, "time", clock)
    port = flashing._Ends(lambda size: b"")  # an erase: nothing comes for minutes
    for _ in range(300):
        port.read()
