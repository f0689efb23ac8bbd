"""An MFRC522 as a chip on SPI: registers, reset, identity, health; see `validator.nfc.mfrc522`.

Section numbers are those of the MFRC522 data sheet, revision 3.9.
"""

from validator.nfc.reader import ReaderDead

COMMAND = 0x01
COM_IRQ = 0x04
ERROR = 0x06
STATUS2 = 0x08
FIFO_DATA = 0x09
FIFO_LEVEL = 0x0A
CONTROL = 0x0C
BIT_FRAMING = 0x0D
COLL = 0x0E
MODE = 0x11
TX_MODE = 0x12
RX_MODE = 0x13
TX_CONTROL = 0x14
TX_ASK = 0x15
RF_CFG = 0x26
T_MODE = 0x2A
T_PRESCALER = 0x2B
T_RELOAD_H = 0x2C
T_RELOAD_L = 0x2D
VERSION = 0x37

IDLE = 0x00
RECEIVE = 0x08
TRANSCEIVE = 0x0C
_SOFT_RESET = 0x0F
_POWER_DOWN = 0x10  # in CommandReg: reads 1 until the oscillator runs (8.6.2, 9.3.1.2)

TEMPERATURE = 0x40  # in ErrorReg: the chip switched its antenna drivers off (9.3.1.7)
_ANTENNA = 0x03  # Tx1RFEn, Tx2RFEn (9.3.2.5)

FIFO = 64

# VersionReg (9.3.4.8) of NXP's chips. Boards sold as MFRC522 show others as well: 88 and B2
# (Fudan's FM17522), 12, 15, 80. Their self-test differs, which is not asked here: what counts is
# that the chip keeps what is written to it (Q35).
_VERSIONS = {0x90: "0.0", 0x91: "1.0", 0x92: "2.0"}

# 13.56 MHz / (2 * 677 + 1): a timer tick is 99.9 us, its longest run 6.5 s (8.5).
_PRESCALER = 677
TICK_US = 100

# After a reset, in this order. TAuto: the timer starts with the end of a transmission and stops
# with the 5th bit received (9.3.3.10).
_SETUP = (
    (T_MODE, 0x80 | _PRESCALER >> 8),
    (T_PRESCALER, _PRESCALER & 0xFF),
    (TX_ASK, 0x40),  # 100 % ASK, as type A wants
    (MODE, 0x3D),  # transmit only with field; CRC preset 6363
)
_GAINS = {18: 0, 23: 1, 33: 4, 38: 5, 43: 6, 48: 7}  # dB, RxGain (9.3.3.6)
_RF_CFG_REST = 0x08

_RESET_MS = 10  # NRSTPD low, and from its rise until the chip listens
_READY_MS = 50
_RAIL_OFF_MS = 100  # supply capacitors have to empty
_RAIL_ON_MS = 50
_ECHOES = (0x5A, 0xA5)


class Mfrc522Chip:
    """`spi.write_readinto(out, into)` with mode 0, MSB first, 10 MHz at most (8.1.2).

    `cs`, `reset_pin` (NRSTPD) and `power_pin` (the rail, high = on) are called with 0 or 1; the
    last two may be None. `gain_db`: one of 18, 23, 33, 38, 43, 48.
    """

    chip = "mfrc522"

    def __init__(self, spi, cs, clock, reset_pin=None, power_pin=None, gain_db=38):
        self._spi = spi
        self._cs = cs
        self._clock = clock
        self._reset_pin = reset_pin
        self._power_pin = power_pin
        self._gain = _GAINS[gain_db] << 4 | _RF_CFG_REST
        self._out2 = bytearray(2)
        self._in2 = bytearray(2)
        self._out = bytearray(FIFO + 1)
        self._in = bytearray(FIFO + 1)
        self._out_view = memoryview(self._out)
        self._in_view = memoryview(self._in)
        self._antenna = False
        self._version = 0
        cs(1)

    # Registers. Address byte: read flag, six bits of address, 0 (8.1.2.3).

    def _transfer(self, out, into):
        self._cs(0)
        try:
            self._spi.write_readinto(out, into)
        except OSError:
            raise ReaderDead("bus")
        finally:
            self._cs(1)

    def read(self, register):
        out = self._out2
        out[0] = 0x80 | register << 1
        out[1] = 0
        self._transfer(out, self._in2)
        return self._in2[1]

    def write(self, register, value):
        out = self._out2
        out[0] = register << 1
        out[1] = value
        self._transfer(out, self._in2)

    def fill(self, data):
        """Bytes into the FIFO, up to 64."""
        n = len(data)
        self._out[0] = FIFO_DATA << 1
        self._out[1 : 1 + n] = data
        self._transfer(self._out_view[: 1 + n], self._in_view[: 1 + n])

    def drain(self, n):
        """`n` bytes (1 to 64) out of the FIFO; a view that is valid until the next call."""
        out = self._out
        for i in range(n):
            out[i] = 0x80 | FIFO_DATA << 1
        out[n] = 0
        self._transfer(self._out_view[: n + 1], self._in_view[: n + 1])
        return self._in_view[1 : n + 1]

    # The chip as a whole.

    async def field(self, on):
        """RF field on or off, at once; the caller gives cards their time."""
        self._antenna = bool(on)
        self.write(TX_CONTROL, 0x80 | (_ANTENNA if on else 0))

    async def open(self):
        """Reset, identify and configure the chip; the field is off then.

        Returns {"chip", "firmware", "baud", "support"}; "firmware" is "2.0", or "clone B2" for
        VersionReg of another maker. Raises ReaderDead, also for another chip.
        """
        if self._reset_pin:
            self._reset_pin(1)
        self._antenna = False
        self.write(COMMAND, _SOFT_RESET)
        clock = self._clock
        began = clock.ticks_ms()
        while self.read(COMMAND) & _POWER_DOWN:
            if clock.diff(clock.ticks_ms(), began) >= _READY_MS:
                raise ReaderDead("no_answer")
            await clock.sleep_ms(1)
        version = self._version = self.read(VERSION)
        if version in (0, 0xFF):
            raise ReaderDead("no_answer")  # a line that nobody drives
        for register, value in _SETUP:
            self.write(register, value)
        self.write(RF_CFG, self._gain)
        await self.field(False)
        if not self._sound():
            raise ReaderDead("bus" if version in _VERSIONS else "not_an_mfrc522")
        firmware = _VERSIONS.get(version) or "clone %02X" % version
        return {"chip": self.chip, "firmware": firmware, "baud": 0, "support": 1}

    async def check(self):
        """Is the chip there, does it keep what is written, and is it still set up?

        False also for one that restarted by itself with its defaults (Q16). Raises
        ReaderDead("over_temperature") while it protects itself (Q34).
        """
        try:
            if not self._sound():
                return False
            hot = self.read(ERROR) & TEMPERATURE
        except ReaderDead:
            return False
        if hot:
            raise ReaderDead("over_temperature")
        return True

    async def recover(self):
        """Re-initialise by reset pin, if there is one, then by the supply rail (Q16).

        Returns what `open` returns; raises ReaderDead if nothing helped.
        """
        clock = self._clock
        if self._reset_pin:
            self._reset_pin(0)
            await clock.sleep_ms(_RESET_MS)
            self._reset_pin(1)
            await clock.sleep_ms(_RESET_MS)
        try:
            return await self.open()
        except ReaderDead:
            if not self._power_pin:
                raise
        self._power_pin(0)
        await clock.sleep_ms(_RAIL_OFF_MS)
        self._power_pin(1)
        await clock.sleep_ms(_RAIL_ON_MS)
        return await self.open()

    async def close(self):
        """Field off."""
        try:
            await self.field(False)
        except ReaderDead:
            pass

    def _sound(self):
        if self.read(VERSION) != self._version:
            return False
        for register, value in _SETUP:
            if self.read(register) != value:
                return False
        if self.read(TX_CONTROL) & _ANTENNA != (_ANTENNA if self._antenna else 0):
            return False
        # The timer's reload value is written before each frame: a place to try the bus on.
        for value in _ECHOES:
            self.write(T_RELOAD_L, value)
            if self.read(T_RELOAD_L) != value:
                return False
        return True
