"""What a settlement needs of a tap, and how it is kept from everybody but the acquirer.

A record's evidence, version 1:

    01 | length of the wrapped keys 2 | wrapped keys | IV 16 | ciphertext | MAC 16

The wrapped keys are RSA-OAEP (SHA-256, no label; RFC 8017, 7.1) of 32 bytes: an AES-128 key and a
MAC key, both fresh at every start of the validator and after `RENEW_AFTER` records, and nowhere
but in memory. The ciphertext is AES-128-CBC with PKCS #7 padding of the data objects as BER-TLV;
the MAC is HMAC-SHA256 over everything before it, cut to 16 bytes.

Each record carries its wrapped keys (256 bytes), so that losing another record costs nothing.
"""

import os
from hashlib import sha256

from validator.emv import rsa
from validator.store.token import Hmac

VERSION = 1
RENEW_AFTER = 500  # records under one key
MAC_SIZE = 16

# Data objects of a settlement, in this order; those that a card or terminal lacks are left out.
TAGS = (
    0x9F26,
    0x9F27,
    0x9F10,
    0x9F37,
    0x9F36,
    0x95,
    0x9A,
    0x9C,
    0x9F02,
    0x5F2A,
    0x82,
    0x9F1A,
    0x9F03,
    0x9F33,
    0x9F34,
    0x9F35,
    0x9F1E,
    0x9F41,
    0x9F63,
    0x84,
    0x9F09,
    0x57,
    0x5F34,
)

_MIN_BITS = 2048
_CBC = 2
_HASH = 32


def collect(card, terminal):
    """The settlement's data objects as BER-TLV. `terminal` counts where both have one."""
    out = bytearray()
    for tag in TAGS:
        value = terminal.get(tag)
        if value is None:
            value = card.get(tag)
        if value is not None:
            _put(out, tag, value)
    if 0x57 not in card and 0x5A in card:  # a card may name its number in one of two ways
        _put(out, 0x5A, card[0x5A])
        _put(out, 0x5F24, card.get(0x5F24, b""))
    return bytes(out)


def _put(out, tag, value):
    if tag > 0xFF:
        out.append(tag >> 8)
    out.append(tag & 0xFF)
    n = len(value)
    if n > 127:
        out.append(0x81)
    out.append(n)
    out += value


class Seal:
    """Encrypts evidence for the holder of an RSA key: `modulus` bytes, `exponent` 65537 or 3.

    `random(n)` are real random bytes, `aes(key, mode, iv)` a cipher as MicroPython's `cryptolib`
    has it. RsaError if the key is none, or too short. `prepare()` in idle time takes the RSA off
    the tap path; `seal` does it itself where nobody did.
    """

    def __init__(self, modulus, exponent, random=os.urandom, aes=None):
        if len(modulus) * 8 < _MIN_BITS or len(modulus) > 512:
            raise rsa.RsaError("modulus length")
        if not modulus[0] & 0x80 or not modulus[-1] & 1 or exponent not in rsa.EXPONENTS:
            raise rsa.RsaError("modulus or exponent")
        self._modulus = modulus
        self._exponent = exponent
        self._random = random
        self._aes = aes
        self._key = None
        self._mac = None
        self._wrapped = b""
        self._left = 0

    def prepare(self):
        """Make fresh keys if there are none left; some 50 ms on an ESP32."""
        if self._left > 0:
            return
        if self._aes is None:
            import cryptolib

            self._aes = cryptolib.aes
        keys = self._random(32)
        self._wrapped = wrap(keys, self._modulus, self._exponent, self._random(_HASH))
        self._key = keys[:16]
        self._mac = Hmac(keys[16:])
        self._left = RENEW_AFTER

    def seal(self, data):
        """Evidence for a record."""
        self.prepare()
        self._left -= 1
        iv = self._random(16)
        n = 16 - len(data) % 16
        cipher = self._aes(self._key, _CBC, iv).encrypt(data + bytes((n,)) * n)
        head = bytes((VERSION, len(self._wrapped) >> 8, len(self._wrapped) & 0xFF))
        mac = self._mac.digest(head, self._wrapped, iv, cipher)
        return b"".join((head, self._wrapped, iv, cipher, mac[:MAC_SIZE]))


def wrap(message, modulus, exponent, seed):
    """RSA-OAEP of a short `message` with SHA-256 and MGF1, no label; `seed` is 32 random bytes."""
    size = len(modulus)
    block = sha256(b"").digest() + bytes(size - len(message) - 2 * _HASH - 2) + b"\x01" + message
    masked = _xor(block, _mask(seed, len(block)))
    masked_seed = _xor(seed, _mask(masked, _HASH))
    number = int.from_bytes(masked_seed + masked, "big")  # a zero byte stands in front
    n = int.from_bytes(modulus, "big")
    return pow(number, exponent, n).to_bytes(size, "big")


def _mask(seed, size):
    out = b""
    i = 0
    while len(out) < size:
        out += sha256(seed + bytes((0, 0, 0, i))).digest()
        i += 1
    return out[:size]


def _xor(a, b):
    return bytes([x ^ y for x, y in zip(a, b)])
