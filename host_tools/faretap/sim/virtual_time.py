"""Time that passes only when told to: runs simulated parts without a real clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from .part import SerialPart


class VirtualTime:
    """A `call_later` for `SerialPart.attach`, and the hand that turns the clock.

        time = VirtualTime()
        part.attach(wire.extend, time.call_later)
        part.receive(b"...")
        time.advance(0.010)

    `now` is in seconds. Calls due at the same moment run in the order they were asked for.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._order = count()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []

    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (self.now + max(delay, 0.0), next(self._order), function))

    def next_due(self) -> float | None:
        """The moment of the earliest call, or None when nothing is planned."""
        return self._calls[0][0] if self._calls else None

    def advance(self, seconds: float) -> None:
        """Let time pass; calls that become due are made at their own moment."""
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            due, _, function = heapq.heappop(self._calls)
            self.now = max(self.now, due)
            function()
        self.now = end


class Wire:
    """A part on a line in virtual time: what it sent, and when (seconds)."""

    def __init__(self, part: SerialPart) -> None:
        self.part = part
        self.time = VirtualTime()
        self.sent = bytearray()
        self.log: list[tuple[float, bytes]] = []
        part.attach(self._take, self.time.call_later)

    def _take(self, data: bytes) -> None:
        self.sent += data
        self.log.append((self.time.now, data))

    def ask(self, data: bytes, seconds: float = 1.0) -> bytes:
        """Write `data`, let time pass, and return what came."""
        self.sent.clear()
        self.log.clear()
        self.part.receive(data)
        self.time.advance(seconds)
        return bytes(self.sent)
