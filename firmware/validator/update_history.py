"""Which image ran when: the last twelve changes, oldest first, in one NVS entry.

An entry is 64 bytes, numbers little endian:

    0-3    unix seconds when it began to run, 0 as long as nobody knows
    4-7    the boot in which it began
    8      slot, "a" or "b"
    9      flags: bit 0: it began at that time or before, because the clock was set in a later boot
    10-17  id of the image
    18-33  version, padded with zeros
    34-63  the loader's word on why, if it was not just an update: padded with zeros
"""

import struct

_NAME = "history"
_KEEP = 12
_SIZE = 64
_ENTRY = "<IIsB8s16s30s"
_LATER = 1


def _load(nvs):
    blob = bytearray(_KEEP * _SIZE)
    try:
        n = nvs.get_blob(_NAME, blob)
    except OSError:
        return b""
    return bytes(blob[: n // _SIZE * _SIZE])


def _save(nvs, blob):
    nvs.set_blob(_NAME, blob)
    nvs.commit()


def add(nvs, boots, boot, version):
    """The image of this boot is not that of the one before."""
    entry = struct.pack(
        _ENTRY,
        0,
        boots,
        boot["slot"].encode(),
        0,
        bytes.fromhex(boot["id"]),
        version.encode(),
        boot["why"].encode()[:30],
    )
    _save(nvs, _load(nvs)[-(_KEEP - 1) * _SIZE :] + entry)


def date(nvs, boots, unix, uptime):
    """It is `unix` now, `uptime` seconds into boot number `boots`: date the last entry."""
    blob = _load(nvs)
    at = len(blob) - _SIZE
    if at < 0:
        return
    when, boot = struct.unpack("<II", blob[at : at + 8])
    if when:
        return
    later = boot != boots
    entry = bytearray(blob[at:])
    entry[:4] = struct.pack("<I", unix if later else unix - uptime)
    entry[9] = _LATER if later else 0
    _save(nvs, blob[:at] + entry)


def read(nvs):
    """[{"unix" or None, "before", "boot", "slot", "id", "version", "why"}, …], oldest first."""
    blob = _load(nvs)
    out = []
    for at in range(0, len(blob), _SIZE):
        when, boot, slot, flags, number, version, why = struct.unpack(
            _ENTRY, blob[at : at + _SIZE]
        )
        out.append(
            {
                "unix": when or None,
                "before": bool(flags & _LATER),
                "boot": boot,
                "slot": slot.decode().rstrip("\0"),
                "id": number.hex(),
                "version": version.rstrip(b"\0").decode(),
                "why": why.rstrip(b"\0").decode(),
            }
        )
    return out
