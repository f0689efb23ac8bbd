"""The board's SPI flash chip: a file with NOR rules, which survives everything.

Programming only clears bits, erasing sets whole 4 KB sectors to 0xFF. The MicroPython process
works on the same file (boards/VIRTUAL/modules/esp32.py applies the same rules there); only one
of the two is awake at a time, as on a chip the ROM loader and the firmware never run together.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from faretap.writing import write_bytes

SECTOR = 4096
SIZE = 8 * 1024 * 1024  # of a new board's chip, as boards/VIRTUAL has it


class FlashError(Exception):
    """An access past the end of the chip, or an erase that is not aligned to sectors."""


class Flash:
    """NOR flash in `path`; created blank (0xFF) if there is no such file.

    An existing file keeps its size, whatever `size` says: a chip does not grow.
    """

    def __init__(self, path: Path, size: int = SIZE) -> None:
        if size < 1 << 18 or size & (size - 1):
            raise ValueError(f"flash size {size} is not a power of two of at least 256 KB")
        if not path.exists():
            # Written beside and renamed: a half-written flash file would look like a small chip.
            write_bytes(path, b"\xff" * size, durable=False)
        self.path = path
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 0)
        self.size = len(self._map)
        if self.size < 1 << 18 or self.size & (self.size - 1):
            raise ValueError(f"{path} has {self.size} bytes, which is no flash chip's size")

    @property
    def jedec_id(self) -> int:
        """Manufacturer, type and capacity as the RDID command returns them (little endian)."""
        return (self.size.bit_length() - 1) << 16 | 0x4020

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._map.close()
        self._file.close()

    def _check(self, address: int, length: int) -> None:
        if address < 0 or length < 0 or address + length > self.size:
            raise FlashError(
                f"0x{address:x} + {length} bytes is past the end of a {self.size >> 20} MB flash"
            )

    def read(self, address: int, length: int) -> bytes:
        self._check(address, length)
        return self._map[address : address + length]

    def program(self, address: int, data: bytes) -> None:
        """Clear bits: the result is the old content AND `data`."""
        self._check(address, len(data))
        end = address + len(data)
        old = self._map[address:end]
        if old.count(0xFF) != len(old):
            both = int.from_bytes(old, "little") & int.from_bytes(data, "little")
            data = both.to_bytes(len(old), "little")
        self._map[address:end] = data

    def erase(self, address: int, length: int = SECTOR) -> None:
        """Set whole sectors to 0xFF."""
        self._check(address, length)
        if address % SECTOR or length % SECTOR:
            raise FlashError(f"erase of 0x{address:x} + {length} is not aligned to sectors")
        self._map[address : address + length] = b"\xff" * length

    def md5(self, address: int, length: int) -> bytes:
        self._check(address, length)
        return hashlib.md5(self._map[address : address + length]).digest()
