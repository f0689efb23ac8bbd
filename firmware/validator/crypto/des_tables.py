"""S-boxes and permutation P of DES (FIPS 46-3) as one table, for des.py.

An image for a chip whose flash is mapped has it ready (faretap/kernel/constants.py).
"""

# mypy: ignore-errors
# Viper gives names and types a meaning that no checker knows.

try:
    import micropython
except ImportError:
    from validator.crypto import stand_in as micropython
    from validator.crypto.stand_in import ptr8, ptr32, uint

# The eight S-boxes by their six input bits as they come, four bits an entry.
_S = bytes.fromhex(
    "e04fd7142ef2bd813aa66ccb599503784f1ce882d46921b7f5cb937e3aa0560d"
    "f31d84e76fb2384e9c7021dac6095ba50de87ab1a34fd4125b86c76c90352ef9"
    "ad0790e96334f65a12d8c57ebc4b2f81d16a4d9086f93807b41f2ec35ba5e27c"
    "7dd8eb35066f90a31427825cb1ca4ef9a36f9006cab17dd8f91435eb5c27824e"
    "2ecb421c74a7bd6185503ffad309e8964b281cb7a1de728df69fc0596a3405e3"
    "ca1fa4f2972c698506d13d4ee07b53b894e3f25c2985cf3a7b0e41a716d0b86d"
    "4db02be7f40981da3ec3957c52af6816164bbdd8c1347ae7a9f5608f0e52932c"
    "d12f8d486af3b714ac9536eb500ec97272b14e1794cae82d0f6ca9d0f335568b"
)
# The permutation P, bits counted from 0.
_P = bytes.fromhex("0f0613141c0b1b10000e161904111e090107170d1f1a0208120c1d05150a0318")


@micropython.viper
def _fill(boxes, order, out):
    s = ptr8(boxes)
    p = ptr8(order)
    w = ptr32(out)
    i = 0
    while i < 512:
        v = int(s[i >> 1])
        v = (v & 15) if i & 1 else (v >> 4)
        x = uint(0)
        j = 0
        while j < 32:
            k = int(p[j]) - 4 * (i >> 6)
            x = x << uint(1)
            if 0 <= k:
                if k < 4:
                    x = x | uint((v >> (3 - k)) & 1)
            j += 1
        w[i] = int(x)
        i += 1


def make():
    """8 times 64 words in the machine's order of bytes."""
    out = bytearray(2048)
    _fill(_S, _P, out)
    return out
