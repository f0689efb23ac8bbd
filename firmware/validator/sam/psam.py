"""A PSAM behind a slot: terminal id, MAC1 and the check of MAC2 (JT/T 978, PBOC part 3)."""

from validator.emv import apdu
from validator.nfc.reader import ReaderError
from validator.sam import NEW, PsamError, SlotError

# What a PSAM says of a MAC2 that is wrong. Everything else but 9000 says nothing of the card.
_WRONG = (0x9302, 0x6988)


class Chip:
    """One slot and what is selected in it; two PSAM applications may share it."""

    def __init__(self, raw):
        self.raw = raw
        self.df = None

    async def reset(self):
        self.df = None
        await self.raw.reset()

    async def transceive(self, command):
        return await self.raw.transceive(command)


class Psam:
    """`entry` of the configuration: slot, df (2 bytes), form (bytes of 8070), aids.

    terminal  6 bytes read from the chip, or None
    fault     "" while it serves, else what is wrong
    session   terminal serial (4 bytes) of the MAC1 whose MAC2 can be checked, or None
    """

    def __init__(self, chip, entry):
        self.slot = entry["slot"]
        self.aids = entry["aids"]
        self._chip = chip
        self._df = entry["df"]
        self._form = entry["form"]
        self.terminal = None
        self.session = None
        self.fault = NEW

    @property
    def away_us(self):
        """What the chip's commands took so far, µs."""
        return getattr(self._chip and self._chip.raw, "away_us", 0)

    async def open(self):
        """Reset, identify, select; the outcome is in `fault`."""
        self.session = None
        if self._chip is None:
            self.fault = "no such slot"
            return
        try:
            await self._begin()
            self.fault = ""
        except (SlotError, ReaderError, PsamError) as e:
            self.fault = str(e) or "silent"

    async def _begin(self):
        chip = self._chip
        await chip.reset()
        terminal, sw = await apdu.exchange(chip, b"\x00\xb0\x96\x00\x06")
        if sw != apdu.SW_OK or len(terminal) != 6:
            raise PsamError("terminal id %04X" % sw)
        self.terminal = bytes(terminal)
        await self._select()

    async def _select(self):
        _, sw = await apdu.exchange(self._chip, b"\x00\xa4\x00\x00\x02" + self._df)
        if sw != apdu.SW_OK:
            raise PsamError("DF %s: %04X" % (self._df.hex(), sw))
        self._chip.df = self._df

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
                answer, sw = await apdu.exchange(self._chip, command)
            except (SlotError, ReaderError):
                terminal = self.terminal
                await self._begin()
                if self.terminal != terminal:
                    raise PsamError("another PSAM")  # the card was told the first one's id
                answer, sw = await apdu.exchange(self._chip, command)
        except (SlotError, ReaderError, PsamError) as e:
            self.fault = str(e) or "silent"
            raise PsamError(self.fault)
        if sw != apdu.SW_OK or len(answer) != 8:
            raise PsamError("MAC1 %04X" % sw)
        self.session = bytes(answer[:4])
        return self.session, bytes(answer[4:])

    async def check(self, mac2):
        """Whether MAC2 (4 bytes) belongs to the last MAC1; None if that cannot be told."""
        alive = self.session is not None and not self.fault and self._chip.df == self._df
        self.session = None
        if not alive:
            return None
        try:
            _, sw = await apdu.exchange(self._chip, b"\x80\x72\x00\x00\x04" + mac2)
        except (SlotError, ReaderError) as e:
            self.fault = str(e) or "silent"
            return None
        if sw == apdu.SW_OK:
            return True
        if sw in _WRONG or sw & 0xFFF0 == 0x63C0:
            return False
        return None
