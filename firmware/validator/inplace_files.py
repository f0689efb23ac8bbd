"""The packed part of a slot as a file system: every module in one piece, nothing ever written.

    files = Files(partition.readblocks, at, count)
    vfs.mount(files, "/rom", readonly=True)

`at` is where in the slot the packed part begins, `count` its number of files and folders. They are
listed in sorted order of the CRC-32 of their paths, 16 bytes each, all little-endian: CRC, where
the file is behind `at` (0 is a folder), its size, where the list of its functions is (0: none).
The image builder refuses paths that are confused with each other (faretap/image/area.py).
"""

import io
import struct
from binascii import crc32

_SECTOR_BITS = 12
_ENTRY = 16
_CLOSE = 4  # py/stream.h: MP_STREAM_CLOSE
_BUFFER_SIZE = 11  # MP_STREAM_GET_BUFFER_SIZE
_LARGEST_BUFFER = 255
_FOLDER = 0x4000
_FILE = 0x8000
_NONE = 2  # ENOENT
_READ_ONLY = 30  # EROFS


class File(io.IOBase):
    """A file that is read from its beginning to its end."""

    def __init__(self, read, at, size):
        self._read = read
        self._at = at
        self._left = size

    def readinto(self, buf):
        n = len(buf)
        if n > self._left:
            n = self._left
            buf = memoryview(buf)[:n]
        if n:
            self._read(self._at, buf)
            self._at += n
            self._left -= n
        return n

    def ioctl(self, op, arg):
        if op == _BUFFER_SIZE:
            return _LARGEST_BUFFER
        return 0 if op == _CLOSE else -1


class Files:
    """`readblocks(block, buf, offset)` reads the slot, whose blocks have 4096 bytes."""

    def __init__(self, readblocks, at, count):
        self._readblocks = readblocks
        self._at = at
        self._count = count
        self._entry = bytearray(_ENTRY)
        self.index = 0  # of what `find` found last

    def read(self, at, buf):
        at += self._at
        self._readblocks(at >> _SECTOR_BITS, buf, at & (1 << _SECTOR_BITS) - 1)

    def find(self, path):
        """(crc, at, size, functions) of "/validator/x.mpy"; OSError if there is no such path."""
        wanted = crc32(path.encode())
        low = 0
        high = self._count
        while low < high:
            middle = (low + high) >> 1
            self.read(_ENTRY * middle, self._entry)
            entry = struct.unpack("<IIII", self._entry)
            if entry[0] == wanted:
                self.index = middle
                return entry
            if entry[0] < wanted:
                low = middle + 1
            else:
                high = middle
        raise OSError(_NONE)

    # What vfs.mount wants of a file system.

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def stat(self, path):
        entry = self.find(path)
        return (_FILE if entry[1] else _FOLDER, 0, 0, 0, 0, 0, entry[2], 0, 0, 0)

    def open(self, path, mode):
        if "w" in mode or "a" in mode or "+" in mode:
            raise OSError(_READ_ONLY)
        entry = self.find(path)
        if not entry[1]:
            raise OSError(_NONE)
        return File(self.read, entry[1], entry[2])
