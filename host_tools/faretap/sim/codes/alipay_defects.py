"""Alipay transit codes in the catalogue."""

from __future__ import annotations

from typing import Any

from . import alipay
from .fields import der, integer, sequence
from .kind import Fields, Kind, after, always, cut, flip, no_point, put, times
from .reference import SECP192K1, SECP256K1, SM2


def add_all() -> None:
    _alipay("alipay", "Alipay transit code, institution's key on secp256k1")
    _alipay("alipay-sm2", "Alipay transit code, institution's key SM2", algorithm=2)
    Kind("alipay-prefixed", alipay.build, prefix=b"\x54\x01").add(
        "", "Alipay transit code behind a city's two bytes"
    )
    Kind("alipay-sm2-prefixed", alipay.build, algorithm=2, prefix=b"\x54\x02").add(
        "", "Alipay transit code with SM2 behind a city's two bytes"
    )


def _alipay(name: str, note: str, **fields: Any) -> None:
    add = (kind := Kind(name, alipay.build, **fields)).add
    sm2 = fields.get("algorithm") == 2
    curve = SM2 if sm2 else SECP256K1
    add("", note)
    times(kind)
    add("no-card", "without a card number", card="")
    add(
        "s-negated",
        "rider's signature with n - s: as good, and no new code",
        damage=_other_s,
    )
    add("unknown-key", "key id that nobody knows", "unknown_issuer", None, key=77)
    add(
        "other-algorithm",
        "the id of a key for the other algorithm",
        "unknown_issuer",
        None,
        key=1 if sm2 else 2,
        issuer_signer="alipay-2" if sm2 else "alipay-1",
    )
    add(
        "wrong-issuer-key",
        "institution's signature by somebody else's key",
        "bad_signature",
        "issuer",
        issuer_signer="stray" if sm2 else "alipay-stray",
    )
    if not sm2:
        add(
            "other-key",
            "the id of another key",
            "bad_signature",
            "issuer",
            key=3,
            issuer_signer="alipay-1",
        )
    add(
        "wrong-user-key",
        "signed by somebody else's phone",
        "bad_signature",
        "user",
        user_signer="alipay-user-stray",
    )
    add(
        "tampered-limit",
        "single-trip limit raised by the rider",
        "bad_signature",
        "issuer user",
        damage=put(26, b"\x7f\xff"),
    )
    add(
        "tampered-time",
        "generation time changed by a second",
        "bad_signature",
        "user",
        damage=_tampered_time,
    )
    add(
        "user-key-off-curve",
        "rider's key is no point of the curve",
        "bad_signature",
        "user",
        user_key=no_point(24, SECP192K1),
    )
    for what, n in (("issuer", curve.n), ("user", SECP192K1.n)):
        for defect, r, s in (("r-zero", 0, 1), ("s-zero", 1, 0), ("r-n", n, 1), ("s-n", 1, n)):
            add(
                f"{what}-{defect}",
                f"{what} signature with {defect.replace('-', ' = ').replace('zero', '0')}",
                "bad_signature",
                what,
                at=always(f"{what}_signature", der((r, s))),
            )
        one = integer(1)
        for defect, text, data in (
            ("der-trailing", "a byte behind it", der((1, 1)) + b"\x00"),
            ("der-long", "a length of two bytes", b"\x30\x81\x06" + one + one),
            (
                "der-padded",
                "an r that is not the shortest form",
                sequence(b"\x02\x02\x00\x01", one),
            ),
            ("der-negative", "a negative s", sequence(one, b"\x02\x01\x81")),
            ("der-set", "a SET", b"\x31\x06" + one + one),
            ("der-three", "three numbers", sequence(one, one, one)),
            ("der-empty", "no numbers", sequence()),
        ):
            add(
                f"{what}-{defect}",
                f"{what} signature, DER: {text}",
                "malformed",
                at=always(f"{what}_signature", data),
            )
    add("truncated", "last byte missing", "malformed", damage=cut(1))
    add("trailing", "a byte too many", "malformed", damage=after(b"\x00"))
    add("body-length", "body 1 one byte longer than it is", "malformed", at=_body_length(fields))


def _body_length(fields: dict[str, Any]) -> Fields:
    return lambda at: {
        "body_1_length": alipay.build(at, **fields)[len(fields.get("prefix", b"")) + 3] + 1
    }


def _user_at(code: bytes) -> int:
    """Offset of the length byte of the rider's signature."""
    at = 4 + code[3]
    at += 1 + code[at]
    return at + 1 + code[at]


def _tampered_time(code: bytes) -> bytes:
    return flip(_user_at(code) - 1)(code)


def _other_s(code: bytes) -> bytes:
    at = _user_at(code)
    body = code[at + 3 :]
    r_end = 2 + body[1]
    s = int.from_bytes(body[r_end + 2 :], "big")
    signature = sequence(body[:r_end], integer(SECP192K1.n - s))
    return code[:at] + bytes([len(signature)]) + signature
