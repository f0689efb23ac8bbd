"""From the bytes of a scan engine to whole codes: pure, no clock, no serial line.

Ride codes are raw 8-bit data with 0x00, 0x0A and 0x0D inside, so a line end means nothing here. A
code ends where the lengths inside it say: its own length field, the objects in Base64 text and its
padding. A code without any ends where the line falls silent. A reply of the engine to a setting
(`02 00 …`) in the same stream is told apart from the codes.

    framer = Framer()
    framer.feed(chunk)      # as bytes come in
    framer.incomplete       # whether what came is known to go on: silence does not end it at once
    framer.pause()          # when it goes on after silence: the rest may be another code's
    framer.gap()            # when the line has been silent for `gap_ms(baud)`, or longer
    item = framer.take()    # (CODE | REPLY, bytes), (CUT | OVERSIZE, length) or None
"""

from . import prefix, text

CODE = "code"
REPLY = "reply"
CUT = "cut"  # a binary code fell silent before its end: value is what came, in bytes
OVERSIZE = "oversize"  # more than MAX_CODE bytes without an end: reported once, skipped to the gap

# The longest code we know: an EMVCo consumer-presented code of 512 characters (EMV QRCPS-CPM §2).
MAX_CODE = 600

MOT_MIN = 332  # JT/T 1179: 332 + custom field of 0…32 bytes
MOT_MAX = 364
_ALIPAY_BODY_1_MIN = 71  # fixed fields and two empty counted ones
_DER_MAX = 80  # SM2 and secp256k1 signatures take at most 72

_UNKNOWN = 0  # no length inside: ends with silence
_MORE = -1  # a known code that does not end here, and does not yet tell where
_PERHAPS = -2  # a known code that is whole if silence follows

_NOISE_MAX = 3  # so few unprintable bytes are a line glitch, not a rider's code


def gap_ms(baud, fifo=120):
    """Silence that ends a code, in ms, at a line rate.

    Five character times would do on the wire, but a UART hands bytes over in lots of up to `fifo`
    (ESP-IDF's receive threshold is 120): so long a silence can be seen inside one code.
    """
    return max(20, (fifo + 5) * 10000 // baud + 1)


def expected(buf, n):
    """Total length of the code or reply that starts `buf[:n]`.

    0 unknown, -1 needs more bytes, -2 is whole unless more comes without a pause.
    """
    if n == 0:
        return _MORE
    first = buf[0]
    if first >= 0x80:
        if n < 3:
            return _MORE
        total = (buf[1] << 8 | buf[2]) + 3
        # Text in UTF-8 or GBK starts ≥ 0x80 too; its second and third byte are no such length.
        return total if MOT_MIN <= total <= MOT_MAX else _UNKNOWN
    if first == 0x02:
        if n < 2:
            return _MORE
        if buf[1] == 0x00:
            return _reply(buf, n)
        return _alipay(buf, n, 0) if buf[1] in (1, 2) else _UNKNOWN
    if first == 0x54 and n == 1:
        return _MORE
    if first == 0x54 and buf[1] in (1, 2):
        if n < 4:
            return _MORE
        return _alipay(buf, n, 2) if buf[2] == 2 and buf[3] in (1, 2) else _UNKNOWN
    return text.expected(buf, n)


def _reply(buf, n):
    # 02 00 | type 00 | length, 0 = 256 | data | CRC 2
    if n < 4:
        return _MORE
    return 6 + (buf[3] or 256) if buf[2] == 0 else _UNKNOWN


def _alipay(buf, n, at):
    # version, algorithm, key id, L1 | body 1 | s1, signature | 4, generation time | s2, signature
    if n < at + 4:
        return _MORE
    if buf[at + 3] < _ALIPAY_BODY_1_MIN:
        return _UNKNOWN
    at += 4 + buf[at + 3]
    if n <= at:
        return _MORE
    if buf[at] > _DER_MAX:
        return _UNKNOWN
    at += 1 + buf[at]
    if n <= at:
        return _MORE
    if buf[at] != 4:
        return _UNKNOWN
    at += 5
    if n <= at:
        return _MORE
    return at + 1 + buf[at] if buf[at] <= _DER_MAX else _UNKNOWN


def _begins(view):
    """Whether bytes that follow a pause inside a code look like the beginning of the next one."""
    k = prefix.length(view, len(view))
    if k > 0:
        view = view[k:]
    n = len(view)
    if n < 4:
        return False
    if view[0] >= 0x80:
        return expected(view, n) > 0 and view[3] == 0x24  # a certificate's first byte
    if view[0] == 0x02:
        return view[1] in (1, 2) and view[3] >= _ALIPAY_BODY_1_MIN
    return text.begins(view, 0, n) > 0


def _strip_text(code):
    """`code` without one line end after it if it is text, and otherwise as it is."""
    end = len(code)
    if end and code[end - 1] == 0x0A:
        end -= 1
    if end and code[end - 1] == 0x0D:
        end -= 1
    for i in range(end):
        if code[i] < 0x20 and code[i] != 0x09:
            return code
    return code[:end]


class Framer:
    """Collects bytes in one buffer of `limit` bytes; finished items wait in a short queue."""

    def __init__(self, limit=MAX_CODE):
        self._buf = bytearray(limit)
        self._n = 0
        self._oversize = 0  # bytes skipped of a code that is too long, 0 = none
        self._pause = 0  # where in the buffer a code went on after silence, 0 = nowhere
        # A code has just ended: a line end after it, or padding that came late, is none of it.
        self._line_end = False
        self._items = []
        self.incomplete = False  # what is held back is a known code before its end
        self.noise = 0  # bursts too short to be a code

    @property
    def pending(self):
        """Whether bytes are held back that a gap would turn into something."""
        return self._n > 0 or self._oversize > 0

    def reset(self):
        """Forget everything that was received and not taken."""
        self._n = self._oversize = self._pause = 0
        self._line_end = self.incomplete = False
        self._items.clear()

    def take(self):
        """The oldest finished item as (kind, value), or None."""
        return self._items.pop(0) if self._items else None

    def feed(self, data):
        """Take in bytes, in any slicing."""
        size = len(data)
        at = 0
        while at < size:
            if self._oversize:
                self._oversize += size - at
                return
            k = min(size - at, len(self._buf) - self._n)
            self._buf[self._n : self._n + k] = data[at : at + k]
            self._n += k
            at += k
            self._cut()
            if self._n == len(self._buf) and at < size:
                self._items.append((OVERSIZE, self._n))
                self._oversize = self._n
                self._n = self._pause = 0
                self.incomplete = False

    def pause(self):
        """The line was silent in an incomplete code, and goes on now.

        If what follows does not fit, or begins like a code of its own, the silence was the end.
        """
        if self.incomplete:
            self._pause = self._n

    def gap(self):
        """The line is silent: what may be complete is, and what is known to be longer is cut."""
        self._line_end = self.incomplete = False
        if self._oversize:
            self._oversize = 0
            return
        n = self._n
        self._n = self._pause = 0
        if n:
            self._end(n)

    def _end(self, n):
        """The first `n` bytes of the buffer are all that came of something."""
        known = expected(self._buf, n) != _UNKNOWN
        first = self._buf[0]
        if known and n > _NOISE_MAX and (first >= 0x80 or first in (0x02, 0x54)):
            self._items.append((CUT, n))
            return
        code = _strip_text(bytes(self._buf[:n]))
        if not code or (n <= _NOISE_MAX and not _printable(code)):
            self.noise += 1
            return
        self._items.append((CODE, code))
        self._line_end = known

    def _cut(self):
        """Move what is complete out of the front of the buffer."""
        while self._n:
            if self._line_end:
                # An engine that still adds CR, LF or CR LF: no code starts with any of these.
                if self._buf[0] in (0x0D, 0x0A, 0x3D):
                    self._drop(1)
                    continue
                self._line_end = False
            ahead = prefix.length(self._buf, self._n)
            if ahead > 0:
                self._drop(ahead)
                continue
            total = _MORE if ahead else expected(self._buf, self._n)
            at = self._pause
            if at and (
                total == _UNKNOWN
                or (at > _NOISE_MAX and _begins(memoryview(self._buf)[at : self._n]))
            ):
                self._end(at)
                self._drop(at)
                continue
            if total <= 0 or self._n < total:
                self.incomplete = total > 0 or total == _MORE
                return
            kind = REPLY if self._buf[0] == 0x02 and self._buf[1] == 0 else CODE
            self._items.append((kind, bytes(self._buf[:total])))
            self._drop(total)
            self._line_end = kind == CODE
        self.incomplete = False

    def _drop(self, k):
        rest = self._n - k
        self._buf[:rest] = self._buf[k : self._n]
        self._n = rest
        self._pause = 0


def _printable(code):
    for b in code:
        if not 0x20 <= b <= 0x7E and b != 0x09:
            return False
    return True
