"""The field machine in machine code: eight words of 32 bits, Montgomery form.

`field_kernel` is no Python source: the image builder writes it for the chip (docs/crypto.md), and
an image without it falls back to another kernel. The layout of the memory is in this module and in
the builder's faretap/kernel/machine.py.
"""

# mypy: ignore-errors
# field_kernel exists in images alone.

from validator.crypto.field_kernel import NAME, run

__all__ = ("NAME", "Field")

_ELEMENT = 32  # bytes, little-endian
_PRIVATE = 96  # -1/p modulo 2^32, then the number of the reduction that suits p
_R = 1 << 256
# p is 2^256 - 2^224 - 2^96 + 2^64 - 1, 2^256 - 2^224 + 2^192 + 2^96 - 1: SM2's and P-256's.
_KINDS = (
    _R - (1 << 224) - (1 << 96) + (1 << 64) - 1,
    _R - (1 << 224) + (1 << 192) + (1 << 96) - 1,
)
_RR = 5
_UNIT = 6


class Field:
    """A memory of `size` elements modulo the odd `p` < 2^256, and what runs programs over it.

    Same methods as field_py.Field.
    """

    def __init__(self, p, size):
        self.p = p
        self._memory = memory = bytearray(_ELEMENT * size)
        self.put(0, p)
        inverse = 1
        for _ in range(5):  # each step doubles the bits that are right
            inverse = inverse * (2 - p * inverse) % 4294967296
        kind = _KINDS.index(p) + 1 if p in _KINDS else 0
        memory[_PRIVATE : _PRIVATE + 4] = (4294967296 - inverse).to_bytes(4, "little")
        memory[_PRIVATE + 4] = kind
        self.put(_RR, _R * _R % p)
        self.put(_UNIT, 1)

    def put(self, k, x):
        self._memory[_ELEMENT * k : _ELEMENT * k + _ELEMENT] = x.to_bytes(_ELEMENT, "little")

    def peek(self, k):
        return int.from_bytes(self._memory[_ELEMENT * k : _ELEMENT * k + _ELEMENT], "little")

    def zero(self, k):
        return self.peek(k) == 0

    def save(self, first, count):
        return bytes(self._memory[_ELEMENT * first : _ELEMENT * (first + count)])

    def load(self, first, saved):
        self._memory[_ELEMENT * first : _ELEMENT * first + len(saved)] = saved

    def run(self, code, start=0):
        return run(code, start, self._memory)
