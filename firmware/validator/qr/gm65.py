"""Settings protocol of the GM65 family of scan engines (GM60, GM65, GM66, GM67, GM805, GM861 …).

A setting is a byte, "zone", at a 16-bit address. Frames, CRC-16 with polynomial 0x1021 and start 0
over everything after the two head bytes:

    read   7E 00 | 07 | 01     | address 2 | count | CRC 2      → 02 00 | 00 | count | data | CRC 2
    write  7E 00 | 08 | length | address 2 | data  | CRC 2      → 02 00 | 00 | 01 | 00 | 33 31
    save   7E 00 | 09 | 01     | 00 00     | 00    | DE C8      → the same

A frame with a bad CRC or an unknown type gets no answer at all; count and length 0 mean 256.
Source: GM65 user manual, sections on serial instructions and on zone bits.

The zones that matter to a validator are in `wanted()`. This module knows bytes only; the line is
scanner.py's.
"""

ZONE_MODE = 0x0000
ZONE_SETUP_CODES = 0x0003
ZONE_INTERVAL = 0x0005
ZONE_READ_TIME = 0x0006
ZONE_OUTPUT = 0x000D
ZONE_SAME_CODE = 0x0013
ZONE_BAUD = 0x002A  # two bytes, low byte first
ZONE_TAIL = 0x0060
ZONE_CUT_OUT = 0x00B0
ZONE_RAW = 0x00BC
ZONE_VERSION = 0x00E2

RAW_VERSION = 0x69  # the one version known to need ZONE_RAW for binary QR codes
_RAW_ON = 0x08

CONTINUOUS = 2
SENSE = 3

LIGHT_OFF = 0
LIGHT_WHEN_READING = 1
LIGHT_ON = 2

OK_DATA = b"\x00"  # data of the answer to write and save

# What the zone at 0x002A holds for each rate: 3,000,000 / baud, rounded.
BAUDS = (9600, 14400, 19200, 38400, 57600, 115200)


def crc16(data):
    """CRC-16 as the engine computes it (polynomial 0x1021, start 0, not reflected)."""
    crc = 0
    for b in data:
        crc ^= b << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc


def frame(kind, address, data):
    """One request: `kind` 7, 8 or 9, 16-bit address, 1…256 bytes of data."""
    length = 1 if kind == 7 else len(data) & 0xFF
    body = bytes((kind, length, address >> 8, address & 0xFF)) + data
    crc = crc16(body)
    return b"\x7e\x00" + body + bytes((crc >> 8, crc & 0xFF))


def read_zones(address, count=1):
    return frame(7, address, bytes((count & 0xFF,)))


def write_zones(address, data):
    return frame(8, address, data)


def save():
    return frame(9, 0, b"\x00")


def reply_data(reply):
    """Data of a complete reply frame, or None if its head, length or CRC is wrong.

    AB CD in place of a CRC means "not checked", in both directions.
    """
    if len(reply) < 7 or reply[:3] != b"\x02\x00\x00" or len(reply) != 6 + (reply[3] or 256):
        return None
    crc = reply[-2] << 8 | reply[-1]
    if crc != 0xABCD and crc != crc16(reply[2:-2]):
        return None
    return reply[4:-2]


def baud_zone(baud):
    """The two bytes of ZONE_BAUD for a line rate; ValueError if the engine has no such rate."""
    if baud not in BAUDS:
        raise ValueError("no such rate: %d" % baud)
    value = (3000000 + baud // 2) // baud
    return bytes((value & 0xFF, value >> 8))


def wanted(mode=CONTINUOUS, light=LIGHT_WHEN_READING):
    """The settings a validator needs: tuples (address, mask, value); bits outside `mask` stay."""
    return (
        # LED at success off, sound off (the validator gives the signals, after its decision), aim
        # when reading, light as wanted, mode as wanted.
        (ZONE_MODE, 0xFF, 0x10 | light << 2 | mode),
        # Bit 1: setup codes off, or any rider could reconfigure the engine with a printed code.
        (ZONE_SETUP_CODES, 0x02, 0x02),
        (ZONE_INTERVAL, 0xFF, 1),  # 0.1 s between two codes
        (ZONE_READ_TIME, 0xFF, 0),  # no end to one read
        (ZONE_OUTPUT, 0x0F, 0x00),  # serial port; character set 0 hands the bytes on as they are
        (ZONE_SAME_CODE, 0xFF, 0x80 | 10),  # the same code again after 1 s at the earliest
        # No line end (bits 6-5 = 11 and bit 0), no "read failed" text, prefix, code id or suffix,
        # and no length in front (bit 7).
        (ZONE_TAIL, 0xFF, 0x60),
        (ZONE_CUT_OUT, 0x03, 0x00),  # the whole code, not a part of it
    )


def raw_mode(version):
    """Settings of one engine version in addition to `wanted()`.

    Version 0x69 mangles binary QR codes until an undocumented zone is set; seen and solved by
    Specter-DIY, whose binary codes suffer the same.
    """
    return ((ZONE_RAW, 0xFF, _RAW_ON),) if version == RAW_VERSION else ()
