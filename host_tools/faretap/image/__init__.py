"""What is written to a validator's flash: partition table, MicroPython, loader, application."""

from faretap.image.errors import ImageError

__all__ = ["ImageError"]
