"""A PN532 on SPI: status, data write and data read round the same chip (UM0701-02, 6.2.5).

    chip = Pn532Spi()
    chip.attach(time.call_later, lambda: time.now)
    chip.transfer(lsb_first(b"\\x01" + frame))   # data write
    chip.transfer(lsb_first(b"\\x02\\x00"))       # status: bit 0 = a frame waits

Bytes go least significant bit first; for a host that shifts the other way they come mirrored, and
so does what is returned.
"""

from __future__ import annotations

from collections import deque

from ..cards.card import Card
from .pn532 import Pn532
from .presented import When
from .spi import SpiPart

DATA_WRITE, STATUS_READ, DATA_READ = 0x01, 0x02, 0x03
WAKE_SECONDS = 0.002
MAX_CLOCK_HZ = 5_000_000

_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def lsb_first(data: bytes) -> bytes:
    """Bytes as a host with its most significant bit first has to send them."""
    return data.translate(_MIRROR)


class Pn532Spi(SpiPart):
    """The chip on its SPI bus; `core` is the chip itself, `faults` and cards are its own."""

    def __init__(self, time_scale: float = 1.0) -> None:
        super().__init__()
        self.core = Pn532(time_scale, bus="spi")
        self.faults = self.core.faults
        self._frames: deque[bytes] = deque()
        self._irq_level = 1
        self._head: int | None = None
        self._written = bytearray()
        self._read_at = 0
        self._awake_at = 0.0
        self.core.attach(self._frame_out, self.at)

    def field_present(
        self, card: Card, lose_at_apdu: int | None = None, lose: When = "before"
    ) -> None:
        self.settle()
        self.core.field_present(card, lose_at_apdu, lose)

    def field_remove(self, card: Card | None = None, status: int = 0x01) -> None:
        self.settle()
        self.core.field_remove(card, status)

    def power(self, on: bool) -> None:
        self.powered = on
        self._forget_frames()
        self.core.power(on)

    def reset(self) -> None:
        """The RSTPD_N pin was pulled low and let go."""
        self._forget_frames()
        self.core.reset()

    @property
    def irq(self) -> int:
        """P70_IRQ: low while a frame waits."""
        return 0 if self._frames else 1

    def _forget_frames(self) -> None:
        self._frames.clear()
        self._tell_irq()

    def _frame_out(self, data: bytes) -> None:
        self._frames.append(data)
        self._tell_irq()

    def _tell_irq(self) -> None:
        if self.irq != self._irq_level:
            self._irq_level = self.irq
            self.on_irq(self.irq)

    # The bus

    @property
    def _alive(self) -> bool:
        return self.powered and self.core.powered and not self.core.dead

    def select(self) -> None:
        """NSS low; it wakes a sleeping chip, which needs 2 ms to hear anything."""
        super().select()
        self.settle()
        self._head = None
        self._written.clear()
        self._read_at = 0
        if self._alive and self.core.asleep:
            self.core.wake()
            if not self.core.asleep:
                self._awake_at = self.now + WAKE_SECONDS * self.core.time_scale

    def exchange(self, mosi: bytes) -> bytes:
        self.settle()
        if not self.selected or not self._alive or self.core.asleep or self.now < self._awake_at:
            return bytes(len(mosi))
        miso = bytearray()
        for byte in lsb_first(mosi):
            byte = self._disturbed(byte)
            if self._head is None:
                self._head = byte
                miso.append(0x00)
            elif self._head == DATA_WRITE:
                self._written.append(byte)
                miso.append(0x00)
            elif self._head == STATUS_READ:
                miso.append(self._disturbed(1 if self._frames else 0))
            elif self._head == DATA_READ:
                miso.append(self._disturbed(self._next_byte()))
            else:
                miso.append(0x00)
        return lsb_first(bytes(miso))

    def deselect(self) -> None:
        """NSS high: what was written reaches the chip, what was read is gone."""
        super().deselect()
        if self._head == DATA_READ and self._read_at and self._frames:
            self._frames.popleft()
            self._tell_irq()
        if self._head == DATA_WRITE and self._written and self._alive:
            self._frames.clear()  # a new command or an abort replaces what nobody fetched
            self._tell_irq()
            self.core.set_line_baud(self.core.baud)
            self.core.receive(bytes(self._written))
        self._head = None

    def _next_byte(self) -> int:
        frame = self._frames[0] if self._frames else b""
        at, self._read_at = self._read_at, self._read_at + 1
        return frame[at] if at < len(frame) else 0x00

    def _disturbed(self, byte: int) -> int:
        """Q15: a bit is lost now and then when SCK is too fast for this board."""
        limits = self.faults.armed().get("Q15")
        if limits is None or self.clock_hz <= limits["above_hz"]:
            return byte
        if self.faults.take("Q15") is None:
            return byte
        return byte ^ 1 << self.faults.random("Q15").randrange(8)
