"""Consumer-presented payment codes: EMVCo / UnionPay QR codes (BER-TLV) and numeric ones.

Both can be checked only by whoever issued them. Until the link asks somebody online, a code with a
card number rides under an operator's rule that carries the risk of the first ride, and any other
does not.

EMV QRCPS, consumer-presented mode: Base64 of 85 "CPV01", then one or more application templates
61 {4F AID, 57 track 2 or 5A PAN, 63 {…}}. A numeric code is a token for one payment: none of it is
kept.
"""

from ..emv import tlv
from .result import Refused, Result, mask
from .union_code import unbase64

MEDIUM = "cpm"

# Base64 of 85 05 "CPV01" is nine letters and a bit: the tenth also holds half of the next byte.
_HEAD = b"hQVDUFYwM"

_TRACK_2_MAX = 19  # bytes, EMV Book 3 annex A


def recognises(code):
    """Whether it is a payment code, by the first letters or by digits and their number."""
    return code[:9] == _HEAD or scheme(code) != ""


def run(code):
    """Result of a code that `recognises` knows. Raises ValueError(field) if malformed."""
    name = scheme(code)
    if name:
        return Result(MEDIUM, "declined", "unverified", detail={"scheme": name})
    c = parse(unbase64(code))
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
    result = run(code)
    if "aid" not in result.detail:
        return result, b""
    return result, parse(unbase64(code))["cryptogram"]


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
    if rules["aids"] is not None:
        aid = bytes.fromhex(detail["aid"])
        if not [True for known in rules["aids"] if aid[: len(known)] == known]:
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


def parse(data):
    """Fields of the first application in decoded TLV: aid hex, pan digits, expiry "YYMM",
    cryptogram (9F26) bytes.

    What the code does not have is empty. Raises ValueError(field).
    """
    try:
        objects = tlv.parse(data)
    except tlv.TlvError:
        raise ValueError("tlv")
    if not objects or objects[0][0] != 0x85 or bytes(objects[0][1]) != b"CPV01":
        raise ValueError("format")
    templates = [value for tag, value in objects if tag == 0x61]
    if not templates:
        raise ValueError("application")
    try:
        fields = dict(tlv.parse(templates[0]))
    except tlv.TlvError:
        raise ValueError("application")
    aid = fields.get(0x4F, b"")
    if not 5 <= len(aid) <= 16:
        raise ValueError("aid")
    pan = expiry = ""
    if 0x57 in fields:
        pan, expiry = track_2(fields[0x57])
    elif 0x5A in fields:
        pan = bytes(fields[0x5A]).hex().rstrip("f")
        _check_pan(pan)
    try:
        cryptogram = tlv.find(templates[0], 0x63, 0x9F26)
    except tlv.TlvError:
        raise ValueError("application")
    return {
        "cryptogram": cryptogram or b"",
        "aid": bytes(aid).hex().upper(),
        "pan": pan,
        "expiry": expiry,
        "applications": len(templates),
    }


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
