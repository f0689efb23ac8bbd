"""A bad line and a bad host: calls end right, what changes something is done once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from faretap.link import Refused
from faretap.present import tap, tap_on_link
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim import cards, codes
from faretap.virtual import VirtualProcess

LOSSES: dict[str, Callable[[bytes, int], bytes]] = {
    "flipped": lambda data, at: data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :],
    "lost": lambda data, at: data[:at] + data[at + 1 :],
    "doubled": lambda data, at: data[:at] + data[at : at + 1] + data[at:],
    "cut short": lambda data, at: data[:at],
    "all lost": lambda data, at: b"",
    "all twice": lambda data, at: data + data,
}


class BadLine:
    """Between a session and its port: spoils the next frame of at least `least` bytes that goes
    `towards` the validator or comes from it, `times` times over."""

    def __init__(self, session: Session) -> None:
        device = session.link.device
        self._write, self._read = device.write, device.read
        self._late = b""
        self.plan: list[tuple[str, str, float]] = []
        device.write = self.write
        device.read = self.read

    def write(self, data: bytes) -> int:
        self._write(self._spoiled("to", data, 20))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        # Gather a line, so that what is spoiled is a frame and not a single byte.
        data: bytes = self._read(size)
        if data and any(where == "from" for where, _, _ in self.plan):
            while more := self._read(1):
                data += more
            data = self._spoiled("from", data, 60)
        return data

    def _spoiled(self, where: str, data: bytes, least: int) -> bytes:
        if not self.plan or self.plan[0][0] != where or len(data) < least:
            return data
        _, how, share = self.plan.pop(0)
        return LOSSES[how](data, int(share * (len(data) - 1)))


def crc(data: bytes) -> int:
    """CRC-16/X-25 from its definition."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value ^ 0xFFFF


def framed(body: bytes) -> bytes:
    """A message with a right check, whatever is in it."""
    return b"\x1e" + body + b"#%04x\n" % crc(body)


def untouched(session: Session, boots: int) -> dict[str, Any]:
    """`info` of a validator that did not start anew since."""
    info: dict[str, Any] = session.link.call("info", timeout=5.0)
    assert info["boots"] == boots
    assert b"Traceback" not in session.console
    return info


@pytest.mark.parametrize("where", ["to", "from"])
@pytest.mark.parametrize("how", LOSSES)
def test_a_call_on_a_bad_line_is_done_once(session: Session, where: str, how: str) -> None:
    line = BadLine(session)
    code = codes.make("cpm").hex()
    damaged = session.link.damaged + session.link.call("info")["link"]["damaged"]
    expected = 0
    for share in (0.0, 0.5, 0.97):
        line.plan = [(where, how, share)]
        summary = session.link.call("scan.link", {"hex": code}, timeout=6.0, again=0.25)
        assert line.plan == []
        expected += 1
        assert (summary["seq"], summary["medium"]) == (expected, "cpm")
    # Spoiled again and again: the third time it comes through.
    line.plan = [(where, how, 0.4)] * 2
    summary = session.link.call("scan.link", {"hex": code}, timeout=8.0, again=0.25)
    line.plan = []
    assert summary["seq"] == expected + 1
    info = session.link.call("info")
    assert info["taps"] == info["journal"]["records"] == expected + 1
    if how in ("flipped", "lost", "doubled"):
        assert session.link.damaged + info["link"]["damaged"] > damaged
    assert info["boots"] == 1


@pytest.mark.parametrize("where", ["to", "from"])
def test_a_tap_on_a_bad_line_asks_the_card_each_thing_once(session: Session, where: str) -> None:
    good, bad = cards.make("quickpass-debit"), cards.make("quickpass-debit")
    tap_on_link(session, good)
    line = BadLine(session)
    chance = random.Random(5)
    ways = ("flipped", "lost", "doubled", "all lost")
    line.plan = [(where, chance.choice(ways), chance.random()) for _ in range(6)]
    summary = tap_on_link(session, bad, timeout=20.0)
    assert summary["outcome"] == "declined" and summary["token"]
    assert line.plan == []
    asked = [command[:4] for command in bad.commands]  # type: ignore[attr-defined]
    assert asked == [command[:4] for command in good.commands]  # type: ignore[attr-defined]
    assert [record.seq for record in pull(session.link, 0)] == [1, 2]


def test_garbage_into_the_console(make_board: Callable[..., VirtualProcess]) -> None:
    """10 KB of anything, at the line's own pace and far beyond its buffer."""
    from faretap.session import connect

    chance = random.Random(3)
    markers = bytes([0x1E, 0x1D])
    floods = {
        "random": chance.randbytes(10240),
        "letters": b"A" * 10240,
        "keys": b"\x03\x04\x01\x02\x05\r\n" * 1463,  # what stops, resets and opens a REPL
        "begun messages": (b'\x1e{"id":1,"method":"pi' * 500)[:10240],
        "markers": bytes(chance.choice(markers) for _ in range(10240)),
    }
    with connect(make_board().port_url, wait=10.0) as session:
        for name, flood in floods.items():
            before = session.link.call("info")["uptime_ms"]
            for at in range(0, len(flood), 512):
                session.link.write_raw(flood[at : at + 512])
            assert session.link.call("ping", timeout=6.0)["us"] >= 0, name
            info = untouched(session, boots=1)
            assert info["uptime_ms"] >= before
        assert b">>>" not in session.console
        assert tap(session, "tunion", via="link")["seq"] == 1


def test_a_block_that_never_ends(session: Session) -> None:
    """Its sender was unplugged in the middle: what comes after a silence is not its rest."""
    session.link.write_raw(bytes.fromhex("1d01000300fb"))  # 768 bytes are to come
    session.link.call("ping", timeout=3.0)


NONSENSE = [
    b"[]", b"5", b"null", b'"x"', b"{}", b"{", b"", b"\xff\xfe\x00",
    b'{"id":1}', b'{"id":[1]}', b'{"id":{"a":1},"result":1}', b'{"id":null,"method":null}',
    b'{"id":2,"method":5}', b'{"id":3,"method":""}', b'{"id":4,"method":"__class__"}',
    b'{"id":[5],"method":"ping"}', b'{"method":"ping"}', b'{"method":"reset!"}',
    b'{"id":6,"method":"ping","params":5}', b'{"id":7,"method":"' + b"x" * 1200 + b'"}',
    b'{"id":8,"method":"tap.link","params":{"uid":"zz","sak":32}}',
    b'{"id":9,"method":"tap.link","params":{"uid":"01020304","sak":"x"}}',
    b'{"id":10,"method":"tap.link","params":{"sak":32}}',
    b'{"id":11,"method":"scan.link","params":{"hex":"abc"}}',
    b'{"id":12,"method":"scan.link","params":{"hex":5}}',
    b'{"id":13,"method":"scan.link"}',
    b'{"id":14,"method":"records.read","params":{"from":-5,"max":-1}}',
    b'{"id":15,"method":"records.read","params":{"max":"x"}}',
    b'{"id":16,"method":"records.read","params":{"from":99999999999999999999}}',
    b'{"id":17,"method":"clock.set"}', b'{"id":18,"method":"clock.set","params":{"unix":"x"}}',
    b'{"id":19,"method":"clock.set","params":{"unix":-1}}',
    b'{"id":20,"method":"link.baud","params":{"baud":1}}',
    b'{"id":21,"method":"link.baud","params":{"baud":true}}',
    b'{"id":22,"method":"bench.source","params":{"bytes":"x"}}',
    b'{"id":23,"method":"bench.source","params":{"bytes":-1}}',
    b'{[1]:2,"id":24,"method":"ping"}', b"{{}:1}", b"[" * 600, b"[" * 300 + b"]" * 300,
    b'{"a":' * 250 + b"1" + b"}" * 250, b'{"id":1e400,"method":"ping"}',
    b'{"id":25,"method":"\\ud800"}', b'{"id":26,"jsonrpc":"1.0","method":"nothing.at.all"}',
]  # fmt: skip

# A method that is not even text, and parameters that are no object.
HARD_NONSENSE = [
    b'{"id":30,"method":[1]}',
    b'{"id":31,"method":{"a":1}}',
    b'{"method":[1]}',
    b'{"id":32,"method":"records.read","params":[1]}',
    b'{"id":33,"method":"records.read","params":"from"}',
]


@pytest.mark.parametrize(
    "bodies",
    [NONSENSE, HARD_NONSENSE],
    ids=["nonsense", "hard"],
)
def test_nonsense_in_right_frames(session: Session, bodies: list[bytes]) -> None:
    """Each is answered with an error or ignored, and harms nothing."""
    answers: dict[Any, dict[str, Any]] = {}
    received = session.link._message

    def receive(message: dict[str, Any]) -> None:
        if isinstance(message.get("id"), int) and "method" not in message:
            answers[message["id"]] = message
        received(message)

    session.link._message = receive  # type: ignore[method-assign]
    for body in bodies:
        session.link._write(framed(body))
        untouched(session, boots=1)
    for body in bodies:
        try:
            asked = json.loads(body)
        except ValueError:
            continue
        if not isinstance(asked, dict) or not isinstance(asked.get("id"), int):
            continue
        if "method" not in asked:
            continue
        answer = answers[asked["id"]]
        harmless = asked["method"] in ("ping", "records.read", "bench.source")
        assert harmless or "error" in answer, body
        if "error" in answer:
            assert answer["error"]["code"] in (-32601, -32602, -32600, -32000), answer
            assert answer["error"]["message"]
    assert session.link.call("info")["journal"]["records"] == 0
    assert tap(session, "tunion", via="link")["seq"] == 1


def test_a_host_that_answers_nonsense_for_a_card(session: Session) -> None:
    """The card of a broken host is malformed; the validator goes on."""
    answers: list[Any] = [
        {}, [], None, 5, "9000", {"rapdu": 5}, {"rapdu": "9"}, {"rapdu": "zz"}, {"rapdu": ""},
        {"rapdu": "90"}, {"rapdu": "00" * 400},
    ]  # fmt: skip
    presented = {"uid": "01020304", "atqa": 4, "sak": 32, "ats": "0578807002"}
    for n, answer in enumerate(answers, 1):
        session.link.serve("card.transceive", lambda params, answer=answer: answer)  # type: ignore[misc]
        summary = session.link.call("tap.link", presented, timeout=8.0, again=3.0)
        assert summary["outcome"] in ("declined", "retry"), answer
        assert summary["reason"] in ("malformed", "unsupported", "card_lost"), answer
        assert summary["seq"] == n
        untouched(session, boots=1)
    assert tap(session, "tunion", via="link")["reason"] == "unverified"


def test_cards_that_cannot_be(session: Session) -> None:
    for wrong in (
        {"uid": "010203", "sak": 32},
        {"uid": "01020304", "sak": None},
        {"uid": "01020304"},
        {"sak": 32},
        {"uid": "01020304", "sak": 32, "ats": 7},
    ):
        with pytest.raises(Refused, match="bad parameters"):
            session.link.call("tap.link", wrong)
    assert tap(session, "tunion", via="link")["seq"] == 1


def test_a_time_at_the_end_of_time(session: Session) -> None:
    """A clock that runs out of its 32 bits is refused, or does no harm to the next rider."""
    try:
        session.link.call("clock.set", {"unix": (1 << 32) - 1})
    except Refused:
        pass
    for _ in range(2):
        assert tap(session, "tunion", via="link")["outcome"] == "declined"
    untouched(session, boots=1)
