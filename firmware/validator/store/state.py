"""The few things that a validator keeps beside its records: key, boot count, life cycle.

`nvs` is an `esp32.NVS` or the like: get_blob(key, buf) -> length, set_blob, get_i32, set_i32,
commit; OSError if a key is missing.
"""

import os

LIFE_CYCLES = ("factory", "bench", "service")

_KEY_SIZE = 16
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND, as MicroPython raises it


class StateError(Exception):
    """The state is there but cannot be read: serving on with a made-up one would do harm."""


class State:
    """Reads the state, and counts this boot. Make one object a boot.

    serial       hex digits that tell this chip from all others
    token_key    16 bytes, random, made at the first boot, the same ever after
    boots        number of boots, this one included
    life_cycle   one of `LIFE_CYCLES`
    """

    def __init__(self, nvs, serial):
        self.serial = serial
        # Nothing but an operator's signed configuration moves a validator out of the factory
        # state, and this firmware does not take one yet: what NVS might say is not asked.
        self.life_cycle = LIFE_CYCLES[0]
        self.token_key = _token_key(nvs)
        self.boots = _count_boot(nvs)


def _token_key(nvs):
    key = bytearray(_KEY_SIZE)
    try:
        size = nvs.get_blob("token_key", key)
    except OSError as e:
        # Only a key that was never made may be made. After any other fault a new key would turn
        # every known rider into a stranger, on the deny list too.
        if e.args[0] != _NOT_FOUND:
            raise StateError("token key cannot be read: %r" % e)
        made = os.urandom(_KEY_SIZE)
        nvs.set_blob("token_key", made)
        nvs.commit()
        return made
    if size != _KEY_SIZE:
        raise StateError("token key of %d bytes" % size)
    return bytes(key)


def _count_boot(nvs):
    try:
        boots = nvs.get_i32("boots")
    except OSError as e:
        if e.args[0] != _NOT_FOUND:
            raise StateError("boot count cannot be read: %r" % e)
        boots = 0
    boots = boots + 1 if 0 <= boots < 0x7FFFFFFF else 1
    nvs.set_i32("boots", boots)
    nvs.commit()
    return boots
