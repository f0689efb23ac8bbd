"""Bulk data between host and validator, at the host's end.

    from faretap.link import transfer

    result = transfer.send(session, "list", data, progress)

sends `data` (bytes, or `Packed` if it was packed before) to the sink of that kind, and returns
what its `finish` answered. A validator that was cut off in the middle takes it up where it was:
send the same data again. `progress(done, total)` gets bytes of the whole, also of what need not be
sent.

    for cursor, piece in transfer.pull(session, "records", {"from": 1}):
        …

asks a source for all that it has. Pieces come in order and none is missing; those that a bad line
spoils are asked for again, from the last cursor.

Errors are LinkError and its subclasses: Refused if the validator does not want it, NoAnswer.
firmware/validator/link/transfer.py is the other end, docs/update.md describes the blocks.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from faretap.link.client import Link, LinkError, NoAnswer, Refused
from validator.link import packed

BLOCK = packed.BLOCK
CHANNEL = 2
FROM_VALIDATOR = 3

Progress = Callable[[int, int], None]

_PIECE = 232  # bytes of a block in one piece: another call waits for one piece at most
_STATE_S = 0.7  # without a word from the validator for so long, it is asked
_SIGN_S = 10.0  # between signs of life, which keep a session open
_PATIENCE_S = 30.0  # without progress for so long, the transfer failed
_FINISH_S = 60.0
_PULL_BAUD = 5400  # for each block in one answer: so that an answer takes 1 or 2 seconds
_PULL_BLOCKS = 64  # at least
_PULL_S = 60.0
_PULL_AGAIN_S = 4.0
_PULLS = 8  # times in a row without a single piece
_LEAST_BAUD = 200  # bytes a second: a transfer that takes longer than at this rate has failed
_ONE_PLACE = 16  # pieces that leave the cursor where it is: keys and contexts of one record
_MOST_BYTES = 32 << 20  # of one pull: twice the largest flash


class HasLink(Protocol):
    """A `faretap.session.Session`, or whatever else has a link."""

    @property
    def link(self) -> Link: ...


@dataclass(frozen=True)
class Packed:
    """Data in packed blocks. `size` in bytes, `digest` its SHA-256 in hex."""

    blocks: Sequence[bytes]
    size: int
    digest: str


def pack_block(contents: bytes) -> bytes:
    """One packed block of 1 to BLOCK bytes."""
    if not 0 < len(contents) <= BLOCK:
        raise ValueError(f"a block has 1 to {BLOCK} bytes, not {len(contents)}")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -packed.WBITS, 9)
    small = deflate.compress(contents) + deflate.flush()
    if len(small) >= len(contents):
        small = contents
    head: bytes = packed.head(len(contents), len(small), binascii.crc32(contents))
    return head + small


def pack(data: bytes) -> Packed:
    """All of `data`, which must not be empty."""
    if not data:
        raise ValueError("there is nothing to send")
    blocks = [pack_block(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    return Packed(blocks, len(data), hashlib.sha256(data).hexdigest())


def send(
    session: HasLink,
    kind: str,
    data: bytes | Packed,
    progress: Progress = lambda done, total: None,
) -> Any:
    """Send `data` to the validator's sink of that kind; what the sink's `finish` answered."""
    prepared = data if isinstance(data, Packed) else pack(data)
    return _Sending(session.link, kind, prepared, progress).run()


@dataclass
class _Wanted:
    """What the validator waits for: `at` in packed block `number`."""

    number: int
    at: int
    failed: bool = False


class _Sending:
    def __init__(self, link: Link, kind: str, data: Packed, progress: Progress) -> None:
        self._link = link
        self._kind = kind
        self._data = data
        self._progress = progress
        self._id = -1
        # Only the last few matter; more than that is a flood.
        self._words: deque[_Wanted] = deque(maxlen=64)
        self._came = threading.Condition()

    def run(self) -> Any:
        with _blocks(self._link, self._word):
            wanted = self._begin()
            self._spoke = self._moved = time.monotonic()
            self._end = self._moved + _PATIENCE_S + self._data.size / _LEAST_BAUD
            self._best = (wanted.number, wanted.at)
            count = len(self._data.blocks)
            # What looks like the end may be a damaged word: so it is asked for.
            while wanted.number < count or (wanted := self._state()).number < count:
                self._progress(min(wanted.number * BLOCK, self._data.size), self._data.size)
                wanted = self._block(wanted)
            self._progress(self._data.size, self._data.size)
            return self._link.call(
                "transfer.finish", {"id": self._id}, timeout=_FINISH_S, again=3.0
            )

    def _begin(self) -> _Wanted:
        header = {"kind": self._kind, "size": self._data.size, "digest": self._data.digest}
        answer = self._link.call("transfer.begin", header, timeout=_FINISH_S, again=3.0)
        if answer["block"] != BLOCK:
            raise LinkError(
                f"The validator takes blocks of {answer['block']} bytes, this host sends {BLOCK}.",
                "Use the version of faretap that its firmware came with.",
            )
        self._id = answer["id"]
        return self._at(answer["next"])

    def _at(self, offset: int, held: int = 0) -> _Wanted:
        number = len(self._data.blocks) if offset >= self._data.size else offset // BLOCK
        return _Wanted(number, held)

    def _block(self, wanted: _Wanted) -> _Wanted:
        """Send the rest of one packed block; what is wanted then."""
        block = self._data.blocks[wanted.number]
        at = wanted.at
        while at < len(block):
            piece = block[at : at + _PIECE]
            where = wanted.number.to_bytes(2, "big") + at.to_bytes(2, "big")
            self._link.send_block(CHANNEL, self._id, where + piece)
            at += len(piece)
            if self._words:
                break  # something is missing, or the transfer failed
        return self._next()

    def _next(self) -> _Wanted:
        """Wait for the validator's word, and ask for it if none comes."""
        if time.monotonic() - self._spoke > _SIGN_S:
            self._state()
        word = self._last_word(_STATE_S)
        wanted = self._state() if word is None or word.failed else word
        self._progressed(wanted)
        return wanted

    def _progressed(self, wanted: _Wanted | None) -> None:
        """Further on than ever before counts; to and fro does not."""
        now = time.monotonic()
        if wanted is not None and (wanted.number, wanted.at) > self._best:
            self._best = (wanted.number, wanted.at)
            self._moved = now
        if now - self._moved > _PATIENCE_S or now > self._end:
            raise NoAnswer(
                f"The validator at {self._link.name} takes nothing in for {_PATIENCE_S:g} s, "
                "or too little.",
                "Is the line that bad? Run the same command again: it goes on where it was.",
            )

    def _last_word(self, timeout: float) -> _Wanted | None:
        """Of the words that came only the last one counts."""
        with self._came:
            self._came.wait_for(lambda: bool(self._words), timeout)
            word = self._words[-1] if self._words else None
            self._words.clear()
            return word

    def _state(self) -> _Wanted:
        """Ask what is wanted; waits while the validator is at work on a block."""
        while True:
            state = self._link.call("transfer.state", timeout=6.0)
            self._spoke = time.monotonic()
            if state.get("id") != self._id:
                raise LinkError(
                    "The validator gave up this transfer: it was reset, or another host came.",
                    "Run the same command again: it goes on where it was.",
                )
            if state.get("fault") is not None:
                raise Refused("transfer", -32000, state["fault"], state.get("data"))
            if not state.get("busy"):
                with self._came:
                    self._words.clear()
                return self._at(state.get("next", 0), state.get("held", 0))
            if (word := self._last_word(0.5)) is not None:
                return word
            self._progressed(None)

    def _word(self, channel: int, sequence: int, data: bytes) -> None:
        if channel != CHANNEL or sequence != self._id or len(data) != 5:
            return
        number, at = int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
        if number > len(self._data.blocks):
            return
        with self._came:
            self._words.append(_Wanted(number, at, failed=data[0] != 0))
            self._came.notify()


def pull(
    session: HasLink,
    kind: str,
    params: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda cursor: None,
    end: int | None = None,
) -> Iterator[tuple[int, bytes]]:
    """All pieces of a source, as (cursor behind it, data), in order.

    `params["from"]` is where to begin, 0 if it is missing. `progress(cursor)` is called as pieces
    come in. Raises NoAnswer if nothing arrives any more, LinkError if a cursor goes back, stays
    where it is, or goes beyond `end`.
    """
    link = session.link
    baud = int(link.device.baudrate)
    asked = {"from": 0, **(params or {}), "kind": kind, "baud": baud}
    most = asked["blocks"] = max(_PULL_BLOCKS, baud // _PULL_BAUD)
    idle = 0
    way = _Way(link, kind, int(asked["from"]), end)
    while idle < _PULLS:
        got: list[list[tuple[int, bytes]]] = []

        def block(
            channel: int, sequence: int, data: bytes, got: list[list[tuple[int, bytes]]] = got
        ) -> None:
            # What comes behind a gap is asked for again: the cursor would jump over it.
            if channel == FROM_VALIDATOR and sequence == len(got) & 0xFF and len(got) < most:
                pieces = split(data)
                if pieces:
                    got.append(pieces)
                    progress(pieces[-1][0])

        with _blocks(link, block), way.waiting():
            answer = link.call("transfer.pull", asked, timeout=_PULL_S, again=_PULL_AGAIN_S)
        lost = len(got) != answer["blocks"]
        before = asked["from"]
        for pieces in got:
            for cursor, piece in pieces:
                way.step(cursor, piece)
                yield cursor, piece
        if got:
            asked["from"] = got[-1][-1][0]
        if not lost and not answer["more"]:
            return
        idle = 0 if asked["from"] != before else idle + 1
    raise NoAnswer(
        f"The validator at {link.name} sends {kind}, and nothing of it arrives.",
        "Take a lower rate, or check the cable.",
    )


class _Way:
    """Where a pull has come to: it must get on, and has an end."""

    def __init__(self, link: Link, kind: str, at: int, end: int | None) -> None:
        self._link = link
        self._kind = kind
        self._at = at
        self._end = end
        self._here = 0
        self._bytes = 0
        self._waited = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """For an answer: NoAnswer if all of them together took too long for what they brought."""
        if self._waited > 2 * _PULL_S + self._bytes / _LEAST_BAUD:
            raise NoAnswer(
                f"The validator at {self._link.name} sends {self._kind} too slowly: "
                f"{self._bytes:,} bytes in {self._waited:.0f} s.",
                "What came is kept. Is the line that bad? Run the same command again.",
            )
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited += time.monotonic() - began

    def step(self, cursor: int, piece: bytes) -> None:
        self._bytes += len(piece)
        self._here = self._here + 1 if cursor == self._at else 0
        why = ""
        if cursor < self._at:
            why = f"it goes back from {self._at} to {cursor}"
        elif self._here > _ONE_PLACE:
            why = f"it stays at {cursor}"
        elif self._end is not None and cursor > self._end:
            why = f"it is at {cursor}, and said to have no more than up to {self._end - 1}"
        elif self._bytes > _MOST_BYTES:
            why = f"more than {_MOST_BYTES:,} bytes came"
        if why:
            raise LinkError(
                f"The {self._kind} of the validator at {self._link.name} have no end: {why}.",
                "What came before is kept. Is it a validator?",
            )
        self._at = cursor


def split(data: bytes) -> list[tuple[int, bytes]]:
    """The pieces in a block's payload (firmware/validator/link/send.py), each with the cursor
    behind it; none if it is not laid out like that."""
    pieces = []
    cursor = int.from_bytes(data[:4], "big")
    at = 4
    while at + 3 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        cursor += data[at + 2]
        at += 3 + size
        pieces.append((cursor, data[at - size : at]))
    return pieces if at == len(data) else []


@contextlib.contextmanager
def _blocks(link: Link, take: Callable[[int, int, bytes], None]) -> Iterator[None]:
    before, link.on_block = link.on_block, take
    try:
        yield
    finally:
        link.on_block = before
