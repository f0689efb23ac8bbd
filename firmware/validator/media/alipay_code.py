"""Alipay transit code.

Raw binary, in some cities after two bytes `54 01` or `54 02`, which count in no offset and under
no signature. Version 2, algorithm (1 ECDSA, 2 SM2), key id, body 1 with its length, institution
signature, body 2 (generation time), user signature; both signatures DER with a length byte.

The institution signs body 1: ECDSA over secp256k1 with SHA-1 (algorithm 1) or SM2 (2); the rider's
phone everything up to the end of body 2: ECDSA over secp192k1 with SHA-1, in both.
"""

from .result import Refused, Result, mask
from .ride_code import year_month

MEDIUM = "alipay_code"

_CARD = 73  # offset of the card number's length byte


def recognises(code):
    """Whether the first bytes are `02 01` or `02 02`, with or without the city prefix."""
    at = _start(code)
    return len(code) >= at + 2 and code[at] == 2 and code[at + 1] in (1, 2)


def _start(code):
    return 2 if len(code) >= 4 and code[0] == 0x54 and code[1] in (1, 2) else 0


def run(code):
    """Result of a code that `recognises` knows. Raises ValueError(field) if malformed."""
    return _result(parse(code))


def verified(code, rules, month):
    """(Result, the bytes that make it this code and no other) once both signatures are right.

    Raises Refused, or ValueError(field).
    """
    c = parse(code)
    from hashlib import sha1

    from validator.crypto import ecdsa
    from validator.crypto.curves import SECP192K1

    key = rules["alipay_keys"].get(c["algorithm"] << 8 | c["key"])
    if key is None:
        raise Refused("unknown_issuer", "issuer")
    issuer = _pair(c, "issuer_signature", 32)
    user = _pair(c, "user_signature", 24)
    signed = c["issuer_signed"]
    if c["algorithm"] == 1:
        good = ecdsa.verify(key, sha1(signed).digest(), issuer)
    else:
        from validator.crypto import sm2

        good = sm2.verify(key, signed, issuer)
    if not good:
        raise Refused("bad_signature", "issuer")
    signed = c["user_signed"]
    try:
        key = SECP192K1.key(c["user_key"])
    except ValueError:
        raise Refused("bad_signature", "user")
    if not ecdsa.verify(key, sha1(signed).digest(), user):
        raise Refused("bad_signature", "user")
    # Neither a city's prefix nor the other form of an ECDSA signature makes another code of it.
    return _result(c), signed


def names(code):
    """What the log needs of a code whose signatures are not right: who was to have signed it."""
    at = _start(code)
    return {"algorithm": code[at + 1], "key": code[at + 2]}


def allow(code, detail, rules):
    """Whoever's key is configured is accepted."""


def _pair(c, field, size):
    """r and s of a signature in strict DER."""
    from validator.crypto import ecdsa

    try:
        return ecdsa.from_der(c[field], size)
    except ValueError:
        raise ValueError(field)


def _result(c):
    number = c["card"] or c["user"]
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=number,
        masked=mask(number.decode()) if number.isdigit() else "",
        expiry=year_month(c["expires"]),
        detail={
            "algorithm": c["algorithm"],
            "key": c["key"],
            "institution": c["institution"],
            "limit": c["limit"],
            "generated": c["generated"],
            "validity": c["validity"],
            "expires": c["expires"],
        },
    )


def parse(code):
    """Fields of a code as a dict: ints, bytes for the ASCII ids, slices for the rest.

    Raises ValueError(field) if a length does not add up.
    """
    if not recognises(code):
        raise ValueError("version")
    view = memoryview(code)[_start(code) :]
    size = len(view)
    if size < _CARD + 2:
        raise ValueError("length")
    body_end = 4 + view[3]
    # The card number and the card data, each after its length, end body 1 exactly.
    card_end = _CARD + 1 + view[_CARD]
    if card_end >= body_end or card_end >= size:
        raise ValueError("card")
    if card_end + 1 + view[card_end] != body_end:
        raise ValueError("body_1")
    issuer_signature, at = _counted(view, body_end, "issuer_signature")
    body_2, at = _counted(view, at, "body_2")
    if len(body_2) != 4:
        raise ValueError("body_2")
    signed_end = at
    user_signature, at = _counted(view, at, "user_signature")
    if at != size:
        raise ValueError("length")
    _der(issuer_signature, "issuer_signature")
    _der(user_signature, "user_signature")
    return {
        "algorithm": view[1],
        "key": view[2],
        "user": _ascii(view[4:20], "user"),
        "expires": int.from_bytes(bytes(view[20:24]), "big"),
        "validity": view[24] << 8 | view[25],
        "limit": view[26] << 8 | view[27],
        "identity": view[28:32],
        "institution": bytes(view[32:36]).hex(),
        "user_key": view[40:65],
        "card_type": view[65:73],
        "card": _ascii(view[_CARD + 1 : card_end], "card"),
        "card_data": view[card_end + 1 : body_end],
        "issuer_signature": issuer_signature,
        "issuer_signed": view[4:body_end],
        "generated": int.from_bytes(bytes(body_2), "big"),
        "user_signature": user_signature,
        "user_signed": view[:signed_end],
    }


def _counted(view, at, field):
    """The field after a length byte, and where it ends."""
    if at >= len(view) or at + 1 + view[at] > len(view):
        raise ValueError(field)
    end = at + 1 + view[at]
    return view[at + 1 : end], end


def _der(signature, field):
    # SEQUENCE with a one-byte length that covers the rest: r and s concern the verification.
    if len(signature) < 8 or signature[0] != 0x30 or signature[1] != len(signature) - 2:
        raise ValueError(field)


def _ascii(view, field):
    data = bytes(view)
    for b in data:
        if not 0x20 <= b <= 0x7E:
            raise ValueError(field)
    return data
