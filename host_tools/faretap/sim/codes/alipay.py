"""Alipay transit codes: the institution signs body 1, the rider's phone everything before it.

alipay.build(at=1893456000)                 ECDSA over secp256k1 with SHA-1
alipay.build(at=1893456000, algorithm=2)    SM2; the phone's key is on secp192k1 in both
"""

from __future__ import annotations

from typing import Any

from .fields import counted, der, digits, merged, number, raw, text
from .keys import key

FIELDS: dict[str, Any] = {
    "prefix": b"",
    "version": 0x02,
    "algorithm": 1,
    "key": None,
    "body_1_length": None,
    "user": "2088990000000001",
    "expires": None,
    "validity": 300,
    "limit": 2000,
    "identity": "99990000",
    "institution": "99990001",
    "reserved": "00000000",
    "user_key": None,
    "card_type": "T0000000",
    "card": "9999000000000001",
    "card_data": bytes.fromhex("000A0D00"),
    "issuer_signature": None,
    "generated": None,
    "user_signature": None,
    # who signs
    "issuer_signer": None,
    "user_signer": "alipay-user",
}

KEYS = {1: "alipay-1", 2: "alipay-2", 3: "alipay-3"}
"""The institution keys by their ids."""

_HOUR = 3600


def build(at: int, **fields: Any) -> bytes:
    """A code generated at `at` (unix seconds), authorised for a day from that hour on."""
    f = merged(FIELDS, fields)
    if f["key"] is None:
        f["key"] = 2 if f["algorithm"] == 2 else 1
    if f["issuer_signer"] is None:
        f["issuer_signer"] = KEYS.get(f["key"], "alipay-stray")
    if f["generated"] is None:
        f["generated"] = at
    if f["expires"] is None:
        f["expires"] = at - at % _HOUR + 24 * _HOUR
    body_1 = (
        text(f, "user", 16)
        + number(f, "expires", 4)
        + number(f, "validity", 2)
        + number(f, "limit", 2)
        + digits(f, "identity", 8)
        + digits(f, "institution", 8)
        + digits(f, "reserved", 8)
        + (key("alipay-user").compressed if f["user_key"] is None else raw(f, "user_key", 25))
        + text(f, "card_type", 8)
        + counted(text(f, "card", len(f["card"])))
        + counted(raw(f, "card_data", 0, 64))
    )
    if f["body_1_length"] is None:
        f["body_1_length"] = len(body_1)
    code = number(f, "version", 1) + number(f, "algorithm", 1) + number(f, "key", 1)
    code += number(f, "body_1_length", 1) + body_1
    code += counted(_signed(f, "issuer", body_1))
    code += counted(number(f, "generated", 4))
    code += counted(_signed(f, "user", code))
    return raw(f, "prefix", 0, 2) + code


def _signed(f: dict[str, Any], what: str, message: bytes) -> bytes:
    """DER of the signature of `what`, or whatever stands in that field."""
    name = f"{what}_signature"
    if f[name] is not None:
        return raw(f, name, 0, 120)
    signing = key(f[f"{what}_signer"])
    return der(signing.sm2(message) if signing.curve_name == "sm2" else signing.ecdsa(message))
