"""The ROM serial loader of an ESP32, and the flasher stub that esptool loads into it.

Protocol: esptool documentation, "Serial Protocol". Requests and answers are SLIP frames;
`SerialLoader.receive` takes bytes in any slicing and writes answers with `send`. The stub's code
is received and thrown away: once it is "started", this loader answers as the stub does.

Flash obeys NOR rules: a write erases the sectors it announced, then programs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from .flash import SECTOR, Flash, FlashError

BANNER = "waiting for download\r\n"

_SYNC, _WRITE_REG, _READ_REG = 0x08, 0x09, 0x0A
_FLASH_BEGIN, _FLASH_DATA, _FLASH_END = 0x02, 0x03, 0x04
_MEM_BEGIN, _MEM_END, _MEM_DATA = 0x05, 0x06, 0x07
_SPI_SET_PARAMS, _SPI_ATTACH, _READ_FLASH_SLOW, _CHANGE_BAUD = 0x0B, 0x0D, 0x0E, 0x0F
_DEFL_BEGIN, _DEFL_DATA, _DEFL_END, _MD5 = 0x10, 0x11, 0x12, 0x13
_ERASE_FLASH, _ERASE_REGION, _READ_FLASH, _RUN_USER_CODE = 0xD0, 0xD1, 0xD2, 0xD3

_INVALID, _FAILED, _BAD_CHECKSUM = 0x05, 0x06, 0x07  # ROM status codes
_STUB_BAD_LENGTH, _STUB_BAD_CHECKSUM, _STUB_FAILED = 0xC0, 0xC1, 0xC5
_STUB_DEFLATE, _STUB_UNKNOWN = 0xC7, 0xFF

_EFUSE = 0x3FF5A000
_SPI = 0x3FF42000
_SPI_USR, _SPI_USR2, _SPI_W0 = 1 << 18, 0x24, 0x80
_RTCCALICFG1, _UART_CLKDIV, _MAGIC, _APB_CTL_DATE = 0x3FF5F06C, 0x3FF40014, 0x40001000, 0x3FF6607C
_MAX_FRAME = 128 * 1024


class SerialLoader:
    """The loader from reset to reset.

    `send(data)` carries answers; `set_baud(rate)` is called when the loader changes its own rate
    (after the answer, which still goes at the old one); `reboot()` when it is told to run the
    application.
    """

    def __init__(
        self,
        flash: Flash,
        mac: bytes,
        send: Callable[[bytes], None],
        set_baud: Callable[[int], None],
        reboot: Callable[[], None],
    ) -> None:
        self._flash = flash
        self._send = send
        self._set_baud = set_baud
        self._reboot = reboot
        self._frame: bytearray | None = None
        self._escaped = False
        self.stub = False
        self.synced = False  # a first frame has been understood: the rate is known
        self._at = self._end = 0
        self._inflate: zlib._Decompress | None = None
        self._reading: tuple[int, int, int, int] | None = None  # start, length, packet, window
        self._sent = self._acked = 0
        self._registers = _registers(mac)

    def receive(self, data: bytes) -> None:
        # Whole runs at once where there is nothing special, which is nearly everywhere.
        at = 0
        while at < len(data):
            if self._frame is None:
                start = data.find(0xC0, at)
                if start < 0:
                    return
                self._frame, at = bytearray(), start + 1
                continue
            if self._escaped:
                self._frame.append({0xDC: 0xC0, 0xDD: 0xDB}.get(data[at], data[at]))
                self._escaped = False
                at += 1
                continue
            end = data.find(0xC0, at)
            escape = data.find(0xDB, at, end if end >= 0 else len(data))
            stop = escape if escape >= 0 else end if end >= 0 else len(data)
            self._frame += data[at:stop]
            at = stop + 1
            if len(self._frame) > _MAX_FRAME:
                self._frame = None
            elif escape >= 0:
                self._escaped = True
            elif end >= 0 and self._frame:
                frame, self._frame = bytes(self._frame), None
                self._handle(frame)

    def _handle(self, frame: bytes) -> None:
        if self._reading is not None:
            if len(frame) == 4:
                self._acked = struct.unpack("<I", frame)[0]
                self._stream()
                return
            self._reading = None
        if len(frame) < 8 or frame[0] != 0:
            return
        self.synced = True
        command, size, checksum = frame[1], *struct.unpack_from("<HI", frame, 2)
        data = frame[8:]
        if len(data) != size:
            self._answer(command, error=_STUB_BAD_LENGTH if self.stub else _INVALID)
            return
        try:
            self._do(command, data, checksum)
        except FlashError:
            self._answer(command, error=_STUB_FAILED if self.stub else _FAILED)
        except struct.error:
            self._answer(command, error=_STUB_BAD_LENGTH if self.stub else _INVALID)

    def _answer(self, command: int, value: int = 0, data: bytes = b"", error: int = 0) -> None:
        status = bytes([1 if error else 0, error]) + (b"" if self.stub else b"\0\0")
        body = data + status
        self._send(_slip(struct.pack("<BBHI", 1, command, len(body), value) + body))

    def _do(self, command: int, data: bytes, checksum: int) -> None:
        if command in (_FLASH_DATA, _MEM_DATA, _DEFL_DATA) and not self._block_ok(data, checksum):
            self._answer(command, error=_STUB_BAD_CHECKSUM if self.stub else _BAD_CHECKSUM)
        elif command == _SYNC:
            for _ in range(8):
                self._answer(command, value=0 if self.stub else 0x20120707)
        elif command == _READ_REG:
            self._answer(command, value=self._read_register(*struct.unpack_from("<I", data)))
        elif command == _WRITE_REG:
            self._write_register(*struct.unpack_from("<III", data))
            self._answer(command)
        elif command in (_FLASH_BEGIN, _DEFL_BEGIN):
            self._begin(command, data)
        elif command == _FLASH_DATA:
            self._program(command, data[16:])
        elif command == _DEFL_DATA:
            self._inflate_block(command, data[16:])
        elif command in (_FLASH_END, _DEFL_END):
            self._answer(command)
            if struct.unpack_from("<I", data)[0] == 0:
                self._reboot()
            elif not self.stub and command == _FLASH_END:
                self._reboot()  # "leaving" the ROM loader runs the application either way
        elif command in (_MEM_BEGIN, _MEM_DATA, _SPI_SET_PARAMS, _SPI_ATTACH):
            self._answer(command)
        elif command == _MEM_END:
            stay, entry = struct.unpack_from("<II", data)
            self._answer(command)
            if not stay and entry:
                self.stub = True
                self._send(_slip(b"OHAI"))
        elif command == _CHANGE_BAUD:
            (baud,) = struct.unpack_from("<I", data)
            self._answer(command)
            self._set_baud(baud)
        elif command == _MD5:
            address, length = struct.unpack_from("<II", data)
            digest = self._flash.md5(address, length)
            self._answer(command, data=digest if self.stub else digest.hex().encode())
        elif command == _READ_FLASH_SLOW and not self.stub:
            address, length = struct.unpack_from("<II", data)
            self._answer(command, data=self._flash.read(address, min(length, 64)).ljust(64, b"\0"))
        elif self.stub and command in (_ERASE_FLASH, _ERASE_REGION, _READ_FLASH, _RUN_USER_CODE):
            self._do_stub(command, data)
        else:
            self._answer(command, error=_STUB_UNKNOWN if self.stub else _INVALID)

    def _do_stub(self, command: int, data: bytes) -> None:
        if command == _ERASE_FLASH:
            self._flash.erase(0, self._flash.size)
            self._answer(command)
        elif command == _ERASE_REGION:
            self._flash.erase(*struct.unpack_from("<II", data))
            self._answer(command)
        elif command == _READ_FLASH:
            start, length, packet, window = struct.unpack_from("<IIII", data)
            self._flash.read(start, length)  # bounds, before saying yes
            self._answer(command)
            self._reading = (start, length, max(1, packet), max(1, window))
            self._sent = self._acked = 0
            self._stream()
        else:
            self._reboot()

    @staticmethod
    def _block_ok(data: bytes, checksum: int) -> bool:
        length = struct.unpack_from("<I", data)[0]
        value = 0xEF
        for byte in data[16:]:
            value ^= byte
        return length == len(data) - 16 and value == checksum & 0xFF

    def _begin(self, command: int, data: bytes) -> None:
        size, blocks, block, address = struct.unpack_from("<IIII", data)
        if command == _DEFL_BEGIN:
            if not self.stub:
                size = blocks * block if size == 0 else size
            self._inflate = zlib.decompressobj()
        # The chip erases whole sectors, also those that only begin or end with the new data.
        first = address // SECTOR * SECTOR
        last = -(-(address + size) // SECTOR) * SECTOR
        if size:
            self._flash.erase(first, last - first)
        self._at, self._end = address, last
        self._answer(command)

    def _program(self, command: int, block: bytes) -> None:
        # Blocks are padded with 0xFF to their announced size; the pad may pass the erased end.
        if self._at + len(block) > self._end:
            extra = block[max(0, self._end - self._at) :]
            if extra.strip(b"\xff"):
                raise FlashError("more data than was announced")
            block = block[: max(0, self._end - self._at)]
        self._flash.program(self._at, block)
        self._at += len(block)
        self._answer(command)

    def _inflate_block(self, command: int, block: bytes) -> None:
        if self._inflate is None:
            self._answer(command, error=_STUB_FAILED if self.stub else _INVALID)
            return
        try:
            plain = self._inflate.decompress(block)
        except zlib.error:
            self._answer(command, error=_STUB_DEFLATE if self.stub else _INVALID)
            return
        self._program(command, plain)

    def _stream(self) -> None:
        """Send what the client's window has room for; at the end the MD5 of it all."""
        assert self._reading is not None
        start, length, packet, window = self._reading
        while self._sent < length and self._sent - self._acked < packet * window:
            count = min(packet, length - self._sent)
            self._send(_slip(self._flash.read(start + self._sent, count)))
            self._sent += count
        if self._acked >= length:
            self._reading = None
            self._send(_slip(self._flash.md5(start, length)))

    def _read_register(self, address: int) -> int:
        if address == _SPI + _SPI_W0 and self._registers.get(_SPI + _SPI_USR2, 0) & 0xFF == 0x9F:
            return self._flash.jedec_id
        if address == _SPI + _SPI_W0 and self._registers.get(_SPI + _SPI_USR2, 0) & 0xFF == 0x5A:
            return 0x50444653  # "SFDP"
        return self._registers.get(address, 0)

    def _write_register(self, address: int, value: int, mask: int) -> None:
        value = self._registers.get(address, 0) & ~mask | value & mask
        if address == _SPI:
            value &= ~_SPI_USR  # the command is done by the time anybody looks
        self._registers[address] = value


def _registers(mac: bytes) -> dict[int, int]:
    """What an ESP32-D0WD-V3, revision 3.0, with a 40 MHz crystal answers."""
    return {
        _MAGIC: 0x00F01D83,
        _EFUSE + 4: int.from_bytes(mac[2:6], "big"),
        _EFUSE + 8: int.from_bytes(mac[:2], "big"),
        _EFUSE + 12: 1 << 15 | 1 << 9,  # revision bit 0; package D0WD
        _EFUSE + 16: 128,  # CK8M, with the calibration below: 40 MHz
        _EFUSE + 20: 1 << 20,  # revision bit 1
        _RTCCALICFG1: 800 << 7,
        _UART_CLKDIV: 40_000_000 // 115200,
        _APB_CTL_DATE: 1 << 31,
    }


def _slip(data: bytes) -> bytes:
    return b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
