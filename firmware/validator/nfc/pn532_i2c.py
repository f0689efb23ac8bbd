"""A PN532 on I²C, as a line for `pn532_port.Port` (UM0701-02, 6.2.4).

    line = I2cLine(make_i2c, sda, scl, clock, irq=Pin(34, Pin.IN))
    reader = Pn532Reader(line, clock, reset_pin=Pin(4, Pin.OUT))

`make_i2c()` returns a new `machine.I2C` on the pins `sda` and `scl`. Its time-out has to let the
chip stretch the clock: 440 µs are common, 20 ms have been seen (Q11); `TIMEOUT_US` is for it.
"""

from validator.nfc import pn532_frame as frame

ADDRESS = 0x24
TIMEOUT_US = 25000
_GUESS = 40  # bytes of an answer that are read at once: all but READ RECORD and the like
_ERRORS = 3  # bus errors in a row after which nothing is waited for until a transfer succeeds
_ERROR_MS = 5  # after a bus error, the other tasks' turn: each one may have blocked (Q13)
_WAKE_MS = 2  # oscillator start-up
_RESEND_MS = 20  # for a frame that was asked for again


class I2cLine:
    """`irq` (P70_IRQ, low = something to read) and `h_req` (low = wake up) may be None.

    `sda` and `scl` are `machine.Pin`s: they are read before each transfer, because a transfer
    on a bus that is held low blocks until its time-out and helps nobody (Q12, Q13), and driven
    as open-drain outputs to free the bus.
    """

    bus = "i2c"

    def __init__(self, make_i2c, sda, scl, clock, irq=None, h_req=None, baud=400000):
        self._make = make_i2c
        self._i2c = make_i2c()
        self._sda = sda
        self._scl = scl
        self._clock = clock
        self._h_req = h_req
        self.irq = irq
        self.baud = baud
        self._in = memoryview(bytearray(1 + frame.BUFFER + 16))
        self._ack_next = False
        self._errors = 0  # in a row
        self.bus_errors = 0
        self.freed = 0  # how often the bus was stuck

    def stuck(self):
        return not (self._sda() and self._scl())

    def any(self):
        """1 if the chip has a frame, 0 if not, or if the bus fails."""
        if self.irq:
            return 0 if self.irq() else 1
        return 1 if self._transfer(1) and self._ready() else 0

    def write(self, buf):
        """A lost write is not told: no ACK will come, which the dialog can handle."""
        self._ack_next = True
        if self.stuck():
            self._failed()
            return
        try:
            self._i2c.writeto(ADDRESS, buf)
            self._errors = 0
        except OSError:
            self._failed()

    def drain(self):
        """Read and forget a frame that nobody waited for (Q05)."""
        n = 0
        for _ in range(4):
            if not self.any() or not self._transfer(1 + _GUESS) or not self._ready():
                break
            n += _GUESS
        return n

    async def readinto(self, buf, timeout_ms, spin_ms=4):
        """Wait for one frame and read it; see `validator.hal.Serial.readinto`."""
        want = 6 if self._ack_next else _GUESS
        n = await self._frame(want, timeout_ms, spin_ms)
        if not n:
            return 0
        self._ack_next = False
        whole = min(frame.wanted(self._in[1 : n + 1], n), len(buf))
        while whole > n:
            # A second transfer does not go on where the first one ended: have it sent again.
            self.write(frame.NACK_FRAME)
            self._ack_next = False
            again = await self._frame(whole, _RESEND_MS, _RESEND_MS)
            if not again:
                break
            n = again
            whole = min(frame.wanted(self._in[1 : n + 1], n), len(buf))
        n = min(n, whole)
        buf[:n] = self._in[1 : n + 1]
        return n

    async def wake(self):
        """Free a stuck bus, and wake the chip by H_REQ or by its address."""
        if self.stuck():
            await self._free()
        if self._h_req:
            self._h_req(0)
        elif not self.stuck():
            try:
                self._i2c.writeto(ADDRESS, b"")
            except OSError:
                pass  # it sleeps, and is awake a moment later
        await self._clock.sleep_ms(_WAKE_MS)
        if self._h_req:
            self._h_req(1)

    async def _frame(self, n, timeout_ms, spin_ms):
        """Wait until `n` bytes could be read behind a ready status byte; 0 or `n`."""
        clock = self._clock
        start = clock.ticks_ms()
        while True:
            if self._errors:
                await clock.sleep_ms(_ERROR_MS)
                if self._errors >= _ERRORS:
                    return 0
            # Without IRQ the first transfer is short: what follows a status byte that says "not
            # ready" is garbage, and would be paid for with every look (Q14).
            if self.any() and self._transfer(1 + n) and self._ready():
                return n
            waited = clock.diff(clock.ticks_ms(), start)
            if waited >= timeout_ms:
                return 0
            if not self._errors:
                await clock.sleep_ms(0 if waited < spin_ms else 1)

    def _ready(self):
        # Bit 0 alone means something (UM0701-02 6.2.4); but lines that nobody drives read as FF.
        return self._in[0] & 1 and self._in[0] != 0xFF

    def _transfer(self, n):
        if self.stuck():
            self._failed()
            return False
        try:
            self._i2c.readfrom_into(ADDRESS, self._in[:n])
        except OSError:
            self._failed()
            return False
        self._errors = 0
        return True

    def _failed(self):
        self._errors += 1
        self.bus_errors += 1

    async def _free(self):
        """Nine clocks let a chip finish the byte it holds SDA for, then STOP (UM10204 3.1.16)."""
        self.freed += 1
        sda = self._sda
        scl = self._scl
        sda.init(sda.OPEN_DRAIN, value=1)
        scl.init(scl.OPEN_DRAIN, value=1)
        for _ in range(9):
            scl(0)
            scl(1)
        scl(0)
        sda(0)
        scl(1)
        sda(1)
        await self._clock.sleep_ms(1)
        self._i2c = self._make()
