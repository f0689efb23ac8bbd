"""The few things that a validator keeps beside its records: the token key, the count of boots.

`nvs` is an `esp32.NVS` or the like: get_blob(key, buf) -> length, set_blob, get_i32, set_i32,
commit; OSError if a key is missing.

What NVS lost is not made up. A validator whose NVS is empty, or cannot be read, while its other
flash tells of an earlier life is `lost`: neither key nor count is written, nobody is accepted, and
no operator is taken but the one whose signature stands in flash (config_put.claim). A token key
that is missing alone is not made anew, because every known rider would be a stranger, on the deny
list too.
"""

from validator import entropy

_KEY_SIZE = 16
_MOST = 0x7FFFFFFF
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND, as MicroPython raises it


class State:
    """Reads the state, and counts this boot. Make one object a boot.

    `used()` says whether other flash tells of an earlier life; it is asked if NVS is empty.
    `random(n)` gives n bytes that nobody can foresee.

    serial       hex digits that tell this chip from all others
    token_key    16 bytes, random, made at the first boot, the same ever after; None: lost
    boots        number of boots, this one included
    lost         why what NVS says is not to be built on, or ""
    """

    def __init__(self, nvs, serial, used=None, random=entropy.random):
        self.serial = serial
        self.lost = ""
        self.token_key = None
        self.boots = 1
        self._nvs = nvs
        self._kept = True  # the count is in NVS
        try:
            self._read(used, random)
        except OSError as e:
            self.lost = "NVS cannot be read: %r" % e

    def _read(self, used, random):
        nvs = self._nvs
        key = _blob(nvs, "token_key", _KEY_SIZE)
        boots = _number(nvs, "boots")
        if key is None and boots is None and _blob(nvs, "operator_key", 64) is None:
            if used and used():
                self.lost = "what NVS kept was lost"
                return
            key = random(_KEY_SIZE)
            nvs.set_blob("token_key", key)
            nvs.commit()
        if key is not None and len(key) == _KEY_SIZE:
            self.token_key = key
        self._kept = boots is not None
        self._count(boots + 1 if boots is not None and 0 <= boots < _MOST else 1)

    def _count(self, boots):
        self.boots = boots
        self._nvs.set_i32("boots", boots)
        self._nvs.commit()

    def after(self, boots):
        """A record of boot number `boots` is in the journal: this boot came later, whatever NVS,
        which lost its count or was set back, says."""
        if boots >= self.boots and boots < _MOST:
            self.boots = boots + 1
            if not self.lost:
                try:
                    self._count(self.boots)
                except OSError as e:
                    self.lost = "NVS cannot be written: %r" % e


def _blob(nvs, name, size):
    """At most `size` bytes, or None if there are none of that name; OSError for other faults."""
    blob = bytearray(size)
    try:
        return bytes(blob[: nvs.get_blob(name, blob)])
    except OSError as e:
        if e.args[0] != _NOT_FOUND:
            raise
    return None


def _number(nvs, name):
    try:
        return nvs.get_i32(name)
    except OSError as e:
        if e.args[0] != _NOT_FOUND:
            raise
    return None
