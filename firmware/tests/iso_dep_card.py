"""A card's side of ISO/IEC 14443-4 for the tests, by the letter of its block rules.

It obeys rules C, D and E, and 9 to 13, so that a reader's mistake shows: a block that is sent to
it twice is taken for two.
"""

from validator.nfc.iso14443 import Timeout, TransmissionError


class BlockCard:
    """`app(apdu) -> answer`. `fsc`, `fsd`: frame sizes with CRC, as agreed by ATS and RATS.

    wtx        [WTXM, …] asked for before each answer; `wtx_in_chain` before its second block
    careful    takes an I-block with the number of the one before for a repetition
    """

    def __init__(self, app, ats=b"\x05\x78\x80\x70\x02", fsd=256, wtx=(), careful=False):
        self.app = app
        self.ats = ats
        self.fsd = fsd
        self.wtx = wtx
        self.wtx_in_chain = ()
        self.careful = careful
        self.apdus = []
        self.longest = 0
        self.power_off()

    def power_off(self):
        self.active = False
        self.block = 1  # rule C
        self.command = b""
        self.rest = b""
        self.waits = []
        self.last = b""
        self.seen = None

    def frame(self, data):
        """A frame without CRC to the answer without CRC, or None for silence."""
        data = bytes(data)
        self.longest = max(self.longest, len(data) + 2)
        if not self.active:
            if data[0] == 0xE0 and len(data) == 2:
                self.active = True
                return self.ats
            return None
        pcb = data[0]
        if data == b"\xc2":
            self.power_off()
            return data
        if pcb & 0xF0 == 0xD0:
            return data[:1]
        if pcb & 0xEE == 0x02:
            answer = self._information(pcb, data[1:])
        elif pcb == 0xF2 and len(data) == 2:
            if not self.waits or data[1] != self.waits[0]:
                return None  # an answer to no S(WTX)
            self.waits.pop(0)
            answer = self._wait_or_go_on()
        elif pcb & 0xEE == 0xA2 and len(data) == 1:
            if pcb & 1 == self.block:
                answer = self.last  # rule 11
            elif pcb & 0x10:
                return bytes((0xA2 | self.block,))  # rule 12
            else:
                self.block ^= 1  # rule E
                self.waits = list(self.wtx_in_chain)
                answer = self._wait_or_go_on()  # rule 13
        else:
            return None
        self.last = answer
        return answer

    def _information(self, pcb, info):
        if self.careful and pcb & 1 == self.seen:
            return self.last
        self.seen = pcb & 1
        self.block ^= 1  # rule D
        self.command += info
        if pcb & 0x10:
            return bytes((0xA2 | self.block,))  # rule 2
        self.apdus.append(self.command)
        self.rest = self.app(self.command)
        self.command = b""
        self.waits = list(self.wtx)
        return self._wait_or_go_on()

    def _wait_or_go_on(self):
        if self.waits:
            return bytes((0xF2, self.waits[0]))
        size = self.fsd - 3
        part, self.rest = self.rest[:size], self.rest[size:]
        return bytes((0x02 | self.block | (0x10 if self.rest else 0),)) + part


class BlockLink:
    """The `link` of IsoDep, straight to a BlockCard, with faults by number of the exchange.

    faults: {n: kind}, kinds
      "lost_out"     the card hears nothing          "lost_in"   its answer is not heard
      "damaged_in"   a long answer is damaged        "twice_out" the card hears the frame twice
      "twice_in"     the answer comes again in place of the next one
      "noise"        a damaged stub comes first, then the answer
      bytes          come instead of the card's answer
    """

    def __init__(self, card, clock, faults=()):
        self.card = card
        self.clock = clock
        self.faults = dict(faults)
        self.n = 0
        self.again = None
        self.pending = None
        self.sent = []
        self.waits = []

    async def exchange(self, frame, timeout_us):
        frame = bytes(frame)
        assert len(frame) > 0
        self.sent.append(frame)
        fault = self.faults.get(self.n)
        instead = None
        if isinstance(fault, bytes):
            instead, fault = fault, ""
        self.n += 1
        answer = None
        if fault != "lost_out":
            answer = self.card.frame(frame)
            if fault == "twice_out":
                self.card.frame(frame)
        if self.again is not None:
            answer, self.again = self.again, None
        if fault == "twice_in":
            self.again = answer
        self.waits.append(timeout_us)
        if instead is not None:
            answer = instead
        elif fault == "noise":
            self.pending = answer
            self.clock.advance_us(200)
            raise TransmissionError("rf_crc", 1)
        elif fault == "damaged_in" and answer is not None:
            self.clock.advance_us(500)
            raise TransmissionError("rf_crc", max(4, len(answer)))
        elif fault == "lost_in":
            answer = None
        return self._answer(answer, timeout_us)

    async def listen(self, timeout_us):
        self.waits.append(timeout_us)
        answer, self.pending = self.pending, None
        if answer == b"noise":
            self.pending = answer
            raise TransmissionError("rf_crc", 0)
        return self._answer(answer, timeout_us)

    def _answer(self, answer, timeout_us):
        if answer is None:
            self.clock.advance_us(timeout_us)
            raise Timeout
        self.clock.advance_us(500)
        return memoryview(answer)
