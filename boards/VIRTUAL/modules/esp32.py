"""`esp32` on the flash file: partitions with NOR rules, and NVS in the "nvs" partition."""

import errno

import vboard
from _nvs import Log, error

_SECTOR = 4096
_PAGE = 256
_FF_PAGE = b"\xff" * _PAGE
_FF_SECTOR = b"\xff" * _SECTOR

WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True
HEAP_DATA = 4
HEAP_EXEC = 1

_flash = None
_orders = None


def open_flash():
    global _flash, _orders
    _flash = open(vboard.parameters["flash"], "r+b")
    _orders = open(vboard.parameters["orders"], "r+b")


def _read(address, buf):
    _flash.seek(address)
    at = 0
    view = memoryview(buf)
    while at < len(view):
        got = _flash.readinto(view[at:])
        if not got:
            raise OSError(errno.EIO)
        at += got


def _counted(address, data):
    """One flash operation: `data` is about to be at `address`. Where the bench ordered it (how
    many operations from now, 4 bytes, and how, 1, in a file that it shares with us), the power
    goes: with nothing done, with the first half done, or with all."""
    _orders.seek(0)
    order = _orders.read(5)
    left = int.from_bytes(order[:4], "little")
    if not left:
        return
    _orders.seek(0)
    _orders.write((left - 1).to_bytes(4, "little"))
    if left > 1:
        return
    if order[4]:
        _flash.seek(address)
        _flash.write(data[: len(data) // 2] if order[4] == 1 else data)
    vboard.tell("cut")
    vboard.halt()


def _program(address, buf):
    """AND `buf` into the flash, a page at a time: power may go between any two pages."""
    view = memoryview(buf)
    at = 0
    while at < len(view):
        count = min(_PAGE - (address + at) % _PAGE, len(view) - at)
        page = bytes(view[at : at + count])
        _flash.seek(address + at)
        old = _flash.read(count)
        if old != _FF_PAGE[:count]:
            both = int.from_bytes(old, "little") & int.from_bytes(page, "little")
            page = both.to_bytes(count, "little")
        _counted(address + at, page)
        _flash.seek(address + at)
        _flash.write(page)
        at += count


def _erase(address):
    _counted(address, _FF_SECTOR)
    _flash.seek(address)
    _flash.write(_FF_SECTOR)


class Partition:
    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id, block_size=_SECTOR, _entry=None):
        if _entry is None:
            _entry = self._entry_of(id)
        self._type, self._subtype, self._address, self._size, self._label = _entry
        self._block = block_size

    @staticmethod
    def _entry_of(id):
        table = vboard.parameters["partitions"]
        if isinstance(id, int):
            if id not in (Partition.BOOT, Partition.RUNNING):
                raise ValueError
            return [p for p in table if p[:2] == (0, 0)][0]
        for kind in (Partition.TYPE_APP, Partition.TYPE_DATA):
            for entry in table:
                if entry[0] == kind and entry[4] == id:
                    return entry
        raise OSError(errno.ENOENT)

    @staticmethod
    def find(type=TYPE_APP, subtype=0xFF, label=None, block_size=_SECTOR):
        return [
            Partition(0, block_size, entry)
            for entry in vboard.parameters["partitions"]
            if entry[0] == type
            and subtype in (0xFF, entry[1])
            and (label is None or entry[4] == label)
        ]

    def info(self):
        return (self._type, self._subtype, self._address, self._size, self._label, False)

    def _at(self, offset, length):
        if offset > self._size or offset < 0:
            raise OSError(-258, "ESP_ERR_INVALID_ARG")
        if offset + length > self._size:
            raise OSError(-260, "ESP_ERR_INVALID_SIZE")
        return self._address + offset

    def readblocks(self, block, buf, offset=0):
        _read(self._at(block * self._block + offset, len(buf)), buf)

    def writeblocks(self, block, buf, offset=None):
        if offset is not None:
            _program(self._at(block * self._block + offset, len(buf)), buf)
            return
        start = block * self._block
        end = start + len(buf)
        self._at(start, len(buf))
        if self._block >= _SECTOR:
            if len(buf) % _SECTOR:
                raise OSError(-260, "ESP_ERR_INVALID_SIZE")
            for sector in range(start, end, _SECTOR):
                _erase(self._address + sector)
            _program(self._address + start, buf)
            return
        # Smaller blocks: keep the rest of each sector (esp32_partition_writeblocks).
        view = memoryview(buf)
        cache = bytearray(_SECTOR)
        for sector in range(start // _SECTOR * _SECTOR, end, _SECTOR):
            _read(self._address + sector, cache)
            first = max(start, sector)
            last = min(end, sector + _SECTOR)
            cache[first - sector : last - sector] = view[first - start : last - start]
            _erase(self._address + sector)
            _program(self._address + sector, cache)

    def ioctl(self, command, arg):
        if command in (1, 2, 3):
            return 0
        if command == 4:
            return self._size // self._block
        if command == 5:
            return self._block
        if command == 6:
            if self._block != _SECTOR:
                return -errno.EINVAL
            _erase(self._at(arg * _SECTOR, _SECTOR))
            return 0
        return None

    def set_boot(self):
        # Without an otadata partition there is nothing to choose between.
        raise OSError(-261, "ESP_ERR_NOT_FOUND")

    def get_next_update(self):
        raise OSError(errno.ENOENT)

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        raise OSError(-5382, "ESP_ERR_OTA_ROLLBACK_INVALID_STATE")

    def __repr__(self):
        return "<Partition type=%u, subtype=%u, address=%u, size=%u, label=%s, encrypted=0>" % (
            self._type,
            self._subtype,
            self._address,
            self._size,
            self._label,
        )


class NVS:
    """A namespace. Values are in flash when a setter returns; `commit` has nothing left to do."""

    _log = None

    def __init__(self, namespace):
        if not 0 < len(namespace) < 16:
            raise error("INVALID_NAME" if not namespace else "KEY_TOO_LONG")
        if NVS._log is None:
            found = Partition.find(Partition.TYPE_DATA, label="nvs")
            if not found:
                raise OSError(-261, "ESP_ERR_NOT_FOUND")
            NVS._log = Log(found[0])
        self._space = namespace

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("value must fit 32 bits")
        NVS._log.put(self._space, key, 1, (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def get_i32(self, key):
        value = int.from_bytes(NVS._log.get(self._space, key, 1), "little")
        return value - 0x100000000 if value & 0x80000000 else value

    def set_blob(self, key, value):
        NVS._log.put(self._space, key, 2, bytes(value))

    def get_blob(self, key, buf):
        value = NVS._log.get(self._space, key, 2)
        if len(value) > len(buf):
            raise error("INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        NVS._log.erase(self._space, key)

    def commit(self):
        pass


def raw_temperature():
    return 128


def mcu_temperature():
    return 53


def idf_heap_info(capabilities):
    return [(163840, 81920, 65536, 65536)]


def gpio_deep_sleep_hold(enable):
    pass
