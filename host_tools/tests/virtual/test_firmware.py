"""What firmware finds on the virtual board, compared with an ESP32."""

from __future__ import annotations

import json
from typing import Any

MakeBoard = Any


def test_boots_main_with_the_ports_surroundings(board: MakeBoard) -> None:
    main = """
import sys, os, machine, time, esp32, json
try:
    open("/etc/passwd")
    host = True
except OSError:
    host = False
print("@" + json.dumps([os.listdir("/"), sys.path, sys.platform, host, machine.reset_cause(),
    machine.freq(), machine.unique_id().hex(":"), time.gmtime(0)[0], time.time() < 60,
    time.mktime((2024, 2, 29, 12, 34, 56, 0, 0)), time.gmtime(762525296)[:6],
    hasattr(os, "system"), __name__, esp32.Partition("nvs").info()[2]]))
"""
    bench = board(main)
    text = bench.on().wait(b"]\n")
    assert b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)" in text
    got = json.loads(text[text.index(b"@") + 1 :])
    mac = bench.bench.status()["mac"]
    assert got == [
        ["main.py"], ["", ".frozen", "/lib"], "esp32", False, 1, 160000000, mac, 2000, True,
        762525296, [2024, 2, 29, 12, 34, 56], False, "__main__", 0x9000,
    ]  # fmt: skip


def test_two_boards_have_two_addresses_and_one_keeps_its_own(board: MakeBoard) -> None:
    first, second = board("pass"), board("pass")
    one, two = first.bench.status()["mac"], second.bench.status()["mac"]
    assert one != two
    assert json.loads((first.process.state / "board.json").read_text())["mac"] == one


def test_heap_is_that_of_the_chip_in_words_twice_as_large(board: MakeBoard) -> None:
    main = "import gc; gc.collect(); print('free', gc.mem_free(), 'B')"
    small = board(main, heap=64 * 1024).on().wait(b" B")
    large = board(main, heap=160 * 1024).on().wait(b" B")
    for text, heap in ((small, 64), (large, 160)):
        free = int(text.split(b"free ")[1].split()[0])
        # And room for the code that a chip runs from its flash.
        assert abs(free - (heap + 160) * 2 * 1024) < 10 * 1024


def test_memory_runs_out(board: MakeBoard) -> None:
    console = board("b = [bytearray(1024) for _ in range(1000)]").on()
    assert b"MemoryError" in console.wait(b">>> ")


def test_main_ends_in_traceback_and_prompt_that_works(board: MakeBoard) -> None:
    console = board("def f():\n    1/0\nf()\n").on()
    text = console.wait(b">>> ")
    assert (
        b"Traceback (most recent call last):\r\n"
        b'  File "main.py", line 3, in <module>\r\n'
        b'  File "main.py", line 2, in f\r\n'
        b"ZeroDivisionError: divide by zero\r\n"
    ) in text
    assert b"; VIRTUAL with ESP32\r\n" in text
    console.send(b"6 * 7\r")
    assert b"42" in console.wait(b">>> ")
    console.send(b"\x01")
    console.wait(b"raw REPL; CTRL-B to exit\r\n>")
    console.send(b"print(1 + 1)\x04")
    assert console.wait(b"\x04>").startswith(b"OK2")
    console.send(b"\x02")
    console.wait(b">>> ")
    console.send(b"\x04")
    text = console.wait(b">>> ")
    assert b"MPY: soft reboot" in text and b"rst:" not in text


def test_boot_py_that_fails_keeps_main_from_running(board: MakeBoard) -> None:
    console = board("print('main')", files={"boot.py": "print('boot'); raise OSError(5)"}).on()
    text = console.wait(b">>> ")
    assert b"boot" in text and b"EIO" in text and b"main" not in text


def test_ctrl_c_interrupts_until_it_is_switched_off(board: MakeBoard) -> None:
    main = """
import sys, micropython
print("ready")
try:
    sys.stdin.buffer.read(1)
    print("spinning")
    while True: pass
except KeyboardInterrupt:
    print("stopped")
micropython.kbd_intr(-1)
print("deaf")
print("byte", sys.stdin.buffer.read(1))
"""
    console = board(main).on()
    console.wait(b"ready")
    console.send(b"x")
    console.wait(b"spinning")
    console.send(b"\x03")
    console.wait(b"stopped")
    console.wait(b"deaf")
    console.send(b"\x03")
    console.wait(b"byte b'\\x03'")


def test_resets_report_their_cause(board: MakeBoard) -> None:
    main = """
import machine, sys
cause = machine.reset_cause()
print("cause", cause)
command = sys.stdin.buffer.read(1)
if command == b"h": machine.reset()
if command == b"s": sys.exit()
if command == b"w":
    machine.WDT(timeout=50)
    while True: pass
if command == b"f":
    import time
    wdt = machine.WDT(timeout=200)
    for _ in range(50):
        time.sleep_ms(10)
        wdt.feed()
    print("fed")
"""
    bench = board(main)
    console = bench.on()
    console.wait(b"cause 1")
    console.send(b"h")
    assert b"SW_CPU_RESET" in console.wait(b"cause 2")
    console.send(b"s")
    assert b"rst:" not in console.wait(b"cause 5")
    console.send(b"w")
    assert b"task_wdt" in console.wait(b"cause 3")
    assert bench.bench.status()["watchdog"] == 1
    console.send(b"f")
    console.wait(b"fed")
    bench.bench.reset()
    assert b"POWERON_RESET" in console.wait(b"cause 1")


def test_clock_runs_through_a_software_reset_only(board: MakeBoard) -> None:
    main = """
import machine, time, sys
print("year", time.gmtime()[0])
if machine.reset_cause() == 1:
    machine.RTC().datetime((2031, 5, 6, 0, 7, 8, 9, 0))
    assert machine.RTC().datetime()[:6] == (2031, 5, 6, 1, 7, 8), machine.RTC().datetime()
    print("set")
sys.stdin.buffer.read(1)
machine.reset()
"""
    bench = board(main)
    console = bench.on()
    console.wait(b"year 2000")
    console.wait(b"set")
    console.send(b"x")
    console.wait(b"year 2031")
    bench.bench.cycle()
    console.wait(b"year 2000")


def test_a_crash_is_a_panic_and_a_reboot(board: MakeBoard) -> None:
    import os
    import signal

    bench = board("print('up')\nimport time\ntime.sleep(1000)")
    console = bench.on()
    console.wait(b"up")
    os.kill(bench.bench.status()["pid"], signal.SIGSEGV)
    assert b"Guru Meditation" in console.wait(b"up")
    assert bench.bench.status()["panics"] == 1


def test_pins_pwm_and_display_reach_the_bench(board: MakeBoard) -> None:
    main = """
from machine import Pin, PWM, I2C, ADC
Pin(25, Pin.OUT, value=1)
led = Pin(26, Pin.OUT)
led.on(); led.off(); led.toggle()
PWM(Pin(27), freq=2700, duty_u16=32768)
for bad in (lambda: Pin(34, Pin.OUT), lambda: Pin(6, Pin.OUT), lambda: Pin(20), lambda: Pin(40)):
    try:
        bad()
        print("took a pin that is none")
    except ValueError:
        pass
bus = I2C(0, scl=Pin(22), sda=Pin(21))
assert bus.scan() == [0x3C]
try:
    bus.writeto(0x3D, b"x")
    print("nobody answered")
except OSError as e:
    assert e.errno == 19
bus.writeto(0x3C, b"\\x00\\xae\\x20\\x00\\x21\\x00\\x7f\\x22\\x00\\x07\\xaf")
bus.writeto(0x3C, b"\\x40" + b"\\x01" + bytes(1022) + b"\\x80")
button = Pin(0, Pin.IN, Pin.PULL_UP)
assert button.value() == 1
print("wait")
while button.value(): pass
print("pressed")
"""
    bench = board(main)
    console = bench.on()
    text = console.wait(b"wait")
    assert b"none" not in text and b"nobody" not in text
    assert bench.bench.pins() == {"pins": {"25": 1, "26": 1}, "pwm": {"27": [2700, 32768]}}
    picture = bench.bench.call("display")
    assert picture["on"] and len(picture["rows"]) == 64
    lit = [(x, y) for y, row in enumerate(picture["rows"]) for x, c in enumerate(row) if c == "#"]
    assert lit == [(0, 0), (127, 63)]
    bench.bench.call("pins", set={"0": 0})
    console.wait(b"pressed")


def test_timer_calls_back(board: MakeBoard) -> None:
    main = """
import machine, time
seen = []
machine.Timer(0).init(period=5, callback=lambda t: seen.append(1))
machine.Timer(1).init(mode=machine.Timer.ONE_SHOT, period=5, callback=lambda t: seen.append(2))
while seen.count(1) < 3 or 2 not in seen: time.sleep_ms(1)
print("ticks")
"""
    board(main).on().wait(b"ticks")


def test_interpreter_that_resets_for_ever_is_slowed_down(board: MakeBoard) -> None:
    bench = board("import machine; machine.reset()")
    console = bench.on()
    for _ in range(20):
        console.wait(b"rst:")
    assert b"rst:" not in console.quiet(0.5)
    bench.bench.cycle()
    console.wait(b"POWERON_RESET")
