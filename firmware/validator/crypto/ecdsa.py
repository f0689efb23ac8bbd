"""ECDSA verification (FIPS 186-5, SEC 1) over any curve of curves.py.

key = curves.SECP192K1.key(bytes_25)
ecdsa.verify(key, hashlib.sha1(message).digest(), ecdsa.from_der(signature, 24))
"""

from validator.crypto.program import bits


class SignatureMalformed(ValueError):
    """Bytes that are no DER signature."""


def verify(key, digest, signature):
    """Whether `signature` (r, s, each as long as the curve's coordinates) is right for `digest`.

    Never raises for a signature, however wrong.
    """
    curve = key.curve
    n = curve.n
    size = curve.size
    if len(signature) != 2 * size:
        return False
    r = int.from_bytes(signature[:size], "big")
    s = int.from_bytes(signature[size:], "big")
    if not 0 < r < n or not 0 < s < n:
        return False
    e = int.from_bytes(digest, "big")
    extra = 8 * len(digest) - bits(n)
    if extra > 0:  # the leftmost bits count, FIPS 186-5 6.4.2
        e >>= extra
    u1, u2 = curve.quotients(e % n, r, s)
    return curve.matches(u1, u2, key, r)


def from_der(data, size):
    """r and s, `size` bytes each, from SEQUENCE { INTEGER, INTEGER }: strict DER, nothing behind.

    Raises SignatureMalformed, also for numbers that are negative or longer than `size`.
    """
    n = len(data)
    if n < 8 or data[0] != 0x30:
        raise SignatureMalformed("sequence")
    # Two numbers of up to 33 bytes are 70 bytes, so that lengths always have one byte.
    if data[1] != n - 2 or data[1] > 0x7F:
        raise SignatureMalformed("length")
    r, at = _integer(data, 2, size)
    s, at = _integer(data, at, size)
    if at != n:
        raise SignatureMalformed("trailing bytes")
    return r + s


def _integer(data, at, size):
    if at + 2 > len(data) or data[at] != 2:
        raise SignatureMalformed("integer")
    n = data[at + 1]
    at += 2
    if not n or n > 0x7F or at + n > len(data):
        raise SignatureMalformed("integer length")
    if data[at] & 0x80:
        raise SignatureMalformed("negative")
    if n > 1 and not data[at] and not data[at + 1] & 0x80:
        raise SignatureMalformed("not the shortest form")
    value = bytes(data[at : at + n])
    if not value[0]:
        value = value[1:]
    if len(value) > size:
        raise SignatureMalformed("number too long")
    return bytes(size - len(value)) + value, at + n
