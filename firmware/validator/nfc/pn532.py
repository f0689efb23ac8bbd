"""PN532 as a reader of ISO 14443-4 cards, over its UART (HSU), SPI or I²C.

    reader = Pn532Reader(Serial(UART(1, 115200), clock), clock, reset_pin=Pin(4, Pin.OUT))
    await reader.open()
    target = await reader.poll()
    answer = await reader.transceive(apdu)

In place of the `Serial`, a `pn532_spi.SpiLine` or `pn532_i2c.I2cLine` does as well.
The chip does anticollision, RATS, block numbers, S(WTX) and chaining by itself (UM0701-02 7.3.8).
Section numbers below are those of UM0701-02, the PN532 user manual.
"""

from validator.nfc.pn532_cards import Pn532Cards
from validator.nfc.pn532_frame import PARAMETERS
from validator.nfc.pn532_port import (
    ACK_CARD_MS,
    ACK_ONCE_MS,
    SPIN_MS,
    SPIN_TAP_MS,
    WIRE_MASK,
    Silent,
)
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead, ReaderError

_IN_DATA_EXCHANGE = 0x40

_MI = 0x40  # more information, in Tg and in the status byte (7.3.8)

_EXCHANGE_MS = 1500  # FWT 77 ms (FWI 8) and a handful of S(WTX); endless WTX ends here (Q24)

_MAX_DATA = 262  # bytes of card data in one command or answer (7.3.8, Q27)
_MAX_ANSWER = 4352  # a chained answer longer than any APDU we ask for is no answer
_US_LIMIT = 1000000000  # a 32-bit chip's integers need no heap up to here

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


class Pn532Reader(Pn532Cards):
    """A reader chip; see `validator.nfc.reader` for the errors that its methods raise.

    `reset_pin` (RSTPD_N) and `power_pin` (the rail, high = on) are called with 0 or 1, if given.
    `baud` is what the UART is raised to after power-up. `max_data` below 262 is for clones that
    take no extended frames: 252 fits a normal one. `type_b_every`: every n-th poll that finds no
    type A card looks for a type B card as well; 0 = never.
    """

    def __init__(
        self,
        serial,
        clock,
        reset_pin=None,
        power_pin=None,
        baud=115200,
        max_data=_MAX_DATA,
        type_b_every=4,
    ):
        super().__init__(serial, clock, reset_pin, power_pin, baud, type_b_every)
        self._max_data = max_data
        self._exchanges = 0
        self._apdu_bytes = 0
        self._wire_bytes = 0
        self._exchange_us = 0
        self._more = 0  # the last answer goes on in another one

    def traffic(self):
        """What the exchanges of APDUs cost since the start, the cards' own time included.

        {"bus", "baud", "exchanges", "apdu_bytes", "wire_bytes", "us"}; wire bytes are those of
        the host's line with frames and ACKs. All begin anew before `us` gets large.
        """
        port = self._port
        return {
            "bus": port.bus,
            "baud": port.baud,
            "exchanges": self._exchanges,
            "apdu_bytes": self._apdu_bytes,
            "wire_bytes": self._wire_bytes,
            "us": self._exchange_us,
        }

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
        clock = self._clock
        wire = self._port.wire_bytes
        start = clock.ticks_us()
        self._port.spin_ms = SPIN_TAP_MS
        try:
            data = apdu
            if len(apdu) > self._max_data:
                data = await self._send_pieces(apdu, ack_ms)
            # As `_exchange` does, without its coroutine.
            n = await self._ask(0, data, ack_ms)
            if not self._taken(n, True):
                n = await self._ask_again(0, data, ack_ms)
            if self._more:
                answer = await self._read_pieces(n)
            else:
                answer = bytes(self._port.rx[1:n])
            self._fresh = False
            if self._exchange_us > _US_LIMIT:
                self._exchanges = self._apdu_bytes = self._wire_bytes = self._exchange_us = 0
            self._exchange_us += clock.diff(clock.ticks_us(), start)
            self._exchanges += 1
            self._apdu_bytes += len(apdu) + len(answer)
            self._wire_bytes += (self._port.wire_bytes - wire) & WIRE_MASK
            return answer
        except Silent:
            self._half_open = True
            raise CardLost("timeout")
        except ReaderError:
            self._half_open = True
            raise
        finally:
            self._port.spin_ms = SPIN_MS

    # Inside.

    async def _send_pieces(self, apdu, ack_ms):
        """The pieces of a long command (Q27), and the last one is returned."""
        view = memoryview(apdu)
        while len(view) > self._max_data:
            await self._exchange(_MI, view[: self._max_data], ack_ms)
            view = view[self._max_data :]
        return view

    async def _read_pieces(self, n):
        """A chained answer, of which `n` bytes with the status byte are there."""
        rx = self._port.rx
        answer = bytearray(rx[1:n])
        while self._more:
            # Asking for the rest must not be done twice: the chip would skip a piece.
            n = await self._exchange(0, b"", ACK_ONCE_MS)
            answer += rx[1:n]
            if len(answer) > _MAX_ANSWER:
                raise CardProtocolError("overflow")
        return bytes(answer)

    async def _exchange(self, flags, data, ack_ms):
        """One InDataExchange: length with the status byte; `_more`: that is not all. Raises by
        status."""
        n = await self._ask(flags, data, ack_ms)
        return n if self._taken(n, True) else await self._ask_again(flags, data, ack_ms)

    def _ask(self, flags, data, ack_ms):
        """The command alone, to be awaited at once."""
        tx = self._port.tx
        tx[PARAMETERS] = self._tg | flags
        n = len(data)
        if n:
            tx[PARAMETERS + 1 : PARAMETERS + 1 + n] = data
        return self._port.command(_IN_DATA_EXCHANGE, n + 1, _EXCHANGE_MS, ack_ms)

    def _taken(self, n, again):
        """The status of an answer of `n` bytes, which is raised; False if `again` may help."""
        if not n:
            raise ReaderDead("short")
        status = self._port.rx[0]
        error = status & 0x3F
        if not error:
            self._more = status & _MI
            return True
        if again and self._fresh and (error == _NOT_LISTED or self._did):
            return False
        _refuse(error)

    async def _ask_again(self, flags, data, ack_ms):
        """The chip forgot its target (Q26) before the card was asked anything, or a type B card
        does not get along with its DID (Q28): list again."""
        error = self._port.rx[0] & 0x3F
        await self._reset_field()
        if not await self._list_kind():
            _refuse(error)
        n = await self._ask(flags, data, ack_ms)
        self._taken(n, False)
        return n


def _refuse(error):
    kind, reason = _STATUS.get(error, (CardProtocolError, "status_%02x" % error))
    raise kind(reason)
