"""A UART line: what a receiver makes of bytes sent at another rate, and sending at line pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

BITS_PER_BYTE = 10  # start, eight data bits, stop
RATE_TOLERANCE = 0.03
SLICE = 32


def same_rate(a: int, b: int) -> bool:
    """Two rates understand each other when a frame's last bit is still sampled inside itself."""
    return abs(a - b) <= RATE_TOLERANCE * max(a, b)


def rising_edges(byte: int) -> int:
    """Low-to-high transitions on the line while one byte passes (start bit low, stop bit high)."""
    level, edges = 0, 0
    for bit in [(byte >> n) & 1 for n in range(8)] + [1]:
        if bit and not level:
            edges += 1
        level = bit
    return edges


def resample(data: bytes, sent_at: int, read_at: int) -> bytes:
    """What a receiver running at `read_at` baud reads from bytes sent at `sent_at` baud.

    The line's level is sampled in the middle of the receiver's own bit cells, as hardware does:
    at a wrong rate the result is garbage of another length, but always the same garbage.
    """
    if same_rate(sent_at, read_at):
        return bytes(data)
    levels: list[int] = []
    for byte in data:
        levels += [0, *((byte >> n) & 1 for n in range(8)), 1]
    ratio = sent_at / read_at  # sender's bit cells in one of the receiver's
    end = float(len(levels))

    def level(at: float) -> int:
        return levels[int(at)] if at < end else 1

    out = bytearray()
    position = 0.0
    while position < end:
        if level(position):  # idle: look for the next falling edge
            position = float(int(position) + 1)
            continue
        byte = 0
        for bit in range(8):
            byte |= level(position + ratio * (bit + 1.5)) << bit
        out.append(byte)
        position += ratio * 9.5
        while position < end and not level(position):  # framing error: wait for a high line
            position = float(int(position) + 1)
    return bytes(out)


class Transmitter:
    """Sends bytes in order and at line pace, in slices of at most `SLICE` bytes.

    `send(data)` writes to the line; `after(seconds, function)` calls later, or at once when its
    owner runs without time; `rate()` is the sender's baud rate.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        after: Callable[[float, Callable[[], None]], None],
        rate: Callable[[], int],
    ) -> None:
        self._send = send
        self._after = after
        self._rate = rate
        self._queue: deque[bytes] = deque()
        self._busy = False
        self._generation = 0

    def write(self, data: bytes, slice_size: int = SLICE) -> None:
        for start in range(0, len(data), slice_size):
            self._queue.append(bytes(data[start : start + slice_size]))
        if not self._busy:
            self._next()

    @property
    def idle(self) -> bool:
        return not self._busy

    def clear(self) -> None:
        """Forget what was not sent yet."""
        self._queue.clear()
        self._busy = False
        self._generation += 1

    def _next(self) -> None:
        if not self._queue:
            self._busy = False
            return
        self._busy = True
        piece = self._queue.popleft()
        generation = self._generation

        def done() -> None:
            if generation == self._generation:
                self._send(piece)
                self._next()

        self._after(len(piece) * BITS_PER_BYTE / self._rate(), done)
