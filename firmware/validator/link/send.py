"""From the validator to the host: the pieces of a source, as many in a block as it holds.

Blocks are numbered from 0, modulo 256. The payload of each:

    0  4  cursor behind its first piece
    4     pieces: length (2), how much further its cursor is than that of the piece before (1; of
          the first: 0), data

Numbers are big-endian.
"""

import asyncio

from validator.link.crc import crc16
from validator.link.frame import GS
from validator.link.transfer import FROM_VALIDATOR

_ROOM = 1088  # bytes of a whole block: the largest record alone, or some small ones
_LEAST = 256  # the same on a slow line, where a block holds others up for longer
_LINE_MS = 12
_FIRST = 10  # where the first piece begins: 6 bytes of the block's head, 4 of cursor
_OVER = 5  # bytes of a piece beside its data, and of the block's end

_PART = 64  # bytes written at once
_AHEAD = 60  # bytes that may still be in UART0's FIFO of 128 then
_TURN_US = 2000  # others have their turn while the FIFO is full for so long
_JUDGED = 4  # blocks in a row by which a slow console shows; one may wait for anything


async def run(app, source, params):
    """Send what `source(params)` gives, `params["blocks"]` blocks at most.

    `params["baud"]` is the line's rate. Returns {"blocks": how many, "next": the last cursor or
    None, "more": whether there is more}.
    """
    console = app.console
    clock = app.clock
    transfer = app.transfer
    most = params.get("blocks", 200)
    baud = params.get("baud", 0)
    pace = Pace(console, clock, baud) if baud and transfer.slow else None
    limit = min(_ROOM, max(_LEAST, baud // 10 * _LINE_MS // 1000)) if baud else _ROOM
    out = Blocks(source(params), limit)
    blocks = late = 0
    while blocks < most and out.fill():
        view = out.take(blocks)
        blocks += 1
        if pace:
            await pace.write(view, out.step)
        else:
            start = clock.ticks_us()
            console.write(view)
            us = clock.diff(clock.ticks_us(), start)
            late = late + 1 if baud and us > len(view) * 12500000 // baud else 0
            if late == _JUDGED:
                # Remembered until the next start: it is how this console is.
                transfer.slow = True
                pace = Pace(console, clock, baud)
        await asyncio.sleep(0)
        await transfer.quiet()
    return {"blocks": blocks, "next": out.cursor, "more": out.fill()}


class Blocks:
    """Puts pieces into blocks of up to `limit` bytes, one block ahead of the one that is sent."""

    def __init__(self, pieces, limit):
        self._pieces = iter(pieces)
        self._limit = limit
        self._buf = bytearray(_ROOM)
        self._other = bytearray(_ROOM)
        self._end = _FIRST
        self._last = 0  # cursor of the piece that was put last
        self._held = None  # a piece for the next block
        self.cursor = None  # of the block that was taken last

    def step(self):
        """Put one more piece into the block; False if it is full or there is none."""
        piece = self._held or next(self._pieces, None)
        if piece is None:
            return False
        after, data = piece
        n = len(data)
        at = self._end
        further = after - self._last if at > _FIRST else 0
        if at > _FIRST and (at + n + _OVER > self._limit or not 0 <= further < 256):
            self._held = piece
            return False
        self._held = None
        buf = self._buf
        if at + n + _OVER > len(buf):
            buf = self._buf = bytearray(at + n + _OVER)
        if at == _FIRST:
            buf[6:10] = after.to_bytes(4, "big")
        buf[at] = n >> 8
        buf[at + 1] = n & 0xFF
        buf[at + 2] = further
        buf[at + 3 : at + 3 + n] = data
        self._end = at + 3 + n
        self._last = after
        return True

    def fill(self):
        """Put as much into the block as it takes; whether there is anything in it."""
        while self.step():
            pass
        return self._end > _FIRST

    def take(self, number):
        """The block, good until the next one is taken."""
        buf = self._buf
        end = self._end
        n = end - 6
        buf[0] = GS
        buf[1] = FROM_VALIDATOR
        buf[2] = number & 0xFF
        buf[3] = n >> 8
        buf[4] = n & 0xFF
        buf[5] = ~(buf[1] + buf[2] + buf[3] + buf[4]) & 0xFF
        view = memoryview(buf)
        crc = crc16(view[1:end])
        buf[end] = crc >> 8
        buf[end + 1] = crc & 0xFF
        self._buf = self._other
        self._other = buf
        self._end = _FIRST
        self.cursor = self._last
        return view[: end + 2]


class Pace:
    """Writes to the console as fast as its UART sends, and never more than fits its FIFO.

    The console of MicroPython for ESP32 sleeps for a system tick of 10 ms whenever the FIFO is
    full: it sends 128 bytes a tick, whatever the rate is. So the wait is here, and short.
    """

    def __init__(self, console, clock, baud):
        self._console = console
        self._clock = clock
        self._part_us = _PART * 10000000 // baud
        self._ahead_us = _AHEAD * 10000000 // baud
        self._begun = clock.ticks_us()
        self._sent_us = 0  # time that the UART needs for what was written since

    async def write(self, data, meanwhile):
        """While the UART sends, `meanwhile()` reads ahead, until it says False."""
        clock = self._clock
        view = memoryview(data)
        for at in range(0, len(view), _PART):
            while True:
                now = clock.ticks_us()
                ahead = self._sent_us - clock.diff(now, self._begun)
                if ahead <= self._ahead_us:
                    break
                if not meanwhile() and ahead - self._ahead_us > _TURN_US:
                    await asyncio.sleep(0)
            self._begun = now
            self._sent_us = max(0, ahead) + self._part_us
            self._console.write(view[at : at + _PART])
