"""MoT interoperable ride codes (JT/T 1179) and the root files that they hang on.

    mot.build(at=1893456000)                    a valid code, 332 bytes
    mot.build(at=1893456000, limit=100)         with another limit, signed as it should be
    mot.build(at=…, user_signer="stray")        with the user's signature by another key

`FIELDS` names what can be set. Fields that hold None follow from the others.
"""

from __future__ import annotations

from typing import Any

from .fields import FieldError, digits, merged, number, pair, raw, text
from .keys import DEFAULT_ID, key

FIELDS: dict[str, Any] = {
    # the code
    "version": 0x80,
    "data_length": None,
    "account": "9999000000000001",
    "card": "9999000000000000001",
    "issuer": "99990000",
    "platform": "99990001",
    "card_type": 0,
    "limit": 2000,
    "user_key": None,
    "expires": None,
    "validity": 600,
    "custom_length": None,
    "custom": b"",
    "issuer_format": 0x15,
    "issuer_signature": None,
    "generated": None,
    "user_format": 0x15,
    "user_signature": None,
    # the issuer's certificate
    "header": 0x24,
    "service": "01010000",
    "root_index": 0x7F,
    "certificate_format": 0x12,
    "certificate_issuer": None,
    "certificate_expiry": "4012",
    "serial": 1,
    "signature_algorithm": 4,
    "encryption_algorithm": 4,
    "parameters": 0,
    "key_length": 0x21,
    "issuer_key": None,
    "certificate_signature": None,
    # who signs, and under which SM2 user ids
    "ids": "default",
    "root_signer": "root",
    "issuer_signer": "issuer",
    "user_signer": "user",
}

_HOUR = 3600


def build(at: int, **fields: Any) -> bytes:
    """A code generated at `at` (unix seconds), authorised for a day from that hour on."""
    f = merged(FIELDS, fields)
    if f["generated"] is None:
        f["generated"] = at
    if f["expires"] is None:
        f["expires"] = at - at % _HOUR + 24 * _HOUR
    custom = raw(f, "custom", 0, 255)
    if f["custom_length"] is None:
        f["custom_length"] = len(custom)
    if f["data_length"] is None:
        f["data_length"] = 332 + len(custom) - 3
    card = card_account(f)
    parties = digits(f, "issuer", 8) + digits(f, "platform", 8)
    issued = (
        certificate(f)
        + text(f, "account", 16)
        + card
        + parties
        + number(f, "card_type", 1)
        + number(f, "limit", 3)
        + _public(f, "user_key", "user")
        + number(f, "expires", 4)
        + number(f, "validity", 2)
        + number(f, "custom_length", 1)
        + custom
    )
    code = number(f, "version", 1) + number(f, "data_length", 2) + issued
    code += number(f, "issuer_format", 1) + _signed(f, "issuer", issued, parties)
    code += number(f, "generated", 4)
    return code + number(f, "user_format", 1) + _signed(f, "user", code, card)


def certificate(f: dict[str, Any]) -> bytes:
    """The issuer's public key certificate, 117 bytes; the root signs bytes 6 to 53."""
    if f["certificate_issuer"] is None:
        f["certificate_issuer"] = f["issuer"]
    index = digits(f, "service", 8) + number(f, "root_index", 1)
    signed = (
        number(f, "certificate_format", 1)
        + digits(f, "certificate_issuer", 8)
        + _mmyy(f, "certificate_expiry")
        + number(f, "serial", 3)
        + number(f, "signature_algorithm", 1)
        + number(f, "encryption_algorithm", 1)
        + number(f, "parameters", 1)
        + number(f, "key_length", 1)
        + _public(f, "issuer_key", "issuer")
    )
    return number(f, "header", 1) + index + signed + _signed(f, "certificate", signed, index)


def root_file(
    name: str = "root", index: int = 0x7F, expiry: str = "4012", signer: str | None = None
) -> bytes:
    """The 144-byte file with the public half of a root key, signed by itself or by `signer`."""
    signed = b"\x21" + bytes.fromhex("01010000") + bytes.fromhex("A000000632") + bytes([index])
    signed += _mmyy({"expiry": expiry}, "expiry") + b"\x04\x11\x40"
    signed += b"".join(x.to_bytes(32, "big") for x in key(name).public)
    return signed + pair(key(signer or name).sm2(signed))


def card_account(f: dict[str, Any]) -> bytes:
    """10 bytes of BCD: 19 or 20 digits with F padding."""
    value = f["card"]
    if isinstance(value, str) and len(value) == 19:
        return digits({**f, "card": value + "F"}, "card", 20)
    return digits(f, "card", 20)


def _mmyy(f: dict[str, Any], name: str) -> bytes:
    yymm = digits(f, name, 4)
    return yymm[1:] + yymm[:1]


def _public(f: dict[str, Any], name: str, owner: str) -> bytes:
    return key(owner).compressed if f[name] is None else raw(f, name, 33)


def _signed(f: dict[str, Any], what: str, message: bytes, local_id: bytes) -> bytes:
    name = f"{what}_signature"
    if f[name] is not None:
        return raw(f, name, 64)
    signer = f["root_signer" if what == "certificate" else f"{what}_signer"]
    if f["ids"] not in ("default", "local"):
        raise FieldError(f"ids is {f['ids']!r}: default or local expected")
    return pair(key(signer, "sm2").sm2(message, local_id if f["ids"] == "local" else DEFAULT_ID))
