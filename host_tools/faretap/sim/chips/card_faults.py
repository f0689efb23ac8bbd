"""The faults of the catalogue that a card in the field has, whichever chip reads it."""

from __future__ import annotations

from .faults import Fault

CARD_FAULTS: dict[str, Fault] = {
    "Q20": Fault(
        "the card leaves: `when` it got the command or before, or after `at_byte` bytes of an "
        "exchange, counted over command and answer; a PN532 reports `status`",
        {"when": "before", "status": 0x01, "at_byte": None},
        {"when": ("before", "after"), "status": (0x01, 0x02, 0x2B)},
    ),
    "Q21": Fault("a card that stays in the field misses this poll (every=2: each second one)"),
    "Q22": Fault(
        "two cards: a second one answers this poll, or the exchange ends in a bit collision",
        {"kind": "two"},
        {"kind": ("two", "collision")},
    ),
    "Q23": Fault("the answer to the next command is `size` bytes and 9000", {"size": 256}),
    "Q24": Fault(
        "the card asks for more time, `count` times (0 = endless): before its answer, inside a "
        "chain, or as its reply to R(NAK); it then takes `fill` of what it was granted",
        {"wtxm": 1, "count": 1, "when": "answer", "fill": 0.0},
        {"when": ("answer", "chain", "nak")},
    ),
    "Q25": Fault(
        "a wrong block: the previous one again, a wrong number, an R(NAK) that no card may send, "
        "a damaged CRC, or none at all; what is repeated suffers too unless `repeats` is False",
        {"kind": "number", "repeats": True},
        {"kind": ("duplicate", "number", "nak", "crc", "mute"), "repeats": (True, False)},
    ),
    "Q29": Fault(
        "as a phone: random UID (08…), a long ATS that changes, SAK 28, at each activation",
        {"what": "all"},
        {"what": ("uid", "ats", "sak", "all")},
    ),
    "Q30": Fault(
        "`frames` short noise frames of `size` bytes before the answer", {"frames": 1, "size": 2}
    ),
    "Q31": Fault(
        "the applet is not ready: SELECT is refused, or not answered",
        {"kind": "6985"},
        {"kind": ("6985", "6A82", "mute")},
    ),
    "Q33": Fault(
        "a card left in ISO-DEP hears no poll before it was deselected or the field was off for "
        "`off_ms`; shorter does not reset it",
        {"off_ms": 5.1},
    ),
    "Q35": Fault("clone board: everything answers, but there is no field", {"times": 0}),
    "Q37": Fault(
        "data comes by GET RESPONSE (61xx), or only for the exact Le (6Cxx)",
        {"kind": "61"},
        {"kind": ("61", "6C")},
    ),
}

ELSEWHERE = {
    "Q17": "it belongs to NCI chips (PN7160, PN7150)",
    "Q32": "it belongs to phones in express mode, which wait for a polling frame",
    "Q36": "it happens in the validator's own firmware",
}
HOST_UART = "it belongs to the PN532's serial line (HSU)"
HOST_FRAMES = "it belongs to the PN532's host frames; this chip has registers"
HOST_I2C = "it belongs to the PN532's I²C bus"
HOST_SPI = "it belongs to the SPI bus"
