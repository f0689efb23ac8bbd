"""Tokens: the keyed hash that stands for a card number in records and lists.

The same rider gives the same token on every tap; without the key nobody gets back to the number,
or can try all numbers of a card range. HMAC-SHA256 (RFC 2104, FIPS 198-1) over a scope byte and
the number, cut to 8 bytes.
"""

import hashlib

# Numbers of different families must not meet: an account number of a code issuer may well look
# like somebody else's card number.
CARD_SCOPE = 1
CODE_SCOPE = 2

SIZE = 8
_BLOCK = 64


class Hmac:
    """HMAC-SHA256 with the padded keys made once (MicroPython's hashes cannot be copied)."""

    def __init__(self, key):
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = bytes(key) + b"\0" * (_BLOCK - len(key))
        self._inner = bytes([b ^ 0x36 for b in key])
        self._outer = bytes([b ^ 0x5C for b in key])

    def digest(self, *parts):
        """32 bytes for the concatenation of `parts`."""
        h = hashlib.sha256(self._inner)
        for part in parts:
            h.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(h.digest())
        return outer.digest()


class Tokens:
    """Tokens under one key, for the tap path."""

    def __init__(self, key):
        if len(key) < 16:
            raise ValueError("a token key has at least 16 bytes")
        self._hmac = Hmac(key)

    def token(self, scope, source):
        """8 bytes for the normalised number `source` (ASCII bytes) in the family `scope`."""
        if not source:
            raise ValueError("nothing to make a token of")
        return self._hmac.digest(bytes((scope,)), source)[:SIZE]


def token(key, scope, source):
    """`Tokens(key).token(scope, source)`, for callers that need it once."""
    return Tokens(key).token(scope, source)
