"""Consumer-presented payment codes: EMVCo's BER-TLV in Base64, and numbers for one payment."""

from __future__ import annotations

import base64
from typing import Any

from .fields import FieldError, merged, number, raw, text

EXAMPLE = b"hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8="
"""EMVCo's first published example: a card that expired in December 2019."""

FIELDS: dict[str, Any] = {
    "format": "CPV01",
    "aid": "A000000333010101",
    "label": "UnionPay",
    "pan": "6299980000000000017",
    "expiry": "4912",
    "service_code": "220",
    "sequence": 1,
    "cryptogram": "0123456789ABCDEF",
    "issuer_data": "07010103A00000010A0100000000009A3BD5F2",
    "counter": 1,
    "profile": "7C00",
    "unpredictable": None,
    "common": False,
}


def build(at: int, **fields: Any) -> bytes:
    """The text of a code. Nothing in it tells when it was made; 9F37 differs by `at`.

    Empty `pan`, `aid` or `cryptogram` leave the object away. `common`: of two applications, which
    share number and cryptogram in the common template.
    """
    f = merged(FIELDS, fields)
    if f["unpredictable"] is None:
        f["unpredictable"] = at & 0xFFFFFFFF
    application = shared = b""
    if f["aid"]:
        application += _object("4F", raw(f, "aid", 1, 20))
    application += _object("50", text(f, "label", len(f["label"])))
    if f["pan"]:
        shared += _object("57", _track_2(f)) + _object("5F34", number(f, "sequence", 1))
    if f["cryptogram"]:
        shared += _object(
            "64" if f["common"] else "63",
            _object("9F26", raw(f, "cryptogram", 8))
            + _object("9F10", raw(f, "issuer_data", 1, 32))
            + _object("9F36", number(f, "counter", 2))
            + _object("82", raw(f, "profile", 2))
            + _object("9F37", number(f, "unpredictable", 4)),
        )
    data = _object("85", text(f, "format", 5))
    if f["common"]:
        data += _object("61", application) + _object("61", application) + _object("62", shared)
    else:
        data += _object("61", application + shared)
    return base64.b64encode(data)


NUMERIC: dict[str, Any] = {"start": "62", "length": 19}


def numeric(at: int, **fields: Any) -> bytes:
    """Digits as a payment application shows them: the first ones say whose, the others differ."""
    f = merged(NUMERIC, fields)
    room = f["length"] - len(f["start"])
    if not f["start"].isdigit() or not 1 <= room <= 22:
        raise FieldError(f"start is {f['start']!r}: digits expected, fewer than length")
    return f"{f['start']}{at % 10**room:0{room}}".encode()


def _track_2(f: dict[str, Any]) -> bytes:
    text_ = f"{f['pan']}D{f['expiry']}{f['service_code']}"
    return raw({"pan": text_ + "F" * (len(text_) % 2)}, "pan", 1, 24)


def _object(tag: str, value: bytes) -> bytes:
    size = bytes([len(value)]) if len(value) < 0x80 else bytes([0x81, len(value)])
    return bytes.fromhex(tag) + size + value
