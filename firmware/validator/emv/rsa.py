"""RSA with message recovery, as payment certificates use it (EMV Book 2, annex A2.1 and B2.1).

`pow` of three big integers is the whole arithmetic: some 2 ms for exponent 3 at 1408 bits on an
ESP32, 40 ms for 65537 at 1984 bits.
"""

from hashlib import sha1

MIN_SIZE = 64  # bytes of a modulus; nothing shorter was ever issued
MAX_SIZE = 248  # 1984 bits, EMV's limit
EXPONENTS = (3, 65537)
HASH_SIZE = 20


class RsaError(ValueError):
    """A key that is none, or a signature that does not open with it."""


class PublicKey:
    """`modulus` as bytes, first bit set; `exponent` 3 or 65537. RsaError for anything else.

    A hostile card picks the numbers behind its own certificates: a modulus of zero would end the
    division, an even one has no inverse and no business here, other exponents cost time.
    """

    __slots__ = ("modulus", "exponent")

    def __init__(self, modulus, exponent):
        if not MIN_SIZE <= len(modulus) <= MAX_SIZE:
            raise RsaError("modulus length")
        if not modulus[0] & 0x80 or not modulus[-1] & 1:
            raise RsaError("modulus")
        if exponent not in EXPONENTS:
            raise RsaError("exponent")
        self.modulus = modulus
        self.exponent = exponent

    def recover(self, signature):
        """The message inside `signature`, between `6A` and `BC`; RsaError if it is not there.

        The hash is the caller's to check: see `hash_fits`.
        """
        size = len(self.modulus)
        if len(signature) != size:
            raise RsaError("signature length")
        n = int.from_bytes(self.modulus, "big")
        s = int.from_bytes(signature, "big")
        if s >= n:
            raise RsaError("signature out of range")
        message = pow(s, self.exponent, n).to_bytes(size, "big")
        if message[0] != 0x6A or message[-1] != 0xBC:
            raise RsaError("no message")
        return message


def exponent(data):
    """An exponent as it stands in 9F32 and 9F47, 1 to 3 bytes, as an int; RsaError otherwise."""
    if not 1 <= len(data) <= 3:
        raise RsaError("exponent")
    return int.from_bytes(data, "big")


def hash_fits(message, parts):
    """Whether the SHA-1 in a recovered `message` is that of its body and `parts` behind it."""
    h = sha1(memoryview(message)[1 : -1 - HASH_SIZE])
    for part in parts:
        h.update(part)
    return h.digest() == message[-1 - HASH_SIZE : -1]
