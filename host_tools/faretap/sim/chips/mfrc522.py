"""An MFRC522 on SPI, register for register: FIFO, commands, interrupts, CRC, timer, radio.

    chip = Mfrc522()
    chip.attach(time.call_later, lambda: time.now)
    chip.field_present(cards.make("tunion"))
    chip.transfer(bytes([0x80 | 0x37 << 1, 0x00]))      # VersionReg

Source: NXP MFRC522 data sheet Rev. 3.9 (registers 9, commands 10, SPI 8.1.2). Where it is silent,
see docs/simulators.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..cards.card import Card
from . import mfrc522_registers as reg
from .faults import Faults
from .mfrc522_faults import ELSEWHERE_HERE, KNOWN
from .mfrc522_rf import Radio
from .mfrc522_timer import Timer
from .presented import When
from .spi import SpiPart

FIFO_SIZE = 64
START_SECONDS = 0.001  # crystal start-up and 37.74 µs, after RST or power
SOFT_RESET_SECONDS = 0.00004
CRC_BYTE_SECONDS = 8 / 13.56e6
MAX_CLOCK_HZ = 10_000_000


class Mfrc522(SpiPart):
    """The chip. `time_scale` stretches its own times: 1 = as the chip.

    Larger gives a slow host the time that a real one has; 0 is not possible. `version` is
    what VersionReg shows: 0x91 and 0x92 are NXP's, others clones, whose self-test differs. That of
    0x12 is all zeros, and its SoftReset resets registers only: FIFO, command, timer and field are
    as before (miguelbalboa/rfid, "Chinese RFID-RC522").
    """

    def __init__(self, time_scale: float = 1.0, version: int = 0x92) -> None:
        super().__init__()
        if time_scale <= 0:
            raise ValueError(f"time_scale is above 0, not {time_scale}: a FIFO needs time")
        self.time_scale = time_scale
        self.version = version
        self.registers = reg.reset_values(version)
        self.faults = Faults(KNOWN, self._armed, ELSEWHERE_HERE)
        self.trace: Callable[[str, bytes], None] = lambda kind, data: None
        self.rst = True
        self.radio = Radio(self)
        self.timer = Timer(self)
        self._irq_level = 0
        self._random = random.Random(522)
        self._start(START_SECONDS)

    def _start(self, seconds: float) -> None:
        """All registers as after reset, the radio silent, ready after `seconds`."""
        self.forget()
        self.timer.stop()
        self.dead = False
        self._dead_until = "reset"
        self._alerts = (False, True)
        self.registers = reg.reset_values(self.version)
        self.fifo = bytearray()
        self.command = reg.IDLE
        self.error = 0
        self._memory = bytearray(25)
        self._ready = False
        self._generation = 0
        self._address = 0
        self._reading = False
        self._first = True
        self._crc = 0
        self.crc_ready = True
        self.radio.reset()
        self.after(seconds, self._awake)

    def _awake(self) -> None:
        self._ready = True

    # What the bench does

    def field_present(
        self, card: Card, lose_at_apdu: int | None = None, lose: When = "before"
    ) -> None:
        """Put a card on the antenna, several for a collision. With `lose_at_apdu` it is pulled
        away at that APDU of this presentation, `lose` says whether before or after its work."""
        self.settle()
        self.radio.enter(card, lose_at_apdu, lose)

    def field_remove(self, card: Card | None = None) -> None:
        """Take one card off the antenna, or all."""
        self.settle()
        self.radio.leave(card)

    def power(self, on: bool) -> None:
        self.powered = on
        self.settle()
        self._start(START_SECONDS)

    def set_reset(self, level: int) -> None:
        """The RST pin: low = off, a rising edge starts the chip."""
        self.settle()
        if self.dead and self._dead_until == "power":
            return
        if bool(level) != self.rst or not level:
            self.rst = bool(level)
            self._start(START_SECONDS)

    @property
    def irq(self) -> int:
        """Level of the IRQ pin."""
        active = self.irq_request
        inverted = bool(self.registers[reg.COM_IEN] & 0x80)
        return int(active != inverted)

    @property
    def irq_request(self) -> bool:
        registers = self.registers
        com = registers[reg.COM_IRQ] & registers[reg.COM_IEN] & 0x7F
        div = registers[reg.DIV_IRQ] & registers[reg.DIV_IEN] & 0x14
        return bool(com or div)

    def _armed(self, fault_id: str) -> None:
        """Q38: something asks for attention although nothing was begun."""
        if fault_id == "Q38" and self.faults.take("Q38") is not None:
            self.settle()
            self.fifo += b"\x04\x00"
            self.raise_irq(reg.RX_IRQ)

    # SPI

    @property
    def listening(self) -> bool:
        return self.powered and self.rst and not self.dead

    def select(self) -> None:
        super().select()
        self._first = True

    def exchange(self, mosi: bytes) -> bytes:
        """MISO of a read is one byte late: it answers the address that came before."""
        self.settle()
        if not self.selected or not self.listening:
            return bytes(len(mosi))
        miso = bytearray()
        for byte in mosi:
            byte = self._disturbed(byte)
            if self._first:
                self._first = False
                self._reading = bool(byte & 0x80)
                self._address = byte >> 1 & 0x3F
                miso.append(0x00)
            elif self._reading:
                miso.append(self._disturbed(self.read(self._address)))
                self._address = byte >> 1 & 0x3F
            else:
                self.write(self._address, byte)
                miso.append(0x00)
        self._tell_irq()
        return bytes(miso)

    def _disturbed(self, byte: int) -> int:
        """Q15: a bit is lost now and then when SCK is too fast for this board."""
        limits = self.faults.armed().get("Q15")
        if limits is None or self.clock_hz <= limits["above_hz"]:
            return byte
        if self.faults.take("Q15") is None:
            return byte
        return byte ^ 1 << self.faults.random("Q15").randrange(8)

    def settle(self) -> None:
        super().settle()
        self._tell_irq()

    def _tell_irq(self) -> None:
        level = self.irq
        if level != self._irq_level:
            self._irq_level = level
            self.on_irq(level)

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call after the chip's own time."""
        self.at(seconds * self.time_scale, function)

    # Registers

    def read(self, address: int) -> int:
        if not self._ready:
            return reg.RCV_OFF | reg.POWER_DOWN if address == reg.COMMAND else 0x00
        if address == reg.COMMAND:
            return self.registers[reg.COMMAND] & 0x30 | self.command
        if address == reg.FIFO_DATA:
            value = self.fifo.pop(0) if self.fifo else 0x00
            self.watch_level()
            return value
        if address == reg.FIFO_LEVEL:
            return len(self.fifo)
        if address == reg.ERROR:
            return self.error
        if address == reg.STATUS1:
            return self._status1()
        if address == reg.STATUS2:
            return self.registers[reg.STATUS2] & 0xC8 | self.radio.modem_state
        if address == reg.T_COUNTER_H:
            return self.timer.value >> 8
        if address == reg.T_COUNTER_L:
            return self.timer.value & 0xFF
        return self.registers[address]

    def _status1(self) -> int:
        crc_zero = self.registers[reg.CRC_RESULT_H] == self.registers[reg.CRC_RESULT_L] == 0
        return (
            (0x40 if crc_zero else 0)
            | (0x20 if self.crc_ready else 0)
            | (0x10 if self.irq_request else 0)
            | (0x08 if self.timer.running else 0)
            | (0x02 if self.hi_alert else 0)
            | (0x01 if self.lo_alert else 0)
        )

    def write(self, address: int, value: int) -> None:
        if not self._ready:
            return
        registers = self.registers
        if address == reg.COMMAND:
            self._write_command(value)
        elif address == reg.FIFO_DATA:
            self._write_fifo(value)
        elif address == reg.FIFO_LEVEL:
            if value & 0x80:
                self.fifo.clear()
                self.error &= ~reg.BUFFER_OVFL
                self.watch_level()
        elif address in (reg.COM_IRQ, reg.DIV_IRQ):
            marked = value & (0x7F if address == reg.COM_IRQ else 0x14)
            if value & 0x80:
                registers[address] |= marked
            else:
                registers[address] &= ~marked
        elif address == reg.CONTROL:
            if value & 0x80:
                self.timer.stop()
            if value & 0x40:
                self.timer.start()
        elif address == reg.BIT_FRAMING:
            registers[address] = value & 0x77
            if value & 0x80 and self.command == reg.TRANSCEIVE:
                self.radio.transmit()
        elif address == reg.COLL:
            registers[address] = registers[address] & 0x7F | value & 0x80
        elif address == reg.STATUS2:
            # MFCrypto1On can be cleared by software, never set.
            registers[address] = value & 0xC0 | registers[address] & value & 0x08
        elif address in reg.WRITABLE:
            mask = reg.WRITABLE[address]
            registers[address] = registers[address] & ~mask | value & mask
            if address == reg.TX_CONTROL:
                self.radio.drivers_changed()
            elif address == reg.WATER_LEVEL:
                self.watch_level()

    # FIFO and interrupts

    @property
    def hi_alert(self) -> bool:
        return FIFO_SIZE - len(self.fifo) <= self.registers[reg.WATER_LEVEL]

    @property
    def lo_alert(self) -> bool:
        return len(self.fifo) <= self.registers[reg.WATER_LEVEL]

    def watch_level(self) -> None:
        """HiAlertIRq and LoAlertIRq store the moment at which the alert came."""
        alerts = (self.hi_alert, self.lo_alert)
        before, self._alerts = self._alerts, alerts
        if alerts[0] and not before[0]:
            self.registers[reg.COM_IRQ] |= reg.HI_ALERT_IRQ
        if alerts[1] and not before[1]:
            self.registers[reg.COM_IRQ] |= reg.LO_ALERT_IRQ

    def store(self, byte: int) -> bool:
        """A byte into the FIFO, from either side; BufferOvfl when it is full."""
        if len(self.fifo) >= FIFO_SIZE:
            self.fail(reg.BUFFER_OVFL)
            return False
        self.fifo.append(byte)
        self.watch_level()
        return True

    def _write_fifo(self, value: int) -> None:
        if self.command == reg.MF_AUTHENT or self.radio.waiting or self.radio.receiving:
            self.fail(reg.WR_ERR)
            if self.command == reg.MF_AUTHENT:
                return
        if self.store(value) and self.command == reg.CALC_CRC:
            self._crc_work()

    def raise_irq(self, bits: int) -> None:
        self.registers[reg.COM_IRQ] |= bits
        self._tell_irq()

    def fail(self, bits: int) -> None:
        """Set error bits; ErrIRq goes with them."""
        self.error |= bits
        self.raise_irq(reg.ERR_IRQ)

    # Commands

    def _write_command(self, value: int) -> None:
        if (gone := self.faults.take("Q16")) is not None:
            self.dead = True
            self._dead_until = gone["until"]
            return
        down = bool(value & reg.POWER_DOWN)
        was_down = bool(self.registers[reg.COMMAND] & reg.POWER_DOWN)
        code = value & 0x0F
        if code == reg.SOFT_RESET and self.version == 0x12:
            drivers = self.registers[reg.TX_CONTROL]
            self.registers = reg.reset_values(self.version)
            self.registers[reg.TX_CONTROL] = drivers
            return
        if code == reg.SOFT_RESET:
            memory = self._memory
            self._start(SOFT_RESET_SECONDS)
            self._memory = memory
            return
        self.registers[reg.COMMAND] = value & reg.RCV_OFF | (reg.POWER_DOWN if down else 0)
        if was_down and not down:
            self.registers[reg.COMMAND] |= reg.POWER_DOWN
            self.after(SOFT_RESET_SECONDS, self._powered_up)
        if down and not was_down:
            self.radio.stop()
            self.radio.drivers_changed()
        if code != reg.NO_CMD_CHANGE:
            self._begin(code)

    def _powered_up(self) -> None:
        self.registers[reg.COMMAND] &= ~reg.POWER_DOWN
        self.radio.drivers_changed()

    def _begin(self, code: int) -> None:
        """Start a command; the one under way ends, errors of the last one are gone."""
        self._generation += 1
        self.radio.stop()
        self.error &= reg.TEMP_ERR
        self.command = code
        if code == reg.IDLE:
            return
        if code == reg.MEM:
            self._mem()
        elif code == reg.GENERATE_RANDOM_ID:
            self._memory[:10] = self._random.randbytes(10)
            self.end_command()
        elif code == reg.CALC_CRC:
            self._crc_begin()
        elif code == reg.TRANSMIT:
            self.radio.transmit()
        elif code == reg.RECEIVE:
            self.radio.listen()
        elif code == reg.TRANSCEIVE:
            self.radio.ready_to_send()
        elif code == reg.MF_AUTHENT:
            self.radio.authenticate()
        else:
            self.end_command()

    def end_command(self) -> None:
        """A command came to its end by itself."""
        self.command = reg.IDLE
        self.raise_irq(reg.IDLE_IRQ)

    def _mem(self) -> None:
        if self.fifo:
            for at in range(min(25, len(self.fifo))):
                self._memory[at] = self.fifo.pop(0)
        else:
            self.fifo += self._memory
        self.watch_level()
        self.end_command()

    # CRC coprocessor

    def _crc_begin(self) -> None:
        if self.registers[reg.AUTO_TEST] & 0x0F == 0x09:
            self.fifo[:] = reg.self_test(self.version)
            self.watch_level()
            self.registers[reg.DIV_IRQ] |= reg.CRC_IRQ
            return
        preset = (0x0000, 0x6363, 0xA671, 0xFFFF)[self.registers[reg.MODE] & 0x03]
        self._crc = preset
        self._crc_work()

    def _crc_work(self) -> None:
        """The FIFO goes into the coprocessor; what is written meanwhile follows it."""
        generation = self._generation
        self.crc_ready = False

        def done() -> None:
            if generation != self._generation:
                return
            data = bytes(self.fifo)
            self.fifo.clear()
            self._crc = crc16(data, self._crc, bool(self.registers[reg.MODE] & 0x80))
            self.registers[reg.CRC_RESULT_H] = self._crc >> 8
            self.registers[reg.CRC_RESULT_L] = self._crc & 0xFF
            self.crc_ready = True
            self.registers[reg.DIV_IRQ] |= reg.CRC_IRQ
            self.watch_level()
            self._tell_irq()

        self.after(len(self.fifo) * CRC_BYTE_SECONDS, done)


def crc16(data: bytes, crc: int, msb_first: bool) -> int:
    """CRC with x^16 + x^12 + x^5 + 1 (ISO/IEC 13239), in the bit order that ModeReg asks for."""
    for byte in data:
        if msb_first:
            crc ^= byte << 8
            for _ in range(8):
                crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
        else:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc
