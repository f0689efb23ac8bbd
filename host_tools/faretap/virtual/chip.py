"""The chip: from reset to ROM, from flash to a running MicroPython, and back.

What it does after reset depends on nothing but the boot strap and its flash. The firmware's
`machine` talks to it through the side channel described in boards/VIRTUAL/modules/vboard.py.
"""

from __future__ import annotations

import asyncio
import collections
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from faretap.sim.chips.uart import resample, same_rate

from . import boot, esp_image, micropython_image, rom
from .flash import Flash
from .interpreter import Interpreter
from .uart import Uart

# What MicroPython has left on an ESP32 after its own start, in the chip's bytes.
HEAP = 160 * 1024
# A 64-bit interpreter's words, blocks and pointers are twice as large as an ESP32's.
_HEAP_SCALE = 2
# What the modules that play the hardware take of it, and the table of names at its full size; on a
# chip they are in flash.
_SHIM_HEAP = (56 + 66) * 1024
# Code, names and texts that a chip uses in place in flash (docs/memory.md), this one in its heap.
_CODE_HEAP = 160 * 1024 * _HEAP_SCALE

# machine.reset_cause()
_PWRON, _HARD, _WDT, _DEEPSLEEP, _SOFT = 1, 2, 3, 4, 5
_UART_FIFO = 128
# A chip that resets itself for ever only heats the room; here it would stop others' work.
_CRASH_LIMIT, _CRASH_WINDOW_S, _CRASH_PAUSE_S = 20, 10.0, 2.0


class Surroundings(Protocol):
    """What the chip is soldered to."""

    i2c_addresses: list[int]

    def strap_low(self) -> bool:
        """IO0 is held low."""

    def console_out(self, data: bytes) -> None:
        """UART0 sends."""

    def uart_out(self, number: int, data: bytes) -> None:
        """Another UART sends."""

    def uart_baud(self, number: int, baud: int) -> None:
        """The firmware has set the rate of UART `number`."""

    def i2c_write(self, address: int, data: bytes) -> None:
        """A write transaction on a bus."""

    def event(self, name: str, **what: Any) -> None:
        """Something that can be seen from outside: a mode, a pin."""

    def power(self, on: bool) -> None:
        """The supply of everything."""


class Chip:
    """CPU, ROM, UARTs and watchdog. `uarts` are the numbers of those that lead somewhere.

    Switched off when made. `power` and `enable` are its supply and its EN pin.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        flash: Flash,
        mac: bytes,
        folder: Path,
        heap: int,
        unpaced: bool,
        uarts: Iterable[int],
        around: Surroundings,
    ) -> None:
        self._loop = loop
        self._flash = flash
        self._mac = mac
        self._folder = folder
        self._heap = heap
        self._around = around
        self.console = Uart(loop, 0, unpaced, around.console_out)
        self.console.arrive = self._from_console_wire
        self.console.on_interrupt = self._interrupt
        self.uarts = [self.console]
        for number in sorted(uarts):
            self.uarts.append(Uart(loop, number, unpaced, self._sender(number)))
        self._cpu = Interpreter(loop, self._control, self._ended)
        self._rom: rom.SerialLoader | None = None
        self._application: boot.Application | None = None
        self._powered = False
        self._enabled = True
        self._life = 0  # callbacks that were asked for in another life do nothing
        self._timer: asyncio.TimerHandle | None = None
        self._wdt: asyncio.TimerHandle | None = None
        self._wdt_s = 0.0
        self._own_resets: collections.deque[float] = collections.deque(maxlen=_CRASH_LIMIT)
        self._clock = 0  # Unix time at which the firmware's clock read 0
        self._orders = os.memfd_create("orders")  # to the firmware's flash, see cut()
        os.write(self._orders, bytes(5))
        self._rtc_memory = ""  # hex; it is powered through every reset
        self._started_at = 0.0
        self.mode = "off"
        self.outputs: dict[str, int] = {}
        self.pwm: dict[str, list[int]] = {}
        self.counters = {"boots": 0, "resets": 0, "watchdog": 0, "panics": 0}

    def _sender(self, number: int) -> Callable[[bytes], None]:
        return lambda data: self._around.uart_out(number, data)

    @property
    def powered(self) -> bool:
        return self._powered

    @property
    def in_rom(self) -> bool:
        return self._rom is not None

    @property
    def pid(self) -> int | None:
        """The interpreter's process, while there is one."""
        return self._cpu.pid

    @property
    def uptime_s(self) -> float:
        return self._loop.time() - self._started_at

    # Supply and EN

    def power(self, on: bool) -> None:
        self._powered = on
        self._halt()
        if not on:
            self._set_mode("off")
        elif self._enabled:
            self._start(boot.POWERON, _PWRON)
        else:
            self._set_mode("reset")

    def cut(self, operation: int, how: int) -> None:
        """The power goes at the firmware's `operation`-th flash operation from now, 0: not at all.
        `how`: 0 with it undone, 1 half done, 2 done."""
        os.pwrite(self._orders, operation.to_bytes(4, "little") + bytes([how]), 0)

    def enable(self, level: bool) -> None:
        """The EN pin: low holds the chip in reset, rising starts it."""
        if self._enabled and not level:
            self.counters["resets"] += 1
        self._enabled = level
        if not self._powered:
            return
        self._halt()
        if level:
            self._start(boot.POWERON, _PWRON)
        else:
            self._set_mode("reset")

    def drive_pin(self, pin: int, level: int) -> None:
        """Drive an input pin from outside."""
        self._cpu.tell(f"pin {pin} {level}")

    def _halt(self) -> None:
        """Stop the CPU and all that it drives, at once; what was on the wires is lost."""
        self._life += 1
        self._cpu.kill()
        self._rom = None
        self._application = None
        self._stop_timers()
        self.outputs.clear()
        self.pwm.clear()
        for uart in self.uarts:
            uart.reset()

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._wdt):
            if timer is not None:
                timer.cancel()
        self._timer = self._wdt = None

    def _when_sent(self, uart: Uart, function: Callable[[], None]) -> None:
        """Call back when `uart` has sent everything, unless this life has ended by then."""
        life = self._life

        def same_life() -> None:
            if life == self._life:
                function()

        uart.tx.when_idle(same_life)

    def _set_mode(self, mode: str) -> None:
        self.mode = mode
        self._around.event("mode", mode=mode)

    def _say(self, text: str) -> None:
        """The ROM, the bootloader or a panic handler prints."""
        self.console.tx.write(text.encode())

    # Boot

    def _start(self, reason: tuple[int, str], cause: int) -> None:
        """Out of reset: the ROM looks at the strap, then at the flash."""
        self.counters["boots"] += 1
        self._started_at = self._loop.time()
        if cause == _PWRON:
            self._clock = int(time.time())
            self._rtc_memory = ""
        self.console.interrupt_byte = None
        if self._around.strap_low():
            self._rom = rom.SerialLoader(
                self._flash, self._mac, self.console.tx.write, self._rom_baud, self._rom_reboot
            )
            self._say(boot.reset_line(reason, download=True) + rom.BANNER)
            self._set_mode("download")
            return
        log = boot.look(self._flash, reason)
        self._say(log.text)
        self._application = log.application
        if log.application is not None:
            self._run(log.application, cause)
        else:
            self._set_mode("nothing to boot")
            # The ROM's watchdog makes the chip try again, for ever.
            self._timer = self._loop.call_later(
                log.again_s, self._start, (0x10, "RTCWDT_RTC_RESET"), _PWRON
            )

    def _run(self, application: boot.Application, cause: int) -> None:
        """Start the interpreter with what the application image carries."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        try:
            modules = micropython_image.unpack(application.image)
        except esp_image.ImageError as e:
            self._say(f"E (50) cpu_start: {e}\r\n")
            self._set_mode("nothing to boot")
            return
        for name, content in modules.items():
            (self._folder / name).write_bytes(content)
        parameters = {
            "partitions": [
                (p.type, p.subtype, p.address, p.size, p.label) for p in application.partitions
            ],
            "mac": self._mac.hex(),
            "cause": cause,
            "clock": self._clock,
            "rtc_memory": self._rtc_memory,
            "i2c": self._around.i2c_addresses,
            "version": application.version,
        }
        heap = self._heap * _HEAP_SCALE + _SHIM_HEAP + _CODE_HEAP
        self._cpu = Interpreter(self._loop, self._control, self._ended)
        self._cpu.start(
            self._folder, heap, self.uarts, self._flash.fileno(), self._orders, parameters
        )
        self._set_mode("running")

    def _restart(self, reason: tuple[int, str], cause: int) -> None:
        """A reset that the chip does to itself: what it has printed still goes out."""
        for uart in self.uarts:
            uart.collect()
        self._cpu.kill()
        self._stop_timers()
        self._life += 1
        self._when_sent(self.console, lambda: self._restarted(reason, cause))

    def _restarted(self, reason: tuple[int, str], cause: int) -> None:
        now = self._loop.time()
        self._own_resets.append(now)
        resets = self._own_resets
        if len(resets) == _CRASH_LIMIT and now - resets[0] < _CRASH_WINDOW_S:
            resets.clear()
            self._timer = self._loop.call_later(_CRASH_PAUSE_S, self._restarted, reason, cause)
            return
        if cause == _SOFT:
            # The console keeps its rate, the other UARTs are gone (machine_uart_deinit_all).
            for uart in self.uarts[1:]:
                uart.reset()
            assert self._application is not None
            self._run(self._application, cause)
        else:
            self._halt()
            self._start(reason, cause)

    # The serial loader

    def _rom_baud(self, baud: int) -> None:
        self._when_sent(self.console, lambda: self.console.set_baud(baud))

    def _rom_reboot(self) -> None:
        # Its answer goes out first.
        self._when_sent(self.console, lambda: self._restarted(boot.SW_CPU, _HARD))

    def _from_console_wire(self, data: bytes) -> bytes | None:
        """What of the bytes on UART0's wire is for the interpreter, as the chip reads them."""
        wire, own = self.console.rx.baud, self.console.baud
        if self._rom is None:
            return resample(data, wire, own)
        if not self._rom.synced and not same_rate(wire, own):
            # The ROM measures the rate of the first bytes after reset.
            self.console.set_baud(wire)
            own = wire
        self._rom.receive(resample(data, wire, own))
        return None

    # What the firmware tells through the side channel

    def _control(self, line: str) -> None:
        verb, *words = line.split()
        if verb == "pin":
            self.outputs[words[0]] = int(words[1])
            self._around.event("pin", pin=int(words[0]), level=int(words[1]))
        elif verb == "pwm":
            pin, freq, duty = map(int, words)
            self.pwm[words[0]] = [freq, duty]
            self._around.event("pwm", pin=pin, freq=freq, duty=duty)
        elif verb == "i2c":
            self._around.i2c_write(int(words[1]), bytes.fromhex("".join(words[2:])))
        elif verb == "feed":
            self._feed()
        elif verb == "uart":
            self._set_uart(int(words[0]), words[1:])
        elif verb == "drain":
            uart = self._uart(int(words[0]))
            uart.collect()
            self._when_sent(uart, self._acknowledge)
        elif verb == "sync":
            self._acknowledge()
        elif verb == "kbd":
            code = int(words[0])
            self.console.interrupt_byte = code if code >= 0 else None
        elif verb == "rtc":
            self._clock = int(time.time()) - int(words[0])
        elif verb == "cut":
            self._loop.call_soon(self._around.power, False)
        elif verb == "rtcmem":
            self._rtc_memory = words[0] if words else ""
        elif verb == "wdt":
            self._wdt_s = int(words[0]) / 1000 * 9 / 8  # feeds are told at eighths
            self._feed()
        elif verb == "mode":
            self._set_mode(" ".join(words))
        elif verb == "reset":
            self._own_reset(words[0])

    def _own_reset(self, kind: str) -> None:
        if kind == "soft":
            self.console.collect()
            self._say("MPY: soft reboot\r\n")
            self._restart(boot.SW_CPU, _SOFT)
        elif kind == "deep":
            self._restart((0x5, "DEEPSLEEP_RESET"), _DEEPSLEEP)
        else:
            self._restart(boot.SW_CPU, _HARD)

    def _uart(self, number: int) -> Uart:
        return next(uart for uart in self.uarts if uart.number == number)

    def _acknowledge(self) -> None:
        self._cpu.tell("ok")

    def _set_uart(self, number: int, words: list[str]) -> None:
        uart = self._uart(number)
        uart.collect()
        if words == ["off"]:
            uart.installed = False
            self._acknowledge()
            return
        baud, size = int(words[0]), int(words[1])

        def apply() -> None:
            uart.set_baud(baud)
            uart.installed = True
            if number:
                uart.buffer = size
                self._around.uart_baud(number, baud)
            uart.flush_input()
            self._acknowledge()

        # The console has no driver that could wait: what is still in its FIFO goes out at the new
        # rate. Any other UART finishes first (uart_wait_tx_done in machine_uart.c).
        if number == 0 and uart.tx.pending <= _UART_FIFO:
            apply()
        else:
            self._when_sent(uart, apply)

    def _interrupt(self) -> None:
        self._cpu.interrupt()

    def _feed(self) -> None:
        if self._wdt is not None:
            self._wdt.cancel()
        self._wdt = self._loop.call_later(self._wdt_s, self._starved)

    def _starved(self) -> None:
        self._wdt = None
        self.counters["watchdog"] += 1
        self.console.collect()
        self._say(
            "E (1) task_wdt: Task watchdog got triggered. The following tasks/users did not "
            "reset the watchdog in time:\r\nE (1) task_wdt:  - mp_task (CPU 1)\r\n"
            "E (1) task_wdt: Aborting.\r\nRebooting...\r\n"
        )
        self._restart(boot.SW_CPU, _WDT)

    def _ended(self, code: int) -> None:
        """The interpreter is gone without having been told to go: a crash."""
        self.counters["panics"] += 1
        self.console.collect()
        self._say(
            f"Guru Meditation Error: the interpreter ended (exit code {code})\r\nRebooting...\r\n"
        )
        self._restart(boot.SW_CPU, _HARD)
