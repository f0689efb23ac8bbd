"""Safe mode: no slot can be started. Speaks the link, says why, and waits for a new image.

Calls: ping, info, reset, and retry, which has the slots tried again. The notification `hello` has
mode "safe" and the reason; it is repeated, because nobody may be listening when it starts.
Everybody may call: nobody is served, and nothing of riders is told. But a start may write to NVS:
the next one that is asked for comes `_LEAST_MS` after the last one.
"""

import asyncio
import gc
import sys

_HELLO_MS = 5000
_LEAST_MS = 8000


class Safe:
    """`boot` is the loader's dict, `board` a `validator.board.Board`, `peer` the link."""

    def __init__(self, boot, board, peer, clock, version):
        self._boot = boot
        self._board = board
        self._peer = peer
        self._clock = clock
        self._version = version
        self._began = clock.ticks_ms()
        self._resetting = False
        self._retry = False
        for name, function in (
            ("ping", self.ping),
            ("info", self.info),
            ("reset", self.reset),
            ("retry", self.retry),
        ):
            peer.register(name, function)

    def hello(self):
        return {
            "board": self._board.name,
            "chip": self._board.chip,
            "serial": self._board.unique_id(),
            "version": self._version,
            "hash": "",
            "slot": "",
            "micropython": ".".join(str(n) for n in sys.implementation.version[:3]),
            "mode": "safe",
            "why": self._boot["why"],
            "reset_cause": self._board.reset_cause,
        }

    def ping(self, params):
        return {"us": self._clock.ticks_us()}

    def info(self, params):
        gc.collect()
        info = self.hello()
        info["heap_free"] = gc.mem_free()
        info["uptime_ms"] = self._clock.ticks_ms()
        return info

    def reset(self, params):
        if not self._resetting:
            self._resetting = True
            asyncio.create_task(self._reset_soon())
        return {}

    def retry(self, params):
        self._retry = True
        return self.reset(params)

    async def _reset_soon(self):
        clock = self._clock
        up = clock.diff(clock.ticks_ms(), self._began)
        # The answer leaves first. Ticks wrap: then `up` is negative, and it waits once more.
        await clock.sleep_ms(min(_LEAST_MS, max(50, _LEAST_MS - up)))
        if self._retry:
            self._boot["retry"]()
        self._board.reset()

    async def announce(self):
        while True:
            self._peer.notify("hello", self.hello())
            await self._clock.sleep_ms(_HELLO_MS)

    async def run(self):
        await asyncio.gather(self._peer.run(), self.announce())


def main(boot, identity):
    """`identity` is the content of /board.json. Returns never, or raises."""
    from validator.board import Board
    from validator.hal import Clock
    from validator.link.peer import Peer
    from validator.version import VERSION

    clock = Clock()
    board = Board(identity, clock)
    asyncio.run(Safe(boot, board, Peer(board.console(), clock), clock, VERSION).run())
