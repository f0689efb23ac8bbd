"""Alipay transit code: structure only; nothing is verified.

Raw binary, in some cities after two bytes `54 01` or `54 02`, which count in no offset and under
no signature. Version 2, algorithm (1 ECDSA, 2 SM2), key id, body 1 with its length, institution
signature, body 2 (generation time), user signature; both signatures DER with a length byte.
"""

from .result import Result, mask
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
    c = parse(code)
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
