"""Wiring: which object stands for which device of devices.json. The only module but the drivers
of the loader that knows `machine` and `esp32`."""

import select
import sys
import time

import esp32
import machine
import micropython

from validator.hal import Serial
from validator.link.console import Console
from validator.store.flash import PartitionFlash

_TIME_IS_RIGHT = b"faretap: the clock was set"
_EPOCH = 0 if time.gmtime(0)[0] == 1970 else 946684800

_RESET_CAUSES = {
    machine.PWRON_RESET: "power",
    machine.HARD_RESET: "reset",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "deep sleep",
    machine.SOFT_RESET: "soft reset",
}


class Board:
    """The devices of one board. `devices` is the content of devices.json."""

    def __init__(self, devices, clock):
        self.devices = devices
        self.name = devices["board"]
        self.chip = devices["chip"]
        self._clock = clock
        self._serials = {}
        # Captured now: a later import may take the machine through a soft reset.
        self.reset_cause = _RESET_CAUSES.get(machine.reset_cause(), "other")

    def unique_id(self):
        return machine.unique_id().hex()

    def reset(self):
        machine.reset()

    def noise(self):
        """What of this chip and moment is noise: 64 times how long a reading takes, counted in
        cycles, and the reading of the temperature sensor, whose last digits are the ADC's."""
        read = getattr(esp32, "raw_temperature", time.ticks_us)
        out = bytearray(128)
        for i in range(0, 128, 2):
            out[i] = read() & 0xFF  # type: ignore
            out[i + 1] = time.ticks_cpu() & 0xFF  # type: ignore
        return bytes(out)

    def keep_time(self, seconds):
        """Set the clock that runs on through a reset, and mark it as right."""
        t = time.gmtime(seconds - _EPOCH)
        rtc = machine.RTC()
        rtc.datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))
        rtc.memory(_TIME_IS_RIGHT + seconds.to_bytes(4, "big"))

    def kept_time(self):
        """When that clock was set, unix seconds, if it has run since then, else 0: RTC memory does
        not outlive its power."""
        memory = machine.RTC().memory()
        n = len(_TIME_IS_RIGHT)
        if memory[:n] != _TIME_IS_RIGHT or len(memory) != n + 4:
            return 0
        return int.from_bytes(memory[n:], "big")

    def console(self):
        """UART0 or native USB, with all 256 byte values let through."""
        micropython.kbd_intr(-1)
        poller = select.poll()
        poller.register(sys.stdin, select.POLLIN)

        def waiting():
            for _ in poller.ipoll(0) if hasattr(poller, "ipoll") else poller.poll(0):
                return True
            return False

        link = self.devices["link"]
        set_rate = None
        if not link.get("usb"):

            def set_rate(baud):
                _quiet_system_log()
                try:
                    machine.UART(link.get("uart", 0), baudrate=baud)
                except OSError:
                    # The rate is set by then: the console's UART has no driver whose input buffer
                    # could be flushed, which is the last thing that the constructor does.
                    pass

        return Console(sys.stdin.buffer, sys.stdout.buffer, waiting, set_rate)

    def claim(self):
        """Install the UARTs' drivers while there is memory for them outside MicroPython's heap."""
        for device in self.devices:
            if device in ("reader", "scanner") or device.startswith("psam"):
                self.serial(device)

    def serial(self, device):
        """The UART of "reader", "scanner", "psam0" …, as `hal.Serial`; None if it is on none."""
        if device not in self._serials:
            self._serials[device] = self._make_serial(device)
        return self._serials[device]

    def _make_serial(self, device):
        d = self.devices.get(device)
        if not d or "uart" not in d:
            return None
        uart = machine.UART(
            d["uart"],
            baudrate=d.get("baud", 115200),
            tx=d.get("tx"),
            rx=d.get("rx"),
            # A whole extended PN532 frame, or a ride code, fits while the task is elsewhere.
            rxbuf=1024,
            txbuf=512,
            parity=d.get("parity"),
            stop=d.get("stop", 1),
        )
        return Serial(uart, self._clock)

    def output(self, number, active_high=True):
        """An output pin that is off."""
        return machine.Pin(number, machine.Pin.OUT, value=0 if active_high else 1)

    def input(self, number):
        return machine.Pin(number, machine.Pin.IN)

    def spi(self, d, rate, lsb_first=False):
        """The SPI controller of device `d` at `rate` Hz, mode 0."""
        return machine.SPI(
            d["spi"],
            baudrate=rate,
            polarity=0,
            phase=0,
            firstbit=machine.SPI.LSB if lsb_first else machine.SPI.MSB,
            sck=machine.Pin(d["sck"]),
            mosi=machine.Pin(d["mosi"]),
            miso=machine.Pin(d["miso"]),
        )

    def bus_i2c(self, d, rate, timeout_us):
        """The I2C controller of device `d`; `timeout_us` bounds clock stretching (Q11)."""
        return machine.I2C(
            d["i2c"],
            scl=machine.Pin(d["scl"]),
            sda=machine.Pin(d["sda"]),
            freq=rate,
            timeout=timeout_us,
        )

    def i2c(self):
        """The display's bus, or None."""
        d = self.devices.get("display")
        if not d or d.get("chip") != "ssd1306":
            return None
        return machine.I2C(
            d.get("i2c", 0), scl=machine.Pin(d["scl"]), sda=machine.Pin(d["sda"]), freq=400000
        )

    def pwm(self, number, freq):
        return machine.PWM(machine.Pin(number), freq=freq, duty_u16=0)

    def flash(self, label):
        """The raw flash partition of that name; OSError if the table has none."""
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)
        if not found:
            raise OSError("no partition " + label)
        return PartitionFlash(found[0])

    def nvs(self, namespace):
        return esp32.NVS(namespace)

    def watchdog(self, ms):
        return machine.WDT(timeout=ms)


def _quiet_system_log():
    # ESP-IDF complains about the console's missing driver at each change of the rate, on the
    # console.
    try:
        import esp

        esp.osdebug(None)
    except ImportError:
        pass  # the virtual board has no such log
