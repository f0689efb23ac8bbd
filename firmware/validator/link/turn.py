"""When the link has its turn: riders come first, whatever is on the line and at any rate.

    peer.turn = Turn(clock, gate, taps, peer).take

In service the link waits while a rider is being served, for a bounded time. What does not fit the
console's buffer meanwhile is lost, which costs its sender a repetition: the protocol is made for
that. Between riders somebody without a session has a fifth of the time, and the garbage that his
messages leave is taken away in that time: else it would be a tap that runs out of memory and has
to collect. Who has a session has all of the time, and no right to make a rider wait either.
"""

import gc

_OTHERS = 4  # times the time that the link took
_DEBT_MS = 10  # of waiting: below that it is not worth a sleep
_DEBT_MOST_MS = 1000
_DIRT = 1024  # bytes in and out; each leaves some bytes of garbage
_HOLD_ROUNDS = 12  # of `idle_round`: a tap that takes longer keeps the link waiting no more


class Turn:
    """`taps.idle` is an Event, set while nobody is being served; `gate` and `peer` as ever."""

    def __init__(self, clock, gate, taps, peer):
        self._clock = clock
        self._gate = gate
        self._taps = taps
        self._peer = peer
        self._rounds = 0

    async def take(self):
        """Wait until what came may be looked at."""
        if self._gate.life_cycle != "service":
            return
        clock = self._clock
        peer = self._peer
        while True:
            if not self._taps.idle.is_set():
                await self._taps.idle.wait()
            if peer.dirt >= _DIRT:
                begun = clock.ticks_us()
                gc.collect()
                peer.worked_us += clock.diff(clock.ticks_us(), begun)
                peer.dirt = 0
            debt = peer.worked_us * _OTHERS // 1000
            if debt < _DEBT_MS:
                return
            peer.worked_us = 0
            await clock.sleep_ms(min(debt, _DEBT_MOST_MS))

    def idle_round(self):
        """To be called four times a second: a tap that never ends must not silence the link."""
        taps = self._taps
        self._rounds = self._rounds + 1 if taps.busy() else 0
        if self._rounds >= _HOLD_ROUNDS:
            taps.idle.set()
