"""UART0, or native USB, as MicroPython's console presents it: bytes in and out, and its rate."""

import asyncio

from validator.link.frame import CREDIT, encode_block

_CHUNK = 64


class Console:
    """`stdin` and `stdout` are the binary streams of the console, `poll` a function that tells
    whether a byte waits, `set_rate` sets the baud rate (None where there is none, as on USB).

    On ESP32 a read of n bytes waits for all n, so bytes are taken one by one while there are some.
    """

    def __init__(self, stdin, stdout, poll, set_rate=None):
        self._stdin = stdin
        self._stdout = stdout
        self._poll = poll
        self._set_rate = set_rate
        self._reader = asyncio.StreamReader(stdin)
        self._one = bytearray(1)
        self._chunk = bytearray(_CHUNK)
        self._view = memoryview(self._chunk)
        self._owed = 0  # consumed and not yet credited
        self.can_change_rate = set_rate is not None

    def write(self, data):
        self._stdout.write(data)

    def set_rate(self, baud):
        self._set_rate(baud)

    async def read(self):
        """Wait for bytes; return a view of 1 to 64 of them, good until the next call."""
        first = await self._reader.read(1)
        if not first:  # end of the stream: only where stdin is a pipe
            await asyncio.sleep_ms(100)
            return self._view[:0]
        chunk = self._chunk
        chunk[0] = first[0]
        n = 1
        one = self._one
        while n < _CHUNK and self._poll():
            if not self._stdin.readinto(one):
                break
            chunk[n] = one[0]
            n += 1
        self._owed += n
        return self._view[:n]

    def credit(self, at_least=1):
        """Tell the host that what was read is out of the buffer, so that it may send on."""
        owed = self._owed
        if owed >= at_least:
            self._owed = 0
            self._stdout.write(encode_block(CREDIT, 0, bytes((owed >> 8 & 0xFF, owed & 0xFF))))
