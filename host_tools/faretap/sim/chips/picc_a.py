"""A card's side of ISO/IEC 14443-3 type A: short frames, anticollision, selection, halt.

Frames are bytes and a number of bits, least significant bit first, CRC included, parity left to
whoever carries them. Times are seconds from the end of the reader's frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from .presented import Presented

FC = 13.56e6
ETU = 128 / FC  # one bit at 106 kbit/s
FDT = 1236 / FC  # frame delay time: from the reader's last bit to the card's first (6.2.1.1)
REQA, WUPA = 0x26, 0x52
CASCADE_TAG = 0x88
SELECT_CODES = (0x93, 0x95, 0x97)

IDLE, READY, ACTIVE, HALT, PROTOCOL = "idle", "ready", "active", "halt", "protocol"


def crc_a(data: bytes) -> bytes:
    """CRC_A as it goes over the air, low byte first (ISO/IEC 14443-3, 6.2.4)."""
    crc = 0x6363
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def to_bits(data: bytes, count: int | None = None) -> list[int]:
    bits = [byte >> n & 1 for byte in data for n in range(8)]
    return bits if count is None else bits[:count]


def to_bytes(bits: list[int]) -> bytes:
    """Bits to bytes, the last one filled up with zeros."""
    return bytes(
        sum(bit << n for n, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )


@dataclass(frozen=True)
class Answer:
    """What a card modulates: `bits`, starting at `seconds`, at 106 kbit/s times 2**`rate`."""

    bits: list[int]
    seconds: float = FDT
    rate: int = 0
    noise: bool = False


class PiccA:
    """The state machine of a presented card (ISO/IEC 14443-3, 6.3)."""

    def __init__(self, presented: Presented) -> None:
        self.presented = presented
        self.picc = presented.picc
        self.state = IDLE
        self._home = IDLE  # HALT for a card that was woken out of it
        self._level = 0

    def reset(self) -> None:
        """The field went away."""
        self.state = self._home = IDLE
        self.picc.deselect()
        self.picc.halted = False

    def receive(self, data: bytes, bits: int, rate: int = 0) -> list[Answer]:
        """A frame of `bits` bits from the reader."""
        expected = self.picc.rates[0] if self.state == PROTOCOL else 0
        if self.state == PROTOCOL and self.picc.next_rates is not None:
            expected = self.picc.next_rates[0]
        if rate != expected:
            return []
        if self.state == PROTOCOL:
            return self._protocol(data, bits)
        if bits == 7:
            return self._short(data[0] & 0x7F)
        if self.state == READY:
            return self._ready(data, bits)
        if self.state == ACTIVE:
            return self._active(data, bits)
        return []

    def _short(self, code: int) -> list[Answer]:
        if self.state in (READY, ACTIVE):
            self.state = self._home
            return []
        if code != WUPA and (code != REQA or self.state != IDLE):
            return []
        if self.picc.faults.take("Q21") is not None:
            return []
        self._home = self.state
        self.state = READY
        self._level = 0
        self.picc.wake()
        return [Answer(to_bits(self.picc.atqa.to_bytes(2, "little")))]

    def _levels(self) -> list[bytes]:
        """UID CLn: four bytes of each cascade level, cascade tag where another one follows."""
        uid = self.picc.uid
        parts = []
        while len(uid) > 4:
            parts.append(bytes([CASCADE_TAG]) + uid[:3])
            uid = uid[3:]
        return [*parts, uid]

    def _ready(self, data: bytes, bits: int) -> list[Answer]:
        levels = self._levels()
        part = levels[self._level]
        own = to_bits(part + bytes([part[0] ^ part[1] ^ part[2] ^ part[3]]))
        if bits < 16 or data[0] != SELECT_CODES[self._level]:
            self.state = self._home
            return []
        known = ((data[1] >> 4) - 2) * 8 + (data[1] & 0x07)
        if data[1] == 0x70:
            if bits != 72 or crc_a(data[:7]) != data[7:9] or to_bits(data[2:7]) != own:
                self.state = self._home
                return []
            last = self._level == len(levels) - 1
            if last:
                self.state = ACTIVE
            else:
                self._level += 1
            sak = bytes([self.picc.sak & ~0x04 if last else 0x04])
            return [Answer(to_bits(sak + crc_a(sak)))]
        if not 0 <= known < 40 or data[1] & 0x08 or bits != 16 + known:
            self.state = self._home
            return []
        if to_bits(data[2:], known) != own[:known]:
            return []
        return [Answer(own[known:])]

    def _active(self, data: bytes, bits: int) -> list[Answer]:
        if bits % 8 == 0 and len(data) >= 3 and crc_a(data[:-2]) == data[-2:]:
            if data[:-2] == b"\x50\x00":
                self.state = self._home = HALT
                return []
            if data[0] == 0xE0 and self.picc.iso_dep:
                answers = self._protocol(data, bits)
                if answers:
                    self.state = PROTOCOL
                    return answers
        self.state = self._home
        return []

    def _protocol(self, data: bytes, bits: int) -> list[Answer]:
        """ISO/IEC 14443-4 from here on; a damaged frame is not answered."""
        if bits % 8 or len(data) < 3 or crc_a(data[:-2]) != data[-2:]:
            return []
        replies = self.picc.respond(data[:-2])
        if self.picc.halted:
            self.state = self._home = HALT
            self.picc.halted = False
        answers = []
        for reply in replies:
            check = crc_a(reply.data)
            if not reply.good:
                check = bytes([check[0] ^ 0xFF, check[1]])
            frame = reply.data if reply.noise else reply.data + check
            answers.append(
                Answer(to_bits(frame), FDT + reply.seconds, self.picc.rates[1], reply.noise)
            )
        return answers


def superpose(answers: list[Answer]) -> tuple[list[int], int | None]:
    """What a reader sees of answers that start together, and the place of the first collision.

    Where two cards send different bits, both halves of the bit are modulated: read as 1.
    """
    longest = max(len(answer.bits) for answer in answers)
    bits: list[int] = []
    collision = None
    for at in range(longest):
        seen = {answer.bits[at] for answer in answers if at < len(answer.bits)}
        if len(seen) > 1 and collision is None:
            collision = at
        bits.append(max(seen))
    return bits, collision
