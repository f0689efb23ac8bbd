"""Non-volatile storage: two banks of a log, one of them live. Safe against power cuts anywhere.

A bank begins with {"VNVS", generation u32, CRC-32 of both}; of two good banks the one of the
higher generation is live. Entries follow: {0x5A, kind u8, length of namespace u8, of key u8, of
value u16, 0 u16, CRC-32 of the eight bytes before and the payload}, then the payload, padded to
four bytes. A full bank is copied, without what is obsolete, into the other one, whose head is
written last.
"""

import binascii
import struct

_SECTOR = 4096
_ENTRY = 0x5A
_ERASED = 0x7F
_CODES = {
    "NOT_FOUND": 0x1102,
    "NOT_ENOUGH_SPACE": 0x1105,
    "INVALID_NAME": 0x1106,
    "KEY_TOO_LONG": 0x1109,
    "INVALID_LENGTH": 0x110C,
}


def error(name):
    """The OSError that MicroPython makes of ESP_ERR_NVS_`name`."""
    return OSError(-_CODES[name], "ESP_ERR_NVS_" + name)


class Log:
    """`device`: a partition of at least two sectors (readblocks, writeblocks, ioctl)."""

    def __init__(self, device):
        self._device = device
        self._size = device.ioctl(4, 0) // 2 * _SECTOR
        self._values = {}
        best = None
        for bank in (0, 1):
            head = self._read(bank * self._size, 12)
            if head[:4] == b"VNVS" and binascii.crc32(head[:8]) == _u32(head, 8):
                if best is None or _u32(head, 4) > best[1]:
                    best = (bank, _u32(head, 4))
        if best is None:
            self._bank, self._generation = 1, 0
            self._copy()
        else:
            self._bank, self._generation = best
            self._load()

    def get(self, space, key, kind):
        found = self._values.get((space, key))
        if found is None or found[0] != kind:
            raise error("NOT_FOUND")
        return found[1]

    def put(self, space, key, kind, value):
        if not 0 < len(key) < 16:
            raise error("KEY_TOO_LONG" if key else "INVALID_NAME")
        if self._values.get((space, key)) == (kind, value):
            return
        entry = _entry(space, key, kind, value)
        old = self._values.get((space, key))
        self._values[(space, key)] = (kind, value)
        try:
            self._append(entry)
        except OSError:
            if old is None:
                del self._values[(space, key)]
            else:
                self._values[(space, key)] = old
            raise

    def erase(self, space, key):
        if (space, key) not in self._values:
            raise error("NOT_FOUND")
        del self._values[(space, key)]
        self._append(_entry(space, key, _ERASED, b""))

    def _append(self, entry):
        if self._end + len(entry) > self._size:
            self._copy()  # with what changed just now
            return
        self._write(self._bank * self._size + self._end, entry)
        self._end += len(entry)

    def _copy(self):
        """Write all live values to the other bank, and make that the live one."""
        entries = [_entry(s, k, kind, v) for (s, k), (kind, v) in self._values.items()]
        if 12 + sum(len(entry) for entry in entries) > self._size:
            raise error("NOT_ENOUGH_SPACE")
        bank = 1 - self._bank
        base = bank * self._size
        for sector in range(base // _SECTOR, (base + self._size) // _SECTOR):
            self._device.ioctl(6, sector)
        end = 12
        for entry in entries:
            self._write(base + end, entry)
            end += len(entry)
        head = b"VNVS" + struct.pack("<I", self._generation + 1)
        self._write(base, head + struct.pack("<I", binascii.crc32(head)))
        self._bank, self._end = bank, end
        self._generation += 1

    def _load(self):
        base = self._bank * self._size
        data = self._read(base, self._size)
        at = 12
        while at + 12 <= self._size:
            mark, kind, n_space, n_key, n_value, _ = struct.unpack_from("<BBBBHH", data, at)
            if mark != _ENTRY:
                break
            end = at + 12 + n_space + n_key + n_value
            if end > self._size:
                break
            check = binascii.crc32(data[at + 12 : end], binascii.crc32(data[at : at + 8]))
            if check != _u32(data, at + 8):
                break
            space_end = at + 12 + n_space
            space = data[at + 12 : space_end].decode()
            key = data[space_end : space_end + n_key].decode()
            if kind == _ERASED:
                self._values.pop((space, key), None)
            else:
                self._values[(space, key)] = (kind, data[space_end + n_key : end])
            at = (end + 3) // 4 * 4
        self._end = at
        # Power went during the last entry: what it left cannot be written over.
        if data[at:] != b"\xff" * (self._size - at):
            self._end = self._size

    def _read(self, at, count):
        buf = bytearray(count)
        self._device.readblocks(at // _SECTOR, buf, at % _SECTOR)
        return bytes(buf)

    def _write(self, at, data):
        self._device.writeblocks(at // _SECTOR, data, at % _SECTOR)


def _entry(space, key, kind, value):
    space = space.encode()
    key = key.encode()
    head = struct.pack("<BBBBHH", _ENTRY, kind, len(space), len(key), len(value), 0)
    body = space + key + value
    check = binascii.crc32(body, binascii.crc32(head))
    return head + struct.pack("<I", check) + body + b"\xff" * (-len(body) % 4)


def _u32(data, at):
    return struct.unpack_from("<I", data, at)[0]
