"""A PSAM behind a slot: terminal id, MAC1 and the check of MAC2 (JT/T 978, PBOC part 3)."""

from validator.emv import apdu
from validator.nfc.reader import ReaderError
from validator.sam import NEW, PsamError, SlotError

# What a PSAM says of a MAC2 that is wrong, beside 63Cx. Everything else but 9000 says nothing of
# the card.
_WRONG = (0x9302, 0x6988)
_LOCKED = (0x6983, 0x9303)
_KEY_NUMBER = b"\x00\xb0\x97\x00\x01"  # file 17 of a DF
_CODE = b"\x80\xca\x00\x00\x09"


class Chip:
    """One slot and what is selected in it; two PSAM applications may share it."""

    def __init__(self, raw):
        self.raw = raw
        self.df = None
        self.turn = None  # the Psam whose MAC1 was the last: the chip has one session

    async def reset(self):
        self.df = self.turn = None
        await self.raw.reset()

    async def transceive(self, command):
        return await self.raw.transceive(command)


class Psam:
    """`entry` of the configuration: slot, df (2 bytes), form (bytes of 8070), aids, key_index.

    terminal  6 bytes read from the chip, or None
    fault     "" while it serves, else what is wrong
    session   terminal serial (4 bytes) of the MAC1 whose MAC2 can be checked, or None
    index     number of the purchase key, which INITIALIZE names: file 17 of the DF, else the entry
    binds     the bytes of the card's number are in its key (form 24 and 1C)
    codes     the DF takes cards' authentication codes (1001; CJ/T 304): then `code`, 9 bytes of
              the card in turn, is shown to it before each MAC1
    """

    def __init__(self, chip, entry, tries):
        self.slot = entry["slot"]
        self.aids = entry["aids"]
        self._chip = chip
        self._df = entry["df"]
        self.df = self._df.hex()
        self._form = entry["form"]
        self._default = entry["key_index"]
        self._tries = tries
        self.index = self._default
        self.binds = self._form >= 28
        self.codes = self._df == b"\x10\x01"
        self.code = b""
        self.terminal = None
        self.key = b""
        self.session = None
        self._fault = NEW

    @property
    def fault(self):
        return self._fault or self._tries.fault(self.key)

    @property
    def away_us(self):
        """What the chip's commands took so far, µs."""
        return getattr(self._chip and self._chip.raw, "away_us", 0)

    async def open(self):
        """Reset, identify, select; the outcome is in `fault`."""
        self.session = None
        if self._chip is None:
            self._fault = "no such slot"
            return
        try:
            await self._begin()
            self.codes = self._df == b"\x10\x01"
            await self._read_index()
            self._fault = ""
        except (SlotError, ReaderError, PsamError) as e:
            self._fault = str(e) or "silent"

    async def _begin(self):
        chip = self._chip
        await chip.reset()
        terminal, sw = await apdu.exchange(chip, b"\x00\xb0\x96\x00\x06")
        if sw != apdu.SW_OK or len(terminal) != 6:
            raise PsamError("terminal id %04X" % sw)
        self.terminal = bytes(terminal)
        self.key = self._df + self.terminal[1:]
        await self._select()

    async def _select(self):
        _, sw = await apdu.exchange(self._chip, b"\x00\xa4\x00\x00\x02" + self._df)
        if sw != apdu.SW_OK:
            raise PsamError("DF %s: %04X" % (self._df.hex(), sw))
        self._chip.df = self._df

    async def _read_index(self):
        number, sw = await apdu.exchange(self._chip, _KEY_NUMBER)
        told = sw == apdu.SW_OK and len(number) == 1
        self.index = number[0] if told else self._default

    async def renew(self):
        """Ask for the number of the key again; whether it is another one than before."""
        before = self.index
        try:
            if self._chip.df != self._df:
                await self._select()
            await self._read_index()
        except (SlotError, ReaderError, PsamError) as e:
            self._fault = str(e) or "silent"
        return self.index != before

    async def _show(self):
        """Show it the card's code. Whether it wanted to see it, 8070 tells."""
        if self.codes and self.code:
            _, sw = await apdu.exchange(self._chip, _CODE + self.code)
            if sw in (0x6D00, 0x6E00):
                self.codes = False  # one that knows no such command

    async def mac1(self, data):
        """(terminal serial 4, MAC1 4) for the 36 bytes of 8070 in its longest form; PsamError.

        A slot that stumbles is reset and asked once more: no card knows of the first attempt.
        """
        self.session = None
        if self.fault:
            raise PsamError(self.fault)
        data = data[: self._form]
        command = b"\x80\x70\x00\x00" + bytes((len(data),)) + data + b"\x08"
        try:
            try:
                if self._chip.df != self._df:
                    await self._select()
                await self._show()
                answer, sw = await apdu.exchange(self._chip, command)
            except (SlotError, ReaderError):
                terminal = self.terminal
                await self._begin()
                if self.terminal != terminal:
                    raise PsamError("another PSAM")  # the card was told the first one's id
                await self._show()
                answer, sw = await apdu.exchange(self._chip, command)
        except (SlotError, ReaderError, PsamError) as e:
            self._fault = str(e) or "silent"
            raise PsamError(self._fault)
        if sw in _LOCKED:
            self._tries.wrong(self.key, 0)
        if sw != apdu.SW_OK or len(answer) != 8:
            raise PsamError("MAC1 %04X" % sw)
        self.session = bytes(answer[:4])
        self._chip.turn = self
        return self.session, bytes(answer[4:])

    async def check(self, mac2):
        """Whether MAC2 (4 bytes) belongs to the last MAC1; None if that cannot be told."""
        alive = self.session is not None and not self.fault and self._chip.turn is self
        self.session = None
        if not alive or self._chip.df != self._df:
            return None
        try:
            _, sw = await apdu.exchange(self._chip, b"\x80\x72\x00\x00\x04" + mac2)
        except (SlotError, ReaderError) as e:
            self._fault = str(e) or "silent"
            return None
        if sw == apdu.SW_OK:
            self._tries.right(self.key)
            return True
        if sw in _WRONG or sw & 0xFFF0 == 0x63C0:
            self._tries.wrong(self.key, None if sw in _WRONG else sw & 15)
            return False
        if sw in _LOCKED:
            self._tries.wrong(self.key, 0)
        return None
