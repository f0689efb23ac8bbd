"""One direction of a serial line: bytes arrive at ten bits each, no faster.

Bytes travel in slices of at most 2 ms. A wire with nothing to carry has no timer, so an idle
board costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_SLICE_S = 0.002
# Work that comes this soon after the last bit went out follows it without a gap: the event
# loop's own lateness must not slow a busy line down.
_BACK_TO_BACK_S = 0.002


class Wire:
    """Carries what is written to `deliver`, at `baud`; at once if `unpaced`.

    `on_idle`, if set, is called each time the last queued byte has been delivered.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[bytes], None],
        baud: int = 115200,
        unpaced: bool = False,
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._unpaced = unpaced
        self._queue = bytearray()
        self._timer: asyncio.Handle | None = None
        self._slice = 0  # bytes of the queue that are on the line now
        self._free_at = 0.0
        self.baud = baud
        self.on_idle: Callable[[], None] | None = None
        self._waiting: list[Callable[[], None]] = []

    @property
    def pending(self) -> int:
        """Bytes written and not delivered."""
        return len(self._queue)

    @property
    def slice_bytes(self) -> int:
        """How many bytes one slice carries; a source should hand over this much at a time."""
        return 65536 if self._unpaced else max(1, int(self.baud * _SLICE_S / 10))

    def write(self, data: bytes) -> None:
        if not data:
            return
        self._queue += data
        if self._timer is None:
            self._start()

    def clear(self) -> None:
        """Lose what is queued, as a powered-down transmitter does."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slice = 0
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            self._loop.call_soon(callback)

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call back once, as soon as nothing is queued (soon, if that is so already)."""
        if self._timer is None:
            self._loop.call_soon(callback)
        else:
            self._waiting.append(callback)

    def _start(self) -> None:
        self._slice = min(len(self._queue), self.slice_bytes)
        if self._unpaced:
            self._timer = self._loop.call_soon(self._arrived)
            return
        now = self._loop.time()
        start = self._free_at if now - self._free_at < _BACK_TO_BACK_S else now
        self._free_at = start + self._slice * 10 / self.baud
        self._timer = self._loop.call_at(self._free_at, self._arrived)

    def _arrived(self) -> None:
        data = bytes(self._queue[: self._slice])
        del self._queue[: self._slice]
        self._timer = None
        if self._queue:
            self._start()
        self._deliver(data)
        if self._timer is None:
            if self.on_idle is not None:
                self.on_idle()
            if self._timer is None and self._waiting:
                waiting, self._waiting = self._waiting, []
                for callback in waiting:
                    callback()
