"""`machine` of an ESP32, over the pipes of the virtual board. Constants as in ports/esp32."""

import _thread

import micropython
import vboard
from _buses import ADC, I2C, PWM, SPI, SoftI2C, SoftSPI  # noqa: F401  re-exported
from _pins import Pin, Signal, time_pulse_us  # noqa: F401  re-exported
from _uart import UART  # noqa: F401  re-exported
from utime import sleep_us, ticks_diff, ticks_ms

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
SLEEP = 2
DEEPSLEEP = 4
PIN_WAKE = 2
TIMER_WAKE = 4

_FREQUENCIES = (20, 40, 80, 160, 240)
_freq = 160000000


def reset():
    vboard.reset("hard")


def soft_reset():
    raise SystemExit


def reset_cause():
    return vboard.parameters["cause"]


def unique_id():
    return bytes.fromhex(vboard.parameters["mac"])


def freq(hz=None):
    global _freq
    if hz is None:
        return _freq
    if hz // 1000000 not in _FREQUENCIES:
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _freq = hz // 1000000 * 1000000
    vboard.tell("freq %d" % _freq)


def idle():
    sleep_us(1000)


def lightsleep(ms=None):
    if ms is None:
        vboard.halt()
    sleep_us(ms * 1000)


sleep = lightsleep


def deepsleep(ms=None):
    if ms is not None:
        sleep_us(ms * 1000)
        vboard.reset("deep")
    vboard.halt()


def wake_reason():
    return TIMER_WAKE if reset_cause() == DEEPSLEEP_RESET else 0


def disable_irq():
    return 0  # one thread, and callbacks only run scheduled: nothing to hold off


def enable_irq(state=0):
    pass


class RTC:
    def datetime(self, value=None):
        import time

        if value is None:
            t = time.gmtime()
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], time.time_ns() // 1000 % 1000000)
        time.set_seconds(
            time.mktime((value[0], value[1], value[2], value[4], value[5], value[6], 0, 0))
        )

    def init(self, value):
        self.datetime(value)

    def memory(self, data=None):
        global _rtc_memory
        if data is None:
            return _rtc_memory
        if len(data) > 2048:
            raise ValueError("buffer too long")
        _rtc_memory = bytes(data)
        vboard.tell("rtcmem " + _rtc_memory.hex())


_rtc_memory = bytes.fromhex(vboard.parameters.get("rtc_memory", ""))


class WDT:
    """Starved for `timeout` ms, the board ends this life with a watchdog reset."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        self._timeout = timeout
        self._told = ticks_ms()
        vboard.tell("wdt %d" % timeout)

    def feed(self):
        # Told at most eight times a timeout: the board allows for that much more.
        now = ticks_ms()
        if ticks_diff(now, self._told) * 8 >= self._timeout:
            self._told = now
            vboard.tell("feed")


class Timer:
    """A thread that sleeps, and schedules the callback as an interrupt handler would."""

    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id=-1, **settings):
        self._id = id
        self._life = 0
        if settings:
            self.init(**settings)

    def init(self, mode=PERIODIC, freq=-1, period=-1, callback=None, hard=False, tick_hz=1000):
        self.deinit()
        self._mode = mode
        self._period = int(1000 / freq) if freq > 0 else period * 1000 // tick_hz
        self._callback = callback
        self._next = ticks_ms() + self._period
        _thread.start_new_thread(self._run, (self._life,))

    def _run(self, life):
        while True:
            sleep_us(max(0, ticks_diff(self._next, ticks_ms())) * 1000)
            if life != self._life:
                return
            self._next += self._period
            if self._callback:
                try:
                    micropython.schedule(self._callback, self)
                except RuntimeError:
                    pass  # schedule queue full: the tick is lost, as on a chip
            if self._mode == Timer.ONE_SHOT:
                return

    def deinit(self):
        self._life += 1

    def value(self):
        return max(0, self._period - ticks_diff(self._next, ticks_ms()))


def bootloader(timeout=None):
    vboard.reset("loader")
