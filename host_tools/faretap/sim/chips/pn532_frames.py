"""PN532 host frames on the wire: building and incremental parsing (UM0701-02, 6.2.1).

normal     00.. 00 FF LEN LCS  TFI PD0..PDn  DCS 00
extended   00.. 00 FF FF FF LENM LENL LCS  TFI PD0..PDn  DCS 00
ACK        00.. 00 FF 00 FF 00
NACK       00.. 00 FF FF 00 00
error      00.. 00 FF 01 FF 7F 81 00
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOST_TO_CHIP = 0xD4
CHIP_TO_HOST = 0xD5
MAX_FRAME = 265  # TFI and data of the longest frame, either way

ACK = bytes.fromhex("0000FF00FF00")
NACK = bytes.fromhex("0000FFFF0000")
ERROR = bytes.fromhex("0000FF01FF7F8100")

_START = b"\x00\xff"

Kind = Literal["ack", "nack", "data"]


@dataclass(frozen=True)
class Frame:
    """One frame; `body` is TFI and data of a data frame, empty for ACK and NACK."""

    kind: Kind
    body: bytes = b""


def build(body: bytes) -> bytes:
    """A frame around `body` (TFI and data, 1 to 265 bytes), extended when above 255 bytes."""
    if not 1 <= len(body) <= MAX_FRAME:
        raise ValueError(f"a frame carries 1 to {MAX_FRAME} bytes, not {len(body)}")
    if len(body) <= 255:
        head = bytes([len(body), -len(body) & 0xFF])
    else:
        high, low = divmod(len(body), 256)
        head = bytes([0xFF, 0xFF, high, low, -(high + low) & 0xFF])
    return b"\x00" + _START + head + body + bytes([-sum(body) & 0xFF, 0x00])


def response(code: int, data: bytes = b"") -> bytes:
    """The chip's answer to command `code`."""
    return build(bytes([CHIP_TO_HOST, code + 1]) + data)


class Parser:
    """Finds frames in a stream of bytes, in any slicing, past any noise.

    A frame with a wrong checksum is skipped without a word, as the chip does. What merely looks
    like the head of a long frame hides what follows it until enough bytes have come; `gap()`
    says that the line fell silent, and looks behind such a head.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.rejected = 0

    @property
    def pending(self) -> bool:
        """The stream stands inside what may be a frame."""
        return _START in self._buffer

    def reset(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        return self._scan()

    def gap(self) -> list[Frame]:
        """The line was silent: the frame under way will not be completed."""
        frames: list[Frame] = []
        while (start := self._buffer.find(_START)) >= 0:
            self.rejected += 1
            del self._buffer[: start + 1]
            frames += self._scan()
        self._buffer.clear()
        return frames

    def _scan(self) -> list[Frame]:
        frames: list[Frame] = []
        buffer = self._buffer
        while True:
            start = buffer.find(_START)
            if start < 0:
                # Keep a last 00: it may be the first half of a start code.
                del buffer[: len(buffer) - (1 if buffer.endswith(b"\x00") else 0)]
                return frames
            del buffer[:start]
            found = self._parse_head()
            if found is None:
                return frames
            frame, length = found
            if frame is None:
                self.rejected += 1
                del buffer[0]
            else:
                frames.append(frame)
                del buffer[:length]

    def _parse_head(self) -> tuple[Frame | None, int] | None:
        """(frame, its length), (None, 0) when this is no frame, None when bytes are missing."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        head = (buffer[2], buffer[3])
        if head == (0x00, 0xFF):
            return Frame("ack"), 4
        if head == (0xFF, 0x00):
            return Frame("nack"), 4
        if head == (0xFF, 0xFF):
            if len(buffer) < 7:
                return None
            length, body_at = buffer[4] << 8 | buffer[5], 7
            good = sum(buffer[4:7]) & 0xFF == 0
        else:
            length, body_at = buffer[2], 4
            good = sum(buffer[2:4]) & 0xFF == 0
        if not good or not 1 <= length <= MAX_FRAME:
            return None, 0
        end = body_at + length
        if len(buffer) < end + 1:
            return None
        if sum(buffer[body_at : end + 1]) & 0xFF:
            return None, 0
        return Frame("data", bytes(buffer[body_at:end])), end + 1
