"""The timer unit of the MFRC522: 16 bits, counting down from 13.56 MHz over a prescaler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import mfrc522_registers as reg

if TYPE_CHECKING:
    from .mfrc522 import Mfrc522

FC = 13.56e6
SHORTEST_SECONDS = 0.0001


class Timer:
    """Runs in the chip's time; TimerIRq when it passes zero (data sheet, 8.5)."""

    def __init__(self, chip: Mfrc522) -> None:
        self._chip = chip
        self.running = False
        self._start = 0.0
        self._reload = 0
        self._value = 0
        self._generation = 0

    @property
    def automatic(self) -> bool:
        """TAuto: starts at the end of a transmission, stops when an answer begins."""
        return bool(self._chip.registers[reg.T_MODE] & 0x80)

    @property
    def _restarts(self) -> bool:
        """TAutoRestart."""
        return bool(self._chip.registers[reg.T_MODE] & 0x10)

    @property
    def _tick(self) -> float:
        registers = self._chip.registers
        prescaler = (registers[reg.T_MODE] & 0x0F) << 8 | registers[reg.T_PRESCALER]
        even = bool(registers[reg.DEMOD] & 0x10)
        return (2 * prescaler + (2 if even else 1)) / FC * self._chip.time_scale

    @property
    def value(self) -> int:
        """TCounterValReg."""
        if self.running and self._tick > 0:
            gone = int((self._chip.now - self._start) / self._tick)
            if self._restarts:
                gone %= self._reload + 1
            return max(0, self._reload - gone)
        return self._value

    def start(self) -> None:
        registers = self._chip.registers
        self._reload = registers[reg.T_RELOAD_H] << 8 | registers[reg.T_RELOAD_L]
        self._start = self._chip.now
        self.running = True
        self._generation += 1
        generation = self._generation

        def elapsed() -> None:
            if generation != self._generation:
                return
            self.running = False
            self._value = 0
            self._chip.raise_irq(reg.TIMER_IRQ)
            if self._restarts:
                self.start()

        period = self._tick * (self._reload + 1)
        # A restarting timer may have a period of 74 ns: nobody can tell its interrupts apart.
        self._chip.at(max(period, SHORTEST_SECONDS) if self._restarts else period, elapsed)

    def stop(self) -> None:
        self._value = self.value
        self.running = False
        self._generation += 1
