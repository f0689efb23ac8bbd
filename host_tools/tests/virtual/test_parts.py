"""The parts that every virtual validator carries, reached through the firmware's UARTs."""

from __future__ import annotations

from typing import Any

import pytest

MakeBoard = Any


@pytest.mark.parametrize("unpaced", [True, False])
def test_reader_chip_and_scan_engine_answer(board: MakeBoard, unpaced: bool) -> None:
    main = """
from machine import UART
import time
def answer(u, count, ms=1000):
    start = time.ticks_ms()
    while u.any() < count and time.ticks_diff(time.ticks_ms(), start) < ms: time.sleep_ms(1)
    return u.read() or b""
def frame(body):
    n = len(body)
    return b"\\x00\\x00\\xff" + bytes([n, -n & 255]) + body + bytes([-sum(body) & 255, 0])
nfc = UART(1, 115200, tx=17, rx=16, rxbuf=512)
nfc.write(b"\\x55\\x55" + bytes(14) + frame(b"\\xd4\\x14\\x01"))
print("sam", answer(nfc, 15).hex())
nfc.write(frame(b"\\xd4\\x02"))
print("version", answer(nfc, 19).hex())
nfc.write(frame(b"\\xd4\\x32\\x05\\xff\\x01\\x01"))
answer(nfc, 15)
print("poll")
nfc.write(frame(b"\\xd4\\x4a\\x01\\x00"))
time.sleep_ms(1)
print("target", answer(nfc, 30, 5000).hex())
qr = UART(2, 9600, tx=4, rx=5, rxbuf=1024)
reply = b""
while not reply:  # it takes a while to start
    qr.write(b"\\x7e\\x00\\x08\\x01\\x00\\x02\\x01\\xab\\xcd")  # trigger, as its manual has it
    reply = answer(qr, 7, 100)
print("reply", reply.hex())
print("scan", answer(qr, 8, 5000))
"""
    bench = board(main, unpaced=unpaced)
    console = bench.on()
    console.wait(b"sam 0000ff00ff00")
    assert b"d503" in console.wait(b"poll")
    bench.bench.present("tunion")
    assert b"d54b01" in console.wait(b"reply")
    console.wait(b"\n")
    assert bench.bench.scan(b"12345678")
    assert b"12345678" in console.wait(b"'") + console.wait(b"'")
    bench.bench.withdraw()
