"""Consumer-presented payment codes: EMVCo / UnionPay QR codes (BER-TLV) and numeric ones.

Both can be checked only by whoever issued them. Until the link asks somebody online, a code with a
card number rides under an operator's rule that carries the risk of the first ride, and any other
does not.

EMV QRCPS, consumer-presented mode: Base64 of 85 "CPV01", then one or more application templates
61 {4F AID, 57 track 2 or 5A PAN, 63 {9F26 …}} in the order of their priority, and at most one
common template 62 {…, 64 {…}} for what is of every application. A numeric code is a token for one
payment: none of it is kept.
"""

from ..emv import tlv
from .result import Refused, Result, mask
from .union_code import unbase64

MEDIUM = "cpm"

# Base64 of 85 05 "CPV01" is nine letters and a bit: the tenth also holds half of the next byte.
_HEAD = b"hQVDUFYwM"

_TRACK_2_MAX = 19  # bytes, EMV Book 3 annex A
_APPLICATION = 0x61
_COMMON = 0x62
# What is used of either, and of the transparent templates in them (63, 64).
_USED = (0x57, 0x5A, 0x5F24, 0x9F26)


def recognises(code):
    """Whether it is a payment code, by the first letters or by digits and their number."""
    return code[:9] == _HEAD or scheme(code) != ""


def run(code):
    """Result of a code that `recognises` knows. Raises ValueError(field) if malformed."""
    name = scheme(code)
    if name:
        return Result(MEDIUM, "declined", "unverified", detail={"scheme": name})
    return _result(parse(unbase64(code)))


def _result(c):
    pan = c["pan"]
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=pan.encode() if pan else None,
        masked=mask(pan) if pan else "",
        expiry=c["expiry"],
        detail={"scheme": "emv", "aid": c["aid"], "applications": c["applications"]},
    )


def verified(code, rules, month):
    """(Result, the cryptogram or b""): there is nothing here that could be verified."""
    if scheme(code):
        return run(code), b""
    c = parse(unbase64(code), rules["aids"])
    return _result(c), c["cryptogram"]


def allow(result, cryptogram, rules, month, amount):
    """Refused unless the operator carries the risk of this ride.

    A numeric code is good for one payment within a minute, and a code without a cryptogram for
    none: nobody could collect later. `month` "YYMM", or None if nobody knows.
    """
    detail = result.detail
    if not rules["risk"] or result.token_source is None:
        raise Refused("needs_online", "")
    if month and result.expiry and result.expiry < month:
        raise Refused("expired", "card")
    if not cryptogram:
        raise Refused("needs_online", "cryptogram")
    if amount > rules["cap"]:
        raise Refused("needs_online", "cap")
    if not _is_ours(bytes.fromhex(detail["aid"]), rules["aids"]):
        raise Refused("needs_online", "application")
    detail["risk"] = "first_ride"


def scheme(code):
    """Whose numeric payment code it is: "unionpay", "wechat", "alipay", or "" for none."""
    size = len(code)
    if not 16 <= size <= 24:
        return ""
    for b in code:
        if not 0x30 <= b <= 0x39:
            return ""
    start = (code[0] - 0x30) * 10 + code[1] - 0x30
    if start == 62 and size == 19:
        return "unionpay"
    if 10 <= start <= 15 and size == 18:
        return "wechat"
    if 25 <= start <= 30:
        return "alipay"
    return ""


def parse(data, aids=None):
    """Fields of an application in decoded TLV, and of what is common to all: aid hex, pan digits,
    expiry "YYMM", cryptogram (9F26) bytes, applications: how many there are.

    It is the first one that begins like one of `aids` (bytes), else the first. What the code does
    not have is empty. Raises ValueError(field).
    """
    applications = []
    common = None
    where = "tlv"
    try:
        objects = tlv.parse(data)
        if not objects or objects[0][0] != 0x85 or bytes(objects[0][1]) != b"CPV01":
            raise ValueError("format")
        where = "application"
        for tag, value in objects:
            if tag == _APPLICATION:
                aid = tlv.find(value, 0x4F)
                if aid is None or not 5 <= len(aid) <= 16:
                    raise ValueError("aid")
                applications.append((bytes(aid), value))
            elif tag == _COMMON:
                if common is not None:
                    raise ValueError("common")
                common = value
        if not applications:
            raise ValueError("application")
        chosen = applications[0]
        for application in applications:
            if _is_ours(application[0], aids):
                chosen = application
                break
        fields = {}
        _take(chosen[1], 0x63, fields)
        where = "common"
        if common is not None:
            _take(common, 0x64, fields)
    except tlv.TlvError:
        raise ValueError(where)
    pan = expiry = ""
    if 0x57 in fields:
        pan, expiry = track_2(fields[0x57])
    if 0x5A in fields:
        other = bytes(fields[0x5A]).hex().rstrip("f")
        _check_pan(other)
        if pan and pan != other:
            raise ValueError("pan")
        pan = other
    if 0x5F24 in fields:
        date = bytes(fields[0x5F24]).hex()
        if len(date) != 6 or not date.isdigit() or not 1 <= int(date[2:4]) <= 12:
            raise ValueError("expiry")
        # Whichever is earlier: nobody has signed either.
        expiry = min(expiry or date[:4], date[:4])
    return {
        "cryptogram": fields.get(0x9F26, b""),
        "aid": chosen[0].hex().upper(),
        "pan": pan,
        "expiry": expiry,
        "applications": len(applications),
    }


def _take(template, transparent, fields):
    """Put the objects that are used into `fields`; none may be there twice with two values."""
    for tag, value in tlv.parse(template):
        if tag == transparent:
            _take(value, 0, fields)
        elif tag in _USED:
            if tag in fields and fields[tag] != value:
                raise ValueError("twice")
            fields[tag] = value


def _is_ours(aid, aids):
    if aids is None:
        return True
    for known in aids:
        if aid[: len(known)] == known:
            return True
    return False


def track_2(data):
    """(PAN digits, expiry "YYMM") of track 2 equivalent data. Raises ValueError("track_2")."""
    if len(data) > _TRACK_2_MAX:
        raise ValueError("track_2")
    text = bytes(data).hex()
    end = text.find("d")
    if end < 0:
        raise ValueError("track_2")
    pan = text[:end]
    expiry = text[end + 1 : end + 5]
    _check_pan(pan)
    if len(expiry) < 4 or not expiry.isdigit() or not 1 <= int(expiry[2:]) <= 12:
        raise ValueError("track_2")
    return pan, expiry


def _check_pan(pan):
    if not 8 <= len(pan) <= 19 or not pan.isdigit():
        raise ValueError("pan")
