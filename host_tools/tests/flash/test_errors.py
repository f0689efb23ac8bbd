"""What esptool and pyserial raise, as sentences with a cause and a next step."""

from __future__ import annotations

import pytest
from esptool.util import FatalError
from serial import SerialException

from faretap.flash.errors import on_connect, on_write


@pytest.mark.parametrize(
    ("error", "cause", "step"),
    [
        (
            FatalError(
                "Failed to connect to ESP32: No serial data received.\nFor troubleshooting"
            ),
            "No chip answers at P.",
            "Hold BOOT",
        ),
        (
            FatalError("Failed to connect to ESP32: Wrong boot mode detected (0x13)! The chip"),
            "started its program instead of the ROM loader",
            "Hold BOOT",
        ),
        (
            FatalError("Failed: Download mode successfully detected, but getting no sync reply"),
            "in download mode but does not hear us",
            "adapter's TX",
        ),
        (
            FatalError("Failed to connect: Invalid head of packet (0x08): Possible serial noise"),
            "noise, or another kind of device",
            "Hold BOOT",
        ),
        (SerialException("Could not exclusively lock port P: [Errno 11]"), "in use", "Close it"),
        (SerialException("connection failed (socket closed)"), "in use", "Close it"),
        (OSError(5, "Input/output error"), "The port P fails: [Errno 5]", "cable"),
        (FatalError("Unexpected chip magic value 0x1. Failed"), "cannot be used: Unexp", "BOOT"),
    ],
)
def test_before_a_chip_answers(error: Exception, cause: str, step: str) -> None:
    said = on_connect("P", error)
    assert cause in said.cause and step in said.next_step
    assert "\n" not in str(said)


def test_a_port_without_a_reset_line() -> None:
    said = on_connect("socket://h:1", FatalError("Failed to connect to ESP32: No serial data"))
    assert "no reset line" in said.next_step


@pytest.mark.parametrize(
    ("error", "cause", "step"),
    [
        (FatalError("MD5 of file does not match data in flash!"), "does not keep", "lower --baud"),
        (
            FatalError("Write failed, the written flash region is empty."),
            "does not keep",
            "module",
        ),
        (SerialException("device disconnected"), "went away after 25 %", "Plug it in"),
        (OSError(5, "Input/output error"), "went away after 25 %", "writes what is missing"),
        (FatalError("Failed to write (result was 0108: Flash write error)"), "0108", "--baud"),
        (RuntimeError("x\ny"), "failed after 25 %: x.", "same command again"),
    ],
)
def test_while_writing(error: Exception, cause: str, step: str) -> None:
    said = on_write("P", error, 250, 1000)
    assert cause in said.cause and step in said.next_step
    assert "\n" not in str(said)


def test_nothing_is_said_of_a_share_before_there_is_one() -> None:
    assert "went away:" in on_write("P", SerialException("gone"), 0, 0).cause
