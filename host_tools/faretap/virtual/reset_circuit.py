"""DTR and RTS to EN and IO0: the two transistors and the capacitor of every ESP32 board.

| RTS | DTR | EN | IO0 |
|---|---|---|---|
| asserted | off | low | high |
| off | asserted | high | low |
| off | off | high | high |
| asserted | asserted | stays, rises after 300 ms | high |

The last row is where a serial driver that sets one line after the other passes through; on a
board the capacitor at EN bridges it. Over RFC 2217 one change takes 50 ms and more, so the
capacitor here is a large one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_RISE_S = 0.3


class ResetCircuit:
    """Calls `on_en(False)` when EN falls and `on_en(True)` when it rises."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_en: Callable[[bool], None]) -> None:
        self._loop = loop
        self._on_en = on_en
        self._timer: asyncio.TimerHandle | None = None
        self.dtr = self.rts = False
        self.enabled = True

    @property
    def strap_low(self) -> bool:
        """IO0 is held low: whatever starts now, starts the ROM loader."""
        return self.dtr and not self.rts

    def set(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        if dtr is not None:
            self.dtr = dtr
        if rts is not None:
            self.rts = rts
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.rts and not self.dtr:
            self._drive(False)
        elif self.rts and self.dtr:
            if not self.enabled:
                self._timer = self._loop.call_later(_RISE_S, self._drive, True)
        else:
            self._drive(True)

    def _drive(self, level: bool) -> None:
        if level != self.enabled:
            self.enabled = level
            self._on_en(level)
