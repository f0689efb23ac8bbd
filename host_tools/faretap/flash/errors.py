"""What can go wrong between a cable and a flash chip, as sentences for the one who holds it."""

from __future__ import annotations

import re

import serial
from esp_pylib.errors import FatalError

from faretap import address
from faretap.errors import FaretapError


class FlashError(FaretapError):
    """Flashing failed; the message says why and what to do next."""


_DOWNLOAD_MODE = (
    "Hold BOOT (IO0), press and release EN, let go of BOOT, and run the same command again; "
    "if that does not help, check the cable and the power."
)
_AGAIN = "Run the same command again: it writes what is missing."


def on_connect(port: str, e: Exception) -> FlashError:
    """A sentence for what esptool or pyserial raised before a chip had answered."""
    text = str(e)
    if "Wrong boot mode" in text:
        return FlashError(
            f"The chip at {port} was reset, but started its program instead of the ROM loader.",
            _DOWNLOAD_MODE,
        )
    if "sync reply" in text or "TX path" in text:
        return FlashError(
            f"The chip at {port} is in download mode but does not hear us.",
            "Check the wire from the adapter's TX to the chip's RX.",
        )
    if "noise" in text or "corruption" in text or "Invalid head of packet" in text:
        return FlashError(
            f"What comes from {port} is not what a chip says: noise, or another kind of device.",
            _DOWNLOAD_MODE,
        )
    if isinstance(e, (serial.SerialException, OSError)):
        if re.search(r"lock|busy|multiple access|in use|closed|timeout while waiting", text, re.I):
            return FlashError(
                f"The port {port} is in use by another program.",
                "Close it (a monitor, a test run) and try again.",
            )
        return FlashError(f"The port {port} fails: {first_line(text)}.", "Check the cable.")
    if "No serial data" in text or "Failed to connect" in text:
        step = _DOWNLOAD_MODE
        if address.kind(port) == "socket":
            step = (
                "A socket:// port has no reset line: put the chip into download mode "
                "yourself (IO0 low while EN rises), then run the same command again."
            )
        return FlashError(f"No chip answers at {port}.", step)
    return FlashError(f"The chip at {port} cannot be used: {first_line(text)}.", _DOWNLOAD_MODE)


def on_write(port: str, e: Exception, done: int, total: int) -> FlashError:
    """A sentence for what was raised once a chip had answered; `done` of `total` bytes stand."""
    text = str(e)
    share = f" after {100 * done // total} %" if total and done else ""
    if "MD5" in text or "region is empty" in text:
        return FlashError(
            f"The flash chip at {port} does not keep what is written to it.",
            "Try a lower --baud and a good supply; if that does not help, replace the module.",
        )
    if isinstance(e, (serial.SerialException, OSError)):
        return FlashError(f"The port {port} went away{share}: unplugged, or its power is gone.",
                          f"Plug it in. {_AGAIN}")  # fmt: skip
    if isinstance(e, FatalError):
        return FlashError(
            f"The chip at {port} stopped answering as it should{share}: {first_line(text)}.",
            f"Check cable and power, or take a lower --baud. {_AGAIN}",
        )
    return FlashError(f"Flashing {port} failed{share}: {first_line(text)}.", _AGAIN)


def first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "no reason given"
