"""`machine.UART` over a pair of pipes; the board keeps the line's rate and the buffer's size.

`any()` has to know how much is there, which a pipe does not tell: what is there is read into
`_ahead`, and handed out from there.
"""

import errno
import io
import select
import sys

import vboard
from utime import sleep_us, ticks_diff, ticks_ms

_FIFO = 128
_PAUSE_US = 100
_SPINS = 50  # times of asking in vain before the pauses get longer
_POLL = 3  # MP_STREAM_POLL
_POLL_RD = 1
_POLL_WR = 4


class UART(io.IOBase):
    INV_TX = 32
    INV_RX = 4
    RTS = 1
    CTS = 2
    IRQ_RX = 1
    IRQ_BREAK = 8
    IRQ_RXIDLE = 0x1000

    _uarts = {}

    def __new__(cls, id, *args, **settings):
        # A chip has three. This board has one more, for a PSAM beside reader and scan engine.
        if not 0 <= id <= 3:
            raise ValueError("UART(%d) does not exist" % id)
        self = cls._uarts.get(id)
        if self is None:
            self = super().__new__(cls)
            self._id = id
            self._installed = False
            self._baud = 115200
            self._rx = self._tx = None
            cls._uarts[id] = self
        return self

    def __init__(self, id, *args, **settings):
        self.init(*args, **settings)

    def init(
        self,
        baudrate=0,
        bits=0,
        parity=0,
        stop=0,
        *,
        tx=None,
        rx=None,
        rts=None,
        cts=None,
        txbuf=-1,
        rxbuf=-1,
        timeout=-1,
        timeout_char=-1,
        invert=-1,
        flow=-1,
    ):
        if not self._installed:
            self._txbuf = self._rxbuf = 256
            self._timeout = self._timeout_char = 0
        if self._id == 0 and (txbuf not in (-1, 256) or rxbuf not in (-1, 256)):
            raise ValueError("REPL UART buffer size is fixed")
        if bits not in (0, 5, 6, 7, 8):
            raise ValueError("invalid data bits")
        if stop not in (0, 1, 2):
            raise ValueError("invalid stop bits")
        if rxbuf >= 0:
            if rxbuf <= _FIFO:
                raise OSError(-258, "ESP_ERR_INVALID_ARG")
            self._rxbuf = rxbuf
        if txbuf >= 0:
            if 0 < txbuf <= _FIFO:
                raise OSError(-258, "ESP_ERR_INVALID_ARG")
            self._txbuf = txbuf
        if timeout >= 0:
            self._timeout = timeout
        if timeout_char >= 0:
            self._timeout_char = timeout_char
        if baudrate:
            self._baud = baudrate
        if self._rx is None and self._id:
            read, write = vboard.parameters["uarts"][self._id]
            self._rx, self._tx = open(read, "rb"), open(write, "wb")
            self._poller = select.poll()
            self._poller.register(self._rx, select.POLLIN)
            self._poller.register(sys.stdin, select.POLLIN)
        self._installed = True
        # The board answers when all that was written is on the line, and has discarded what
        # was received so far, as every init does.
        vboard.ask("uart %d %d %d" % (self._id, self._baud, self._rxbuf))
        if self._id:
            self._buf = bytearray(self._rxbuf)
            self._view = memoryview(self._buf)
        self._empty = 0
        self._head = self._tail = 0

    def deinit(self):
        if self._id and self._installed:
            self._installed = False
            vboard.ask("uart %d off" % self._id)

    def _fill(self):
        if self._id == 0:
            raise OSError(errno.EIO)  # the console's bytes go to sys.stdin
        if not self._installed:
            raise OSError(errno.EINVAL)
        if self._head == self._tail:
            self._head = self._tail = 0
        elif self._tail == len(self._buf):
            left = self._tail - self._head
            if left == len(self._buf):
                return
            self._buf[:left] = self._buf[self._head : self._tail]
            self._head, self._tail = 0, left
        got = self._rx.readinto(self._view[self._tail :] if self._tail else self._view)
        if got:
            self._tail += got

    def any(self):
        self._fill()
        if self._tail != self._head:
            self._empty = 0
        elif self._empty < _SPINS:
            # Firmware that asks again and again leaves the machine to what plays the hardware.
            self._empty += 1
            sleep_us(_PAUSE_US)
        else:
            for _ in self._poller.ipoll(1):  # until something comes, here or on the console
                break
        return self._tail - self._head

    def _wait(self, count, ms):
        start = ticks_ms()
        while self.any() < count and ticks_diff(ticks_ms(), start) < ms:
            sleep_us(500)

    def _take(self, count):
        """At most `count` bytes, after the waits that the timeouts ask for."""
        self._fill()
        if self._head == self._tail and self._timeout:
            self._wait(1, self._timeout)
        if self._timeout_char and 0 < self._tail - self._head < count:
            self._wait(min(count, len(self._buf)), self._timeout_char)
        count = min(count, self._tail - self._head)
        at = self._head
        self._head += count
        return self._view[at : at + count]

    def read(self, count=-1):
        if count is None or count < 0:
            count = len(self._buf)
        data = bytes(self._take(count))
        return data or None

    def readinto(self, buf, count=-1):
        if count < 0 or count > len(buf):
            count = len(buf)
        data = self._take(count)
        if not len(data):
            return None
        buf[: len(data)] = data
        return len(data)

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            data = bytes(self._take(1))
            if not data:
                break
            line += data
        return line or None

    def write(self, buf):
        if self._id == 0:
            return sys.stdout.buffer.write(buf)
        if not self._installed:
            raise OSError(errno.EINVAL)
        if isinstance(buf, str):
            buf = buf.encode()
        view = memoryview(buf)
        done = 0
        while done < len(view):
            done += self._tx.write(view[done:]) or 0
        return done

    def flush(self):
        vboard.ask("drain %d" % self._id)

    def txdone(self):
        self.flush()
        return True

    def sendbreak(self):
        self.flush()

    def irq(self, handler=None, trigger=0, hard=False):
        if self._id == 0:
            raise ValueError("REPL UART does not support IRQs")
        raise OSError(errno.EOPNOTSUPP)

    def ioctl(self, request, arg):
        if request == _POLL:
            ready = arg & _POLL_WR
            if arg & _POLL_RD and self.any():
                ready |= _POLL_RD
            return ready
        return 0 if request in (1, 4) else -1

    def __repr__(self):
        return "UART(%d, baudrate=%d, bits=8, parity=None, stop=1, rxbuf=%d, timeout=%d)" % (
            self._id,
            self._baud,
            self._rxbuf,
            self._timeout,
        )
