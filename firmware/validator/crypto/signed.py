"""Signatures of the operator and of access keys: ECDSA over P-256, now and then.

    signed.by(public, digest, signature)     # True or False, whatever the bytes are
    signed.point(public)                     # x and y, 64 bytes; ValueError if it is no public key

The kernel takes some 16 ms on an ESP32, and 10 KB in a few pieces, which are given back. A
validator in the middle of its day may not have such pieces left: then Python's integers do it
in some 0.4 s, during which nobody is served.
"""

import gc

from validator.crypto import ecdsa, textbook
from validator.crypto.curves import P256


def point(public):
    """x and y of a key in any form of SEC 1."""
    try:
        return P256.key(public).encoded()
    except MemoryError:
        x, y = _point(public)
        return x.to_bytes(32, "big") + y.to_bytes(32, "big")
    finally:
        P256.release()


def by(public, digest, signature):
    """Whether the holder of `public` made `signature` (r, s, 64 bytes) of `digest` (32 bytes)."""
    try:
        gc.collect()
        return ecdsa.verify(P256.key(public), digest, signature)
    except MemoryError:
        return _by(public, digest, signature)
    except ValueError:
        return False
    finally:
        P256.release()


def _by(public, digest, signature):
    P256.release()
    gc.collect()
    n = P256.n
    try:
        q = _point(public)
    except ValueError:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < r < n or not 0 < s < n:
        return False
    w = pow(s, n - 2, n)
    u1 = int.from_bytes(digest[:32], "big") * w % n
    sum_ = textbook.sum_of_two(u1, P256.g, r * w % n, q, P256.a, P256.p)
    return sum_ is not None and sum_[0] % n == r


def _point(public):
    size = len(public)
    p = P256.p
    if size == 33 and public[0] in (2, 3):
        x = int.from_bytes(public[1:], "big")
        y = pow((x * x + P256.a) * x + P256.b, (p + 1) // 4, p)
        if y & 1 != public[0] & 1:
            y = p - y
    elif size == 64 or (size == 65 and public[0] == 4):
        x = int.from_bytes(public[-64:-32], "big")
        y = int.from_bytes(public[-32:], "big")
    else:
        raise ValueError("key format")
    if x >= p or y >= p or (y * y - (x * x + P256.a) * x - P256.b) % p:
        raise ValueError("off the curve")
    return x, y
