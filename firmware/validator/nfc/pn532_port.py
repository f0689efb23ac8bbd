"""The dialog with a PN532: command, ACK, response (UM0701-02, 6.2.2), on whichever bus.

The line underneath is `validator.hal.Serial` for the high speed UART, or `pn532_spi.SpiLine` or
`pn532_i2c.I2cLine`, which look the same from here and bring one frame with each read.

The rules that real chips, cables and clones taught are here, by quirk: ACK late or missing (Q02),
answers before the ACK or left over from an aborted command (Q04, Q05), error frames (Q06), damaged
frames (Q07), a command that is acknowledged and never answered (Q10).
"""

from validator.nfc import pn532_frame as frame
from validator.nfc.reader import ReaderDead

# How long to wait for each ACK before the same frame is sent again: the manual's 15 ms (UM0701-02
# 6.2.2), then more patience, because slow bridges deliver an ACK up to 100 ms late (Q02).
ACK_MS = (15, 30, 120)
# A command that reaches the card: sending it twice may do it twice, so patience comes first.
ACK_CARD_MS = (30, 120)
ACK_ONCE_MS = (120,)
ACK_FIRST_MS = (1500,)  # the first ACK after power-up behind a slow USB bridge (Q02)

WIRE_MASK = 0x3FFFFFFF  # the count of bytes begins anew before it needs the heap

_CONFIRM_MS = 10  # after an abort: is the first answer the last one? (Q05)
_DOUBT_MS = 50  # after an answer to something else: ask again for the right one
_FRAME_MS = 300  # an answer begun in time may end so much later: a longest frame at 9600 baud
_GAP_MS = 20  # silence inside a frame: bytes were lost. A byte takes 0.1 ms at 115200 baud
_QUIET_MS = 5  # on top of the time between a frame and its repetition
_REFUSALS = 2  # error frames answered by the same frame again, at most (Q06)
_NACKS = 3  # damaged responses asked for again, at most (Q07)
_ABORT_MS = 2  # a host's ACK ends the running command; its answer may be on the way (Q05)
# 55 55 and zeros wake the UART of a chip in low-VBat or power-down mode (UM0701-02 7.2.11, Q01).
_WAKE_UP = b"\x55\x55" + bytes(14)
_SHORTEST = 9  # bytes of a response frame with a status byte and without postamble
_WAKE_MS = 2  # oscillator start-up

SPIN_MS = 4  # an ACK or a register is imminent
SPIN_TAP_MS = 40


class Silent(ReaderDead):
    """The chip took the command and did not answer in time; it was aborted."""

    def __init__(self):
        super().__init__("silent")


class Port:
    """One command at a time. `serial` is the line, `clock` is as in `validator.hal`.

    `tx[frame.PARAMETERS:]` takes a command's parameters before `command`; afterwards
    `rx[:n]` has the answer's bytes behind the response code, until the next command.
    """

    def __init__(self, serial, clock):
        self.serial = serial
        self.clock = clock
        self.bus = getattr(serial, "bus", "uart")
        self.baud = serial.baud if self.bus != "uart" else 115200
        self._trouble = getattr(serial, "trouble", None)
        self.tx = memoryview(bytearray(frame.BUFFER))
        self._parser = frame.Parser()
        self.rx = self._parser.view[2:]
        self._in = memoryview(bytearray(288))  # a longest frame, its preamble and an ACK
        self._at = 0
        self._end = 0
        # Where the running command stands. Not locals of coroutines: one for each step of each
        # command is what fills the heap of a validator that waits for riders.
        self._acked = False
        self._answered = False
        self._nacks = 0
        self._since = 0  # when what is awaited began to be
        self._limit_ms = 0  # how long it may take
        self._wait_ms = 0  # how long the next bytes may take
        # How long a wait only yields. In a tap it covers what cards usually take: a sleep ends
        # with the system tick, which on ESP32 comes every 10 ms.
        self.spin_ms = SPIN_MS
        self._running = False  # a command was begun and has neither ended nor been aborted
        self._suspect = False  # an answer to an earlier command may still come
        self._quiet_ms = 0  # how long after `_quiet_from` an answer to a repeated frame may come
        self._quiet_from = 0
        self.stats = {"resent": 0, "nacked": 0, "aborted": 0, "stale": 0, "syntax": 0}
        self.commands = 0
        self.wire_bytes = 0  # of commands, ACKs and answers, each as if it went through once

    def set_baud(self, baud):
        """For the UART; SPI and I2C choose their own rate, at most what the board says."""
        if self.bus == "uart":
            self.serial.set_baud(baud)
            self.baud = baud

    async def wake(self):
        if self.bus != "uart":
            await self.serial.wake()
            return
        self.serial.write(_WAKE_UP)
        await self.clock.sleep_ms(_WAKE_MS)

    def _damaged(self):
        """Tell the line that it may be too fast for its chip (Q15)."""
        if self._trouble:
            self._trouble()
            self.baud = self.serial.baud

    async def command(self, code, n, timeout_ms, ack_ms=ACK_MS):
        """Send command `code` with `n` bytes of parameters; returns the answer's byte count.

        `timeout_ms` counts from the ACK. Raises ReaderDead ("no_ack", "syntax", "checksum"), or
        its subclass Silent. A task cancelled in here leaves a port that aborts before it goes on.
        """
        if self._quiet_ms or self._running:
            await self._settle()
        start, end = frame.seal(self.tx, code, n)
        clock = self.clock
        self._running = True
        reason = "no_ack"
        confirm_ms = _CONFIRM_MS if self._suspect else 0
        sent = attempt = refused = 0
        first = last = clock.ticks_ms()
        while attempt < len(ack_ms):
            last = clock.ticks_ms()
            sent += 1
            self.serial.drain()
            self._at = self._end = 0
            self._parser.reset()
            self.serial.write(self.tx[start:end])
            # The 15 ms begin when the last bit is out; a UART's write() returns before that.
            sending_ms = (end - start) * 10000 // self.baud + 1 if self.bus == "uart" else 1
            self._acked = self._answered = False
            self._expect(ack_ms[attempt] + sending_ms)
            event = None
            while event is None:
                event = self._next()
                while event is None:
                    n = await self.serial.readinto(self._in, self._wait_ms, self.spin_ms)
                    event = self._got(n)
                if self._acked:
                    event = self._on_answer(event, code, timeout_ms, confirm_ms)
                else:
                    event = self._on_acknowledge(event, code, timeout_ms)
            if event == frame.NONE and self._acked:
                await self.abort()
                raise Silent()
            if event == frame.FRAME or event == frame.BAD:
                break
            if event == frame.NONE:
                attempt += 1
                self._suspect = True
            else:
                # NACK or error frame: the chip refused the frame (Q06). It should not have been
                # executed, but nobody vouches for that.
                self.stats["syntax"] += 1
                refused += 1
                if refused > _REFUSALS or len(ack_ms) == 1:
                    reason = "syntax"
                    break
        if sent > 1:
            # If the ACK was late instead of lost, the repeated frames are still to be answered.
            self.stats["resent"] += sent - 1
            self._quiet_from = clock.ticks_ms()
            self._quiet_ms = clock.diff(last, first) + _QUIET_MS
        self._running = False
        if event == frame.FRAME:
            if sent > 1 and not refused:
                # A frame or its ACK was lost on the way: a dead chip would not have answered now.
                self._damaged()
            self.commands += 1
            n = self._parser.length
            # Header, checksums and postamble are 7 bytes, or 10 of an extended frame.
            wire = end - start + 6 + n + (10 if n > 255 else 7)
            self.wire_bytes = (self.wire_bytes + wire) & WIRE_MASK
            return n - 2
        if event == frame.BAD:
            await self.abort()
            raise ReaderDead("checksum")
        raise ReaderDead(reason)

    async def _settle(self):
        """Before a command: end what an interrupted or repeated one left running (Q02, Q05)."""
        if self._quiet_ms:
            clock = self.clock
            left = self._quiet_ms - clock.diff(clock.ticks_ms(), self._quiet_from)
            self._quiet_ms = 0
            self._running = True
            if left > 0:
                await clock.sleep_ms(left)
        if self._running:
            await self.abort()

    def stray(self):
        """True if a whole frame came unasked since the last command: its answer was left over.

        Nothing is strange about it after an abort or a repeated frame. What came is dropped.
        """
        expected = self._suspect or self._running or self._quiet_ms
        n = self._end - self._at + self.serial.drain()
        self._at = self._end = 0
        return n >= _SHORTEST and not expected

    async def abort(self):
        """End a running command by an ACK (UM0701-02 6.2.1.3) and distrust what still comes."""
        self.stats["aborted"] += 1
        self._suspect = True
        self.serial.write(frame.ACK_FRAME)
        await self.clock.sleep_ms(_ABORT_MS)
        self.serial.drain()
        self._running = False

    def _expect(self, limit_ms):
        self._since = self.clock.ticks_ms()
        self._limit_ms = limit_ms

    def _on_acknowledge(self, event, code, timeout_ms):
        """How the wait for an ACK ends: NACK or ERROR as received; FRAME if the answer came first;
        NONE for silence. None: it goes on, or the ACK came and the answer may take its time."""
        if event == frame.NONE:
            return frame.FRAME if self._answered else frame.NONE
        if event == frame.ACK:
            if self._answered:
                return frame.FRAME
            self._suspect = False
            self._acked = True
            self._nacks = 0
            self._expect(timeout_ms)
        elif event == frame.NACK or event == frame.ERROR:
            return event
        elif event == frame.FRAME:
            # Before the ACK: a driver that swaps two bursts (Q04), or, after an abort or a
            # repeated frame, an answer to what was asked before (Q05).
            if self._suspect or self._parser.view[1] != code + 1:
                self.stats["stale"] += 1
            else:
                self._answered = True
        return None

    def _on_answer(self, event, code, timeout_ms, confirm_ms):
        """How the wait for the answer ends: FRAME, ERROR, NONE for silence, or BAD when damaged
        more often than is put up with. None: it goes on."""
        if event == frame.FRAME and self._parser.view[1] == code + 1:
            # If another one follows at its heels, this one was left over (Q05).
            self._answered = True
            self._expect(confirm_ms)
        elif event == frame.FRAME:
            self.stats["stale"] += 1
            self._answered = False
            if self._nacks < _NACKS:
                waited = self.clock.diff(self.clock.ticks_ms(), self._since)
                self._limit_ms = min(timeout_ms, waited + _DOUBT_MS)
        elif event == frame.NONE and self._answered:
            return frame.FRAME
        elif event == frame.BAD or (event == frame.NONE and self._limit_ms < timeout_ms):
            if self._nacks == _NACKS:
                return frame.BAD
            self._nacks += 1
            self.stats["nacked"] += 1
            self._damaged()
            self._answered = False
            self._limit_ms = timeout_ms
            self.serial.write(frame.NACK_FRAME)
        elif event != frame.ACK and event != frame.NACK:
            return event
        return None

    def _next(self):
        """The next event in the bytes at hand; NONE if `_limit_ms` after `_since` have passed.

        None: read more into `_in`, for `_wait_ms` at most, and call `_got`.
        """
        parser = self._parser
        while self._at < self._end:
            self._at = parser.feed(self._in, self._at, self._end)
            if parser.event:
                return parser.event
        clock = self.clock
        wait_ms = self._limit_ms - clock.diff(clock.ticks_ms(), self._since)
        if parser.inside():
            wait_ms = _GAP_MS if wait_ms > -_FRAME_MS else 0
        elif wait_ms <= 0 and not self.serial.any():
            return frame.NONE
        self._wait_ms = max(wait_ms, 0)
        self._at = self._end = 0
        return None

    def _got(self, n):
        """The same after `n` bytes came into `_in`."""
        if n:
            self._end = n
            return self._next()
        if not self._parser.inside():
            return frame.NONE
        self._parser.reset()
        return frame.BAD
