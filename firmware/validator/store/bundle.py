"""The operator's configuration as one signed file. Pure: the host makes it by this same module.

    bytes    what (numbers little endian)
    0-3      "FTCB"
    4        format of this file: 1
    5-7      0
    8-11     version, 1 to 2147483647; a newer configuration has a higher one
    12-15    not before: unix seconds, 0 for at once
    16-19    length of the body
    20-27    id of the operator's key: the first 8 bytes of SHA-256 over its x and y
    28-59    SHA-256 of the body
    60-63    0
    64-127   r, s of an ECDSA signature, P-256 with SHA-256, over bytes 0-63
    128-     body: one JSON object in UTF-8, each of its members on a line of its own

The signature is over the head alone, which holds the body's hash: a validator knows whether it may
take a bundle before it erases anything for it, and it finds a member without reading the others.
"""

import struct
from hashlib import sha256

MAGIC = b"FTCB"
FORMAT = 1
HEAD_SIZE = 128
SIGNED = 64
MAX_VERSION = 0x7FFFFFFF

_HEAD = "<4sBBHIII8s32sI"


class Refused(Exception):
    """A bundle that is not taken. `reason` is one of "damaged", "unsigned", "foreign", "old",
    "not_for_me", "too_early", "invalid", "too_large"; the text says it in a sentence."""

    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason


def pack(version, not_before, key, body):
    """The 64 bytes that are signed; `key` is x and y of the signer's public key."""
    return struct.pack(
        _HEAD,
        MAGIC,
        FORMAT,
        0,
        0,
        version,
        not_before,
        len(body),
        key_id(key),
        sha256(body).digest(),
        0,
    )


def parse(head):
    """(version, not_before, size of the body, key id, SHA-256 of the body); Refused: damaged."""
    if len(head) != HEAD_SIZE or head[:4] != MAGIC:
        raise Refused("damaged", "this is no configuration bundle")
    _, kind, a, b, version, not_before, size, signer, digest, c = struct.unpack(
        _HEAD, head[:SIGNED]
    )
    if kind != FORMAT or a or b or c or not 0 < version <= MAX_VERSION:
        raise Refused("damaged", "this bundle is of a format that this firmware does not know")
    return version, not_before, size, signer, digest


def verify(head, key):
    """Refused unless the holder of `key` (x and y, 64 bytes, or None) signed this head."""
    check_signer(parse(head)[3], key)
    from validator.crypto import signed

    if not signed.by(key, sha256(head[:SIGNED]).digest(), head[SIGNED:]):
        raise Refused("unsigned", "the signature of this bundle is not the operator's")


def check_signer(signer, key):
    """Refused unless the head at least says that the holder of `key` signed it."""
    if not key:
        raise Refused("foreign", "this validator has no operator key yet: claim it first")
    if signer != key_id(key):
        raise Refused("foreign", "this bundle is signed with another key than the operator's")


def key_id(key):
    """8 bytes for a public key, given as x and y."""
    return sha256(key).digest()[:8]
