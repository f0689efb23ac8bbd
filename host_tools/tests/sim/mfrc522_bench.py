"""A simulated MFRC522 in virtual time, and as much of a driver as the tests of it need."""

from __future__ import annotations

from typing import Any

from faretap.sim.chips import mfrc522_registers as reg
from faretap.sim.chips.mfrc522 import Mfrc522
from faretap.sim.chips.picc_a import crc_a
from faretap.sim.virtual_time import VirtualTime


class Bench:
    """The chip, awake; registers by hand."""

    def __init__(self, **options: Any) -> None:
        self.time = VirtualTime()
        self.chip = Mfrc522(**options)
        self.chip.attach(self.time.call_later, lambda: self.time.now)
        self.time.advance(0.002 * self.chip.time_scale)

    def read(self, register: int) -> int:
        return self.chip.transfer(bytes([0x80 | register << 1, 0x00]))[1]

    def write(self, register: int, *values: int) -> None:
        self.chip.transfer(bytes([register << 1, *values]))

    def fifo(self) -> bytes:
        size = self.read(reg.FIFO_LEVEL)
        address = 0x80 | reg.FIFO_DATA << 1
        return self.chip.transfer(bytes([address] * size + [0x00]))[1:]

    def arm(self, fault: str, **options: Any) -> None:
        self.chip.faults.arm(fault, **options)


class Reader(Bench):
    """With the field on, and frames out and in."""

    def __init__(self, *cards: Any, **options: Any) -> None:
        super().__init__(**options)
        for card in cards:
            self.chip.field_present(card)
        self.write(reg.TX_ASK, 0x40)
        self.write(reg.MODE, 0x3D)
        self.write(reg.TX_CONTROL, 0x83)
        self.time.advance(0.006)

    def send(self, frame: bytes, last_bits: int = 0, align: int = 0, crc: bool = False) -> None:
        """Start a frame; CollReg drops what follows a collision."""
        self.write(reg.COMMAND, reg.IDLE)
        self.write(reg.COM_IRQ, 0x7F)
        self.write(reg.FIFO_LEVEL, 0x80)
        self.write(reg.COLL, 0x00)
        self.write(reg.TX_MODE, 0x80 if crc else 0x00)
        self.write(reg.RX_MODE, 0x80 if crc else 0x00)
        self.write(reg.FIFO_DATA, *frame)
        self.write(reg.COMMAND, reg.TRANSCEIVE)
        self.write(reg.BIT_FRAMING, 0x80 | align << 4 | last_bits)

    def ask(self, text: str, last_bits: int = 0, align: int = 0, seconds: float = 0.05) -> bytes:
        """A frame as it is, CRC by hand, to the answer."""
        self.send(bytes.fromhex(text), last_bits, align)
        self.time.advance(seconds)
        return self.fifo()

    def block(self, text: str, seconds: float = 0.05) -> bytes:
        """A frame with CRC by the chip; what came into the FIFO of the answer, drained in time."""
        self.send(bytes.fromhex(text), crc=True)
        got = bytearray()
        for _ in range(int(seconds / 0.001)):
            self.time.advance(0.001)
            if self.read(reg.COM_IRQ) & reg.TX_IRQ:  # before, the FIFO holds the command
                got += self.fifo()
        return bytes(got)

    def select(self, uid: bytes) -> bytes:
        """REQA, select a card of four known bytes of UID: its SAK with CRC."""
        self.ask("26", 7)
        check = uid[0] ^ uid[1] ^ uid[2] ^ uid[3]
        frame = b"\x93\x70" + uid + bytes([check])
        return self.ask((frame + crc_a(frame)).hex())
