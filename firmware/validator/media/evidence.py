"""What a settlement needs of a tap, and how it is kept from everybody but the acquirer.

Evidence, version 2:

    02 | length of the key block 2 | key block | number 2 | ciphertext | MAC 8

The key block is the same for many taps. A record can do without it and name it, if it is kept
beside the records (`Seal.split`, journal.py):

    03 | SHA-256 of the key block, first 4 | number 2 | ciphertext | MAC 8

    key block   length of the wrapped keys 2 | wrapped keys | ciphertext, as evidence number FFFF

The wrapped keys are RSA-OAEP (SHA-256, no label; RFC 8017, 7.1) of 32 bytes: an AES-128 key and a
MAC key, both fresh at every start of the validator and after `RENEW_AFTER` taps, and nowhere but
in memory. The ciphers are AES-128-OFB (SP 800-38A) with the number and zeros as IV; the MAC is
HMAC-SHA256 over the SHA-256 of the key block, number and ciphertext, cut to 8 bytes.

Where every byte counts, a record has only the last two of this, names the key block elsewhere, and
has IV for a hash of its other bytes (`Seal.brief`):

    04 | SHA-256 of the key block, first 4 | IV 16 | ciphertext | MAC 4

Its ciphertext is of the bytes as they were given, and nothing else. What is encrypted otherwise
begins with 0 and is bytes as they were given, or
begins with 1:

    01 | which objects are those of the key block, a bit each, 4 | for each other: length, value

in the order of `TAGS`, lowest bit first; length FF: there is no such object. The key block has the
objects of the first tap that most taps share, those of the terminal above all: encoded like these.
"""

from hashlib import sha256

from validator import entropy
from validator.emv import rsa
from validator.store.token import Hmac

VERSION = 2
RENEW_AFTER = 500  # taps under one key
MAC_SIZE = 8
BRIEF_MAC_SIZE = 4
ID_SIZE = 4

# Data objects of a settlement; those that a card or terminal lacks are left out, and the last two
# unless 57 is: a card may name its number in one of two ways.
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
    0x5A,
    0x5F24,
)

# Those of TAGS that differ from tap to tap.
_OWN = (0x9F26, 0x9F10, 0x9F37, 0x9F36, 0x9F41, 0x9F63, 0x57, 0x5A, 0x5F24)

_MIN_BITS = 2048
_CBC = 2
_HASH = 32


def collect(card, terminal):
    """The settlement's data objects: values, or None, in the order of TAGS. `terminal` counts
    where both have one."""
    out = []
    for tag in TAGS:
        value = terminal.get(tag)
        if value is None and (tag not in (0x5A, 0x5F24) or 0x57 not in card):
            value = card.get(tag)
        out.append(value)
    return out


class Seal:
    """Encrypts evidence for the holder of an RSA key: `modulus` bytes, `exponent` 65537 or 3.

    `random(n)` are real random bytes, `aes(key, mode, iv)` a cipher as MicroPython's `cryptolib`
    has it. RsaError if the key is none, or too short. `prepare()` in idle time takes the RSA off
    the tap path; `seal` does it itself where nobody did.
    """

    def __init__(self, modulus, exponent, random=entropy.random, aes=None):
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
        self._head = b""  # of evidence: all up to its number
        self._hash = b""
        self._shared = None  # the objects of the key block, packed
        self._left = 0

    def prepare(self):
        """Make fresh keys if there are none left; some 50 ms on an ESP32."""
        if self._left > 0:
            return
        if self._aes is None:
            import cryptolib

            self._aes = cryptolib.aes
        keys = self._random(32)
        self._head = wrap(keys, self._modulus, self._exponent, self._random(_HASH))
        self._key = keys[:16]
        self._mac = Hmac(keys[16:])
        self._shared = None
        self._left = RENEW_AFTER

    def seal(self, data):
        """Evidence for a record; `data` is what `collect` returns, or any bytes."""
        self.prepare()
        if self._shared is None:
            self._begin(data)
        self._left -= 1
        number = bytes((self._left >> 8, self._left & 0xFF))
        if isinstance(data, list):
            data = _pack(data, self._shared)
        else:
            data = b"\0" + data
        cipher = self._cipher(number, data)
        mac = self._mac.digest(self._hash, number, cipher)
        return b"".join((self._head, number, cipher, mac[:MAC_SIZE]))

    def brief(self, data, beside):
        """(name of the key block, the key block, ciphertext and MAC of `data`): version 4, with
        the SHA-256 of `beside` for an IV. `beside` must be new each time."""
        self.prepare()
        if self._shared is None:
            self._begin(data)
        self._left -= 1
        iv = sha256(beside).digest()[:16]
        cipher = self._cipher(iv, data)
        mac = self._mac.digest(self._hash, iv, cipher)
        return self._hash[:ID_SIZE], self._head[3:], cipher + mac[:BRIEF_MAC_SIZE]

    def _begin(self, data):
        """The key block, with what is known now of what taps share."""
        shared = [None] * len(TAGS)
        if isinstance(data, list):
            shared = [None if TAGS[i] in _OWN else data[i] for i in range(len(TAGS))]
        shared = _pack(shared, b"\xfe" * len(TAGS))
        n = len(self._head)
        block = bytes((n >> 8, n & 0xFF)) + self._head + self._cipher(b"\xff\xff", shared)
        self._shared = shared[5:]
        self._hash = sha256(block).digest()
        self._head = bytes((VERSION, len(block) >> 8, len(block) & 0xFF)) + block

    def split(self, evidence):
        """(evidence that names its key block, the key block), or (evidence, None) if it has none,
        or not the one of now. It may stand behind other bytes."""
        head = self._head
        if self._shared is None or head not in evidence:
            return evidence, None
        return evidence.replace(head, b"\x03" + self._hash[:ID_SIZE]), head[3:]

    def _cipher(self, number, data):
        # CBC over zeros gives the key stream of OFB.
        n = len(data)
        stream = self._aes(self._key, _CBC, number + bytes(16 - len(number))).encrypt(
            bytes((n + 15) & ~15)
        )
        mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream[:n], "big")
        return mixed.to_bytes(n, "big")


def _pack(values, shared):
    """The second form. `shared`: length and value of each object that may be left out; a length of
    FE is never right."""
    same = at = 0
    shared = memoryview(shared)
    out = bytearray(5)
    for i in range(len(TAGS)):
        value = values[i]
        n = shared[at]
        at += 1
        known = None
        if n < 0xFE:
            known = shared[at : at + n]
            at += n
        if n != 0xFE and value == known:
            same |= 1 << i
        elif value is None:
            out.append(0xFF)
        else:
            out.append(len(value))
            out.extend(value)
    out[0] = 1
    for i in range(4):
        out[4 - i] = same & 0xFF
        same >>= 8
    return bytes(out)


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
