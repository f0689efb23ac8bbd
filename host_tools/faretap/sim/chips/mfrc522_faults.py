"""The faults of the catalogue that the simulated MFRC522 can have, by itself or by its cards."""

from __future__ import annotations

from .card_faults import CARD_FAULTS, ELSEWHERE, HOST_FRAMES, HOST_I2C, HOST_UART
from .faults import Fault

KNOWN: dict[str, Fault] = {
    "Q15": Fault(
        "a bit is lost now and then while SCK is above `above_hz`",
        {"times": 0, "chance": 0.02, "above_hz": 1_000_000},
    ),
    "Q16": Fault(
        "dead at the next command, until RST or (`until`) only until power is cycled",
        {"until": "reset"},
        {"until": ("reset", "power")},
    ),
    **CARD_FAULTS,
    "Q34": Fault("too hot: TempErr, antenna drivers off, until the chip is reset"),
    "Q38": Fault("RxIRq and two bytes in the FIFO though nothing was sent: strikes at once"),
}

ELSEWHERE_HERE: dict[str, str] = {
    **ELSEWHERE,
    **dict.fromkeys(("Q01", "Q02", "Q03", "Q04", "Q05", "Q06", "Q07", "Q08"), HOST_UART),
    **dict.fromkeys(("Q09", "Q10", "Q26", "Q27"), HOST_FRAMES),
    **dict.fromkeys(("Q11", "Q12", "Q13", "Q14"), HOST_I2C),
    "Q28": "the MFRC522 reads type A only",
}
