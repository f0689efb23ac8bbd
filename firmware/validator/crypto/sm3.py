"""SM3 (GM/T 0004, ISO/IEC 10118-3): 256-bit hash, streaming.

SM3(b"ab").update(b"c").digest() == sm3(b"abc")
"""

# mypy: ignore-errors
# field_kernel exists in images alone.

try:
    from validator.crypto.field_kernel import compress as _compress
except ImportError:
    from validator.crypto.sm3_viper import compress as _compress

_IV = (
    b"\x73\x80\x16\x6f\x49\x14\xb2\xb9\x17\x24\x42\xd7\xda\x8a\x06\x00"
    b"\xa9\x6f\x30\xbc\x16\x31\x38\xaa\xe3\x8d\xee\x4d\xb0\xfb\x0e\x4e"
)


def _turned(data):
    """Big-endian words as the machine's, which is little-endian on every chip that we know."""
    out = bytearray(len(data))
    for i in range(len(data)):
        out[i ^ 3] = data[i]
    return out


_STATE = bytes(_turned(_IV))
# Room for the 68 expanded words, then the rounds' constants as machine code wants them.
_words = bytearray(4 * 68) + _turned(b"\x79\xcc\x45\x19\x9d\x8a\x7a\x87")


class SM3:
    """A hash under way. `update` takes bytes of any length and returns the object."""

    def __init__(self, data=b""):
        self._state = bytearray(_STATE)
        self._rest = b""
        self._length = 0
        self.update(data)

    def update(self, data):
        self._length += len(data)
        if self._rest:
            data = self._rest + bytes(data)
        blocks = len(data) // 64
        if blocks:
            if not isinstance(data, (bytes, bytearray)):
                data = bytes(data)
            _compress(self._state, _words, data, 0, blocks)
        self._rest = bytes(data[64 * blocks :])
        return self

    def copy(self):
        """An independent hash with the same past."""
        twin = SM3()
        twin._state[:] = self._state
        twin._rest = self._rest
        twin._length = self._length
        return twin

    def digest(self):
        """The 32 bytes; the hash may go on afterwards."""
        state = bytearray(self._state)
        rest = self._rest + b"\x80"
        rest += bytes((56 - len(rest)) % 64) + (8 * self._length).to_bytes(8, "big")
        _compress(state, _words, rest, 0, len(rest) // 64)
        return bytes(_turned(state))


def sm3(data):
    """SM3 of `data`, 32 bytes."""
    return SM3(data).digest()
