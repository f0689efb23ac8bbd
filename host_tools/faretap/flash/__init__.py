"""Writing a validator's flash over its serial port, with esptool."""

from faretap.flash.errors import FlashError
from faretap.flash.flasher import FlashReport, flash

__all__ = ["FlashError", "FlashReport", "flash"]
