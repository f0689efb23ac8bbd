"""The faults of the catalogue (Q01 …) that the simulated PN532 can have."""

from __future__ import annotations

from typing import Literal

from . import pn532_frames as frames
from .card_faults import CARD_FAULTS, ELSEWHERE, HOST_I2C, HOST_SPI, HOST_UART
from .faults import Fault

KNOWN: dict[str, Fault] = {
    "Q01": Fault(
        "falls into low-VBat: now, or after `idle_ms` without a frame; sleeps until woken",
        {"idle_ms": 0},
    ),
    "Q02": Fault(
        "acknowledgement late by `delay_ms`, or (None) frame lost without any acknowledgement; "
        "with `stray` a late one comes even when another command has replaced this one",
        {"delay_ms": None, "stray": False, "command": None},
    ),
    "Q03": Fault(
        "`extra` more 00 bytes before each response frame", {"extra": 3, "command": None}
    ),
    "Q04": Fault(
        "acknowledgement and response in one burst, response first, or in single bytes",
        {"order": "burst", "command": None},
        {"order": ("burst", "before", "bytes")},
    ),
    "Q05": Fault(
        "the response of an aborted command still comes, `delay_ms` after the abort; or the last "
        "response comes again before the right one",
        {"kind": "late", "delay_ms": 5, "command": None},
        {"kind": ("late", "again")},
    ),
    "Q06": Fault("error frame (7F) instead of the response", {"command": None}),
    "Q07": Fault(
        "damaged response: checksums, TFI, code, length, or a damaged extended head",
        {"kind": "dcs", "command": None},
        {"kind": ("lcs", "dcs", "tfi", "code", "length", "extended")},
    ),
    "Q08": Fault("stands at another baud rate, as left by a crashed host", {"baud": 921600}),
    "Q09": Fault("Diagnose ROM and RAM answer one bare byte, without D5 01"),
    "Q10": Fault("no target: the acknowledgement only, never a response"),
    "Q16": Fault(
        "dead until power is cycled, or (`until`) until it is reset",
        {"until": "reset"},
        {"until": ("reset", "power")},
    ),
    **CARD_FAULTS,
    "Q28": Fault("the card is a type B one: it hears REQB, and ATTRIB activates it"),
    "Q26": Fault("InDataExchange is refused with `status`", {"status": 0x27}),
    "Q27": Fault("a response is cut at `size` bytes, more follow (MI)", {"size": 64}),
    "Q34": Fault(
        "antenna switched off by over-current (2D) or over-temperature (0D)",
        {"status": 0x2D},
        {"status": (0x2D, 0x0D)},
    ),
    "Q38": Fault(
        "a response that nobody asked for, `listed` targets (0 or 1): strikes at once",
        {"listed": 0},
        {"listed": (0, 1)},
    ),
}

ON_I2C: dict[str, Fault] = {
    "Q11": Fault(
        "holds SCL low for `stretch_us` in a transaction; a master that allows less gives up",
        {"stretch_us": 440, "times": 0},
    ),
    "Q12": Fault(
        "SDA or SCL stays low, at once, until the chip is reset; nine clocks free SDA",
        {"line": "sda"},
        {"line": ("sda", "scl")},
    ),
    "Q13": Fault(
        "dead bus: a transaction takes `block_ms` and fails", {"block_ms": 1000, "times": 0}
    ),
    "Q14": Fault("a read while it is not ready is 00 and then garbage", {"times": 0}),
}
ON_SPI: dict[str, Fault] = {
    "Q15": Fault(
        "a bit is lost now and then while SCK is above `above_hz`",
        {"times": 0, "chance": 0.02, "above_hz": 1_000_000},
    ),
}

Bus = Literal["hsu", "spi", "i2c"]


def known(bus: Bus) -> tuple[dict[str, Fault], dict[str, str]]:
    """The faults of a chip on that bus, and why it cannot have the others."""
    here = dict(KNOWN)
    elsewhere = dict(ELSEWHERE)
    for name, faults, reason in (("i2c", ON_I2C, HOST_I2C), ("spi", ON_SPI, HOST_SPI)):
        if bus == name:
            here.update(faults)
        else:
            elsewhere.update(dict.fromkeys(faults, reason))
    if bus != "hsu":  # there are no rates, and each frame is read by itself
        for fault_id in ("Q04", "Q08"):
            del here[fault_id]
            elsewhere[fault_id] = HOST_UART
    return here, elsewhere


def damage(kind: str, body: bytes) -> bytes:
    """The frame around `body` (D5, code, data), damaged in one of the ways of Q07."""
    frame = bytearray(frames.build(body))
    extended = len(body) > 255
    head = 8 if extended else 5
    if kind == "lcs":
        frame[head - 1] ^= 0x01
    elif kind == "dcs":
        frame[-2] ^= 0x01
    elif kind == "tfi":
        return frames.build(bytes([0xD4]) + body[1:])
    elif kind == "code":
        return frames.build(bytes([body[0], (body[1] + 2) & 0xFF]) + body[2:])
    elif kind == "length":
        # One byte is missing: length, its checksum and the bytes that come do not agree.
        del frame[head + len(body) - 1]
    elif kind == "extended":
        high, low = divmod(len(body), 256)
        wrong = bytes([0xFF, 0xFF, high, low, (1 - high - low) & 0xFF])
        return b"\x00\x00\xff" + wrong + bytes(frame[head:])
    return bytes(frame)
