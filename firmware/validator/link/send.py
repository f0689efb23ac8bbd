"""From the validator to the host: the pieces of a source, each a block with its cursor."""

import asyncio

from validator.link.frame import encode_block
from validator.link.transfer import FROM_VALIDATOR

_PART = 64  # bytes written at once
_AHEAD = 60  # bytes that may still be in UART0's FIFO of 128 then


async def run(app, source, params):
    """Send what `source(params)` gives, `params["blocks"]` pieces at most: 4 bytes of cursor (BE),
    then the data, in blocks that are numbered from 0, modulo 256.

    `params["baud"]` is the line's rate. Returns {"blocks": how many, "next": the last cursor or
    None, "more": whether there is more}.
    """
    console = app.console
    clock = app.clock
    most = params.get("blocks", 200)
    baud = params.get("baud", 0)
    out = Pace(console, clock, baud) if baud and app.transfer.slow else console
    blocks = 0
    cursor = None
    for after, data in source(params):
        if blocks >= most:
            return {"blocks": blocks, "next": cursor, "more": True}
        cursor = after
        block = encode_block(FROM_VALIDATOR, blocks, cursor.to_bytes(4, "big") + data)
        start = clock.ticks_us()
        out.write(block)
        if baud and out is console:
            if clock.diff(clock.ticks_us(), start) > 2 * len(block) * 10000000 // baud:
                # Remembered until the next start: it is how this console is.
                app.transfer.slow = True
                out = Pace(console, clock, baud)
        blocks += 1
        await asyncio.sleep(0)
    return {"blocks": blocks, "next": cursor, "more": False}


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

    def write(self, data):
        clock = self._clock
        view = memoryview(data)
        for at in range(0, len(view), _PART):
            while True:
                now = clock.ticks_us()
                ahead = self._sent_us - clock.diff(now, self._begun)
                if ahead <= self._ahead_us:
                    break
            if ahead < 0:  # the FIFO is empty
                self._begun = now
                self._sent_us = 0
            self._console.write(view[at : at + _PART])
            self._sent_us += self._part_us
