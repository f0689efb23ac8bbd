"""Offline data authentication of a card with RSA keys: fDDA and DDA (EMV Book 2, 5 and 6).

`tags` is {tag: bytes} of everything that the card said, `static` the parts of its signed records.
Failures are AuthenticationError: "bad_signature" is a counterfeit, the others say what they say.
"""

from hashlib import sha1

from validator.emv import certificates, rsa, sm_certificate, tlv
from validator.emv.certificates import AuthenticationError

_AIP = 0x82
_FDDA_01_SINCE = 0x0030  # application version (9F08) from which cards sign version 01
_VERSION = 0x9F08


class IssuerCache:
    """The last issuers whose certificates opened: their key costs a third of a tap's RSA.

    An entry stands for exact bytes under an exact CA key: cards that bring others pay themselves.
    """

    def __init__(self, capacity=8):
        self._entries = []
        self._capacity = capacity
        self.hits = 0

    def find(self, digest):
        for entry in self._entries:
            if entry[0] == digest:
                self.hits += 1
                return entry[1]
        return None

    def keep(self, digest, certified):
        if len(self._entries) == self._capacity:
            self._entries.pop(0)
        self._entries.append((digest, certified))


def need(tags, tag):
    """The value of `tag`; AuthenticationError("malformed", …) if the card has none."""
    value = tags.get(tag)
    if value is None:
        raise AuthenticationError("malformed", "no %X" % tag)
    return value


def issuer(tags, ca_keys, cache, number, today):
    """The issuer's `Certified` for the card number `number` (digits).

    `ca_keys` is {index: (PublicKey, months or None)}. `today` is in months, as
    `certificates.months` counts them; None if nobody knows the date, and nothing expires.
    """
    index = need(tags, 0x8F)
    if len(index) != 1:
        raise AuthenticationError("malformed", "8F")
    certificate = need(tags, 0x90)
    known = ca_keys.get(index[0])
    if sm_certificate.looks_like(certificate) and (
        known is None or len(known[0].modulus) != len(certificate)
    ):
        sm_certificate.check(certificate, number, today)
    if known is None:
        raise AuthenticationError("unknown_issuer", "CA key %02X" % index[0])
    ca, expires = known
    if expires is not None and today is not None and expires < today:
        raise AuthenticationError("unknown_issuer", "CA key %02X expired" % index[0])
    remainder = tags.get(0x92, b"")
    exponent = need(tags, 0x9F32)
    if len(certificate) != len(ca.modulus):
        raise AuthenticationError("bad_signature", "issuer certificate: length")
    if len(remainder) > rsa.MAX_SIZE or len(exponent) > 3:
        raise AuthenticationError("bad_signature", "issuer certificate: key length")
    h = sha1(bytes((index[0], len(remainder), len(exponent))))
    h.update(certificate)
    h.update(remainder)
    h.update(exponent)
    digest = h.digest()
    found = cache.find(digest)
    if found is None:
        found = certificates.issuer(ca, certificate, remainder, exponent)
        cache.keep(digest, found)
    if len(found.holder) < 3 or number[: len(found.holder)] != found.holder:
        raise AuthenticationError("bad_signature", "issuer certificate: another issuer's")
    _not_expired(found, today, "issuer certificate")
    return found


def card(tags, static, issuer_key, number, today):
    """The card's PublicKey, its static data checked on the way."""
    parts = list(static)
    listed = tags.get(0x9F4A)
    if listed is not None:
        # Only the AIP may stand in the list (EMV Book 2, 5.1.1).
        if listed != b"\x82":
            raise AuthenticationError("bad_signature", "9F4A")
        parts.append(need(tags, _AIP))
    found = certificates.card(
        issuer_key, need(tags, 0x9F46), tags.get(0x9F48, b""), need(tags, 0x9F47), parts
    )
    if found.holder != number:
        raise AuthenticationError("bad_signature", "card certificate: another card's")
    _not_expired(found, today, "card certificate")
    return found.key


def _not_expired(certified, today, name):
    if today is not None and certified.expires < today:
        raise AuthenticationError("expired", name)


def fdda(tags, key, terminal, offered_01, insist_01=False):
    """Check a qUICS card's dynamic signature, 9F4B. Returns its signed 9F69; None for version 00.

    `terminal` has the 9F37, 9F02 and 5F2A that went to the card; `offered_01` says that the
    terminal's TTQ did, `insist_01` that version 00 is not taken. From a card that tells no
    application version it is not either.
    """
    signature = need(tags, 0x9F4B)
    related = tags.get(0x9F69)
    if related is not None and len(related) and related[0] == 0x01:
        if len(related) < 5:
            raise AuthenticationError("malformed", "9F69")
        parts = [terminal[0x9F37], terminal[0x9F02], terminal[0x5F2A], related]
    elif related is None or (len(related) and related[0] == 0x00):
        if insist_01 or (offered_01 and not is_older(tags)):
            raise AuthenticationError("bad_signature", "fDDA version 00")
        related = None
        parts = [terminal[0x9F37]]
    else:
        raise AuthenticationError("bad_signature", "fDDA version")
    dynamic = _dynamic(signature, key, parts)
    atc = need(tags, 0x9F36)
    # The dynamic data of fDDA are the counter: else 9F36 could be anything (02 | ATC).
    if len(dynamic) != 3 or dynamic[0] != 2 or dynamic[1:] != atc:
        raise AuthenticationError("bad_signature", "dynamic signature: counter")
    return related


def is_older(tags):
    """Whether the card says that its application signs no amounts yet: fDDA version 00."""
    version = tags.get(_VERSION, b"")
    return len(version) == 2 and version[0] << 8 | version[1] < _FDDA_01_SINCE


def is_signed(static, tag):
    """Whether a data object stands in one of the records that the card's certificate covers."""
    for part in static:
        if tlv.find(part, tag) is not None:
            return True
    return False


def dda(signature, key, signed):
    """Check the answer to INTERNAL AUTHENTICATE over `signed`; returns the ICC dynamic number."""
    dynamic = _dynamic(signature, key, (signed,))
    if not len(dynamic) or not 2 <= dynamic[0] <= 8 or len(dynamic) < 1 + dynamic[0]:
        raise AuthenticationError("bad_signature", "dynamic signature: number")
    return dynamic[1 : 1 + dynamic[0]]


def _dynamic(signature, key, parts):
    """The ICC dynamic data of a signature: 6A 05 01 | length | data | BB … | SHA-1 | BC."""
    try:
        message = key.recover(signature)
        if message[1] != 0x05 or message[2] != 0x01:
            raise rsa.RsaError("format")
        if not rsa.hash_fits(message, parts):
            raise rsa.RsaError("hash")
        end = 4 + message[3]
        if end > len(message) - 21:
            raise rsa.RsaError("length")
        return message[4:end]
    except rsa.RsaError as e:
        raise AuthenticationError("bad_signature", "dynamic signature: %s" % e)
