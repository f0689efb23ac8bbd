"""ISO-DEP: the block protocol of ISO/IEC 14443-4, reader's side, for chips that have none.

    dep = IsoDep(link, clock)
    ats = await dep.activate()
    answer = await dep.exchange(apdu)
    await dep.deselect()

`link` has `async exchange(frame, timeout_us)`, which sends a frame and returns the answer, and
`async listen(timeout_us)`, which goes on listening without sending. CRC_A is added, checked and
taken off below. Both raise Timeout and TransmissionError of `validator.nfc.iso14443`; a chip that
is dead raises ReaderDead through everything here. An answer is valid until the next call.

"Rule N" and "rule B" are those of ISO/IEC 14443-4, 7.5.3 and 7.5.4. No CID and no NAD are used.
"""

from validator.nfc.iso14443 import Timeout, TransmissionError
from validator.nfc.reader import CardLost, CardProtocolError

# Proximity card frame sizes by FSCI, CRC included (5.2.3). Above 256 we have no use for more.
_FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
_OVERHEAD = 3  # PCB and CRC

_I_REPEATS = 2  # of an I-block (NFC Forum Digital 2.0, 16.2.5.4; EMVCo likewise)
_R_REPEATS = 3  # R(NAK) or R(ACK) for one block (NFC Forum Digital 2.0, B.9: 2 to 5)
_WTX_MAX = 59  # WTXM, 0 and above are illegal (7.3)
_WTX_ROW = 20  # S(WTX) for one block (Q24)
_NOISE_BELOW = 4  # bytes: a damaged frame that short is electromagnetic disturbance (Q30)
_NOISE_MAX = 16

_FWT_ACTIVATION_US = 5287  # 71680 / fc, RATS and DESELECT (EMVCo; ISO has 65536 / fc)
_FWT_UNIT_US = 303  # 4096 / fc (7.2)
_FWT_MORE_US = 3625  # 49152 / fc, NFC Forum's tolerance on top
_FWT_MAX_US = _FWT_UNIT_US << 14
_SFGT_UNIT_US = 331  # 4096 / fc and its tolerance of 384 / fc (5.2.5)
_PRESENT_MS = 100

_ACK = (b"\xa2", b"\xa3")  # by block number
_NAK = (b"\xb2", b"\xb3")
_WTX = 0xF2
_DESELECT = b"\xc2"


def parse_ats(ats):
    """(FSC in bytes, FWI, SFGI, TA(1), TC(1)) of an ATS with its length byte TL (5.2).

    Defaults for what it leaves out. ValueError if it is shorter or longer than it says.
    """
    n = len(ats)
    if not n or ats[0] != n:
        raise ValueError("TL")
    fsci, fwi, sfgi, ta, tc = 2, 4, 0, 0, 0
    if n > 1:
        t0 = ats[1]
        fsci = t0 & 0x0F
        at = 2
        if at + (t0 >> 4 & 1) + (t0 >> 5 & 1) + (t0 >> 6 & 1) > n:
            raise ValueError("T0")
        if t0 & 0x10:
            ta = ats[at]
            at += 1
        if t0 & 0x20:
            fwi = ats[at] >> 4
            sfgi = ats[at] & 0x0F
            at += 1
        if t0 & 0x40:
            tc = ats[at]
    # 15 is reserved and stands for the default (5.2.5).
    return (
        _FRAME_SIZES[min(fsci, 8)],
        fwi if fwi < 15 else 4,
        sfgi if sfgi < 15 else 0,
        ta,
        tc,
    )


class IsoDep:
    """The protocol with one card at a time.

    max_answer  longest answer, chained or not, in bytes; more is a protocol error
    limit_ms    time for one exchange; four bytes of a chained command or answer, which take a
                third of a millisecond in the air, add one
    fsdi        what we receive at most in a frame: 8 is 256 bytes
    max_frame   what we send at most in a frame, CRC included, whatever the card takes

    `active` is True while the card can take an APDU. After an error it is False, and the card has
    to be deselected or to lose the field before it is activated again (Q33).
    `stats`: timeouts, errors, noise, repeats (I-blocks sent again), wtx.
    """

    def __init__(self, link, clock, max_answer=4352, limit_ms=1500, fsdi=8, max_frame=256):
        self._link = link
        self._clock = clock
        self._max_answer = max_answer
        self._limit_ms = limit_ms
        self._rats = bytes((0xE0, fsdi << 4))
        self._max_frame = max_frame
        self._tx = bytearray(256)
        self._tx_view = memoryview(self._tx)
        self._s = bytearray((_WTX, 0))
        self._block = 0
        self._wtx = 0
        self._fault = ""
        self._began = 0
        self._allowed_ms = 0
        self._guard_ms = 0  # SFGT that has not been waited for yet
        self._guard_from = 0
        self.active = False
        self.fwt_us = 0
        self.size = 0  # INF bytes that fit a frame to the card
        self.stats = {"timeouts": 0, "errors": 0, "noise": 0, "repeats": 0, "wtx": 0}

    async def activate(self):
        """RATS to a selected card (5.6.1); its ATS as bytes, with TL.

        Raises CardLost, and CardProtocolError("ats") for an ATS that contradicts itself.
        """
        self.active = False
        self._start(self._limit_ms)
        got = None
        for _ in range(2):
            got = await self._frame(self._rats, _FWT_ACTIVATION_US)
            if got is not None:
                break
        if got is None:
            self._give_up()
        ats = bytes(got or b"")
        try:
            fsc, fwi, sfgi, _ta, _tc = parse_ats(ats)
        except ValueError:
            raise CardProtocolError("ats")
        self.size = min(fsc, self._max_frame) - _OVERHEAD
        self.fwt_us = (_FWT_UNIT_US << fwi) + _FWT_MORE_US
        # The card may sleep so long after its ATS; whatever happens meanwhile counts.
        self._guard_ms = (_SFGT_UNIT_US << sfgi) // 1000 + 1 if sfgi else 0
        self._guard_from = self._clock.ticks_ms()
        self._block = 0  # rule A
        self.active = True
        return ats

    async def pps(self, dsi, dri):
        """Agree on bit rates, card to reader and reader to card: 0 = 106 to 3 = 848 kbit/s (5.3).

        Only directly after `activate`, and only what TA(1) offers. True if the card took it; the
        caller then sets its chip. Raises CardLost if it does not answer.
        """
        await self._guard()
        self._start(self._limit_ms)
        self.active = False
        got = await self._frame(bytes((0xD0, 0x11, dsi << 2 | dri)), self.fwt_us)
        if got is None:
            self._give_up()
        self.active = True
        return len(got) == 1 and got[0] == 0xD0

    async def exchange(self, apdu):
        """One APDU of any length, to the card's answer as bytes.

        Raises CardLost and CardProtocolError; the card may have executed the APDU then.
        """
        if not self.active:
            raise CardLost("not_listed")
        # Until it ended well: a cancelled exchange leaves the card half-way, too.
        self.active = False
        await self._guard()
        self._start(self._limit_ms)
        view = memoryview(apdu)
        tx = self._tx
        left = len(view)
        at = 0
        while True:
            k = min(self.size, left)
            left -= k
            tx[0] = 0x02 | self._block | (0x10 if left else 0)
            tx[1 : 1 + k] = view[at : at + k]
            at += k
            got = await self._send(self._tx_view[: 1 + k], left > 0)
            if not left:
                break
            self._allowed_ms += k >> 2
        if not got[0] & 0x10:
            answer = bytes(got[1:])
        else:
            answer = bytes(await self._receive_rest(got))
        self.active = True
        return answer

    async def present(self):
        """Is the card there? R(NAK) makes it answer without any effect (7.5.5)."""
        if not self.active:
            return False
        await self._guard()
        for _ in range(2):
            self._start(_PRESENT_MS)
            self._wtx = 0
            if await self._ask(_NAK[self._block]) is not None:
                return True
        return False

    async def deselect(self):
        """S(DESELECT), at most twice (8.2). True if the card confirmed; it sleeps then."""
        self.active = False
        self._start(self._limit_ms)
        for _ in range(2):
            got = await self._frame(_DESELECT, _FWT_ACTIVATION_US)
            if got is not None and len(got) == 1 and got[0] == 0xC2:
                return True
        return False

    # Blocks.

    async def _send(self, frame, more):
        """Send an I-block, to the R(ACK) if there is `more` to come, or to the first I-block."""
        self._wtx = repeats = errors = 0
        asked = False
        got = await self._ask(frame)
        while True:
            if got is not None:
                pcb = got[0] if len(got) else 0
                if pcb & 0xEE == 0x02:
                    if not more and pcb & 1 == self._block:
                        self._block ^= 1  # rule B
                        return got
                elif pcb & 0xFE == 0xA2 and len(got) == 1:
                    if more and pcb & 1 == self._block:
                        self._block ^= 1  # rules B and 7
                        return got
                    # Rule 6: the card waits for our block. A stray R(ACK) from before looks the
                    # same, and a block sent twice to a card that has it already is taken for the
                    # next one. So the card is asked by R(NAK) first, which has no effect.
                    if asked and pcb & 1 != self._block:
                        repeats += 1
                        if repeats > _I_REPEATS:
                            raise CardProtocolError("repeats")
                        self.stats["repeats"] += 1
                        asked = False
                        got = await self._ask(frame)
                        continue
                self._fault = "rf_protocol"
            errors += 1
            if errors > _R_REPEATS:
                self._give_up()
            asked = True
            got = await self._ask(_NAK[self._block])  # rule 4

    async def _receive_rest(self, got):
        """The rest of a chained answer of which `got` is the first block."""
        answer = bytearray(got[1:])
        while got[0] & 0x10:
            if len(got) < 2:
                raise CardProtocolError("rf_protocol")  # a chain that does not grow has no end
            self._allowed_ms += len(got) - 1 >> 2
            got = await self._acknowledge()
            answer += got[1:]
            if len(answer) > self._max_answer:
                raise CardProtocolError("overflow")
        return answer

    async def _acknowledge(self):
        """R(ACK) for a block of the card's chain (rule 2), to its next block."""
        self._wtx = errors = 0
        while True:
            got = await self._ask(_ACK[self._block])
            if got is not None:
                if len(got) and got[0] & 0xEE == 0x02 and got[0] & 1 == self._block:
                    self._block ^= 1  # rule B
                    return got
                self._fault = "rf_protocol"
            errors += 1
            if errors > _R_REPEATS:
                self._give_up()
            # rule 5: R(ACK) again

    async def _ask(self, frame):
        """The answer to `frame`, after whatever extensions the card wants; None: see `_fault`."""
        got = await self._frame(frame, self.fwt_us)
        while got is not None and len(got) == 2 and got[0] == _WTX:
            factor = got[1] & 0x3F
            if not 1 <= factor <= _WTX_MAX:
                raise CardProtocolError("wtx")
            self._wtx += 1
            if self._wtx > _WTX_ROW:
                raise CardProtocolError("wtx")
            self.stats["wtx"] += 1
            self._s[1] = factor
            # The extension holds until the next block only (7.3).
            got = await self._frame(self._s, min(self.fwt_us * factor, _FWT_MAX_US))
        return got

    async def _frame(self, frame, timeout_us):
        """Send a frame; what came back, noise left out, or None, and why is in `_fault`."""
        link = self._link
        noise = 0
        while True:
            try:
                if noise:
                    return await link.listen(self._bounded(timeout_us))
                return await link.exchange(frame, self._bounded(timeout_us))
            except Timeout:
                self.stats["timeouts"] += 1
                self._fault = "timeout"
                return None
            except TransmissionError as e:
                # EMVCo's 4.9.2: what is damaged and short comes from a card that works, not from
                # a card that answers. The waiting time starts anew.
                if e.length < _NOISE_BELOW and noise < _NOISE_MAX:
                    noise += 1
                    self.stats["noise"] += 1
                    continue
                self.stats["errors"] += 1
                self._fault = e.reason
                return None

    # Time.

    def _start(self, allowed_ms):
        self._began = self._clock.ticks_ms()
        self._allowed_ms = allowed_ms

    def _bounded(self, timeout_us):
        clock = self._clock
        left_ms = self._allowed_ms - clock.diff(clock.ticks_ms(), self._began)
        if left_ms <= 0:
            raise CardLost("timeout")
        # Compared in ms: products of the allowance leave the 31 bits of a small int.
        return left_ms * 1000 if left_ms < timeout_us // 1000 else timeout_us

    async def _guard(self):
        """Wait for what is left of SFGT (5.2.5), but no longer than an exchange may take."""
        if self._guard_ms:
            clock = self._clock
            left = self._guard_ms - clock.diff(clock.ticks_ms(), self._guard_from)
            self._guard_ms = 0
            if left > 0:
                await clock.sleep_ms(min(left, self._limit_ms))

    def _give_up(self):
        fault = self._fault
        if fault in ("rf_protocol", "overflow"):
            raise CardProtocolError(fault)
        raise CardLost(fault)
