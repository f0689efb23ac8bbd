"""The deny list in force: one of two banks of a flash partition.

    lists = Lists(flash)
    lists.mount()
    if lists.contains(token): ...

A lookup reads flash twice, 4 bytes and one block, and allocates nothing. list_load.py brings new
lists into the other bank. A bank is

    0     header       list_format.py
    192   commit       "FTLC", CRC-32 of the header: programmed last, by one operation
    200   file         8 bytes of the SHA-256 of the file that the bank was filled from
    208   done         a byte a sector, programmed when all of the sector is
    body_at            body
"""

import struct
from binascii import crc32

from validator.store import list_format as fmt

COMMIT_AT = 192
FILE_AT = 200
DONE_AT = 208


class Lists:
    """`flash` as in flash.py. `key_check` is what a list has to say of its token key (4 bytes), or
    None; `operator` the operator's public key, which signs lists, or None."""

    def __init__(self, flash, operator=None, key_check=None):
        self.flash = flash
        self.operator = operator
        self.key_check = key_check
        self.sectors = flash.size // flash.sector // 2
        self.body_at = (DONE_AT + self.sectors + 15) & ~15
        # Bytes of a body. A lookup reads a pair of index entries, and up to 4 bytes more.
        self.room = self.sectors * flash.sector - self.body_at - 4
        self.active = None  # Header of the list in force
        self.bank = 0
        self.faults = 0  # banks whose commit is not right: rot, or power that went at the switch
        self._buf = self._pair = bytearray(0)

    def base(self, bank):
        return bank * self.sectors * self.flash.sector

    def mount(self):
        """Find the newest list that was committed. Reads two headers, writes nothing. What was in
        force stays so if flash cannot be read, or memory for it is not to be had."""
        self.faults = 0
        active = None
        newest = 0
        for bank in (0, 1):
            header = self._committed(bank)
            if header and (active is None or header.version > active.version):
                active = header
                newest = bank
        if active:
            pair = bytearray(8)
            self._buf = bytearray(active.block_max)
            self._pair = pair
            self.bank = newest
        self.active = active

    def _committed(self, bank):
        data = self.read(bank, 0, FILE_AT)
        mark = data[COMMIT_AT:]
        if mark in (b"\xff" * 8, bytes(8)):  # not yet, not any more
            return None
        try:
            if mark == commit_mark(data):
                header = fmt.Header(data)
                if header.size <= self.room:
                    return header
        except fmt.ListError:
            pass
        self.faults += 1
        return None

    def read(self, bank, at, n):
        """n bytes of a bank."""
        buf = bytearray(n)
        self.flash.read(self.base(bank) + at, buf)
        return bytes(buf)

    def file(self, bank):
        """8 bytes of the SHA-256 of the file that `bank` was filled from."""
        return self.read(bank, FILE_AT, 8)

    def contains(self, token):
        """Whether the 8 bytes `token` are on the list. OSError if flash cannot be read."""
        header = self.active
        if header is None:
            return False
        body = self.base(self.bank) + self.body_at
        bucket = (token[0] << 16 | token[1] << 8 | token[2]) // (0x1000000 // header.buckets)
        pair = self._pair
        # 8 bytes, where 4 are wanted: for a shorter view there would have to be an allocation.
        self.flash.read(body + 2 * bucket, pair)
        start = (bucket * header.slope >> 8) + _signed(pair, 0)
        end = ((bucket + 1) * header.slope >> 8) + _signed(pair, 2)
        buf = self._buf
        if not 0 < end - start <= len(buf) or start < 0 or end > header.size:
            return False  # empty, or damage
        body += header.index_size
        start += body
        end += body
        # The last blocks are read from a little before, not to read beyond the partition.
        at = min(start, self.flash.size - len(buf))
        self.flash.read(at, buf)
        value = (
            (token[4] & 0x3F) << 24 | token[5] << 16 | token[6] << 8 | token[7]
        ) % header.width
        if not fmt.holds(buf, start - at, end - at, header.cell, value):
            return False
        return not header.exempt or not self._is_exempt(token)

    def _is_exempt(self, token):
        # Asked about few: of those that are not let through otherwise.
        header = self.active
        addr = self.base(self.bank) + self.body_at + header.size - 8 * header.exempt
        left = header.exempt
        buf = memoryview(self._buf)[: len(self._buf) & ~7] or memoryview(bytearray(8))
        while left > 0:
            n = min(left, len(buf) // 8)
            self.flash.read(addr, buf[: 8 * n])
            for at in range(0, 8 * n, 8):
                if buf[at] == token[0] and bytes(buf[at : at + 8]) == token:
                    return True
            addr += 8 * n
            left -= n
        return False

    def info(self):
        """What can be said without reading flash."""
        header = self.active
        info = {"version": 0, "entries": 0, "faults": self.faults, "room": self.room}
        if header:
            info["version"] = header.version
            info["entries"] = header.entries
            info["exempt"] = header.exempt
            info["issued"] = header.issued
            info["size"] = header.size
            info["hash"] = header.digest[:4].hex()
            info["bank"] = self.bank
        return info


def commit_mark(data):
    """What stands behind the header in `data` once its list is in force."""
    return b"FTLC" + struct.pack("<I", crc32(data[: fmt.HEADER_SIZE]))


def _signed(buf, at):
    n = buf[at] | buf[at + 1] << 8
    return n - 65536 if n & 0x8000 else n
