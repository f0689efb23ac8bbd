"""SM2 signature verification (GM/T 0003.2, ISO/IEC 14888-3).

    key = curves.SM2.key(bytes_33)
    sm2.verify(key, message, signature)          # r and s, 64 bytes
    sm2.verify(key, message, signature, user_id=b"...")

`message` may be several pieces: a tuple of bytes.
"""

from validator.crypto.sm3 import SM3

DEFAULT_ID = b"1234567812345678"


def identity(key, user_id=DEFAULT_ID):
    """ZA, 32 bytes: the hash of the user id (up to 8191 bytes), the curve and the key."""
    bits = 8 * len(user_id)
    if bits > 0xFFFF:
        raise ValueError("user id")
    za = SM3(bits.to_bytes(2, "big"))
    za.update(user_id)
    za.update(key.curve.parameters)
    return za.update(key.encoded()).digest()


def digest(key, message, user_id=DEFAULT_ID):
    """e = SM3(ZA || message), 32 bytes."""
    e = SM3(identity(key, user_id))
    for piece in message if isinstance(message, (tuple, list)) else (message,):
        e.update(piece)
    return e.digest()


def verify(key, message, signature, user_id=DEFAULT_ID):
    """Whether `signature` (r, s, 32 bytes each) is the key's for `message`. Never raises."""
    if len(signature) != 2 * key.curve.size:
        return False
    return verify_digest(key, digest(key, message, user_id), signature)


def verify_digest(key, e, signature):
    """`verify` with the hash in hand (see `digest`)."""
    curve = key.curve
    n = curve.n
    size = curve.size
    r = int.from_bytes(signature[:size], "big")
    s = int.from_bytes(signature[size:], "big")
    if len(signature) != 2 * size or not 0 < r < n or not 0 < s < n:
        return False
    t = (r + s) % n
    if t == 0:
        return False
    # R = (e + x1) mod n must be r: so x1 must be r - e modulo n.
    return curve.matches(s, t, key, (r - int.from_bytes(e, "big")) % n)
