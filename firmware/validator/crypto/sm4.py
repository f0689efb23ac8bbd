"""SM4 (GM/T 0002, ISO/IEC 18033-3): one block of 16 bytes, both ways.

key = SM4(bytes_16)
key.decrypt(key.encrypt(block)) == block
"""

# mypy: ignore-errors
# Viper gives names and types a meaning that no checker knows.

try:
    import micropython
except ImportError:
    from validator.crypto import stand_in as micropython
    from validator.crypto.stand_in import ptr8, ptr32, uint

_SBOX = bytes.fromhex(
    "d690e9fecce13db716b614c228fb2c052b679a762abe04c3aa44132649860699"
    "9c4250f491ef987a33540b43edcfac62e4b31ca9c908e89580df94fa758f3fa6"
    "4707a7fcf37317ba83593c19e6854fa8686b81b27164da8bf8eb0f4b70569d35"
    "1e240e5e6358d1a225227c3b01217887d40046579fd327524c3602e7a0c4c89e"
    "eabf8ad240c738b5a3f7f2cef96115a1e0ae5da49b341a55ad933230f58cb1e3"
    "1df6e22e8266ca60c02923ab0d534e6fd5db3745defd8e2f03ff6a726d6c5b51"
    "8d1baf92bbddbc7f11d95c411f105ad80ac13188a5cd7bbd2d74d012b8e5b4b0"
    "8969974a0c96777e65b9f109c56ec68418f07dec3adc4d2079ee5f3ed7cb3948"
)
_FK = bytes.fromhex("a3b1bac656aa3350677d9197b27022dc")


@micropython.viper
def _expand(key, fk, sbox, keys):
    """The 32 round keys of `key` (16 bytes) into `keys` (128 bytes)."""
    k = ptr8(key)
    f = ptr8(fk)
    s = ptr8(sbox)
    w = ptr32(keys)
    m = uint(0x3FFFFFFF)
    m = m * uint(4) + uint(3)
    # The last four words, as words; the new one goes to where the oldest was.
    a = uint(0)
    b = uint(0)
    c = uint(0)
    d = uint(0)
    i = 0
    while i < 16:
        a = ((a << uint(8)) | (b >> uint(24))) & m
        b = ((b << uint(8)) | (c >> uint(24))) & m
        c = ((c << uint(8)) | (d >> uint(24))) & m
        d = ((d << uint(8)) | uint(k[i] ^ f[i])) & m
        i += 1
    i = 0
    while i < 32:
        # CK: byte j of constant i is (4 i + j) * 7 mod 256.
        ck = uint(0)
        j = 0
        while j < 4:
            ck = ((ck << uint(8)) | uint(((4 * i + j) * 7) & 255)) & m
            j += 1
        x = b ^ c ^ d ^ ck
        y = uint(s[int(x >> uint(24)) & 255]) << uint(24)
        y = y | (uint(s[int(x >> uint(16)) & 255]) << uint(16))
        y = y | (uint(s[int(x >> uint(8)) & 255]) << uint(8)) | uint(s[int(x) & 255])
        y = y & m
        y = (y ^ (y << uint(13)) ^ (y >> uint(19)) ^ (y << uint(23)) ^ (y >> uint(9))) & m
        y = a ^ y
        a = b
        b = c
        c = d
        d = y
        w[i] = int(y)
        i += 1


@micropython.viper
def _crypt(keys, sbox, data, out, at: int, step: int):
    """One block with the round keys from `at` on, `step` 1 to encrypt, -1 to decrypt."""
    w = ptr32(keys)
    s = ptr8(sbox)
    p = ptr8(data)
    o = ptr8(out)
    m = uint(0x3FFFFFFF)
    m = m * uint(4) + uint(3)
    a = uint((p[0] << 24) | (p[1] << 16) | (p[2] << 8) | p[3]) & m
    b = uint((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) & m
    c = uint((p[8] << 24) | (p[9] << 16) | (p[10] << 8) | p[11]) & m
    d = uint((p[12] << 24) | (p[13] << 16) | (p[14] << 8) | p[15]) & m
    i = 0
    while i < 32:
        x = (b ^ c ^ d ^ uint(w[at])) & m
        at += step
        y = uint(s[int(x >> uint(24)) & 255]) << uint(24)
        y = y | (uint(s[int(x >> uint(16)) & 255]) << uint(16))
        y = y | (uint(s[int(x >> uint(8)) & 255]) << uint(8)) | uint(s[int(x) & 255])
        y = y & m
        x = y ^ (y << uint(2)) ^ (y >> uint(30)) ^ (y << uint(10)) ^ (y >> uint(22))
        x = x ^ (y << uint(18)) ^ (y >> uint(14)) ^ (y << uint(24)) ^ (y >> uint(8))
        x = (a ^ x) & m
        a = b
        b = c
        c = d
        d = x
        i += 1
    i = 0
    while i < 4:
        shift = uint(24 - 8 * i)
        o[i] = int(d >> shift) & 255
        o[4 + i] = int(c >> shift) & 255
        o[8 + i] = int(b >> shift) & 255
        o[12 + i] = int(a >> shift) & 255
        i += 1


class SM4:
    """A key of 16 bytes, expanded."""

    def __init__(self, key):
        if len(key) != 16:
            raise ValueError("an SM4 key has 16 bytes")
        self._keys = bytearray(128)
        _expand(key, _FK, _SBOX, self._keys)

    def encrypt(self, block):
        """16 bytes to 16 bytes."""
        return self._run(block, 0, 1)

    def decrypt(self, block):
        """16 bytes to 16 bytes."""
        return self._run(block, 31, -1)

    def _run(self, block, at, step):
        if len(block) != 16:
            raise ValueError("an SM4 block has 16 bytes")
        out = bytearray(16)
        _crypt(self._keys, _SBOX, block, out, at, step)
        return bytes(out)
