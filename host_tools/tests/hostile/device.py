"""A scripted device on a TCP port: it answers calls as it is told, says what it likes, and nothing
of it is the firmware's."""

from __future__ import annotations

import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from faretap import boards

SERIAL = "02fae425aac3"

JOURNAL = {"first": 1, "next": 2, "acked": 0, "records": 1, "unacknowledged": 1, "mount_ms": 1}
CONFIG = {
    "version": 1,
    "hash": "aabbccdd",
    "life_cycle": "bench",
    "bank": 0,
    "seen": 1,
    "operator": "00112233",
    "token_key": "",
    "room": 1000,
    "faults": [],
}
HELLO = {
    "board": "VIRTUAL",
    "chip": "esp32",
    "serial": SERIAL,
    "version": "0.1.0",
    "hash": "ce6576dd8eab13c1",
    "slot": "a",
    "micropython": "1.29.0",
    "life_cycle": "bench",
    "mode": "app",
    "reset_cause": "power",
    "boots": 1,
    "boot_ms": 10,
}
INFO = {
    **HELLO,
    "heap_free": 50000,
    "heap_used": 1,
    "uptime_ms": 5,
    "session": "",
    "config": CONFIG,
    "fault": "",
    "in_place": None,
    "clock": {"unix": 1795854376, "trusted": True},
    "reader": {"state": "polling"},
    "scanner": {"state": "ok"},
    "display": {"alive": True, "errors": 0},
    "journal": JOURNAL,
    "taps": 0,
    "link": {"baud": 115200, "baud_max": 921600, "window": 240, "received": 0, "damaged": 0},
}
TAP = {
    "seq": 1,
    "medium": "quickpass",
    "outcome": "accepted",
    "reason": "",
    "fare": 200,
    "token": "00" * 8,
    "masked": "62**",
    "expiry": None,
    "balance": 5,
    "detail": {"what": "x", "why": "y"},
    "phases": {"read": 5, "verify": None},
    "us": {"read": 5},
    "at": 5,
}
ALL = 1 << 30  # bytes of a transfer, more than any: the validator has them already
GOOD: dict[str, Any] = {
    "tap.link": TAP,
    "scan.link": TAP,
    "config.begin": {"next": 0, "size": 5, "in_force": False},
    "config.data": {"next": 0},
    "transfer.begin": {"id": 1, "next": ALL, "block": 2048},
    "transfer.state": {"id": 1, "next": ALL, "held": 0, "busy": False},
    "transfer.finish": {"slot": "b"},
    "update.state": {
        "board": "VIRTUAL",
        "version": "0.1.0",
        "id": "00",
        "slot": "a",
        "idle": "b",
        "size": boards.load("VIRTUAL").partitions["app_a"].size,
        "key": "00",
    },
    "ping": {"us": 1},
    "info": INFO,
    "reset": {},
    "clock.set": {"unix": 1795854376},
    "screen": {"lines": ["Tap"], "icon": "tick", "colour": "green", "lights": []},
    "log.recent": [{"ms": 1, "level": "info", "area": "app", "text": "begins"}],
    "records.info": JOURNAL,
    "records.read": {"records": [], "contexts": [], "next": None},
    "records.ack": {"acked": 1, "durable": True},
    "transfer.pull": {"blocks": 0, "next": 1, "more": False},
    "config.info": CONFIG,
    "config.read": {"names": []},
    "lists.info": {"version": 1, "entries": 2, "faults": 0, "room": 100000, "hash": "aabbccdd"},
    "lists.contains": {"denied": False},
    "update.history": [
        {
            "unix": None,
            "before": False,
            "boot": 1,
            "slot": "a",
            "id": "ce6576dd8eab13c1",
            "version": "0.1.0",
            "why": "",
        }
    ],
}


def crc(data: bytes) -> int:
    """CRC-16/X-25 from its definition."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value ^ 0xFFFF


def message(content: Any) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"\x1e" + body + b"#%04x\n" % crc(body)


def block(channel: int, sequence: int, payload: bytes) -> bytes:
    head = bytes([channel, sequence & 255, len(payload) >> 8, len(payload) & 255])
    body = head + bytes([~sum(head) & 255]) + payload
    return b"\x1d" + body + crc(body).to_bytes(2, "big")


def good() -> dict[str, Any]:
    return copy.deepcopy(GOOD)


Say = Callable[[bytes], None]


class Device:
    """`calls`: an answer's result, bytes to say instead, or a function (params, say) of one of
    them; what is missing is refused. None is no answer. `error`: an error object by method."""

    def __init__(self, calls: dict[str, Any], hello: Callable[[Say], None] | None = None) -> None:
        self.calls = calls
        self.errors: dict[str, Any] = {}
        self.hello = hello
        self.seen: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._server, *self._lines):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._server.accept()
                self._lines.append(line)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        came = b""
        with suppress(OSError):
            if self.hello:
                self.hello(line.sendall)
            while data := line.recv(65536):
                line.sendall(block(0, 0, len(data).to_bytes(2, "big")))
                *whole, came = (came + data).split(b"\n")
                for frame in whole:
                    if frame.startswith(b"\x1e"):
                        self._answer(line, json.loads(frame[1:-5]))

    def _answer(self, line: socket.socket, request: dict[str, Any]) -> None:
        method = request.get("method")
        if method is None:
            self.seen.append("answer")
            return
        self.seen.append(method)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if method in self.errors:
            line.sendall(message({**reply, "error": self.errors[method]}))
            return
        if method not in self.calls:
            line.sendall(message({**reply, "error": {"code": -32601, "message": "no such call"}}))
            return
        result = self.calls[method]
        if callable(result):
            result = result(request.get("params") or {}, line.sendall)
        if isinstance(result, bytes):
            line.sendall(result)
        elif result is not None:
            line.sendall(message({**reply, "result": result}))


@contextmanager
def device(
    calls: dict[str, Any] | None = None, hello: Callable[[Say], None] | None = None
) -> Iterator[Device]:
    made = Device(good() if calls is None else calls, hello)
    try:
        yield made
    finally:
        made.close()
