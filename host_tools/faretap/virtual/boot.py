"""What stands in flash, as the ROM and the second-stage bootloader find it.

`look(flash)` gives the application to run, or the text that the chip prints for want of one.
Only what is in flash runs: nothing here knows how it came there.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from . import esp_image
from .flash import Flash, FlashError

BOOTLOADER_AT = 0x1000
TABLE_AT = 0x8000
_TABLE_SIZE = 0xC00
_ENTRY = struct.Struct("<HBBII16sI")
_ENTRY_MAGIC, _MD5_MAGIC = 0x50AA, 0xEBEB
TYPE_APP, TYPE_DATA = 0, 1
SUBTYPE_FACTORY = 0

# rst: codes of the ESP32 ROM
POWERON, SW_CPU = (0x1, "POWERON_RESET"), (0xC, "SW_CPU_RESET")


@dataclass(frozen=True)
class Partition:
    type: int
    subtype: int
    address: int
    size: int
    label: str


@dataclass(frozen=True)
class Application:
    """A checked application image, and the partitions of the table beside it."""

    image: esp_image.Image
    partition: Partition
    partitions: tuple[Partition, ...]

    @property
    def version(self) -> str:
        """`version` of its esp_app_desc_t, such as v1.24.1."""
        return esp_image.version_of(self.image)


@dataclass(frozen=True)
class BootLog:
    """What the chip prints while it looks; `application` is None if it found nothing to run.

    `again_s` is how long it takes until the watchdog makes it try again, printing once more.
    """

    text: str
    application: Application | None
    again_s: float = 0.5


def reset_line(reason: tuple[int, str], download: bool = False) -> str:
    code, name = reason
    if download:
        mode = "boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))"
    else:
        mode = "boot:0x13 (SPI_FAST_FLASH_BOOT)"
    return f"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x{code:x} ({name}),{mode}\r\n"


def look(flash: Flash, reason: tuple[int, str]) -> BootLog:
    """Go the way of the chip: bootloader, partition table, application image."""
    text = reset_line(reason)
    head = flash.read(BOOTLOADER_AT, 4)
    if head[0] != esp_image.MAGIC:
        return BootLog(text + f"invalid header: 0x{int.from_bytes(head, 'little'):08x}\r\n", None)
    text += "configsip: 0, SPIWP:0xee\r\n"
    text += "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\r\n"
    text += "mode:DIO, clock div:2\r\n"
    try:
        loader = esp_image.parse(flash.read(BOOTLOADER_AT, TABLE_AT - BOOTLOADER_AT))
    except esp_image.ImageError:
        return BootLog(text + "csum err:0x00!=0xff\r\nets_main.c 384 \r\n", None)
    for address, data in loader.segments:
        text += f"load:0x{address:08x},len:{len(data)}\r\n"
    text += f"entry 0x{loader.entry:08x}\r\n"
    try:
        partitions = read_table(flash)
    except TableError as e:
        return BootLog(
            text
            + f"E (31) flash_parts: {e}\r\n"
            + "E (31) boot: Failed to verify partition table\r\n"
            + "E (32) boot: load partition table error!\r\n",
            None,
        )
    for partition in partitions:
        if partition.type == TYPE_APP and partition.subtype == SUBTYPE_FACTORY:
            break
    else:
        return BootLog(
            text + "E (33) boot: No bootable app partitions in the partition table\r\n", None
        )
    try:
        image = esp_image.parse(flash.read(partition.address, partition.size))
        if image.chip_id:
            raise esp_image.ImageError(
                f"image is for chip id {image.chip_id}, this is an ESP32 (chip id 0)"
            )
    except (esp_image.ImageError, FlashError) as e:
        return BootLog(
            text
            + f"E (40) esp_image: {e} (app at 0x{partition.address:x})\r\n"
            + "E (41) boot: Factory app partition is not bootable\r\n"
            + "E (41) boot: No bootable app partitions in the partition table\r\n",
            None,
        )
    return BootLog(text, Application(image, partition, _with_vfs(partitions, flash.size)))


class TableError(Exception):
    """The partition table cannot be used, in the bootloader's words."""


def read_table(flash: Flash) -> tuple[Partition, ...]:
    """Parse and check the table at 0x8000. Raises TableError."""
    raw = flash.read(TABLE_AT, _TABLE_SIZE)
    partitions: list[Partition] = []
    checked = False
    for at in range(0, _TABLE_SIZE, _ENTRY.size):
        entry = raw[at : at + _ENTRY.size]
        magic, kind, subtype, address, size, label, _flags = _ENTRY.unpack(entry)
        if magic == _ENTRY_MAGIC and not checked:
            if address + size > flash.size:
                raise TableError(
                    f"partition {len(partitions)} invalid - offset 0x{address:x} size 0x{size:x} "
                    f"exceeds flash chip size 0x{flash.size:x}"
                )
            name = label.split(b"\0")[0].decode("utf-8", "replace")
            partitions.append(Partition(kind, subtype, address, size, name))
        elif magic == _MD5_MAGIC:
            if hashlib.md5(raw[:at]).digest() != entry[16:32]:
                raise TableError("Calculated MD5 does not match the partition table's")
            checked = True
        elif entry == b"\xff" * _ENTRY.size:
            if not partitions:
                raise TableError("partition 0 invalid magic number 0xffff")
            return tuple(partitions)
        else:
            raise TableError(f"partition {at // _ENTRY.size} invalid magic number 0x{magic:x}")
    raise TableError("partition table has no terminating entry")


def _with_vfs(partitions: tuple[Partition, ...], flash_size: int) -> tuple[Partition, ...]:
    """MicroPython adds a "vfs" up to the end of flash to a table without (ports/esp32/main.c)."""
    if any(p.label in ("vfs", "ffat") for p in partitions):
        return partitions
    end = max(p.address + p.size for p in partitions)
    if end >= flash_size:
        return partitions
    return (*partitions, Partition(TYPE_DATA, 0x81, end, flash_size - end, "vfs"))
