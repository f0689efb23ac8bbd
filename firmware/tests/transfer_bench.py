"""What stands around the transfer layer in tests, on CPython and MicroPython alike."""

import asyncio
import gc

from fakes import FakeGate
from validator.link import frame


class Clock:
    """Time passes by sleeping, unless it `stands`."""

    def __init__(self):
        self.now = 0
        self.stands = False

    def ticks_ms(self):
        return self.now

    def ticks_us(self):
        return self.now * 1000

    def diff(self, later, earlier):
        return later - earlier

    async def sleep_ms(self, ms):
        if not self.stands:
            self.now += ms
        await asyncio.sleep(0)


class Console:
    """What the validator sends, as blocks."""

    def __init__(self):
        self.blocks = []
        self._decoder = frame.Decoder(64, 2048)

    def write(self, data):
        for kind, value in self._decoder.feed(data):
            assert kind == frame.BLOCK
            self.blocks.append(value)


class Taps:
    def __init__(self):
        self.left = 0  # times that busy() still says yes
        self.asked = 0
        self.thresholds = []

    def threshold(self, size):
        self.thresholds.append(size)
        if hasattr(gc, "threshold"):
            gc.threshold(size)

    def busy(self):
        self.asked += 1
        if self.left:
            self.left -= 1
            return True
        return False


class App:
    def __init__(self):
        self.clock = Clock()
        self.console = Console()
        self.taps = Taps()
        self.gate = FakeGate()


class Sink:
    """Keeps what it gets; `start` is where it wants to go on."""

    def __init__(self, start=0):
        self.start = start
        self.data = bytearray()
        self.header = None
        self.writes = []
        self.jump = {}  # offset of a write -> what it returns
        self.fault = None
        self.finished = 0
        self.dropped = 0

    def begin(self, header):
        self.header = header
        return self.start

    async def write(self, offset, data):
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        self.writes.append((offset, bytes(data)))
        return self.jump.get(offset)

    def finish(self):
        self.finished += 1
        return {"writes": len(self.writes)}

    def drop(self):
        self.dropped += 1
