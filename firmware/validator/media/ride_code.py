"""MoT interoperable ride code (JT/T 1179): structure, and what it says about itself.

`parse` gives the fields as slices, and the ranges that are signed: the issuer's signature covers
`code[3:198 + n]`, the user's `code[0:267 + n]`, the certificate's its own bytes 6 to 53, where n
is the length of the custom field. code_chain.py verifies them.
"""

from .result import Refused, Result, mask

MEDIUM = "ride_code"

MIN_LENGTH = 332
MAX_CUSTOM = 32

_CERT = 3
_CERT_END = 120
_CUSTOM = 198

# Card account types with a fare of their own; 00 and 01 are ordinary ones.
_TYPES = {2: "student", 3: "elderly", 4: "test", 5: "military"}


def run(code):
    """Result of a code whose first byte is 0x80 or more. Raises ValueError(field) if malformed."""
    c = parse(code)
    card = c["card"]
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=card.encode(),
        masked=mask(card),
        expiry=year_month(c["expires"]),
        detail={
            "version": c["version"],
            "issuer": c["issuer"],
            "platform": c["platform"],
            "card_type": c["card_type"],
            "limit": c["limit"],
            "generated": c["generated"],
            "validity": c["validity"],
            "expires": c["expires"],
            "root": c["certificate"]["root_index"],
        },
    )


def verified(code, rules, month):
    """(Result, the bytes that make it this code and no other) once all three signatures are right.

    `month` "YYMM" or None. Raises Refused with the name of the signature, or ValueError(field).
    Only length and version are looked at before: whatever else was changed, a signature says so.
    """
    n = layout(code)
    if code[8] not in rules["roots"]:
        raise Refused("unknown_issuer", "certificate")
    from . import code_chain

    code_chain.verify(code, n, rules, month)
    result = run(code)
    kind = _TYPES.get(code[154])
    if kind:
        result.detail["type"] = kind
    # All but the user's signature, which its holder can make again, and its free format byte.
    return result, memoryview(code)[: 267 + n]


def names(code):
    """What the log needs of a code whose signatures are not right: who was to have signed it."""
    return {
        "root": code[8],
        "issuer": bytes(code[146:150]).hex(),
        "platform": bytes(code[150:154]).hex(),
    }


def allow(code, detail, rules):
    """Refused unless the operator takes this issuer's codes from this platform."""
    accepted = rules["accepted"]
    issuer = detail["issuer"]
    holder = accepted.get(issuer + detail["platform"], accepted.get(issuer))
    if holder is None:
        raise Refused("unknown_issuer", "not accepted")
    if bytes(code[10:14]).hex() != holder:
        # An institution with a certificate must not sign in another one's name.
        raise Refused("unknown_issuer", "certificate is another's")


def parse(code):
    """Fields of a code of 332 to 364 bytes as a dict.

    Numbers are ints (times unix seconds, limit fen), cn and card numbers digit strings, everything
    else slices of `code` without a copy. Raises ValueError(name of the field that breaks a rule).
    The signatures' format byte (0x15, seen: 0x21) is none of it, neither are unknown card types.
    """
    n = layout(code)
    view = memoryview(code)
    if code[158] not in (2, 3):
        raise ValueError("user_key")
    return {
        "version": code[0],
        "certificate": parse_certificate(view[_CERT:_CERT_END]),
        "account": view[120:136],
        "card": card_number(view[136:146]),
        "issuer": digits(view[146:150], "issuer"),
        "platform": digits(view[150:154], "platform"),
        "card_type": code[154],
        "limit": code[155] << 16 | code[156] << 8 | code[157],
        "user_key": view[158:191],
        "expires": _u32(code, 191),
        "validity": code[195] << 8 | code[196],
        "custom": view[_CUSTOM : _CUSTOM + n],
        "issuer_signature": view[_CUSTOM + n : 263 + n],
        "generated": _u32(code, 263 + n),
        "user_signature": view[267 + n : 332 + n],
        "issuer_signed": view[3 : _CUSTOM + n],
        "user_signed": view[0 : 267 + n],
    }


def layout(code):
    """Length of the custom field, on which all offsets depend. Raises ValueError(field)."""
    size = len(code)
    if not MIN_LENGTH <= size <= MIN_LENGTH + MAX_CUSTOM:
        raise ValueError("length")
    if code[0] < 0x80:
        raise ValueError("version")
    if (code[1] << 8 | code[2]) != size - 3:
        raise ValueError("data_length")
    n = code[197]
    if size != MIN_LENGTH + n:
        raise ValueError("custom_length")
    return n


def parse_certificate(cert):
    """Fields of the 117-byte issuer public-key certificate. Raises ValueError(field)."""
    if len(cert) != 117 or cert[0] != 0x24:
        raise ValueError("certificate")
    if cert[6] != 0x12:
        raise ValueError("certificate_format")
    month = digits(cert[11:12], "certificate_expiry")
    year = digits(cert[12:13], "certificate_expiry")
    if not 1 <= int(month) <= 12:
        raise ValueError("certificate_expiry")
    if cert[16] != 4 or cert[17] != 4:
        raise ValueError("certificate_algorithm")
    if cert[19] != 0x21 or cert[20] not in (2, 3):
        raise ValueError("certificate_key")
    return {
        "service": cert[1:5],
        "root_index": cert[5],
        "issuer": digits(cert[7:11], "certificate_issuer"),
        "expiry": year + month,  # YYMM: compares as text
        "serial": cert[13:16],
        "key": cert[20:53],
        "signature": cert[53:117],
        "signed": cert[6:53],
    }


def digits(bcd, field):
    """Digits of a BCD field, two a byte; ValueError(field) if a nibble is none."""
    text = bytes(bcd).hex()
    if not text.isdigit():
        raise ValueError(field)
    return text


def card_number(bcd):
    """19 or 20 digits of the 10-byte card account number, F padding taken off."""
    text = bytes(bcd).hex()
    if text[19] == "f":
        text = text[:19]
    if not text.isdigit():
        raise ValueError("card")
    return text


def year_month(seconds):
    """Unix seconds as "YYMM", UTC. Plain arithmetic: the device's time tuple counts from 2000."""
    # Days since 0000-03-01, then the civil calendar of 400-year eras (Hinnant, "chrono-compatible
    # low-level date algorithms").
    days = seconds // 86400 + 719468
    era_day = days % 146097
    year = (era_day - era_day // 1460 + era_day // 36524 - era_day // 146096) // 365
    day = era_day - (365 * year + year // 4 - year // 100)
    month = (5 * day + 2) // 153
    year += days // 146097 * 400
    if month < 10:
        month += 3
    else:
        month -= 9
        year += 1
    return "%02d%02d" % (year % 100, month)


def _u32(code, at):
    return int.from_bytes(code[at : at + 4], "big")
