"""The time of a part that is asked rather than listened to: SPI, I²C."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

CallLater = Callable[[float, Callable[[], None]], Any]


class TimedPart:
    """Events of a part, done at the latest when somebody looks.

    `attach(call_later, clock)` gives it the time, in seconds; `on_irq(level)` is told when its
    IRQ pin changes.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], float] = lambda: 0.0
        self._call_later: CallLater = lambda delay, function: None
        self.on_irq: Callable[[int], None] = lambda level: None
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def attach(self, call_later: CallLater, clock: Callable[[], float]) -> None:
        """From now on `clock` rules; what was planned before keeps its distance."""
        self._call_later = call_later
        self.clock = clock
        ahead, self.now = clock() - self.now, clock()
        self._due = [(due + ahead, order, function) for due, order, function in self._due]
        for due, _, _ in self._due:
            call_later(max(0.0, due - self.now), self.settle)

    def at(self, delay: float, function: Callable[[], None]) -> None:
        """Call `function` after `delay` seconds."""
        heapq.heappush(self._due, (self.now + delay, next(self._order), function))
        self._call_later(max(0.0, self.now + delay - self.clock()), self.settle)

    def settle(self) -> None:
        """Do all that is due by now, each at its own moment."""
        end = self.clock()
        while self._due and self._due[0][0] <= end:
            due, _, function = heapq.heappop(self._due)
            self.now = max(self.now, due)
            function()
        self.now = max(self.now, end)

    def forget(self) -> None:
        """Nothing that was planned will happen."""
        self._due.clear()
