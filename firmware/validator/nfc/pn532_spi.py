"""A PN532 on SPI, as a line for `pn532_port.Port` (UM0701-02, 6.2.5).

    line = SpiLine(spi, cs, clock, irq=Pin(34, Pin.IN))
    reader = Pn532Reader(line, clock, reset_pin=Pin(4, Pin.OUT))

`spi` is a `machine.SPI` in mode 0 that sends the lowest bit first (`firstbit=SPI.LSB`, which the
ESP32's controller does by itself); `cs` is called with 0 and 1.
"""

from validator.nfc import pn532_frame as frame

_DATA_WRITE = b"\x01"
_STATUS_READ = b"\x02"
_DATA_READ = b"\x03"

# The chip takes 5 MHz, clones lose bytes there after minutes or hours (Q15).
RATES = (2000000, 1000000, 500000)
_TROUBLES = 3  # in so many commands: too fast
_WINDOW = 200
_WAKE_MS = 2  # NSS low for so long wakes a chip in power-down (data sheet, T_osc_start)


class SpiLine:
    """`irq` (P70_IRQ, low = something to read) and `h_req` (low = wake up) may be None.

    Nothing blocks longer than one frame takes: about 1 ms for the longest at 2 MHz (Q13).
    """

    bus = "spi"

    def __init__(self, spi, cs, clock, irq=None, h_req=None, baud=RATES[0]):
        self._spi = spi
        self._cs = cs
        self._clock = clock
        self._h_req = h_req
        self.irq = irq
        self.baud = baud
        self._status = bytearray(1)
        self._scratch = memoryview(bytearray(frame.BUFFER + 16))
        self._writes = 0
        self._troubles = 0
        self._since = 0
        cs(1)

    def any(self):
        """1 if the chip has a frame, 0 if not. By the level of the line: an edge can be missed."""
        if self.irq:
            return 0 if self.irq() else 1
        self._cs(0)
        try:
            self._spi.write(_STATUS_READ)
            self._spi.readinto(self._status)
        finally:
            self._cs(1)
        # A bus without a chip reads all ones or all zeros; the chip's other bits are undefined.
        return 1 if self._status[0] & 1 and self._status[0] != 0xFF else 0

    def write(self, buf):
        self._writes += 1
        self._cs(0)
        try:
            self._spi.write(_DATA_WRITE)
            self._spi.write(buf)
        finally:
            self._cs(1)

    def drain(self):
        """Read and forget a frame that nobody waited for (Q05)."""
        n = 0
        for _ in range(4):
            if not self.any():
                break
            n += self._read(self._scratch)
        return n

    async def readinto(self, buf, timeout_ms, spin_ms=4):
        """Wait for one frame and read it; see `validator.hal.Serial.readinto`."""
        clock = self._clock
        start = clock.ticks_ms()
        while not self.any():
            waited = clock.diff(clock.ticks_ms(), start)
            if waited >= timeout_ms:
                return 0
            await clock.sleep_ms(0 if waited < spin_ms else 1)
        return self._read(buf)

    async def wake(self):
        low = self._h_req or self._cs
        low(0)
        try:
            await self._clock.sleep_ms(_WAKE_MS)
        finally:
            low(1)

    def trouble(self):
        """Bytes were lost or damaged: after a few times, go on at a lower rate (Q15)."""
        if self._writes - self._since > _WINDOW:
            self._since = self._writes
            self._troubles = 0
        self._troubles += 1
        if self._troubles < _TROUBLES:
            return
        self._troubles = 0
        self._since = self._writes
        for rate in RATES:
            if rate < self.baud:
                self.baud = rate
                self._spi.init(baudrate=rate)
                break

    def _read(self, buf):
        """One frame; its head says how long it is, and NSS stays low until it is whole."""
        view = memoryview(buf)
        limit = len(view)
        n = 0
        want = 6  # an ACK
        self._cs(0)
        try:
            self._spi.write(_DATA_READ)
            while n < want:
                self._spi.readinto(view[n:want])
                n = want
                want = min(frame.wanted(view, n), limit)
        finally:
            self._cs(1)
        return n
