"""The card's side of ISO/IEC 14443-4: what a card does with raw blocks.

A reader chip that does ISO-DEP itself only needs `activate` and `apdu`; a host that does it in
software (InCommunicateThru) gets real blocks from `frame`: RATS, PPS, I, R and S blocks with
chaining both ways.
"""

from __future__ import annotations

from .card import Card

FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)


class Picc:
    """One card in the field and its protocol state. `frame` returns None when the card is mute."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.active = False
        self._fsd = 32
        self._block = 1
        self._command = bytearray()
        self._pending = b""
        self._last = b""

    @property
    def iso_dep(self) -> bool:
        return bool(self.card.sak & 0x20)

    @property
    def frame_waiting_time(self) -> float:
        """Seconds that a reader waits for an answer (FWT, from TB(1) of the ATS)."""
        ats = self.card.ats
        fwi, at = 4, 2
        if len(ats) > 1 and ats[1] & 0x20:
            at += 1 if ats[1] & 0x10 else 0
            fwi = min(ats[at] >> 4, 14) if at < len(ats) else 4
        return float(4096 / 13.56e6 * 2**fwi)

    def activate(self, fsdi: int = 8) -> bytes:
        """RATS: the card's ATS, with its length byte."""
        self._fsd = FRAME_SIZES[min(fsdi, 8)]
        self._block = 1
        self._command.clear()
        self._pending = self._last = b""
        self.active = True
        return self.card.ats

    def deselect(self) -> None:
        self.active = False
        self.card.power_off()

    def frame(self, data: bytes) -> bytes | None:
        """A frame without its CRC, to the answer without its CRC."""
        if not data or not self.iso_dep:
            return None
        if not self.active:
            return self.activate(data[1] >> 4) if data[0] == 0xE0 and len(data) == 2 else None
        pcb = data[0]
        if pcb & 0xE2 == 0x02:
            answer = self._i_block(pcb, data[1:])
        elif pcb & 0xE6 == 0xA2:
            answer = self._r_block(pcb)
        elif pcb & 0xF7 == 0xC2:
            self.deselect()
            return bytes(data)
        elif pcb & 0xF0 == 0xD0:  # PPS: only its start byte is echoed
            return bytes(data[:1])
        else:
            return None
        if answer is not None:
            self._last = answer
        return answer

    def _i_block(self, pcb: int, info: bytes) -> bytes | None:
        self._block ^= 1  # rule D
        self._command += info
        if pcb & 0x10:
            return bytes([0xA2 | self._block])
        command, self._command = bytes(self._command), bytearray()
        self._pending = self.card.apdu(command)
        return self._chunk() if self._pending else None

    def _r_block(self, pcb: int) -> bytes | None:
        if pcb & 0x01 == self._block:
            return self._last or None  # rule 11
        if pcb & 0x10:
            return bytes([0xA2 | self._block])  # rule 12: R(NAK) for a block never received
        self._block ^= 1  # rules 13 and E
        return self._chunk() if self._pending else None

    def _chunk(self) -> bytes:
        room = self._fsd - 3
        piece, self._pending = self._pending[:room], self._pending[room:]
        return bytes([0x02 | self._block | (0x10 if self._pending else 0)]) + piece
