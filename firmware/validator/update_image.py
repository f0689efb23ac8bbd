"""The head of a signed application image. Pure: the host makes it by this same module.

    bytes     what (numbers little endian)
    0-3       "FTUI"
    4         format: 1
    5         flags: bit 0: may replace a newer version
    6-7       blocks of the image, of BLOCK bytes each, the last one may be shorter: n
    8-11      size of the image, which is the content of a slot
    12-35     name of the board, ASCII, padded with zeros
    36-59     version, ASCII, padded with zeros
    60-67     id of the image, as in its manifest
    68-75     least version of MicroPython, ASCII, padded with zeros
    76-107    SHA-256 of the image
    108-      n times the first 8 bytes of the SHA-256 of a block
    then 64   r, s of an ECDSA signature, P-256 with SHA-256, over all before; zeros: not signed

A head is sent as whole blocks, padded with zeros, and the image follows. The signed table tells of
each block in flash whether it is the right one: so nothing but the head needs to be kept for a
transfer to go on after a cut, and no block is written that was not signed.
"""

import struct
from hashlib import sha256

MAGIC = b"FTUI"
FORMAT = 1
BLOCK = 2048
SIGNATURE = 64
DOWNGRADE = 1
MAX_BLOCKS = 4096  # a slot of 8 MB

_HEAD = "<4sBBHI24s24s8s8s32s"
_FIXED = 108
_SHORT = 8


class Refused(ValueError):
    """An image that is not taken. `reason` is one of "damaged", "unsigned", "foreign", "no_key",
    "not_for_me", "micropython", "old", "too_large"; the text says it in a sentence."""

    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason


class Head:
    """Parsed from `data`, which may be longer; Refused if this is no head, or not all of one.

    board, version, micropython   texts
    id                            16 hex digits
    size, blocks                  of the image, in bytes and in blocks
    downgrade                     may replace a newer version
    digest                        SHA-256 of the image
    """

    def __init__(self, data):
        if len(data) < _FIXED or bytes(data[:4]) != MAGIC:
            raise Refused("damaged", "this is no application image for updates")
        (
            _,
            kind,
            flags,
            self.blocks,
            self.size,
            board,
            version,
            number,
            micropython,
            self.digest,
        ) = struct.unpack(_HEAD, data[:_FIXED])
        self.signed = _FIXED + _SHORT * self.blocks
        if kind != FORMAT or flags & ~DOWNGRADE:
            raise Refused("damaged", "this image is of a format that this firmware does not know")
        if not 0 < self.blocks <= MAX_BLOCKS or self.blocks != (self.size + BLOCK - 1) // BLOCK:
            raise Refused("damaged", "the image's size and its number of blocks do not fit")
        if len(data) < self.signed + SIGNATURE:
            raise Refused("damaged", "the head of this image is cut short")
        self.downgrade = bool(flags & DOWNGRADE)
        self.id = number.hex()
        try:
            self.board = board.rstrip(b"\0").decode()
            self.version = version.rstrip(b"\0").decode()
            self.micropython = micropython.rstrip(b"\0").decode()
        except ValueError:
            raise Refused("damaged", "the texts in the head of this image are none")
        self._data = data

    def is_block(self, n, digest):
        """Whether `digest`, the SHA-256 of something, is that of block n."""
        at = _FIXED + _SHORT * n
        return digest[:_SHORT] == self._data[at : at + _SHORT]

    def check_signature(self, key):
        """Refused unless the holder of `key` (x and y, 64 bytes, or None) signed this head."""
        signature = bytes(self._data[self.signed : self.signed + SIGNATURE])
        if signature == bytes(SIGNATURE):
            raise Refused("unsigned", "this image is not signed")
        if not key:
            raise Refused(
                "no_key", "this validator has no operator key yet, so no image can be verified"
            )
        from validator.crypto import signed

        digest = sha256(memoryview(self._data)[: self.signed]).digest()
        if not signed.by(key, digest, signature):
            raise Refused("foreign", "the signature of this image is not the operator's")

    def check_fit(self, board, micropython, version, room):
        """Refused unless the image is for this `board`, runs on this `micropython` (text), is not
        older than `version`, and fits `room` bytes."""
        if self.board != board:
            raise Refused("not_for_me", "this image is for %s, this is %s" % (self.board, board))
        if self.size > room:
            raise Refused("too_large", "the image has %d bytes, a slot %d" % (self.size, room))
        if numbers(micropython) < numbers(self.micropython):
            raise Refused(
                "micropython",
                "this image needs MicroPython %s, this is %s" % (self.micropython, micropython),
            )
        if not self.downgrade and numbers(self.version) < numbers(version):
            raise Refused(
                "old",
                "version %s is older than %s, which runs, and not signed as a downgrade"
                % (self.version, version),
            )


def pack(board, version, number, micropython, image, downgrade=False):
    """What is signed of a head: `number` is the image's id in hex, `image` its bytes."""
    blocks = (len(image) + BLOCK - 1) // BLOCK
    fixed = struct.pack(
        _HEAD,
        MAGIC,
        FORMAT,
        DOWNGRADE if downgrade else 0,
        blocks,
        len(image),
        board.encode(),
        version.encode(),
        bytes.fromhex(number),
        micropython.encode(),
        sha256(image).digest(),
    )
    table = [sha256(image[n * BLOCK : (n + 1) * BLOCK]).digest()[:_SHORT] for n in range(blocks)]
    return fixed + b"".join(table)


def padded_size(blocks):
    """Bytes that a head for so many blocks takes in a transfer."""
    size = _FIXED + _SHORT * blocks + SIGNATURE
    return (size + BLOCK - 1) // BLOCK * BLOCK


def numbers(version):
    """ "1.10.2-rc1" -> (1, 10, 2), for comparing."""
    out = []
    for part in version.split("."):
        n = 0
        while n < len(part) and part[n].isdigit():
            n += 1
        out.append(int(part[:n] or "0"))
        if n < len(part):
            break
    return tuple(out)
