"""PN532 host frames (UM0701-02, 6.2.1): building them and finding them in a stream of bytes.

Pure and without waiting. A frame is built in place in a buffer that the caller keeps; the parser
copies a frame's bytes in one go, so that a long answer costs no interpreter loop for each byte.
"""

ACK_FRAME = b"\x00\x00\xff\x00\xff\x00"  # UM0701-02 6.2.1.3
NACK_FRAME = b"\x00\x00\xff\xff\x00\x00"  # 6.2.1.4

HOST_TO_CHIP = 0xD4  # TFI
CHIP_TO_HOST = 0xD5
_ERROR_TFI = 0x7F  # 6.2.1.5

MAX_LENGTH = 265  # TFI, command code and 263 bytes (6.2.1.2, Q27)
PARAMETERS = 10  # where a command's parameters stand in the buffer given to `seal`
BUFFER = PARAMETERS + MAX_LENGTH - 2 + 2  # with data checksum and postamble

# Events of the parser.
NONE = 0
ACK = 1
NACK = 2
ERROR = 3
FRAME = 4
BAD = 5

_PREAMBLE = 12  # zeros before a start code that `wanted` puts up with (Q03)

_SYNC = 0
_HEAD = 1
_EXTENDED = 2
_BODY = 3


def seal(buf, code, n):
    """Make a frame of command `code` with the `n` bytes that stand at buf[PARAMETERS:].

    Returns (start, end) of the frame in `buf`. ValueError if it is longer than the chip takes.
    """
    length = n + 2
    if length > MAX_LENGTH:
        raise ValueError("PN532 frame too long")
    buf[8] = HOST_TO_CHIP
    buf[9] = code
    if length <= 255:
        start = 3
        buf[6] = length
        buf[7] = -length & 0xFF
    else:
        start = 0
        buf[3] = buf[4] = 0xFF
        buf[5] = length >> 8
        buf[6] = length & 0xFF
        buf[7] = -(buf[5] + buf[6]) & 0xFF
    buf[start] = buf[start + 1] = 0
    buf[start + 2] = 0xFF
    end = PARAMETERS + n
    buf[end] = -sum(buf[8:end]) & 0xFF
    buf[end + 1] = 0
    return start, end + 2


def wanted(buf, n):
    """How many bytes the frame takes whose first `n` stand in `buf`, preamble and postamble too.

    For buses on which the host says how much it reads. While the head is incomplete, the answer
    is how many bytes the next piece of it needs; `n` for what is whole, or no frame at all.
    """
    at = 1
    while at < n and not (buf[at] == 0xFF and buf[at - 1] == 0):
        at += 1
    if at >= n:
        return n + 6 if n <= _PREAMBLE else n
    if at + 2 >= n:
        return at + 4
    length = buf[at + 1]
    check = buf[at + 2]
    if length + check == 0xFF:
        return at + 4  # ACK, NACK
    if length == 0xFF and check == 0xFF:
        if at + 5 >= n:
            return at + 6
        length = (buf[at + 3] << 8) | buf[at + 4]
        at += 3
    if length > MAX_LENGTH:
        return n
    return at + 5 + length


class Parser:
    """Finds frames in any slicing, behind any preamble (Q03, Q04), and checks all of them (Q07).

    After the event FRAME, `view[:length]` is TFI, response code and data; it stays until the next
    information frame begins.
    """

    def __init__(self):
        self.view = memoryview(bytearray(MAX_LENGTH + 1))
        self.length = 0
        self.reset()

    def reset(self):
        """Forget a half-received frame."""
        self.event = NONE
        self._state = _SYNC
        self._zero = False
        self._have = 0
        self._need = 0
        self._head = 0

    def inside(self):
        """True between a start code and the end of its frame."""
        return self._state != _SYNC

    def feed(self, buf, i, end):
        """Take bytes buf[i:end] up to the first event; returns the index behind them.

        `event` is what was found, NONE if all bytes were taken without one.
        """
        self.event = NONE
        while i < end and self.event == NONE:
            if self._state == _BODY:
                i = self._body(buf, i, end)
                continue
            b = buf[i]
            i += 1
            if self._state == _SYNC:
                if b == 0xFF and self._zero:
                    self._state = _HEAD
                    self._have = 0
                    self._head = 0
                self._zero = b == 0
            else:
                self._header(b)
        return i

    def _header(self, b):
        self._have += 1
        self._head = (self._head << 8) | b
        head = self._head
        if self._state == _HEAD:
            if self._have < 2:
                return
            if head == 0x00FF:
                self._end(ACK, b)
            elif head == 0xFF00:
                self._end(NACK, b)
            elif head == 0xFFFF:
                self._state = _EXTENDED
                self._have = 0
                self._head = 0
            else:
                self._length(head >> 8, ((head >> 8) + b) & 0xFF, b)
        elif self._have == 3:
            high = head >> 16
            low = (head >> 8) & 0xFF
            self._length((high << 8) | low, (high + low + b) & 0xFF, b)

    def _length(self, length, check, last):
        if check or not 0 < length <= MAX_LENGTH:
            # What looked like a start code may have been the end of noise before a real one.
            self._end(BAD, last)
        else:
            self._state = _BODY
            self._have = 0
            self._need = length + 1  # data checksum

    def _body(self, buf, i, end):
        have = self._have
        k = min(end - i, self._need - have)
        self.view[have : have + k] = buf[i : i + k]
        self._have = have = have + k
        if have == self._need:
            good = sum(self.view[:have]) & 0xFF == 0
            tfi = self.view[0]
            if good and tfi == CHIP_TO_HOST and have > 2:
                self.length = have - 1
                self._end(FRAME, 1)
            elif good and tfi == _ERROR_TFI and have == 2:
                self._end(ERROR, 1)
            else:
                self._end(BAD, 1)
        return i + k

    def _end(self, event, last):
        self.event = event
        self._state = _SYNC
        self._zero = last == 0
