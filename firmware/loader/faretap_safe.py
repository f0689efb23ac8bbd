"""Safe mode: no slot can be started. Speaks the link, says why, and waits for a new image.

Calls: ping, info, reset, and retry, which has the slots tried again. The notification `hello` has
mode "safe" and the reason; it is repeated, because nobody may be listening when it starts.
"""

import asyncio
import gc
import sys

_HELLO_MS = 5000


class Safe:
    """`boot` is the loader's dict, `board` a `validator.board.Board`, `peer` the link."""

    def __init__(self, boot, board, peer, clock, version):
        self._boot = boot
        self._board = board
        self._peer = peer
        self._clock = clock
        self._version = version
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
        asyncio.create_task(self._reset_soon())
        return {}

    def retry(self, params):
        self._boot["retry"]()
        return self.reset(params)

    async def _reset_soon(self):
        await self._clock.sleep_ms(50)  # the answer leaves first
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
