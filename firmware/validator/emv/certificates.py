"""Issuer and card certificates: from the scheme's key to the card's (EMV Book 2, 5.3 and 6.4).

An issuer certificate (tag 90), recovered with the CA's key of N bytes:

    6A 02 | IIN 4 | MMYY 2 | serial 3 | hash 01 | algorithm 01 | length | exponent length |
    first N − 36 bytes of the modulus | SHA-1 | BC

and a card certificate (9F46) with the issuer's key: 6A 04, card number 10 in place of the IIN, and
N − 42 bytes of the modulus. What does not fit of the modulus stands in 92 or 9F48.
"""

from validator.emv import rsa

_SHA1 = 0x01
_RSA = 0x01


class AuthenticationError(Exception):
    """The card is not what it says. `reason` is a name of a tap's reasons, `what` a few words."""

    def __init__(self, reason, what):
        super().__init__(what)
        self.reason = reason
        self.what = what


class Certified:
    """A key that a certificate vouches for: `key`, `holder` (digits), `expires` (months)."""

    __slots__ = ("key", "holder", "expires")

    def __init__(self, key, holder, expires):
        self.key = key
        self.holder = holder
        self.expires = expires


def issuer(ca_key, certificate, remainder, exponent):
    """The issuer's `Certified`; AuthenticationError("bad_signature", …) if it is not one.

    `exponent` is 9F32, `remainder` 92 or b"". Whether it expired, and whose card it is on, is for
    the caller, who may keep the result.
    """
    return _open(ca_key, certificate, remainder, exponent, "issuer certificate", 0x02, 4, ())


def card(issuer_key, certificate, remainder, exponent, static):
    """The card's `Certified`; `static` are the parts of its static data, in order."""
    return _open(
        issuer_key, certificate, remainder, exponent, "card certificate", 0x04, 10, static
    )


def _open(key, certificate, remainder, exponent, name, form, holder_size, behind):
    try:
        message = key.recover(certificate)
        at = 2 + holder_size
        size = len(key.modulus)
        room = size - 32 - holder_size
        if message[1] != form:
            raise rsa.RsaError("format")
        if message[at + 5] != _SHA1 or message[at + 6] != _RSA:
            raise rsa.RsaError("algorithm")
        parts = [remainder, exponent]
        parts.extend(behind)
        if not rsa.hash_fits(message, parts):
            raise rsa.RsaError("hash")
        length = message[at + 7]
        if length > size or len(remainder) != max(0, length - room):
            raise rsa.RsaError("key length")
        if message[at + 8] != len(exponent):
            raise rsa.RsaError("exponent length")
        start = at + 9
        modulus = message[start : start + min(length, room)]
        if len(remainder):
            modulus += bytes(remainder)
        return Certified(
            rsa.PublicKey(modulus, rsa.exponent(exponent)),
            _holder(message[2:at]),
            months(message[at + 1], message[at]),
        )
    except rsa.RsaError as e:
        raise AuthenticationError("bad_signature", "%s: %s" % (name, e))


def _holder(data):
    digits = data.hex().rstrip("f")
    if not digits.isdigit():
        raise rsa.RsaError("holder")
    return digits


def months(year, month):
    """BCD year and month as months since the year 0; RsaError if they are no date.

    Two digits of a year stand for 1950 to 2049 (EMV Book 4, 6.7.3).
    """
    y = (year >> 4) * 10 + (year & 15)
    m = (month >> 4) * 10 + (month & 15)
    if year & 15 > 9 or year >> 4 > 9 or month & 15 > 9 or not 1 <= m <= 12:
        raise rsa.RsaError("date")
    return (y + (1900 if y >= 50 else 2000)) * 12 + m - 1
