"""A PN532 finding cards: field, polls, presence, DESELECT; see `validator.nfc.pn532`.

Section numbers are those of UM0701-02, the PN532 user manual.
"""

from validator.nfc.pn532_chip import DIAGNOSE, Pn532Chip
from validator.nfc.pn532_port import Silent
from validator.nfc.reader import ReaderError, Target, random_uid

_SET_PARAMETERS = 0x12
_RF_CONFIGURATION = 0x32
_IN_DESELECT = 0x44
_IN_LIST_PASSIVE_TARGET = 0x4A
_IN_RELEASE = 0x52
_IN_SELECT = 0x54

# MaxTg 2, so that a second card is seen (Q22); BrTy 0, 106 kbps type A (7.3.5).
_TWO_TYPE_A = b"\x02\x00"
_ONE_TYPE_B = b"\x01\x03\x00"  # BrTy 3, 106 kbps type B; AFI 0, all of them
_CARD_PRESENCE = 0x06  # Diagnose: R(NAK) to an ISO 14443-4 card (7.2.1)
_POLL_MS = 80  # a poll with anticollision, RATS and a second card; some chips never end it (Q10)
_FIELD_OFF_MS = 6  # EMVCo reset: at least 5.1 ms (Q33)
# A chip may lose its settings and go on answering (Q16): so many polls without a card, about a
# minute, and it gets them again.
_REFRESH_POLLS = 1024
_SILENT_POLLS = 8  # polls without end in a row: did the chip restart with its defaults?


class Pn532Cards(Pn532Chip):
    """`type_b_every`: every n-th poll that finds no type A card looks for type B; 0 = never."""

    def __init__(self, serial, clock, reset_pin, power_pin, baud, type_b_every):
        super().__init__(serial, clock, reset_pin, power_pin, baud)
        self._type_b_every = type_b_every
        self._polls = 0
        self._silent_polls = 0
        self._tg = 0  # logical number of the active target, 0 = none
        self._listed = 0  # the same after a deselect, for InSelect
        self._count = 0
        self._fresh = False  # no APDU was answered since activation
        self._half_open = False  # a card may be left in the middle of something (Q33)
        self._uid = b""
        self._kind = "A"
        self._did = False  # the active card is one of type B with a DID

    def field(self, on):
        """RF field on or off, to be awaited at once. Off ends what was going on with a card."""
        if not on:
            self._tg = self._listed = 0
        return self._send(_RF_CONFIGURATION, b"\x01\x01" if on else b"\x01\x00")

    async def poll(self):
        """One poll cycle with activation; a Target or None. At most about 100 ms.

        Raises ReaderDead if the chip does not even acknowledge.
        """
        if self._half_open:
            await self._reset_field()
        self._tg = self._listed = 0
        self._polls += 1
        if not self._polls % _REFRESH_POLLS:
            await self._configure()
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
        if not target and self._type_b_every and not self._polls % self._type_b_every:
            try:
                target = await self._list_b()
            except Silent:
                return None
        if target:
            self._uid = target.uid
            self._kind = target.kind
        return target

    async def present(self):
        """Is the card that was polled last still there? Ends in the state it began in.

        An active card is asked by R(NAK). After `deselect` it is selected again (Q21): by its
        number, then by listing what is in the field, then after a field reset.
        """
        if self._tg:
            return await self._status(DIAGNOSE, bytes((_CARD_PRESENCE,))) == 0
        if self._listed and self._kind == "A":
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
        # A phone makes up a new UID after the reset, a type B card its PUPI.
        if self._kind == "B":
            return True
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
        # default, so that a poll without a card would never end (Q10). Three tries: phones in
        # express mode want two polling loops in one field, and the first one may come before the
        # card has power, because the field is off between polls.
        await self._send(_RF_CONFIGURATION, b"\x05\x01\x01\x02")
        # A card may be left active by what ran before.
        await self._reset_field()

    async def _reset_field(self):
        self._half_open = False
        await self.field(False)
        await self._clock.sleep_ms(_FIELD_OFF_MS)

    async def _list(self):
        """InListPassiveTarget, type A; the first card becomes the active one. Target or None."""
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
        self._did = False
        self._count = rx[0]
        self._fresh = True
        return Target(bytes(rx[6:uid_end]), (rx[2] << 8) | rx[3], sak, ats, rx[0])

    async def _list_b(self):
        """The same for type B cards.

        The chip sends ATTRIB by itself and gives the card a DID (Q28). A card that says in its
        ATQB that it knows none is deselected and listed once more, for what it then gets.
        """
        for again in (True, False):
            n = await self._send(_IN_LIST_PASSIVE_TARGET, _ONE_TYPE_B, _POLL_MS)
            rx = self._port.rx
            # NbTg, then Tg, ATQB 12 (50, PUPI 4, application 4, protocol 3), length and ATTRIB
            # answer, the low half of whose first byte is the DID (7.3.5; ISO 14443-3, 7.9 f.).
            if n < 14 or not rx[0] or rx[2] != 0x50:
                if n and rx[0]:
                    self._half_open = True
                return None
            self._did = n > 15 and rx[14] > 0 and rx[15] & 0x0F > 0
            if again and self._did and not rx[13] & 1:
                await self._status(_IN_DESELECT, bytes((rx[1],)))
                continue
            break
        self._tg = rx[1]
        self._count = rx[0]
        self._fresh = True
        atqb = bytes(rx[2:14])
        return Target(atqb[1:5], 0, 0x20 if atqb[10] & 1 else 0, atqb, rx[0], "B")

    def _list_kind(self):
        return self._list() if self._kind == "A" else self._list_b()

    async def _list_quietly(self):
        """Who is there? The card is left for the next poll to reset and activate."""
        try:
            found = await self._list_kind()
        except Silent:
            return None
        self._tg = 0
        if found:
            self._half_open = True
        return found
