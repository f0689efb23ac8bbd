"""PN532 as a reader of ISO 14443-4 type A cards, over its high speed UART (HSU).

    reader = Pn532Reader(Serial(UART(1, 115200), clock), clock, reset_pin=Pin(4, Pin.OUT))
    await reader.open()
    target = await reader.poll()
    answer = await reader.transceive(apdu)

The chip does anticollision, RATS, block numbers, S(WTX) and chaining by itself (UM0701-02 7.3.8).
Section numbers below are those of UM0701-02, the PN532 user manual.
"""

from validator.nfc.pn532_chip import Pn532Chip
from validator.nfc.pn532_frame import PARAMETERS
from validator.nfc.pn532_port import ACK_CARD_MS, ACK_ONCE_MS, Silent
from validator.nfc.reader import (
    CardLost,
    CardProtocolError,
    ReaderDead,
    ReaderError,
    Target,
    random_uid,
)

_DIAGNOSE = 0x00
_SET_PARAMETERS = 0x12
_RF_CONFIGURATION = 0x32
_IN_DATA_EXCHANGE = 0x40
_IN_DESELECT = 0x44
_IN_LIST_PASSIVE_TARGET = 0x4A
_IN_RELEASE = 0x52
_IN_SELECT = 0x54

_MI = 0x40  # more information, in Tg and in the status byte (7.3.8)
# MaxTg 2, so that a second card is seen (Q22); BrTy 0, 106 kbps type A (7.3.5).
_TWO_TYPE_A = b"\x02\x00"
_CARD_PRESENCE = 0x06  # Diagnose: R(NAK) to an ISO 14443-4 card (7.2.1)

_POLL_MS = 90  # a poll with anticollision, RATS and a second card; some chips never end it (Q10)
_EXCHANGE_MS = 1500  # FWT 77 ms (FWI 8) and a handful of S(WTX); endless WTX ends here (Q24)
_FIELD_OFF_MS = 6  # EMVCo reset: at least 5.1 ms (Q33)

_MAX_DATA = 262  # bytes of card data in one command or answer (7.3.8, Q27)
_MAX_ANSWER = 4352  # a chained answer longer than any APDU we ask for is no answer
_SILENT_POLLS = 8  # polls without end in a row: did the chip restart with its defaults?

# Status byte, bits 0-5 (7.1): (error class, reason). What is not here breaks the protocol.
_STATUS = {
    0x01: (CardLost, "timeout"),
    0x02: (CardLost, "rf_crc"),
    0x03: (CardLost, "rf_parity"),
    0x04: (CardLost, "rf_bits"),
    0x05: (CardLost, "rf_framing"),
    0x06: (CardProtocolError, "collision"),
    0x07: (CardProtocolError, "overflow"),
    0x09: (CardProtocolError, "overflow"),
    0x0A: (ReaderDead, "no_field"),
    0x0B: (CardProtocolError, "rf_protocol"),
    0x0D: (ReaderDead, "over_temperature"),
    0x0E: (CardProtocolError, "overflow"),
    0x10: (ReaderDead, "parameter"),
    0x27: (CardLost, "not_listed"),
    0x29: (CardLost, "released"),
    0x2A: (CardLost, "exchanged"),
    0x2B: (CardLost, "disappeared"),
    0x2D: (ReaderDead, "over_current"),
}
_NOT_LISTED = 0x27

# SELECT, READ BINARY, READ RECORD, GET DATA, GET BALANCE.
_REPEATABLE = b"\xa4\xb0\xb2\xca\x5c"


class Pn532Reader(Pn532Chip):
    """A reader chip; see `validator.nfc.reader` for the errors that its methods raise.

    `reset_pin` (RSTPD_N) and `power_pin` (the rail, high = on) are called with 0 or 1, if given.
    `baud` is what the UART is raised to after power-up. `max_data` below 262 is for clones that
    take no extended frames: 252 fits a normal one.
    """

    def __init__(
        self, serial, clock, reset_pin=None, power_pin=None, baud=115200, max_data=_MAX_DATA
    ):
        super().__init__(serial, clock, reset_pin, power_pin, baud)
        self._max_data = max_data
        self._tg = 0  # logical number of the active target, 0 = none
        self._listed = 0  # the same after a deselect, for InSelect
        self._count = 0
        self._fresh = False  # no APDU was answered since activation
        self._half_open = False  # a card may be left in the middle of something (Q33)
        self._uid = b""
        self._silent_polls = 0

    async def field(self, on):
        """RF field on or off. Off also ends what was going on with a card."""
        if not on:
            self._tg = self._listed = 0
        await self._send(_RF_CONFIGURATION, b"\x01\x01" if on else b"\x01\x00")

    async def poll(self):
        """One poll cycle with activation; a Target or None. At most about 100 ms.

        Raises ReaderDead if the chip does not even acknowledge.
        """
        if self._half_open:
            await self._reset_field()
        self._tg = self._listed = 0
        try:
            target = await self._list()
        except Silent:
            # Q10: no card, and this chip's way of saying so. Or it restarted, and polls for ever.
            self._silent_polls += 1
            if self._silent_polls % _SILENT_POLLS == 0:
                await self._find()
                await self._configure()
            return None
        self._silent_polls = 0
        if target:
            self._uid = target.uid
        return target

    async def transceive(self, apdu):
        """Exchange one APDU (up to 261 bytes) with the active card; returns its answer with SW.

        61xx and 6Cxx are the caller's. Raises CardLost, CardProtocolError, ReaderDead.
        """
        if not self._tg:
            raise CardLost("not_listed")
        if self._port.stray() and not self._fresh:
            # The last answer was one from before, the right one came behind it (Q05).
            self._half_open = True
            raise CardLost("out_of_step")
        # The chip may have executed a command whose ACK got lost. Only what a card may do twice
        # without harm is sent twice.
        repeatable = 1 < len(apdu) <= self._max_data and apdu[1] in _REPEATABLE
        ack_ms = ACK_CARD_MS if repeatable else ACK_ONCE_MS
        try:
            return await self._exchange_apdu(apdu, ack_ms)
        except Silent:
            self._half_open = True
            raise CardLost("timeout")
        except ReaderError:
            self._half_open = True
            raise

    async def present(self):
        """Is the card that was polled last still there? Ends in the state it began in.

        An active card is asked by R(NAK). After `deselect` it is selected again (Q21): by its
        number, then by listing what is in the field, then after a field reset.
        """
        if self._tg:
            return await self._status(_DIAGNOSE, bytes((_CARD_PRESENCE,))) == 0
        if self._listed:
            listed = bytes((self._listed,))
            if await self._status(_IN_SELECT, listed) == 0:
                await self._status(_IN_DESELECT, listed)
                return True
            self._listed = 0
        if not self._half_open:
            # Without a reset every card keeps its UID, so another UID is another card.
            found = await self._list_quietly()
            if found:
                return found.uid == self._uid
        await self._reset_field()
        found = await self._list_quietly()
        if not found:
            return False
        # A phone makes up a new UID after the reset.
        return found.uid == self._uid or (random_uid(found.uid) and random_uid(self._uid))

    async def deselect(self):
        """End the session: DESELECT, and after an error a field reset as well. Never raises."""
        tg = self._tg
        self._tg = 0
        try:
            if tg and not self._half_open:
                everyone = self._count > 1
                if await self._status(_IN_DESELECT, bytes((0 if everyone else tg,))) == 0:
                    self._listed = tg
                    return
                self._half_open = True
            if self._half_open:
                await self._send(_IN_RELEASE, b"\x00")
                await self._reset_field()
        except ReaderError:
            self._half_open = True

    # Inside.

    async def _configure(self):
        # Automatic ATR_RES and automatic RATS, no NAD, no DID: the power-up default (7.2.9).
        await self._send(_SET_PARAMETERS, b"\x14")
        # MxRtyATR, MxRtyPSL, MxRtyPassiveActivation (7.3.1, item 5): the last one is infinite by
        # default, so that a poll without a card would never end (Q10). Two tries, for phones that
        # need a second polling loop in the same field.
        await self._send(_RF_CONFIGURATION, b"\x05\x01\x01\x01")
        # A card may be left active by what ran before.
        await self._reset_field()

    async def _reset_field(self):
        self._half_open = False
        await self.field(False)
        await self._clock.sleep_ms(_FIELD_OFF_MS)

    async def _list(self):
        """InListPassiveTarget; the first card becomes the active one. Target or None."""
        n = await self._send(_IN_LIST_PASSIVE_TARGET, _TWO_TYPE_A, _POLL_MS)
        rx = self._port.rx
        if not n or not rx[0]:
            return None
        # NbTg, then Tg, SENS_RES 2, SEL_RES, length and UID, length and ATS (7.3.5).
        uid_end = 6 + rx[5] if n > 5 else n
        if uid_end > n or rx[5] not in (4, 7, 10):
            self._half_open = True
            return None
        sak = rx[4]
        ats = b""
        if sak & 0x20 and uid_end < n:
            ats = bytes(rx[uid_end : min(n, uid_end + rx[uid_end])])
        self._tg = rx[1]
        self._count = rx[0]
        self._fresh = True
        return Target(bytes(rx[6:uid_end]), (rx[2] << 8) | rx[3], sak, ats, rx[0])

    async def _list_quietly(self):
        """Who is there? The card is left for the next poll to reset and activate."""
        try:
            found = await self._list()
        except Silent:
            return None
        self._tg = 0
        if found:
            self._half_open = True
        return found

    async def _exchange_apdu(self, apdu, ack_ms):
        view = memoryview(apdu)
        at = 0
        while len(view) - at > self._max_data:
            await self._exchange(_MI, view[at : at + self._max_data], ack_ms)
            at += self._max_data
        n, more = await self._exchange(0, view[at:], ack_ms)
        rx = self._port.rx
        if not more:
            self._fresh = False
            return bytes(rx[1:n])
        answer = bytearray(rx[1:n])
        while more:
            # Asking for the rest must not be done twice: the chip would skip a piece.
            n, more = await self._exchange(0, b"", ACK_ONCE_MS)
            answer += rx[1:n]
            if len(answer) > _MAX_ANSWER:
                raise CardProtocolError("overflow")
        self._fresh = False
        return bytes(answer)

    async def _exchange(self, flags, data, ack_ms):
        """One InDataExchange: (length with the status byte, more to come). Raises by status."""
        for again in (True, False):
            tx = self._port.tx
            tx[PARAMETERS] = self._tg | flags
            n = len(data)
            if n:
                tx[PARAMETERS + 1 : PARAMETERS + 1 + n] = data
            n = await self._port.command(_IN_DATA_EXCHANGE, n + 1, _EXCHANGE_MS, ack_ms)
            if not n:
                raise ReaderDead("short")
            status = self._port.rx[0]
            error = status & 0x3F
            if not error:
                return n, bool(status & _MI)
            if error == _NOT_LISTED and self._fresh and again:
                # The chip forgot its target (Q26) before the card was asked anything: list again.
                await self._reset_field()
                if await self._list():
                    continue
            kind, reason = _STATUS.get(error, (CardProtocolError, "status_%02x" % error))
            raise kind(reason)
