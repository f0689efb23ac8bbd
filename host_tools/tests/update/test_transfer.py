"""Both ends of a transfer, with a line between them that loses, doubles, damages and reorders."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import Registry
from faretap.link import transfer
from faretap.link.client import LinkError, NoAnswer, Refused
from faretap.link.transfer import BLOCK, pack, pull, send, split
from transfer_bench import App, Sink
from validator.link.peer import RpcError
from validator.link.transfer import Transfer

WAYS = ("whole", "lost", "doubled", "flipped", "late")


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    """Words of the validator are there at once in these tests, or never."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "_STATE_S", 0.0)
        yield


class Line:
    """Stands for a `Link`, with the validator's transfer layer behind it.

    `ways(direction)` says what becomes of the next block: one of WAYS.
    """

    name = "a line"
    device = SimpleNamespace(baudrate=115200)

    def __init__(self, ways: Callable[[str], str] = lambda direction: "whole") -> None:
        self.app = App()
        self.app.clock.stands = True
        self.peer = Registry()
        self.transfer = Transfer(self.app, self.peer)
        self.app.transfer = self.transfer  # type: ignore[attr-defined]
        self.sink = Sink()
        self.transfer.sinks["thing"] = self.sink
        self.on_block: Callable[[int, int, bytes], None] = lambda *block: None
        self.calls: list[str] = []
        self.blocks = 0
        self.cut_after = 1 << 30  # blocks that still arrive
        self._ways = ways
        self._late: dict[str, list[tuple[int, int, bytes]]] = {"to": [], "from": []}
        self._chance = random.Random(7)
        self._loop = asyncio.new_event_loop()

    @property
    def link(self) -> Any:
        return self

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._settle()
        self._loop.close()

    def _settle(self) -> None:
        async def rounds() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self._loop.run_until_complete(rounds())
        said, self.app.console.blocks = self.app.console.blocks, []
        for block in said:
            self._carry("from", block, lambda *b: self.on_block(*b))

    def call(self, method: str, params: Any = None, timeout: float = 3, again: float = 1) -> Any:
        self.calls.append(method)

        async def ask() -> Any:
            result = self.peer.calls[method](params or {})
            return await result if hasattr(result, "send") else result

        try:
            return self._loop.run_until_complete(ask())
        except RpcError as e:
            raise Refused(method, e.code, e.message, e.data) from e
        finally:
            self._settle()

    def send_block(self, channel: int, sequence: int, payload: bytes) -> None:
        if self.blocks >= self.cut_after:
            raise LinkError("The link broke.")
        self.blocks += 1

        async def arrive() -> None:
            self._carry("to", (channel, sequence, payload), self.peer.on_block)

        self._loop.run_until_complete(arrive())
        self._settle()

    def _carry(self, where: str, block: tuple[int, int, bytes], deliver: Any) -> None:
        way = self._ways(where)
        late = self._late[where]
        if way == "late":
            late.append(block)
            return
        if way == "flipped":  # past the CRC of the frame
            payload = bytearray(block[2])
            payload[self._chance.randrange(len(payload))] ^= 1 << self._chance.randrange(8)
            block = (block[0], block[1], bytes(payload))
        if way != "lost":
            deliver(*block)
        if way == "doubled":
            deliver(*block)
        while late:
            deliver(*late.pop())


def data_of(size: int, seed: int = 1) -> bytes:
    """Something that packs to about half, in parts not at all."""
    chance = random.Random(seed)
    words = [chance.randbytes(12) for _ in range(40)]
    out = b"".join(chance.choice(words) for _ in range(size // 24 + 1))
    return (out + chance.randbytes(size // 2 + 1))[:size]


def received(line: Line, size: int) -> bytes:
    """What the sink has, each write where it belongs; writes must be in order."""
    out = bytearray(size)
    end = line.sink.start
    for offset, data in line.sink.writes:
        assert offset == end
        out[offset : offset + len(data)] = data
        end = offset + len(data)
    return bytes(out)


@pytest.mark.parametrize("size", [1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77])
def test_all_of_it_arrives(size: int) -> None:
    with Line() as line:
        data = data_of(size)
        told: list[tuple[int, int]] = []
        assert send(line, "thing", data, lambda done, total: told.append((done, total)))["writes"]
        assert received(line, size) == data
        assert told[-1] == (size, size) and told == sorted(told)
        # Nothing had to be asked on the way.
        assert line.calls == ["transfer.begin", "transfer.state", "transfer.finish"]


def test_packing() -> None:
    packed = pack(b"faretap " * 1000)
    assert len(packed.blocks) == 4 and sum(map(len, packed.blocks)) < 200
    noise = random.Random(2).randbytes(BLOCK)
    assert pack(noise).blocks[0][8:] == noise
    with pytest.raises(ValueError, match="nothing"):
        pack(b"")
    with pytest.raises(ValueError, match="1 to"):
        transfer.pack_block(bytes(BLOCK + 1))


@settings(max_examples=25, deadline=None)
@given(
    ways=st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 3)), max_size=40),
    size=st.integers(1, 4 * BLOCK),
)
def test_any_line_costs_only_time(ways: list[tuple[str, int]], size: int) -> None:
    plan = [way for name, good in ways for way in [name] + ["whole"] * good]
    with Line(lambda direction: plan.pop(0) if plan else "whole") as line:
        data = data_of(size, len(ways))
        send(line, "thing", data)
        assert received(line, size) == data
        assert line.sink.finished == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_line_that_spoils_all_the_time(way: str) -> None:
    turn = iter(range(1 << 30))
    # What is damaged past a frame's CRC costs the whole packed block, so not in each of them.
    often = 23 if way == "flipped" else 2
    with Line(lambda direction: way if next(turn) % often == 1 else "whole") as line:
        data = data_of(6 * BLOCK + 5)
        send(line, "thing", data)
        assert received(line, len(data)) == data


def test_cut_at_every_block_and_taken_up_again() -> None:
    data = data_of(2 * BLOCK + 10)
    with Line() as whole:
        send(whole, "thing", data)
        for cut in range(whole.blocks):
            with Line() as line:
                line.cut_after = cut
                with pytest.raises(LinkError):
                    send(line, "thing", data)
                line.cut_after = 1 << 30
                line.sink.start = len(received(line, len(data)).rstrip(b"\0")) // BLOCK * BLOCK
                line.sink.writes.clear()
                before = line.sink.start
                send(line, "thing", data)
                assert received(line, len(data))[before:] == data[before:], cut


def test_refusals_come_with_the_sinks_words() -> None:
    class Odd(ValueError):
        reason = "odd"

    with Line() as line:
        line.sink.fault = Odd("this thing is odd")
        with pytest.raises(Refused, match="this thing is odd") as refused:
            send(line, "thing", data_of(3 * BLOCK))
        assert refused.value.data == {"kind": "odd"}
        with pytest.raises(Refused, match="takes no other"):
            send(line, "other", b"x")


def test_another_host_came_between() -> None:
    with Line() as line:
        data = data_of(3 * BLOCK)

        def meddle(done: int, total: int) -> None:
            if done == BLOCK and line.calls.count("transfer.begin") == 1:
                line.call("transfer.begin", {"kind": "thing", "size": 10, "digest": ""})

        with pytest.raises(LinkError, match="gave up this transfer"):
            send(line, "thing", data, meddle)


def test_a_line_that_carries_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PATIENCE_S", 0.05)
    with Line(lambda way: "lost") as line, pytest.raises(NoAnswer, match="takes nothing in"):
        send(line, "thing", data_of(BLOCK))


def test_another_block_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Line() as line:
        monkeypatch.setattr("validator.link.receive._BLOCK", 4096)
        with pytest.raises(LinkError, match="blocks of 4096"):
            send(line, "thing", b"x")


def thing(n: int) -> tuple[int, bytes]:
    """The n-th piece and the cursor behind it, which jumps now and then."""
    return n + 1 + n // 50 * 1000, b"piece %d " % n * (n % 61)


def source(count: int) -> Callable[[dict[str, Any]], Iterator[tuple[int, bytes]]]:
    def pieces(params: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
        for cursor, piece in map(thing, range(count)):
            if cursor > params["from"]:
                yield cursor, piece

    return pieces


@pytest.mark.parametrize("way", WAYS[:3] + WAYS[4:])
@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 3000])
def test_a_source_is_read_to_its_end(way: str, count: int) -> None:
    turn = iter(range(1 << 30))
    with Line(lambda direction: way if next(turn) % 37 == 5 else "whole") as line:
        line.transfer.sources["things"] = source(count)
        told: list[int] = []
        got = list(pull(line, "things", progress=told.append))
        assert got == list(map(thing, range(count)))
        assert told[-1:] == [cursor for cursor, _ in got[-1:]]
        if count:
            last = thing(count - 1)
            assert list(pull(line, "things", {"from": last[0] - 1})) == [last]


@given(data=st.binary(max_size=60))
def test_whatever_comes_as_a_block_of_pieces(data: bytes) -> None:
    """Laid out as it must be, or not taken at all."""
    again = b""
    before = None
    for cursor, piece in split(data):
        if before is None:
            again += int.to_bytes((cursor - data[6]) & 0xFFFFFFFF, 4, "big")
            before = cursor - data[6]
        again += len(piece).to_bytes(2, "big") + bytes([cursor - before]) + piece
        before = cursor
    assert again in (b"", data)


def test_a_source_of_which_nothing_arrives() -> None:
    with Line(lambda direction: "lost") as line:
        line.transfer.sources["things"] = source(3)
        with pytest.raises(NoAnswer, match="nothing of it arrives"):
            list(pull(line, "things"))
