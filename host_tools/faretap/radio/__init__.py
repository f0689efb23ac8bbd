"""Cards by radio: card models, played by a PN532 that nfcpy drives to a validator's reader."""

from __future__ import annotations

from faretap.radio.emulator import Emulator, Presentation, Presenting, open_emulator
from faretap.radio.errors import NotByRadio, RadioError
from faretap.radio.tap import present_by_radio, tap, tap_by_radio

__all__ = [
    "Emulator",
    "NotByRadio",
    "Presentation",
    "Presenting",
    "RadioError",
    "open_emulator",
    "present_by_radio",
    "tap",
    "tap_by_radio",
]
