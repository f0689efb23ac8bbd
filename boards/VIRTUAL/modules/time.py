"""`time` of an ESP32: it counts from 2000-01-01, which is when the board was switched on.

The tick and sleep functions are the interpreter's own.
"""

import utime
import vboard
from utime import (  # noqa: F401  re-exported
    sleep,
    sleep_ms,
    sleep_us,
    ticks_add,
    ticks_cpu,
    ticks_diff,
    ticks_ms,
    ticks_us,
)

_UNIX = 946684800  # 2000-01-01 in the interpreter's own count, from 1970

_offset = 0  # what the interpreter's clock is ahead of this one, in seconds


def start(seconds):
    """Begin at `seconds`: 0 after power-on, more if the clock ran through a reset."""
    global _offset
    _offset = int(utime.time()) - seconds


def set_seconds(seconds):
    start(seconds)
    vboard.tell("rtc %d" % seconds)


def time():
    return int(utime.time()) - _offset


def time_ns():
    return utime.time_ns() - _offset * 1000000000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else int(seconds)) + _UNIX)


localtime = gmtime


def mktime(t):
    """Of a UTC tuple; months and days beyond their range carry over, as in MicroPython."""
    year, month, day = t[0], t[1], t[2]
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    y = year - (month <= 2)
    days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * ((month - 3) % 12) + 2) // 5 + day
    return (days - 730426) * 86400 + t[3] * 3600 + t[4] * 60 + t[5]
