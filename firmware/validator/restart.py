"""The application begins anew: when the answer has left, and no rider is being served."""

import asyncio

_LEAVE_MS = 100
_WAIT_MS = 20
_MOST_MS = 10000  # a tap that takes longer is waited for no more


class Restart:
    """`soon()` may be called as often as somebody likes: it is one restart."""

    def __init__(self, clock, taps, board):
        self._clock = clock
        self._taps = taps
        self._board = board
        self._begun = False

    def soon(self):
        if not self._begun:
            self._begun = True
            asyncio.create_task(self._run())

    async def _run(self):
        clock = self._clock
        start = clock.ticks_ms()
        await clock.sleep_ms(_LEAVE_MS)
        while self._taps.busy() and clock.diff(clock.ticks_ms(), start) < _MOST_MS:
            await clock.sleep_ms(_WAIT_MS)
        self._board.reset()
