"""The serial port: buffers, rates, reset lines, who holds it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial

from faretap.sim.part import SerialPart
from faretap.virtual import BenchClient, BenchError, VirtualBoard

MakeBoard = Any

ECHO = """
import sys, micropython
micropython.kbd_intr(-1)
print("up")
while True:
    sys.stdout.buffer.write(sys.stdin.buffer.read(1))
"""
SLEEPER = """
import sys, time, micropython, select
micropython.kbd_intr(-1)
poll = select.poll()
poll.register(sys.stdin, select.POLLIN)
print("up")
while sys.stdin.buffer.read(1) != b"?": pass
print("asleep")
time.sleep_ms(300)
n = 0
while poll.poll(20):
    sys.stdin.buffer.read(1)
    n += 1
print("read", n, "bytes")
"""


def test_every_byte_value_passes_both_ways(board: MakeBoard) -> None:
    console = board(ECHO).on()
    console.wait(b"up\n")
    everything = bytes(range(256))
    console.send(everything)
    assert console.wait(everything) == everything


@pytest.mark.parametrize("sent", [200, 259, 260, 1000])
def test_console_buffer_overflows_at_the_chips_byte(board: MakeBoard, sent: int) -> None:
    bench = board(SLEEPER)
    console = bench.on()
    console.wait(b"up\n")
    console.send(b"?")
    console.wait(b"asleep\n")
    console.send(bytes(sent))
    kept = min(sent, 259)
    console.wait(b"read %d bytes" % kept)
    assert bench.bench.status()["uarts"]["0"]["dropped"] == sent - kept


def test_bytes_take_the_time_of_the_line(board: MakeBoard) -> None:
    main = """
import sys, time
sys.stdin.buffer.read(1)
start = time.ticks_ms()
sys.stdout.buffer.write(bytes(11520))
for _ in range(115): sys.stdin.buffer.read(1)
"""
    bench = board(
        main + "print('took', time.ticks_diff(time.ticks_ms(), start), 'ms')", unpaced=False
    )
    console = bench.on()
    console.wait(b"entry")
    console.send(b"x" * 116)
    took = int(console.wait(b" ms").split(b"took ")[1].split()[0])
    # One second on the line; the last page still stands in the pipe when write() returns.
    assert 550 < took < 1500


def test_wrong_rate_reads_garbage_both_ways_and_the_right_one_does_not(board: MakeBoard) -> None:
    main = ECHO.replace(
        "while", "import machine, time; time.sleep_ms(20)\nmachine.UART(0, 460800)\nwhile"
    )
    bench = board(main, unpaced=False)
    console = bench.on()
    console.wait(b"up\n")
    while bench.bench.status()["uarts"]["0"]["baud"] != 460800:
        pass
    console.send(b"hello")
    assert b"hello" not in console.quiet(0.2)
    console.baud(460800)
    console.send(b"hello")
    console.wait(b"hello")


def test_buffer_sizes_of_the_console_are_fixed(board: MakeBoard) -> None:
    main = """
import machine
try:
    machine.UART(0, 115200, rxbuf=1024)
except ValueError as e:
    print(e)
"""
    board(main).on().wait(b"buffer size is fixed")


def test_rts_resets_and_dtr_straps(board: MakeBoard) -> None:
    bench = board("print('running')")
    console = bench.on()
    console.wait(b"running")
    console.control(11)  # EN low
    console.control(12)
    console.wait(b"running")
    # The classic sequence: reset, strap, go, let go of the strap.
    for code in (9, 11, 8, 12, 9):
        console.control(code)
    console.wait(b"(DOWNLOAD_BOOT(")
    console.wait(b"waiting for download\r\n")
    assert bench.bench.status()["boot"] == "download"
    console.control(11)
    console.control(12)
    console.wait(b"running")


def test_both_lines_asserted_rise_into_run_mode(board: MakeBoard) -> None:
    bench = board("print('running')")
    console = bench.on()
    console.wait(b"running")
    console.control(11)
    console.control(8)
    while bench.bench.status()["state"] != "reset":
        pass
    console.wait(b"running")


def test_pyserial_opens_with_its_defaults_and_the_board_runs_on(board: MakeBoard) -> None:
    bench = board(ECHO)
    bench.on().wait(b"up\n")
    bench.console.close()
    while bench.bench.status()["serial_client"]:
        pass
    before = bench.bench.status()["boots"]
    with serial.serial_for_url(bench.url, 115200, timeout=3) as port:
        port.write(b"ping")
        assert port.read(4) == b"ping"
        assert bench.bench.status()["dtr"] and bench.bench.status()["rts"]
    while bench.bench.status()["serial_client"]:
        pass
    assert bench.bench.status()["boots"] == before
    assert not bench.bench.status()["rts"]


def test_second_client_is_told_who_is_first(board: MakeBoard) -> None:
    bench = board("pass")
    host, port = bench.url.split("//")[1].split(":")
    with socket.create_connection((host, int(port))) as second:
        second.sendall(b"\xff\xf1")
        second.settimeout(5)
        text = b""
        while data := second.recv(4096):
            text += data
    holder = bench.bench.status()["serial_client"]
    assert b"in use by " + holder.encode() in text


def test_a_silent_client_becomes_a_serial_one(board: MakeBoard) -> None:
    bench = board("pass")
    bench.console.close()
    while bench.bench.status()["serial_client"]:
        pass
    host, port = bench.url.split("//")[1].split(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.settimeout(5)
        assert silent.recv(1) == b"\xff"


def test_power_off_stops_everything(board: MakeBoard) -> None:
    bench = board("print('up')\nwhile True: pass")
    console = bench.on()
    console.wait(b"up\n")
    pid = bench.bench.status()["pid"]
    bench.bench.power(False)
    assert not Path(f"/proc/{pid}").exists()
    assert bench.bench.status()["state"] == "off"
    console.send(b"anybody?")
    assert console.quiet(0.1) == b""
    with pytest.raises(BenchError, match="switched off"):
        bench.bench.reset()
    bench.on().wait(b"up\n")


def test_bench_explains_what_it_refuses(board: MakeBoard) -> None:
    bench = board("pass").bench
    with pytest.raises(BenchError, match="no card 'gold'.*quickpass-debit"):
        bench.present("gold")
    with pytest.raises(BenchError, match="There is no 'dance' to do; there are status"):
        bench.call("dance")
    with pytest.raises(BenchError, match="hex digits"):
        bench.call("scan", hex="xyz")
    with pytest.raises(BenchError, match="fault 'Q99'; known: "):
        bench.fault("Q99")
    bench.fault("Q02", delay_ms=30)
    with pytest.raises(BenchError, match="no option"):
        bench.fault("Q02", colour="red")
    bench.call("fault", clear=True)
    with pytest.raises(BenchError, match="no HOST:PORT"):
        BenchClient("nonsense")


class Loop(SerialPart):
    """Sends back what it gets, and remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""
        self.rates: list[int] = []

    def receive(self, data: bytes) -> None:
        self.got += data
        self.send(data)

    def set_line_baud(self, baud: int) -> None:
        super().set_line_baud(baud)
        self.rates.append(baud)


def test_uart_to_a_part(
    tmp_path: Path,
    make_flash: Callable[[dict[str, str]], bytes],
    open_console: Callable[[str], Any],
) -> None:
    main = """
from machine import UART
import asyncio, select, time
u = UART(1, 9600, tx=17, rx=16, rxbuf=512)
u.init(baudrate=115200)
assert u.any() == 0 and u.read() is None and u.readinto(bytearray(4)) is None
u.write(b"0123456789")
while u.any() < 10: pass
assert u.read(3) == b"012"
buf = bytearray(20)
assert u.readinto(buf) == 7 and buf[:7] == b"3456789"
u.init(timeout=500)
u.write(b"late")
assert u.read(1) == b"l"
while u.any() < 3: pass
assert u.read(9) == b"ate"
p = select.poll()
p.register(u, select.POLLIN)
assert not p.poll(0)
u.write(b"z")
assert p.poll(1000)
assert u.read(1) == b"z"
async def streams():
    s = asyncio.StreamReader(u)
    w = asyncio.StreamWriter(u, {})
    w.write(b"line\\n")
    await w.drain()
    assert await s.readline() == b"line\\n"
asyncio.run(streams())
u.write(bytes(1000))
time.sleep_ms(300)
n = 0
while u.any(): n += len(u.read())
print("kept", n, u)
u.init(rxbuf=6000, baudrate=921600)
u.write(bytes(5500))
time.sleep_ms(300)
n = 0
while u.any(): n += len(u.read())
print("large", n)
u.deinit()
try:
    UART(4)
except ValueError as e:
    print(e)
"""
    (tmp_path / "flash.bin").write_bytes(make_flash({"main.py": main}))
    part = Loop()
    virtual = VirtualBoard(tmp_path, parts={1: part})
    opened: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        def is_open(url: str) -> None:
            opened.append(url)
            ready.set()

        task = loop.create_task(virtual.run(is_open))
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass

    stop: list[Any] = []
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(5)
        console = open_console(opened[0])
        with BenchClient(opened[0]) as bench:
            while bench.status()["serial_client"] is None:
                pass
            bench.cycle()
            text = console.wait(b"UART(4) does not exist")
            # 512 in the buffer; nothing was read while they came.
            assert b"kept 512" in text and b"large 5500" in text
            assert bench.status()["uarts"]["1"]["dropped"] >= 488
        assert part.rates[-2:] == [115200, 921600] and 9600 in part.rates
        assert part.got.endswith(bytes(1000))
        console.close()
    finally:
        stop[0]()
        thread.join(5)
    loop.close()
    assert not thread.is_alive()
