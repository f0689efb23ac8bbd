"""A PN532 on I²C: address 24, a ready byte before each read (UM0701-02, 6.2.4).

    chip = Pn532I2c()
    chip.attach(time.call_later, lambda: time.now)
    chip.write(0x24, frame)
    chip.read(0x24, 1)                 # 01 = a frame waits
    chip.read(0x24, 7)                 # 01 and the frame

A transaction that fails raises `BusError`, an OSError as drivers expect it, which says how long
the bus was held.
"""

from __future__ import annotations

import errno
from collections import deque

from ..cards.card import Card
from .part_time import TimedPart
from .pn532 import Pn532
from .presented import When

ADDRESS = 0x24
WAKE_STRETCH_SECONDS = 0.001  # SCL is held while the oscillator of a sleeping chip starts


class BusError(OSError):
    """A transaction failed; `seconds` is how long it held the bus, and its caller."""

    def __init__(self, code: int, seconds: float = 0.0) -> None:
        super().__init__(code, errno.errorcode[code])
        self.seconds = seconds


class Pn532I2c(TimedPart):
    """The chip on its I²C bus; `core` is the chip itself, `faults` and cards are its own.

    `limit` is how long the master lets SCL be held, in seconds (None = as long as it takes);
    `stretched` is how long it was held in the last transaction. `sda` and `scl` are the levels
    of an idle bus.
    """

    def __init__(self, time_scale: float = 1.0, limit: float | None = None) -> None:
        super().__init__()
        self.core = Pn532(time_scale, bus="i2c")
        self.faults = self.core.faults
        self.limit = limit
        self.stretched = 0.0
        self.sda = 1
        self.scl = 1
        self._irq_level = 1
        self._frames: deque[bytes] = deque()
        self.core.attach(self._frame_out, self.at)
        self.core.on_armed = self._armed

    def field_present(
        self, card: Card, lose_at_apdu: int | None = None, lose: When = "before"
    ) -> None:
        self.settle()
        self.core.field_present(card, lose_at_apdu, lose)

    def field_remove(self, card: Card | None = None, status: int = 0x01) -> None:
        self.settle()
        self.core.field_remove(card, status)

    def power(self, on: bool) -> None:
        self._release()
        self.core.power(on)

    def reset(self) -> None:
        """The RSTPD_N pin was pulled low and let go: the bus is free again."""
        self._release()
        self.core.reset()

    def h_req(self, level: int) -> None:
        """The H_REQ pin: low wakes the chip before the bus is used."""
        self.settle()
        if not level:
            self.core.wake()

    def clock_pulses(self, pulses: int) -> None:
        """SCL pulses without a transaction; nine of them make a part let go of SDA."""
        if pulses >= 9 and self.scl:
            self.sda = 1

    @property
    def irq(self) -> int:
        """P70_IRQ: low while a frame waits."""
        return 0 if self._frames else 1

    def _release(self) -> None:
        self.sda = self.scl = 1
        self._frames.clear()
        self._tell_irq()

    def _armed(self, fault_id: str) -> None:
        if fault_id == "Q12" and (stuck := self.faults.take("Q12")) is not None:
            setattr(self, stuck["line"], 0)

    def _frame_out(self, data: bytes) -> None:
        self._frames.append(data)
        self._tell_irq()

    def _tell_irq(self) -> None:
        if self.irq != self._irq_level:
            self._irq_level = self.irq
            self.on_irq(self.irq)

    # The bus

    def write(self, address: int, data: bytes) -> None:
        """START, address, `data`, STOP. Raises BusError."""
        self._begin(address)
        if not data:
            return
        self._frames.clear()  # a new command or an abort replaces what nobody fetched
        self._tell_irq()
        self.core.set_line_baud(self.core.baud)
        self.core.receive(data)

    def read(self, address: int, size: int) -> bytes:
        """START, address, `size` bytes, STOP: ready byte, then the frame. Raises BusError.

        A frame that was read, even in part, is gone; the ready byte alone takes nothing."""
        self._begin(address)
        if not self._frames:
            garbage = self.faults.take("Q14") if size > 1 else None
            if garbage is None:
                return bytes(size)
            return b"\x00" + self.faults.random("Q14").randbytes(size - 1)
        if size <= 1:
            return b"\x01"[:size]
        frame = self._frames.popleft()
        self._tell_irq()
        return (b"\x01" + frame).ljust(size, b"\x00")[:size]

    def _begin(self, address: int) -> None:
        self.settle()
        self.stretched = 0.0
        if not self.sda or not self.scl:
            raise BusError(errno.ETIMEDOUT)
        blocked = self.faults.take("Q13")
        if blocked is not None:
            raise BusError(errno.ETIMEDOUT, blocked["block_ms"] / 1000)
        if address != ADDRESS or not self.core.powered or self.core.dead:
            raise BusError(errno.ENODEV)
        if self.core.asleep:
            self.core.wake()
            if self.core.asleep:  # I²C was not among the sources that may wake it
                raise BusError(errno.ENODEV)
            self.stretched = WAKE_STRETCH_SECONDS * self.core.time_scale
        slow = self.faults.take("Q11")
        if slow is not None:
            self.stretched += slow["stretch_us"] / 1e6
        if self.limit is not None and self.stretched > self.limit:
            raise BusError(errno.ETIMEDOUT, self.limit)
