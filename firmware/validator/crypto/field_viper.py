"""The field machine in viper, for chips without machine code of their own.

`field_kernel` is no Python source: the image builder writes it (docs/crypto.md). The layout of the
memory is in this module and in the builder's faretap/kernel/viper.py. It knows SM2's and P-256's
moduli; every other field is one of Python integers.
"""

# mypy: ignore-errors
# field_kernel exists in images alone.

from validator.crypto import field_py
from validator.crypto.field_kernel import NAME, run

__all__ = ("NAME", "Field")

_LIMBS = 20
_BITS = 13
_ELEMENT = 2 * _LIMBS
_KIND = 200
_HEADER = 208
_R = 1 << 260
_RR = 5
_UNIT = 6
_MODULI = (
    (1 << 256) - (1 << 224) - (1 << 96) + (1 << 64) - 1,
    (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1,
)


class _Limbs:
    """A memory of `size` elements modulo `p`, one of _MODULI. Methods as field_py.Field's.

    An element is less than 2p, and so has two forms; what leaves by `peek` is less than p.
    """

    def __init__(self, p, size):
        self.p = p
        self._memory = bytearray(_HEADER + _ELEMENT * size)
        self._memory[_KIND] = _MODULI.index(p)
        self.put(0, 2 * p)
        self.put(1, p)
        self.put(_RR, _R * _R % p)
        self.put(_UNIT, 1)

    def put(self, k, x):
        at = _HEADER + _ELEMENT * k
        memory = self._memory
        # Eight limbs are 13 bytes: smaller integers below are quicker than a long one.
        data = x.to_bytes(39, "little")
        for group in range(0, 39, 13):
            x = int.from_bytes(data[group : group + 13], "little")
            for _ in range(8):
                if at < _HEADER + _ELEMENT * (k + 1):
                    memory[at] = x & 255
                    memory[at + 1] = x >> 8 & 31
                    at += 2
                x >>= _BITS

    def peek(self, k):
        at = _HEADER + _ELEMENT * k
        x = 0
        for i in range(at + _ELEMENT - 2, at - 2, -2):
            x = x << _BITS | self._memory[i] | self._memory[i + 1] << 8
        return x % self.p

    def zero(self, k):
        return self.peek(k) == 0

    def save(self, first, count):
        at = _HEADER + _ELEMENT * first
        return bytes(self._memory[at : at + _ELEMENT * count])

    def load(self, first, saved):
        at = _HEADER + _ELEMENT * first
        self._memory[at : at + len(saved)] = saved

    def run(self, code, start=0):
        memory = self._memory
        return run(start, memory, memory, code)


def Field(p, size):
    """The fastest field that there is for `p`."""
    return _Limbs(p, size) if p in _MODULI else field_py.Field(p, size)
