"""A PN532 as a chip on a UART: waking, identifying, baud rate, reset; see `validator.nfc.pn532`.

Section numbers are those of UM0701-02, the PN532 user manual.
"""

from validator.nfc.pn532_frame import PARAMETERS
from validator.nfc.pn532_port import ACK_FIRST_MS, ACK_MS, Port, Silent
from validator.nfc.reader import ReaderDead, ReaderError

_GET_FIRMWARE_VERSION = 0x02
_SET_SERIAL_BAUD_RATE = 0x10
_SAM_CONFIGURATION = 0x14

_COMMAND_MS = 100  # commands that do not go to a card
_RESET_MS = 10  # RSTPD_N low, and from its rise until the chip listens
_RAIL_OFF_MS = 100  # supply capacitors have to empty
_RAIL_ON_MS = 50

# SetSerialBaudRate codes (7.2.8). Tried in this order at open: power-up default, then what a
# crashed predecessor may have left (Q08).
_BAUDS = ((115200, 4), (921600, 7), (460800, 6), (230400, 5), (9600, 0))


class Pn532Chip:
    """`reset_pin` (RSTPD_N) and `power_pin` (the rail, high = on) are called with 0 or 1.

    Both may be None. `baud` is what the UART is raised to after power-up.
    """

    chip = "pn532"

    def __init__(self, serial, clock, reset_pin, power_pin, baud):
        self._port = Port(serial, clock)
        self._clock = clock
        self._reset_pin = reset_pin
        self._power_pin = power_pin
        self._baud = baud

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

        Returns {"chip", "firmware", "baud", "support"}. Raises ReaderDead, also for another chip.
        """
        await self._find()
        n = await self._port.command(_GET_FIRMWARE_VERSION, 0, _COMMAND_MS)
        rx = self._port.rx
        if n < 4 or rx[0] != 0x32:
            raise ReaderDead("not_a_pn532")
        info = {"chip": self.chip, "firmware": "%d.%d" % (rx[1], rx[2]), "support": rx[3]}
        await self._configure()
        if self._baud != self._port.baud:
            await self._raise_baud(self._baud)
        info["baud"] = self._port.baud
        return info

    async def close(self):
        """Leave the chip as a successor expects it: field off, 115200 baud (Q08)."""
        try:
            await self.field(False)
            if self._port.baud != 115200:
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

    async def _find(self):
        """Find the rate at which the chip talks, and make it take commands."""
        port = self._port
        for ack_ms in (ACK_MS[:2], ACK_FIRST_MS):
            for baud, _code in _BAUDS:
                port.set_baud(baud)
                await port.wake()
                try:
                    # Normal mode, no time-out, P70_IRQ unused (7.2.10). A chip that slept takes
                    # no other command before this one (Q01).
                    await self._send(_SAM_CONFIGURATION, b"\x01\x00\x00", _COMMAND_MS, ack_ms)
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
        port.set_baud(baud)
        if not await self.check():
            await self._find()

    async def _send(self, code, parameters, timeout_ms=_COMMAND_MS, ack_ms=ACK_MS):
        n = len(parameters)
        self._port.tx[PARAMETERS : PARAMETERS + n] = parameters
        return await self._port.command(code, n, timeout_ms, ack_ms)

    async def _status(self, code, parameters):
        """Error code of a command that answers a status byte; 1 (time-out) if it never answers."""
        try:
            n = await self._send(code, parameters)
        except Silent:
            return 1
        return self._port.rx[0] & 0x3F if n else 1
