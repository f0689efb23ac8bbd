"""A card's side of ISO/IEC 14443-3 type B: REQB and WUPB, ATTRIB, HLTB. Frames without CRC_B."""

from __future__ import annotations

from ..cards.iso_dep import FRAME_SIZES, Picc, Reply

CHIP_DID = 1  # the DID that a PN532 gives by itself
IDLE, READY, PROTOCOL, HALT = "idle", "ready", "protocol", "halt"


class PiccB:
    """A card that could as well be a type A one; its PUPI is the end of its UID."""

    def __init__(self, picc: Picc) -> None:
        self.picc = picc
        self.state = IDLE

    @property
    def pupi(self) -> bytes:
        return self.picc.uid[-4:]

    @property
    def atqb(self) -> bytes:
        """50, PUPI, application data, protocol info: 106 kbit/s, FSCI and 14443-4, FWI and DID
        supported (7.9)."""
        fsci = FRAME_SIZES.index(self.picc.frame_size)
        fwi = 4
        while 4096 / 13.56e6 * 2**fwi < self.picc.frame_waiting_time * 0.99:
            fwi += 1
        info = bytes([0x00, fsci << 4 | 0x01, fwi << 4 | 0x01])
        return b"\x50" + self.pupi + bytes(4) + info

    def attrib_by_reader(self, fsdi: int) -> bytes:
        """A chip selected the card by itself; the answer to ATTRIB."""
        return self._activate(fsdi, CHIP_DID)

    def _activate(self, fsdi: int, did: int) -> bytes:
        self.picc.activate(fsdi)
        self.picc.assign(did)
        self.state = PROTOCOL
        return bytes([did])

    def respond(self, data: bytes) -> list[Reply]:
        """A frame from the reader; the AFI is taken as fitting when it is 0 or transport (1x)."""
        if self.state == PROTOCOL and self.picc.active:
            replies = self.picc.respond(data)
            if self.picc.halted:
                self.picc.halted = False
                self.state = HALT
            return replies
        if data[:1] == b"\x05" and len(data) == 3:  # APf, AFI, PARAM: bit 4 = WUPB
            if self.state == HALT and not data[2] & 0x08:
                return []
            if data[1] & 0xF0 not in (0x00, 0x10):
                return []
            self.state = READY
            return [Reply(self.atqb)]
        if self.state != READY or data[1:5] != self.pupi:
            return []
        if data[:1] == b"\x50" and len(data) == 5:  # HLTB
            self.state = HALT
            return [Reply(b"\x00")]
        if data[:1] == b"\x1d" and len(data) >= 9:
            return [Reply(self._activate(data[6] & 0x0F, data[8] & 0x0F))]
        return []
