"""A PN532 as a chip on its bus: waking, identifying, baud rate, reset; see `nfc.pn532`.

Section numbers are those of UM0701-02, the PN532 user manual.
"""

from validator.nfc.pn532_frame import PARAMETERS
from validator.nfc.pn532_port import ACK_FIRST_MS, ACK_MS, Port, Silent
from validator.nfc.reader import ReaderDead, ReaderError

_GET_FIRMWARE_VERSION = 0x02
_SET_SERIAL_BAUD_RATE = 0x10
_SAM_CONFIGURATION = 0x14
DIAGNOSE = 0x00
# Diagnose: antenna continuity, at least 5 and at most 150 mA (7.2.1; data sheet, andet_control).
_ANTENNA = b"\x07\x0f"

_COMMAND_MS = 100  # commands that do not go to a card
_RESET_MS = 10  # RSTPD_N low, and from its rise until the chip listens
_RAIL_OFF_MS = 100  # supply capacitors have to empty
_RAIL_ON_MS = 50

# SetSerialBaudRate codes (7.2.8). Tried in this order at open: power-up default, then what a
# crashed predecessor may have left (Q08).
# After so many starts whose chip fell silent before so many commands, the raised rate is too much
# for the cable, the board or the clone.
_SHORT_LIVES = 3
_SHORT_LIFE = 500
_BAUDS = ((115200, 4), (921600, 7), (460800, 6), (230400, 5), (9600, 0))


class Pn532Chip:
    """`reset_pin` (RSTPD_N) and `power_pin` (the rail, high = on) are called with 0 or 1.

    Both may be None. `baud` is what a UART is raised to after power-up.
    """

    chip = "pn532"

    def __init__(self, serial, clock, reset_pin, power_pin, baud):
        self._port = Port(serial, clock)
        self._clock = clock
        self._reset_pin = reset_pin
        self._power_pin = power_pin
        self._baud = baud
        self._opened_at = None  # commands answered before the last start
        self._short_lives = 0

    async def _configure(self):
        """Settings of the reader proper, after every start of the chip."""
        raise NotImplementedError

    async def field(self, on):
        raise NotImplementedError

    @property
    def stats(self):
        """Counters of the dialog with the chip: resent, nacked, aborted, stale, syntax."""
        return self._port.stats

    async def open(self):
        """Wake, identify and configure the chip.

        Returns {"chip", "firmware", "support", "antenna", "bus", "baud"}; "antenna" is False if
        the chip finds its own antenna open or shorted, as on some clones (Q35): that is told, not
        punished. Raises ReaderDead, also for another chip.
        """
        await self._find()
        n = await self._port.command(_GET_FIRMWARE_VERSION, 0, _COMMAND_MS)
        rx = self._port.rx
        if n < 4 or rx[0] != 0x32:
            raise ReaderDead("not_a_pn532")
        info = {"chip": self.chip, "firmware": "%d.%d" % (rx[1], rx[2]), "support": rx[3]}
        info["antenna"] = await self._antenna()
        await self._configure()
        port = self._port
        if port.bus == "uart" and self._baud != port.baud:
            await self._raise_baud(self._baud)
        info["bus"] = port.bus
        info["baud"] = port.baud
        self._opened_at = port.commands
        return info

    async def close(self):
        """Leave the chip as a successor expects it: field off, 115200 baud (Q08)."""
        try:
            await self.field(False)
            if self._port.bus == "uart" and self._port.baud != 115200:
                await self._raise_baud(115200)
        except ReaderError:
            pass

    async def check(self):
        """Does the chip answer? (GetFirmwareVersion, 7.2.2)"""
        try:
            return await self._port.command(_GET_FIRMWARE_VERSION, 0, _COMMAND_MS) >= 4
        except ReaderError:
            return False

    async def recover(self):
        """Re-initialise by reset pin, if there is one, then by the supply rail (Q16).

        Returns what `open` returns; raises ReaderDead if nothing helped.
        """
        clock = self._clock
        if self._opened_at is not None:
            short = self._port.commands - self._opened_at < _SHORT_LIFE
            self._opened_at = None
            self._short_lives = self._short_lives + 1 if short else 0
            if self._short_lives >= _SHORT_LIVES:
                self._baud = 115200
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

    async def _antenna(self):
        try:
            return await self._status(DIAGNOSE, _ANTENNA) == 0
        except ReaderDead as e:
            if e.reason == "no_ack":
                raise
            return False  # a clone that refuses the test, or answers a bare byte (Q09)

    async def _find(self):
        """Find the rate at which the chip talks, and make it take commands."""
        port = self._port
        # Normal mode, no time-out, P70_IRQ driven if somebody looks at it (7.2.10).
        sam = b"\x01\x00\x01" if getattr(port.serial, "irq", None) else b"\x01\x00\x00"
        for ack_ms in (ACK_MS[:2], ACK_FIRST_MS):
            for baud, _code in _BAUDS if port.bus == "uart" else _BAUDS[:1]:
                port.set_baud(baud)
                await port.wake()
                try:
                    # A chip that slept takes no other command before this one (Q01).
                    await self._send(_SAM_CONFIGURATION, sam, _COMMAND_MS, ack_ms)
                    return
                except ReaderDead:
                    if ack_ms is ACK_FIRST_MS:
                        raise

    async def _raise_baud(self, baud):
        port = self._port
        for rate, code in _BAUDS:
            if rate == baud:
                break
        else:
            raise ValueError("no PN532 baud rate")
        await self._send(_SET_SERIAL_BAUD_RATE, bytes((code,)))
        # The chip changes over when it has seen the host's ACK of its answer (7.2.8).
        await port.abort()
        # Its bits have to be out before the rate changes.
        await self._clock.sleep_ms(60000 // port.baud + 1)
        port.set_baud(baud)
        if not await self.check():
            await self._find()

    def _send(self, code, parameters, timeout_ms=_COMMAND_MS, ack_ms=ACK_MS):
        """To be awaited at once: the answer's length. No coroutine of its own, for the heap."""
        n = len(parameters)
        self._port.tx[PARAMETERS : PARAMETERS + n] = parameters
        return self._port.command(code, n, timeout_ms, ack_ms)

    async def _status(self, code, parameters):
        """Error code of a command that answers a status byte; 1 (time-out) if it never answers."""
        try:
            n = await self._send(code, parameters)
        except Silent:
            return 1
        return self._port.rx[0] & 0x3F if n else 1
