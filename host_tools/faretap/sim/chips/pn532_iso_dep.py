"""The reader's side of ISO/IEC 14443-4 inside the simulated PN532 (InDataExchange)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from ..cards.iso_dep import CRC_SIZE, Picc, Reply

OK, TIMEOUT, CRC_ERROR, PROTOCOL_ERROR = 0x00, 0x01, 0x02, 0x0B

RF_BYTE_SECONDS = 0.000085  # 106 kbit/s with parity
RETRIES = 2
ENDLESS = 200  # so many time extensions in a row: the chip goes on for as long as the card asks


@dataclass
class Outcome:
    """`status` of the chip, `data` of the card; `seconds` that it took, None = without end."""

    status: int
    data: bytes = b""
    seconds: float | None = 0.0


@dataclass(frozen=True)
class Sent:
    """A block to the card, and for how many seconds the chip waits for an answer."""

    block: bytes
    limit: float


_T = TypeVar("_T")
Steps = Generator[Sent, list[Reply], _T]


class Trouble(Exception):
    """The exchange ended without an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:02X}")
        self.status = status


class IsoDepReader:
    """One activated card: block number, chaining, waiting time, repetition."""

    def __init__(self, picc: Picc, did: int = 0) -> None:
        self._picc = picc
        self._did = did
        # A card that another chip plays takes real time: it goes through the blocks by itself.
        self._carry = getattr(picc, "carry", self._at_once)
        self._block = 0
        self._seconds = 0.0
        self._extensions = 0

    def restart(self) -> None:
        """The card was activated anew."""
        self._block = 0

    def begin(self, command: bytes, done: Callable[[Outcome], None]) -> None:
        """One exchange; `done` is called with what became of it, now or later."""
        self._carry(self._steps(command), done)

    def exchange(self, command: bytes) -> Outcome:
        """The same with a card that answers at once."""
        outcomes: list[Outcome] = []
        self._at_once(self._steps(command), outcomes.append)
        return outcomes[0]

    def _at_once(self, steps: Steps[Outcome], done: Callable[[Outcome], None]) -> None:
        try:
            sent = next(steps)
            while True:
                sent = steps.send(self._picc.respond(sent.block))
        except StopIteration as end:
            done(end.value)

    def _steps(self, command: bytes) -> Steps[Outcome]:
        self._seconds = 0.0
        self._extensions = 0
        try:
            answer = yield from self._exchange(command)
        except Trouble as trouble:
            endless = self._extensions >= ENDLESS
            return Outcome(trouble.status, seconds=None if endless else self._seconds)
        return Outcome(OK, answer, self._seconds)

    def _exchange(self, command: bytes) -> Steps[bytes]:
        room = self._picc.frame_size - CRC_SIZE - (2 if self._did else 1)
        pieces = [command[at : at + room] for at in range(0, len(command), room)] or [b""]
        for piece in pieces[:-1]:
            reply = yield from self._talk(bytes([0x12 | self._block]) + piece)
            if reply[0] & 0xF6 != 0xA2:
                raise Trouble(PROTOCOL_ERROR)
            self._block ^= 1
        reply = yield from self._talk(bytes([0x02 | self._block]) + pieces[-1])
        answer = bytearray()
        while True:
            if reply[0] & 0xE2 != 0x02:
                raise Trouble(PROTOCOL_ERROR)
            self._block ^= 1
            answer += reply[1:]
            if not reply[0] & 0x10:
                return bytes(answer)
            reply = yield from self._talk(bytes([0xA2 | self._block]))

    def _talk(self, block: bytes) -> Steps[bytes]:
        """A block, to the card's block with the right number."""
        sent, fault = block, TIMEOUT
        for _ in range(RETRIES + 1):
            reply = yield from self._one(sent)
            while isinstance(reply, bytes) and reply[0] & 0xF7 == 0xF2:
                reply = yield from self._extend(reply)
            if isinstance(reply, int):
                fault = reply
            elif reply[0] & 0xF6 == 0xA2 and reply[0] & 1 != self._block:
                sent = block  # rule 6: the block never arrived
                continue
            elif reply[0] & 0x01 == self._block and reply[0] & 0xF6 != 0xB2:
                return reply
            else:
                fault = PROTOCOL_ERROR
            sent = bytes([0xB2 | self._block])
        raise Trouble(fault)

    def _extend(self, request: bytes) -> Steps[bytes | int]:
        extension = request[1] & 0x3F if len(request) == 2 else 0
        if not 1 <= extension <= 59:
            raise Trouble(PROTOCOL_ERROR)
        self._extensions += 1
        if self._extensions >= ENDLESS:
            raise Trouble(TIMEOUT)
        return (yield from self._one(request, extension))

    def _one(self, block: bytes, extension: int = 1) -> Steps[bytes | int]:
        """What came first, or the status that its damage or absence amounts to."""
        self._seconds += len(block) * RF_BYTE_SECONDS
        if self._did:
            block = bytes([block[0] | 0x08, self._did]) + block[1:]
        limit = self._picc.frame_waiting_time * extension
        replies = yield Sent(block, limit)
        if not replies or replies[0].seconds > limit:
            self._seconds += limit
            return TIMEOUT
        first = replies[0]
        self._seconds += first.seconds + len(first.data) * RF_BYTE_SECONDS
        if first.noise or not first.good or not first.data:
            return CRC_ERROR
        if first.data[0] & 0x08:
            return bytes([first.data[0] & ~0x08]) + first.data[2:]
        return first.data
