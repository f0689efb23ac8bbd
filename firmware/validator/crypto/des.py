"""DES and triple DES (FIPS 46-3, ISO/IEC 18033-3), and the CBC-MAC of purses (PBOC).

key = TripleDES(bytes_16)            # or of 24 bytes; DES(bytes_8) is single DES
key.decrypt(key.encrypt(block)) == block
mac(key, data)[:4]                   # any cipher here or in sm4.py

For the old keys of purses and nothing else: single DES protects nobody any more.
"""

# mypy: ignore-errors
# Viper gives names and types a meaning that no checker knows.

try:
    import micropython
except ImportError:
    from validator.crypto import stand_in as micropython
    from validator.crypto.stand_in import ptr8, ptr32, uint

import validator

# The permutations PC-1 (56) and PC-2 (48), bits counted from 0.
_PC = bytes.fromhex(
    "383028201810080039312921191109013a322a221a120a023b332b23"
    "3e362e261e160e063d352d251d150d053c342c241c140c041b130b03"
    "0d100a170004021b0e05140916120b0319070f061a130c01"
    "28331e242e361d27322c202f2b30263721342d2931231c1f"
)
_TWICE = 0x7EFC  # rounds in which the key halves turn by two bits


@micropython.viper
def _expand(key, order, keys, twice: int):
    """The 16 round keys of `key` (8 bytes) into `keys` (128 bytes, six bits each)."""
    k = ptr8(key)
    pc = ptr8(order)
    o = ptr8(keys)
    turned = 0
    i = 0
    while i < 16:
        turned += 2 if (twice >> i) & 1 else 1
        j = 0
        while j < 48:
            at = int(pc[56 + j])
            if at < 28:
                at = (at + turned) % 28
            else:
                at = 28 + (at - 28 + turned) % 28
            at = int(pc[at])
            bit = (k[at >> 3] >> (7 - (at & 7))) & 1
            at = 8 * i + j // 6
            if j % 6 == 0:
                o[at] = bit
            else:
                o[at] = (o[at] << 1) | bit
            j += 1
        i += 1


@micropython.viper
def _crypt(keys, tables, data, out, at: int, step: int):
    """One block with the round keys from number `at` on, `step` 1 to encrypt, -1 to decrypt."""
    k = ptr8(keys)
    w = ptr32(tables)
    p = ptr8(data)
    o = ptr8(out)
    m = uint(0x3FFFFFFF)
    m = m * uint(4) + uint(3)
    fives = uint(0x15555555) * uint(4) + uint(1)
    a = uint((p[0] << 24) | (p[1] << 16) | (p[2] << 8) | p[3]) & m
    b = uint((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) & m
    # The initial permutation, as exchanges of ever smaller pieces.
    x = ((a >> uint(4)) ^ b) & uint(0x0F0F0F0F)
    b = b ^ x
    a = (a ^ (x << uint(4))) & m
    x = ((a >> uint(16)) ^ b) & uint(0xFFFF)
    b = b ^ x
    a = (a ^ (x << uint(16))) & m
    x = ((b >> uint(2)) ^ a) & uint(0x33333333)
    a = a ^ x
    b = (b ^ (x << uint(2))) & m
    x = ((b >> uint(8)) ^ a) & uint(0x00FF00FF)
    a = a ^ x
    b = (b ^ (x << uint(8))) & m
    x = ((a >> uint(1)) ^ b) & fives
    b = b ^ x
    a = (a ^ (x << uint(1))) & m
    i = 0
    while i < 16:
        n = at * 8
        x = ((b >> uint(1)) | (b << uint(31))) & m
        y = a
        j = 0
        while j < 7:
            y = y ^ uint(w[64 * j + ((int(x >> uint(26 - 4 * j)) & 63) ^ k[n + j])])
            j += 1
        x = ((b << uint(1)) | (b >> uint(31))) & m
        y = y ^ uint(w[448 + ((int(x) & 63) ^ k[n + 7])])
        a = b
        b = y & m
        at += step
        i += 1
    # The halves change places, and everything goes back.
    y = a
    a = b
    b = y
    x = ((a >> uint(1)) ^ b) & fives
    b = b ^ x
    a = (a ^ (x << uint(1))) & m
    x = ((b >> uint(8)) ^ a) & uint(0x00FF00FF)
    a = a ^ x
    b = (b ^ (x << uint(8))) & m
    x = ((b >> uint(2)) ^ a) & uint(0x33333333)
    a = a ^ x
    b = (b ^ (x << uint(2))) & m
    x = ((a >> uint(16)) ^ b) & uint(0xFFFF)
    b = b ^ x
    a = (a ^ (x << uint(16))) & m
    x = ((a >> uint(4)) ^ b) & uint(0x0F0F0F0F)
    b = b ^ x
    a = (a ^ (x << uint(4))) & m
    i = 0
    while i < 4:
        shift = uint(24 - 8 * i)
        o[i] = int(a >> shift) & 255
        o[4 + i] = int(b >> shift) & 255
        i += 1


def _tables():
    """S-boxes and P in one: 8 times 64 words, in flash or made now."""
    code = getattr(validator, "in_place", None)
    found = code and code.file("crypto/des.bin")
    if not found:
        from validator.crypto import des_tables

        found = des_tables.make()
    return found


_SP = _tables()


def _schedule(key):
    keys = bytearray(128)
    _expand(key, _PC, keys, _TWICE)
    return keys


class DES:
    """A key of 8 bytes, expanded; parity bits are not looked at."""

    def __init__(self, key):
        if len(key) != 8:
            raise ValueError("a DES key has 8 bytes")
        self._keys = _schedule(key)

    def encrypt(self, block):
        """8 bytes to 8 bytes."""
        return self._run(block, 0, 1)

    def decrypt(self, block):
        """8 bytes to 8 bytes."""
        return self._run(block, 15, -1)

    def _run(self, block, at, step):
        if len(block) != 8:
            raise ValueError("a DES block has 8 bytes")
        out = bytearray(8)
        _crypt(self._keys, _SP, block, out, at, step)
        return bytes(out)


class TripleDES:
    """Keys of 8 bytes each, two (the first is the third as well) or three: EDE."""

    def __init__(self, key):
        if len(key) not in (16, 24):
            raise ValueError("a triple DES key has 16 or 24 bytes")
        self._a = DES(key[:8])
        self._b = DES(key[8:16])
        self._c = DES(key[16:]) if len(key) == 24 else self._a

    def encrypt(self, block):
        """8 bytes to 8 bytes."""
        return self._c.encrypt(self._b.decrypt(self._a.encrypt(block)))

    def decrypt(self, block):
        """8 bytes to 8 bytes."""
        return self._a.decrypt(self._b.encrypt(self._c.decrypt(block)))


def mac(cipher, data, size=8):
    """CBC-MAC with IV 0 of `data` ‖ 80 00 … (ISO/IEC 9797-1 algorithm 1, padding 2).

    Returns the last block of `size` bytes, of which a purse sends the first four.
    """
    data = bytes(data) + b"\x80" + bytes(-(len(data) + 1) % size)
    out = bytes(size)
    for at in range(0, len(data), size):
        out = cipher.encrypt(bytes([out[i] ^ data[at + i] for i in range(size)]))
    return out
