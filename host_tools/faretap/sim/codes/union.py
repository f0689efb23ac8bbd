"""UnionPay industry ride codes: Base64 text of some 130 bytes with one SM2 signature."""

from __future__ import annotations

import base64
from typing import Any

from .fields import digits, merged, number, pair, raw, text
from .keys import key

EPOCH = 1483200000
"""Unix seconds of 2017-01-01 00:00 in Beijing, where generation times begin."""

FIELDS: dict[str, Any] = {
    "version": 0x02,
    "type": 0x11,
    "certificate": 0x0001,
    "app": "FARETAP0",
    "institution": "99990000",
    "validity": 300,
    "scope": 0x0001,
    "qr_id": None,
    "generated": None,
    "user": "RIDER001",
    "custom_length": None,
    "custom": b"FARETAP TEST CUSTOM DATA",
    "format": 0x15,
    "signature": None,
    "signer": "union-1",
    "padding": 1,
}


def build(at: int, **fields: Any) -> bytes:
    """The text of a code generated at `at` (unix seconds). `qr_id` follows from the time."""
    f = merged(FIELDS, fields)
    if f["generated"] is None:
        f["generated"] = at
    if f["qr_id"] is None:
        f["qr_id"] = f["generated"]
    custom = raw(f, "custom", 0, 255)
    if f["custom_length"] is None:
        f["custom_length"] = len(custom)
    since = {"generated": f["generated"] - EPOCH}
    signed = (
        text(f, "app", 8)
        + digits(f, "institution", 8)
        + number(f, "validity", 2)
        + number(f, "scope", 2)
        + number(f, "qr_id", 8)
        + number(since, "generated", 4)
        + text(f, "user", 8)
        + number(f, "custom_length", 1)
        + custom
    )
    code = number(f, "version", 1) + number(f, "type", 1) + number(f, "certificate", 2) + signed
    code += number(f, "format", 1)
    if f["signature"] is not None:
        code += raw(f, "signature", 64)
    else:
        code += pair(key(f["signer"], "sm2").sm2(signed))
    encoded = base64.b64encode(code)
    return encoded if f["padding"] else encoded.rstrip(b"=")
