"""SM3's compression function in viper, for chips without machine code of their own."""

# mypy: ignore-errors
# Viper gives names and types a meaning that no checker knows.

try:
    import micropython
except ImportError:
    from validator.crypto import stand_in as micropython
    from validator.crypto.stand_in import ptr8, ptr32, uint


@micropython.viper
def compress(state, words, data, at: int, count: int):
    """`count` blocks of 64 bytes of `data` from `at` on into `state` (8 words)."""
    v = ptr32(state)
    w = ptr32(words)
    p = ptr8(data)
    m = uint(0x3FFFFFFF)
    m = m * uint(4) + uint(3)  # 32 ones, whatever the word
    while count:
        count -= 1
        j = 0
        while j < 16:
            w[j] = (p[at] << 24) | (p[at + 1] << 16) | (p[at + 2] << 8) | p[at + 3]
            at += 4
            j += 1
        while j < 68:
            x = uint(w[j - 3]) & m
            y = uint(w[j - 13]) & m
            x = (uint(w[j - 16]) ^ uint(w[j - 9]) ^ (x << uint(15)) ^ (x >> uint(17))) & m
            x = x ^ (x << uint(15)) ^ (x >> uint(17)) ^ (x << uint(23)) ^ (x >> uint(9))
            w[j] = int((x ^ (y << uint(7)) ^ (y >> uint(25)) ^ uint(w[j - 6])) & m)
            j += 1
        a = uint(v[0]) & m
        b = uint(v[1]) & m
        c = uint(v[2]) & m
        d = uint(v[3]) & m
        e = uint(v[4]) & m
        f = uint(v[5]) & m
        g = uint(v[6]) & m
        h = uint(v[7]) & m
        t = uint(0x1E731146) * uint(4) + uint(1)  # 0x79CC4519; small integers end at 2^30
        j = 0
        while j < 64:
            if j == 16:
                t = uint(0x1EA1E762) * uint(4) + uint(2)  # 0x7A879D8A
                t = ((t << uint(16)) | (t >> uint(16))) & m  # as 16 turns have left it
            x = ((a << uint(12)) | (a >> uint(20))) & m
            y = (x + e + t) & m
            y = ((y << uint(7)) | (y >> uint(25))) & m
            t = ((t << uint(1)) | (t >> uint(31))) & m
            x = x ^ y
            k = uint(w[j]) & m
            if j < 16:
                x = ((a ^ b ^ c) + d + x + (k ^ uint(w[j + 4]))) & m
                y = ((e ^ f ^ g) + h + y + k) & m
            else:
                x = (((a & b) | (a & c) | (b & c)) + d + x + (k ^ uint(w[j + 4]))) & m
                y = ((g ^ (e & (f ^ g))) + h + y + k) & m
            d = c
            c = ((b << uint(9)) | (b >> uint(23))) & m
            b = a
            a = x
            h = g
            g = ((f << uint(19)) | (f >> uint(13))) & m
            f = e
            e = (y ^ (y << uint(9)) ^ (y >> uint(23)) ^ (y << uint(17)) ^ (y >> uint(15))) & m
            j += 1
        v[0] = int(uint(v[0]) ^ a)
        v[1] = int(uint(v[1]) ^ b)
        v[2] = int(uint(v[2]) ^ c)
        v[3] = int(uint(v[3]) ^ d)
        v[4] = int(uint(v[4]) ^ e)
        v[5] = int(uint(v[5]) ^ f)
        v[6] = int(uint(v[6]) ^ g)
        v[7] = int(uint(v[7]) ^ h)
