"""Issuer certificates with SM2 keys, as far as they are known.

    12 | IIN 4 | MMYY 2 | serial 3 | signature 04 | encryption 00 | curve 11 | length 40 | X ‖ Y 64

and the CA's signature of 64 bytes behind. How the card's own certificate and its dynamic signature
look is not published, so that such a card can be told apart, but not authenticated.
"""

from validator.emv import certificates, rsa
from validator.emv.certificates import AuthenticationError

_MESSAGE = 78
_SIZE = _MESSAGE + 64
_ALGORITHMS = b"\x04\x00\x11\x40"


def looks_like(certificate):
    """Whether tag 90 may be of this form."""
    return len(certificate) == _SIZE and certificate[0] == 0x12


def check(certificate, number, today):
    """Raises AuthenticationError always: what is wrong with it, else "unsupported"."""
    holder = bytes(certificate[1:5]).hex().rstrip("f")
    if bytes(certificate[10:14]) != _ALGORITHMS or not holder.isdigit():
        raise AuthenticationError("malformed", "SM2 certificate")
    if number[: len(holder)] != holder:
        raise AuthenticationError("bad_signature", "SM2 certificate: another issuer's")
    try:
        expires = certificates.months(certificate[6], certificate[5])
    except rsa.RsaError:
        raise AuthenticationError("malformed", "SM2 certificate")
    if today is not None and expires < today:
        raise AuthenticationError("expired", "SM2 certificate")
    raise AuthenticationError("unsupported", "SM2 certificate")
