"""The reader's side of ISO/IEC 14443-4 inside the simulated PN532 (InDataExchange)."""

from __future__ import annotations

from dataclasses import dataclass

from ..cards.iso_dep import CRC_SIZE, Picc

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
        self._block = 0
        self._seconds = 0.0
        self._extensions = 0

    def restart(self) -> None:
        """The card was activated anew."""
        self._block = 0

    def exchange(self, command: bytes) -> Outcome:
        self._seconds = 0.0
        self._extensions = 0
        try:
            answer = self._exchange(command)
        except Trouble as trouble:
            endless = self._extensions >= ENDLESS
            return Outcome(trouble.status, seconds=None if endless else self._seconds)
        return Outcome(OK, answer, self._seconds)

    def _exchange(self, command: bytes) -> bytes:
        room = self._picc.frame_size - CRC_SIZE - (2 if self._did else 1)
        pieces = [command[at : at + room] for at in range(0, len(command), room)] or [b""]
        for piece in pieces[:-1]:
            reply = self._talk(bytes([0x12 | self._block]) + piece)
            if reply[0] & 0xF6 != 0xA2:
                raise Trouble(PROTOCOL_ERROR)
            self._block ^= 1
        reply = self._talk(bytes([0x02 | self._block]) + pieces[-1])
        answer = bytearray()
        while True:
            if reply[0] & 0xE2 != 0x02:
                raise Trouble(PROTOCOL_ERROR)
            self._block ^= 1
            answer += reply[1:]
            if not reply[0] & 0x10:
                return bytes(answer)
            reply = self._talk(bytes([0xA2 | self._block]))

    def _talk(self, block: bytes) -> bytes:
        """A block, to the card's block with the right number."""
        sent, fault = block, TIMEOUT
        for _ in range(RETRIES + 1):
            reply = self._one(sent)
            while isinstance(reply, bytes) and reply[0] & 0xF7 == 0xF2:
                reply = self._extend(reply)
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

    def _extend(self, request: bytes) -> bytes | int:
        extension = request[1] & 0x3F if len(request) == 2 else 0
        if not 1 <= extension <= 59:
            raise Trouble(PROTOCOL_ERROR)
        self._extensions += 1
        if self._extensions >= ENDLESS:
            raise Trouble(TIMEOUT)
        return self._one(request, extension)

    def _one(self, block: bytes, extension: int = 1) -> bytes | int:
        """What came first, or the status that its damage or absence amounts to."""
        self._seconds += len(block) * RF_BYTE_SECONDS
        if self._did:
            block = bytes([block[0] | 0x08, self._did]) + block[1:]
        replies = self._picc.respond(block)
        limit = self._picc.frame_waiting_time * extension
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
