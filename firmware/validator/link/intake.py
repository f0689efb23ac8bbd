"""The host's frames as they come in, at the validator's end: in a buffer that never grows.

`frame.Decoder` keeps every byte, for a host; here what is no frame is nobody's. Whatever comes,
and however much of it, takes the same memory: the buffer, and one message at a time, whose JSON is
measured before it is parsed.

    intake = Intake(on_message, on_block)
    intake.feed(view)                   # 1 to 64 bytes

`on_message(object)`, `on_block(channel, sequence, payload)`: the payload is a view that is good
until the function returns. `damaged` counts frames that were none.
"""

import json

from validator.link.crc import crc16
from validator.link.frame import OVERHEAD, RS, WINDOW

_MESSAGE = 1400  # bytes of a message: an APDU of 261 bytes in hex, and names
_BLOCK = 4 * WINDOW
_HEAD = 6  # bytes of a block before its payload
_OPEN = 24  # brackets and braces of a message: each is an object on the heap
_PARTS = 96  # commas: of a list or an object, each some bytes


class Intake:
    def __init__(self, on_message, on_block):
        self._on_message = on_message
        self._on_block = on_block
        self._buf = bytearray(_MESSAGE + 64)
        self._view = memoryview(self._buf)
        self._held = 0  # bytes of a frame that has begun
        self._seen = 0  # of them, those that were searched already
        self.damaged = 0

    @property
    def incomplete(self):
        """A frame has begun and its end is still to come."""
        return self._held > 0

    def flush(self):
        """Give up an incomplete frame, because the line fell silent."""
        if self._held:
            self.damaged += 1
        self._held = self._seen = 0

    def feed(self, data):
        """Take what came; whole frames go to their functions, in order."""
        buf = self._buf
        n = self._held
        more = len(data)
        buf[n : n + more] = data
        n += more
        at = 0
        try:
            while at < n:
                at = self._marker(at, n)
                if at == n:
                    break
                used = self._message(at, n) if buf[at] == RS else self._block(at, n)
                if not used:
                    break
                at += used
                self._seen = 0
        except MemoryError:
            # Of the tap's: nothing of the link is worth it. The host sends again.
            self.damaged += 1
            at = n
        if at:
            buf[: n - at] = bytes(self._view[at:n])
            if at == n:
                self._seen = 0
        self._held = n - at

    def _marker(self, at, n):
        """Index of the first RS or GS from `at` on, or n."""
        buf = self._buf
        rs = buf.find(b"\x1e", at, n)
        gs = buf.find(b"\x1d", at, n)
        if rs < 0 or 0 <= gs < rs:
            rs = gs
        return n if rs < 0 else rs

    def _bad(self, used):
        self.damaged += 1
        return used

    def _message(self, at, n):
        """Bytes that the message at `at` took, whole or damaged; 0 if its end is not there yet."""
        buf = self._buf
        start = max(at + 1, at + self._seen)
        end = buf.find(b"\n", start, n)
        cut = self._marker(start, n if end < 0 else end)
        if cut < (n if end < 0 else end):  # a second frame begins before this one ended
            return self._bad(cut - at)
        if end < 0:
            if n - at > _MESSAGE:
                return self._bad(n - at)
            self._seen = n - at
            return 0
        used = end + 1 - at
        body = self._view[at + 1 : end - 5]
        if used < 8 or not self._checked(body, end):
            return self._bad(used)
        message = _parse(body)
        if message is None:
            return self._bad(used)
        self._on_message(message)
        return used

    def _checked(self, body, end):
        """Whether `#` and four hex digits before `end` are the check of `body`."""
        buf = self._buf
        if buf[end - 5] != 0x23:
            return False
        check = 0
        for i in range(end - 4, end):
            c = buf[i]
            digit = c - 0x30 if c < 0x3A else (c | 0x20) - 0x57
            if not 0 <= digit < 16 or 9 < digit and c < 0x41:
                return False
            check = check << 4 | digit
        return check == crc16(body)

    def _block(self, at, n):
        """The same for the block at `at`."""
        if n - at < _HEAD:
            return 0
        buf = self._buf
        size = buf[at + 3] << 8 | buf[at + 4]
        head = ~(buf[at + 1] + buf[at + 2] + buf[at + 3] + buf[at + 4]) & 0xFF
        if buf[at + 5] != head or size > _BLOCK:
            return self._bad(1)
        if n - at < size + OVERHEAD:
            return 0
        end = at + _HEAD + size
        if buf[end] << 8 | buf[end + 1] != crc16(self._view[at + 1 : end]):
            # A byte was lost or damaged: look for a frame that this one swallowed.
            return self._bad(min(self._marker(at + 1, n), end + 2) - at)
        self._on_block(buf[at + 1], buf[at + 2], self._view[at + _HEAD : end])
        return size + OVERHEAD


def _parse(body):
    """The object in `body`, a view; None if it is none, or of more parts than any call has."""
    text = bytes(body)
    if text.count(b"[") + text.count(b"{") > _OPEN or text.count(b",") > _PARTS:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
