"""UnionPay industry ride code.

The QR holds Base64 text. Decoded: version 02, type 11, certificate index 2, app id 8, app
institution 4, validity s 2, industry scope 2, QR id 8, generation time 4, user id 8, custom length
1, custom n, signature 65 (format byte, r, s) over bytes 4 to length − 65: SM2 with the key of the
certificate index. The rider signs nothing, so that QR id and user id stand for the code. There is
no card number in it: the user id stands for the rider.
"""

from binascii import a2b_base64, hexlify

from .result import Refused, Result
from .ride_code import year_month

MEDIUM = "union_code"

_FIXED = 106  # everything but the custom field
_EPOCH = 1483200000  # 2017-01-01 00:00 Beijing


def recognises(code):
    """Whether `code` is text whose Base64 begins with 02 11: "Ah", then one of four letters."""
    return len(code) >= 4 and code[0] == 0x41 and code[1] == 0x68 and code[2] in b"EFGH"


def run(code):
    """Result of Base64 text. Raises ValueError(field) if malformed."""
    return _result(parse(unbase64(code)))


def verified(code, rules, month):
    """(Result, the bytes that make it this code and no other) once its signature is right.

    Raises Refused, or ValueError(field).
    """
    data = unbase64(code)
    c = parse(data)
    key = rules["union_keys"].get(c["certificate"])
    if key is None:
        raise Refused("unknown_issuer", "issuer")
    from validator.crypto import sm2

    if not sm2.verify(key, c["signed"], c["signature"][1:]):
        raise Refused("bad_signature", "issuer")
    return _result(c), data[4:16] + data[20:28] + data[32:40]


def names(code):
    """What the log needs of a code whose signature is not right: who was to have signed it."""
    return {"certificate": parse(unbase64(code))["certificate"]}


def allow(code, detail, rules):
    """Whoever's key is configured is accepted."""


def _result(c):
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=hexlify(c["user"]),
        expiry=year_month(c["generated"] + c["validity"]),
        detail={
            "certificate": c["certificate"],
            "institution": c["institution"],
            "scope": c["scope"],
            "generated": c["generated"],
            "validity": c["validity"],
        },
    )


def parse(data):
    """Fields of a decoded code as a dict. Raises ValueError(field)."""
    size = len(data)
    if size < _FIXED or data[0] != 0x02 or data[1] != 0x11:
        raise ValueError("length" if size < _FIXED else "version")
    n = data[40]
    if size != _FIXED + n:
        raise ValueError("custom_length")
    view = memoryview(data)
    return {
        "certificate": data[2] << 8 | data[3],
        "app": view[4:12],
        "institution": bytes(view[12:16]).hex(),
        "validity": data[16] << 8 | data[17],
        "scope": data[18] << 8 | data[19],
        "qr_id": view[20:28],
        "generated": int.from_bytes(data[28:32], "big") + _EPOCH,
        "user": view[32:40],
        "custom": view[41 : 41 + n],
        "signature": view[41 + n : size],
        "signed": view[4 : size - 65],
    }


def unbase64(text):
    """Bytes of Base64 text, padded or not; ValueError("base64") for anything else.

    The decoders of CPython and MicroPython skip foreign characters: two texts would be one code.
    """
    end = len(text)
    while end and len(text) - end < 2 and text[end - 1] == 0x3D:
        end -= 1
    for i in range(end):
        b = text[i]
        letter = 0x41 <= b <= 0x5A or 0x61 <= b <= 0x7A
        if not (letter or 0x30 <= b <= 0x39 or b == 0x2B or b == 0x2F):
            raise ValueError("base64")
    if end % 4 == 1 or (end != len(text) and len(text) % 4):
        raise ValueError("base64")
    return a2b_base64(bytes(text[:end]) + b"==="[: -end % 4])
