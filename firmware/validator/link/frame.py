r"""What travels between host and validator, and how each end finds it among console text.

Two frames, told apart by their first byte, neither of which occurs in JSON or in console text:

    message   1E  JSON  '#'  4 hex digits CRC-16/X-25 of the JSON bytes  LF
    block     1D  channel  sequence  length (2, big-endian)  header check  payload  CRC-16 (2, BE)

A message is an RFC 7464 JSON text sequence element with a check; it carries JSON-RPC 2.0. A block
carries raw bytes. The header check is the complement of the sum of the four bytes before it: it
keeps a damaged length from swallowing what follows. The block's CRC covers channel … payload, the
header check included.

Channel 0 is flow control, from the validator only: its payload is the number (2, BE) of bytes that
it consumed since it last said so. The host has at most `WINDOW` bytes unconfirmed on the way,
because a stock ESP32 image reads UART0 through a buffer of 260 bytes and drops what does not fit.

Everything outside a frame is console text. Host and validator both use this file.
"""

import json

from validator.link.crc import crc16

RS = 0x1E
GS = 0x1D
LF = 0x0A

WINDOW = 240  # bytes; UART0's ring holds 259, the rest is for stray bytes
CREDIT = 0  # channel of flow control
OVERHEAD = 8  # bytes of a block beside its payload

TEXT = "text"
MESSAGE = "message"
BLOCK = "block"
BAD = "bad"


def encode(message):
    """The frame of a message, as bytes."""
    return b"".join(pieces(message))


def pieces(message):
    """The same in three, to be written one after another without a copy of it all."""
    body = json.dumps(message).encode()
    return b"\x1e", body, b"#%04x\n" % crc16(body)


def encode_block(channel, sequence, payload):
    """The frame of a block, as bytes. `payload` has at most 65535 bytes."""
    n = len(payload)
    out = bytearray(n + OVERHEAD)
    out[0] = GS
    out[1] = channel
    out[2] = sequence & 0xFF
    out[3] = n >> 8
    out[4] = n & 0xFF
    out[5] = _header_check(out, 0)
    out[6 : 6 + n] = payload
    crc = crc16(payload, crc16(memoryview(out)[1:6]))
    out[6 + n] = crc >> 8
    out[7 + n] = crc & 0xFF
    return out


def _header_check(buf, at):
    return ~(buf[at + 1] + buf[at + 2] + buf[at + 3] + buf[at + 4]) & 0xFF


def _decode_message(frame, loads):
    """The object in `1E … LF`, or None if the check fails."""
    n = len(frame)
    if n < 8 or frame[n - 6] != 0x23:
        return None
    body = bytes(frame[1 : n - 6])
    try:
        if int(bytes(frame[n - 5 : n - 1]), 16) != crc16(body):
            return None
        return loads(body)
    except (ValueError, MemoryError):  # on the validator, nested brackets by the hundred
        return None


class Decoder:
    """Finds frames in a stream. `feed` returns a list of events, in the order of the stream:

    `("message", object)`, `("block", (channel, sequence, payload))`, `("text", bytes)` for console
    text and `("bad", bytes)` for what began as a frame and was damaged. No byte is lost silently.
    `loads` makes an object of a message's bytes, or raises ValueError.
    """

    def __init__(self, max_message=65536, max_block=8192, loads=json.loads):
        self.max_message = max_message
        self.max_block = max_block
        self._loads = loads
        self._buf = bytearray()

    def feed(self, data):
        buf = self._buf
        buf.extend(data)
        events = []
        at = 0
        while at < len(buf):
            start = _next_marker(buf, at)
            if start > at:
                events.append((TEXT, bytes(buf[at:start])))
                at = start
            if start == len(buf):
                break
            used = (
                self._message(buf, at, events) if buf[at] == RS else self._block(buf, at, events)
            )
            if not used:
                break
            at += used
        # Slicing, not `del buf[:at]`, which MicroPython's bytearray does not have.
        self._buf = buf[at:] if at else buf
        return events

    @property
    def incomplete(self):
        """A frame has begun and its end is still to come."""
        return len(self._buf) > 0

    def flush(self):
        """Give up an incomplete frame, because the line fell silent; returns its events."""
        rest = bytes(self._buf)
        self._buf = bytearray()
        return [(BAD, rest)] if rest else []

    def _message(self, buf, at, events):
        end = buf.find(b"\n", at)
        limit = len(buf) if end < 0 else end
        cut = _next_marker(buf, at + 1)
        if cut < limit:  # a second frame begins before this one ended: this one lost its tail
            events.append((BAD, bytes(buf[at:cut])))
            return cut - at
        if end < 0:
            if len(buf) - at <= self.max_message:
                return 0
            events.append((BAD, bytes(buf[at:])))
            return len(buf) - at
        frame = memoryview(buf)[at : end + 1]
        message = _decode_message(frame, self._loads)
        if message is None:
            events.append((BAD, bytes(frame)))
        else:
            events.append((MESSAGE, message))
        return end + 1 - at

    def _block(self, buf, at, events):
        have = len(buf) - at
        if have < 6:
            return 0
        n = buf[at + 3] << 8 | buf[at + 4]
        if buf[at + 5] != _header_check(buf, at) or n > self.max_block:
            events.append((BAD, bytes(buf[at : at + 1])))
            return 1
        if have < n + OVERHEAD:
            return 0
        body = memoryview(buf)[at + 1 : at + 6 + n]  # channel … payload
        end = at + 6 + n
        if buf[end] << 8 | buf[end + 1] != crc16(body):
            # A byte was lost or damaged: look for a frame that this one swallowed.
            cut = min(_next_marker(buf, at + 1), end + 2)
            events.append((BAD, bytes(buf[at:cut])))
            return cut - at
        events.append((BLOCK, (buf[at + 1], buf[at + 2], bytes(body[5:]))))
        return n + OVERHEAD


def _next_marker(buf, at):
    """Index of the first RS or GS at or after `at`, or the length of `buf`."""
    n = len(buf)
    rs = buf.find(b"\x1e", at)
    gs = buf.find(b"\x1d", at)
    if rs < 0:
        rs = n
    if gs < 0:
        gs = n
    return rs if rs < gs else gs
