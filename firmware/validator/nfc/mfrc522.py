"""MFRC522 as a reader of ISO 14443-4 type A cards, over SPI.

    spi = SPI(2, baudrate=4000000, sck=18, mosi=23, miso=19)
    reader = Mfrc522Reader(spi, Pin(5, Pin.OUT), clock, reset_pin=Pin(4, Pin.OUT))
    await reader.open()
    target = await reader.poll()
    answer = await reader.transceive(apdu)

The chip knows frames, CRC and a timer; activation and ISO-DEP are done in software
(`validator.nfc.iso14443`, `validator.nfc.iso_dep`), at 106 kbit/s: faster, its FIFO of 64 bytes
would have to be served every millisecond.
"""

from validator.nfc.iso14443 import Timeout, TransmissionError, activate, halt
from validator.nfc.iso_dep import IsoDep
from validator.nfc.mfrc522_chip import Mfrc522Chip
from validator.nfc.mfrc522_rf import Rf
from validator.nfc.reader import (
    CardLost,
    CardProtocolError,
    ReaderError,
    Target,
    random_uid,
)

_FIELD_OFF_MS = 6  # EMVCo reset: at least 5.1 ms (Q33)
_GUARD_MS = 6  # unmodulated field before the first command: at least 5 ms (ISO 14443-3, 5)
_LOOP_MS = 5  # between the two polling loops of one field, which phones in express mode need
# Polls in a row without a card: whoever lies there half-open and mute gets out by a field reset.
_RESET_EVERY = 8
_US_LIMIT = 500000000  # a 32-bit chip's integers need no heap up to here


class Mfrc522Reader(Mfrc522Chip):
    """A reader chip; see `validator.nfc.reader` for the errors that its methods raise.

    `spi`, `cs`, `reset_pin`, `power_pin`, `gain_db`: see Mfrc522Chip.
    """

    def __init__(self, spi, cs, clock, reset_pin=None, power_pin=None, gain_db=38):
        super().__init__(spi, cs, clock, reset_pin, power_pin, gain_db)
        self._rf = Rf(self, clock)
        self._dep = IsoDep(self._rf, clock)
        self._target = None  # the active card
        self._uid = b""  # of the card that was polled last
        self._half_open = False  # a card may be left in the middle of something (Q33)
        self._empty = 0  # polls in a row
        self._switched = clock.ticks_ms()  # when the field was switched on or off last
        self._exchanges = self._apdu_bytes = self._wire_bytes = self._exchange_us = 0

    @property
    def stats(self):
        """Counters of the dialog with cards: timeouts, errors, noise, repeats, wtx, underruns."""
        stats = dict(self._dep.stats)
        stats["underruns"] = self._rf.underruns
        return stats

    def traffic(self):
        """What the exchanges of APDUs cost since the start, the cards' own time included.

        {"bus", "baud", "exchanges", "apdu_bytes", "wire_bytes", "us"}; the wire is the air, its
        bytes those of all frames with PCB and CRC. All begin anew before `us` gets large.
        """
        return {
            "bus": "rf",
            "baud": 106000,
            "exchanges": self._exchanges,
            "apdu_bytes": self._apdu_bytes,
            "wire_bytes": self._wire_bytes,
            "us": self._exchange_us,
        }

    async def open(self):
        self._rf.reset()
        self._half_open = False  # the reset takes the field away
        return await super().open()

    async def field(self, on):
        """RF field on or off. Off also ends what was going on with a card."""
        now = self._clock.ticks_ms()
        off_ms = self._clock.diff(now, self._switched)
        if on and not self._antenna:
            if off_ms >= _FIELD_OFF_MS:
                self._half_open = False
            self._switched = now
        elif self._antenna and not on:
            self._switched = now
        if not on:
            self._target = None
            self._dep.active = False
        await super().field(on)

    async def poll(self):
        """One poll cycle with activation; a Target or None. At most about 100 ms.

        Raises ReaderDead if the chip does not do what it is told.
        """
        self._target = None
        if self._half_open or self._empty >= _RESET_EVERY:
            self._empty = 0
            await self.field(False)
        await self._powered()
        self._half_open = True  # until it is known how this ends
        found = await self._look()
        if not found:
            self._half_open = False
            self._empty += 1
            return None
        if found.sak & 0x20:
            try:
                ats = await self._dep.activate()
            except (CardLost, CardProtocolError):
                return None
            found = Target(found.uid, found.atqa, found.sak, ats, found.count)
        self._half_open = False
        self._empty = 0
        self._target = found
        self._uid = found.uid
        return found

    async def transceive(self, apdu):
        """Exchange one APDU of any length with the active card; returns its answer with SW.

        61xx and 6Cxx are the caller's. Raises CardLost, CardProtocolError, ReaderDead.
        """
        if not self._target:
            raise CardLost("not_listed")
        if not self._target.apdu:
            raise CardProtocolError("not_iso_dep")
        clock = self._clock
        wire = self._rf.wire_bytes
        began = clock.ticks_us()
        self._half_open = True  # also if this is cancelled
        answer = await self._dep.exchange(apdu)
        self._half_open = False
        if self._exchange_us > _US_LIMIT:
            self._exchanges = self._apdu_bytes = self._wire_bytes = self._exchange_us = 0
        self._exchanges += 1
        self._apdu_bytes += len(apdu) + len(answer)
        self._wire_bytes += self._rf.wire_bytes - wire & 0x3FFFFFFF
        self._exchange_us += clock.diff(clock.ticks_us(), began)
        return answer

    async def present(self):
        """Is the card that was polled last still there? Ends in the state it began in.

        An active card is asked by R(NAK). After `deselect` it is woken and selected again (Q21),
        if need be after a field reset, and put back to sleep.
        """
        if self._target and self._dep.active:
            return await self._dep.present()
        self._target = None
        if self._antenna and not self._half_open:
            # Without a reset every card keeps its UID, so another UID is another card.
            found = await self._look_quietly()
            if found:
                return found.uid == self._uid
        await self.field(False)
        found = await self._look_quietly()
        if not found:
            return False
        # A phone makes up a new UID after the reset.
        return found.uid == self._uid or (random_uid(found.uid) and random_uid(self._uid))

    async def deselect(self):
        """End the session: DESELECT or HLTA, and after an error no field. Never raises."""
        target, self._target = self._target, None
        try:
            if target and not self._half_open:
                self._half_open = True
                if target.apdu:
                    self._half_open = not await self._dep.deselect()
                else:
                    await halt(self._rf)
                    self._half_open = False
            if self._half_open:
                await self.field(False)
        except ReaderError:
            self._half_open = True

    # Inside.

    async def _powered(self):
        """Field on, for so long that a card is awake, after an off-time that resets any card."""
        clock = self._clock
        if not self._antenna:
            left = _FIELD_OFF_MS - clock.diff(clock.ticks_ms(), self._switched)
            if left > 0:
                await clock.sleep_ms(left)
            await self.field(True)
        left = _GUARD_MS - clock.diff(clock.ticks_ms(), self._switched)
        if left > 0:
            await clock.sleep_ms(left)

    async def _look(self):
        """Select whoever is in the field: a Target without ATS, or None after two silent loops.

        A card that was disturbed on the way, or one that is active, leaves the first WUPA behind
        that unanswered (ISO 14443-3, 6.3): hence up to four.
        """
        silent = 0
        for loop in range(4):
            if loop:
                await self._clock.sleep_ms(_LOOP_MS)
            try:
                found = await activate(self._rf)
            except (Timeout, TransmissionError):
                silent = 0
                continue
            if found:
                return found
            silent += 1
            if silent == 2:
                break
        return None

    async def _look_quietly(self):
        """Who is there? The card is put to sleep again, where the next poll finds it."""
        await self._powered()
        found = await self._look()
        if found:
            await halt(self._rf)
        return found
