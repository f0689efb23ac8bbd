"""The host's end of the link against a scripted validator, over a port made of two queues."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import serial

from faretap.link import Link, LinkError, NoAnswer, Refused
from faretap.link.client import CallError


def crc(data: bytes) -> int:
    """CRC-16/X-25 from its definition."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value ^ 0xFFFF


def message(content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    return b"\x1e" + body + b"#%04x\n" % crc(body)


def credit(n: int) -> bytes:
    head = bytes([0, 0, 0, 2])
    body = head + bytes([~sum(head) & 0xFF]) + n.to_bytes(2, "big")
    return b"\x1d" + body + crc(body).to_bytes(2, "big")


class Port:
    """What Link needs of a pyserial port. `validator(data)` gets what was written."""

    def __init__(self) -> None:
        self.port = "test"
        self.baudrate = 115200
        self.validator: Callable[[bytes], None] = lambda data: None
        self._arrived = threading.Condition()
        self._buffer = bytearray()
        self.broken = False
        self.written = bytearray()

    def say(self, data: bytes) -> None:
        with self._arrived:
            self._buffer += data
            self._arrived.notify_all()

    @property
    def in_waiting(self) -> int:
        return len(self._buffer)

    def read(self, n: int) -> bytes:
        with self._arrived:
            if not self._buffer:
                self._arrived.wait(0.02)
            if self.broken:
                raise serial.SerialException("unplugged")
            data = bytes(self._buffer[:n])
            del self._buffer[:n]
            return data

    def write(self, data: bytes) -> int:
        if self.broken:
            raise serial.SerialException("unplugged")
        self.written += data
        self.validator(bytes(data))
        return len(data)

    def close(self) -> None:
        pass


class Loose:
    """Any answer will do: what they may be is no matter of these tests."""

    def answer(self, method: str, result: Any) -> Any:
        return result

    def notice(self, method: str, params: Any) -> Any:
        return params

    asked = notice


class Validator:
    """A scripted one: `calls` maps a method to a function of its params."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.buffer = bytearray()
        self.seen: list[dict[str, Any]] = []
        self.calls: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.gives_credit = True
        port.validator = self.take

    def take(self, data: bytes) -> None:
        if self.gives_credit:
            self.port.say(credit(len(data)))
        self.buffer += data
        while (
            found := re.search(rb"\x1e([^\n]*)#([0-9a-f]{4})\n", bytes(self.buffer))
        ) is not None:
            del self.buffer[: found.end()]
            assert crc(found[1]) == int(found[2], 16)
            request = json.loads(found[1])
            self.seen.append(request)
            function = self.calls.get(request.get("method", ""))
            if function:
                reply = {"jsonrpc": "2.0", "id": request["id"], **function(request)}
                self.port.say(message(reply))


@pytest.fixture
def port() -> Port:
    return Port()


def test_call(port: Port) -> None:
    validator = Validator(port)
    validator.calls["info"] = lambda r: {"result": {"got": r["params"]}}
    with Link(port, checks=Loose()) as link:
        assert link.call("info", {"a": 1}) == {"got": {"a": 1}}
        assert link.call("info", {"a": 2}) == {"got": {"a": 2}}
    assert len({r["id"] for r in validator.seen}) == 2
    assert all(r["jsonrpc"] == "2.0" for r in validator.seen)


def test_console_text_is_kept_apart(port: Port) -> None:
    validator = Validator(port)
    text = bytearray()

    def info(request: dict[str, Any]) -> dict[str, Any]:
        port.say(b"Traceback (most recent call last):\r\n")
        return {"result": 1}

    validator.calls["info"] = info
    with Link(port, checks=Loose()) as link:
        link.on_text = text.extend
        assert link.call("info") == 1
    assert text == b"Traceback (most recent call last):\r\n"


def test_lost_call_is_sent_again_with_the_same_id(port: Port) -> None:
    validator = Validator(port)

    def second_time(request: dict[str, Any]) -> dict[str, Any]:
        return {"result": "ok"}

    with Link(port, checks=Loose()) as link:
        lost = threading.Event()

        def once(data: bytes) -> None:
            port.say(credit(len(data)))
            validator.seen.append({"id": json.loads(data[1:-6])["id"]})
            validator.calls["x"] = second_time
            port.validator = validator.take
            lost.set()

        port.validator = once
        assert link.call("x", again=0.05) == "ok"
        assert link.repeats == 1
    assert validator.seen[0]["id"] == validator.seen[1]["id"]


def test_no_answer_and_refusal(port: Port) -> None:
    validator = Validator(port)
    validator.calls["no"] = lambda r: {"error": {"code": -32000, "message": "in service"}}
    with Link(port, checks=Loose()) as link:
        with pytest.raises(NoAnswer, match="does not answer mute"):
            link.call("mute", timeout=0.1, again=0.03)
        with pytest.raises(Refused, match="in service") as refused:
            link.call("no")
        assert refused.value.code == -32000


def test_no_more_than_the_window_is_ever_unconfirmed(port: Port) -> None:
    validator = Validator(port)
    validator.gives_credit = False
    validator.calls["big"] = lambda r: {"result": len(r["params"]["x"])}
    most = 0
    outstanding = 0
    lock = threading.Lock()
    take = validator.take

    def count(data: bytes) -> None:
        nonlocal most, outstanding
        with lock:
            outstanding += len(data)
            most = max(most, outstanding)
        take(data)

    port.validator = count
    done = threading.Event()

    def confirm() -> None:
        nonlocal outstanding
        while not done.is_set():
            with lock:
                n, outstanding = outstanding, 0
            if n:
                port.say(credit(n))
            time.sleep(0.002)

    helper = threading.Thread(target=confirm)
    helper.start()
    with Link(port, checks=Loose()) as link:
        assert link.call("big", {"x": "y" * 1000}, timeout=10, again=10) == 1000
    done.set()
    helper.join()
    assert 100 < most <= 240


def test_lost_credit_delays_and_does_not_block(port: Port) -> None:
    validator = Validator(port)
    validator.gives_credit = False
    validator.calls["big"] = lambda r: {"result": "ok"}
    with Link(port, checks=Loose()) as link:
        assert link.call("big", {"x": "y" * 300}, timeout=10, again=10) == "ok"


def test_serving_the_validator_once(port: Port) -> None:
    validator = Validator(port)
    done: list[str] = []

    def debit(params: dict[str, Any]) -> dict[str, str]:
        done.append(params["apdu"])
        return {"rapdu": "9000"}

    def fails(params: dict[str, Any]) -> None:
        raise CallError(-32001, "gone", {"kind": "card_lost"})

    with Link(port, checks=Loose()) as link:
        link.serve("card.transceive", debit)
        link.serve("fails", fails)
        request = {"jsonrpc": "2.0", "id": "a-1", "method": "card.transceive"}
        call = message({**request, "params": {"apdu": "805400"}})
        for _ in range(3):
            port.say(call)
        port.say(message({"jsonrpc": "2.0", "id": "a-2", "method": "fails"}))
        port.say(message({"jsonrpc": "2.0", "id": "a-3", "method": "unknown"}))
        for _ in range(200):
            if {r.get("id") for r in validator.seen} >= {"a-1", "a-2", "a-3"}:
                break
            time.sleep(0.01)
    assert done == ["805400"]
    answers = {r["id"]: r for r in validator.seen}
    assert answers["a-1"]["result"] == {"rapdu": "9000"}
    assert answers["a-2"]["error"]["data"] == {"kind": "card_lost"}
    assert answers["a-3"]["error"]["code"] == -32601


def test_unplugged_port_ends_every_call_with_a_sentence(port: Port) -> None:
    Validator(port)
    with Link(port, checks=Loose()) as link:
        timer = threading.Timer(0.05, lambda: setattr(port, "broken", True))
        timer.start()
        with pytest.raises(LinkError, match="broke.*unplugged"):
            link.call("info", timeout=5)
        with pytest.raises(LinkError, match="broke"):
            link.call("info")


def test_damaged_frames_are_counted_and_harmless(port: Port) -> None:
    validator = Validator(port)

    def damaged(request: dict[str, Any]) -> dict[str, Any]:
        port.say(message({"id": request["id"], "result": "wrong"}).replace(b"wrong", b"wrung"))
        return {"result": "right"}

    validator.calls["x"] = damaged
    with Link(port, checks=Loose()) as link:
        assert link.call("x") == "right"
        assert link.damaged == 1


def test_notifications(port: Port) -> None:
    Validator(port)
    got: list[tuple[str, dict[str, Any]]] = []
    heard = threading.Event()

    def note(method: str, params: dict[str, Any]) -> None:
        got.append((method, params))
        heard.set()

    with Link(port, checks=Loose()) as link:
        link.on_notification = note
        port.say(message({"jsonrpc": "2.0", "method": "tap", "params": {"seq": 3}}))
        assert heard.wait(2)
    assert got == [("tap", {"seq": 3})]
