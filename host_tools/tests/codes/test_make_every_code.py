"""Every code of the catalogue, judged on paper: by the standards' texts and nothing of ours.

The judge below reads codes by their offsets, asks `cryptography` about secp256k1 and the textbook
reference about the other curves, and decides in the terminals' order. What it says must be what
the catalogue expects of a validator, and the signatures that break exactly those it names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1

from faretap.sim import codes
from faretap.sim.codes import reference
from faretap.sim.codes.catalogue import SKEW
from faretap.sim.codes.show import read

AT = 1893456000 + 12345
DEFAULT_ID = b"1234567812345678"
CONFIG = codes.configuration()

Verdict = tuple[str, str]
Point = tuple[int, int] | None


class Declined(Exception):
    """With the reason."""


def need(right: bool, reason: str) -> None:
    if not right:
        raise Declined(reason)


def u(data: bytes) -> int:
    return int.from_bytes(data, "big")


def is_digits(data: bytes) -> bool:
    return data.hex().isdigit()


def judge(code: bytes, now: int, fare: int) -> tuple[Verdict, tuple[str, ...]]:
    """((outcome, reason), signatures that do not verify)."""
    broken: list[str] = []
    try:
        reader(code)(code, now, fare, broken)
    except Declined as reason:
        return ("declined", str(reason)), tuple(broken)
    except IndexError:
        return ("declined", "malformed"), tuple(broken)
    return ("accepted", ""), tuple(broken)


def reader(code: bytes) -> Callable[[bytes, int, int, list[str]], None]:
    if not code:
        return lambda *_: need(False, "malformed")
    if code[0] >= 0x80:
        return ride_code
    inner = code[2:] if code[:2] in (b"\x54\x01", b"\x54\x02") else code
    if inner[:2] in (b"\x02\x01", b"\x02\x02"):
        return lambda _, *rest: alipay_code(inner, *rest)
    if code[:3] in (b"AhE", b"AhF", b"AhG", b"AhH"):
        return union_code
    if code[:9] == b"hQVDUFYwM":
        return payment_code
    numbers = {(19, 62), *((18, start) for start in range(10, 16))}
    numbers |= {(size, start) for size in range(16, 25) for start in range(25, 31)}
    if code.isdigit() and (len(code), int(code[:2])) in numbers:
        return lambda *_: need(False, "needs_online")
    return lambda *_: need(False, "unsupported")


def ride_code(code: bytes, now: int, fare: int, broken: list[str]) -> None:
    size = len(code)
    need(332 <= size <= 364 and u(code[1:3]) == size - 3, "malformed")
    n = code[197]
    need(size == 332 + n, "malformed")
    certificate = code[3:120]
    month, year = certificate[11:12], certificate[12:13]
    need(certificate[0] == 0x24 and certificate[6] == 0x12, "malformed")
    need(certificate[16:20] == b"\x04\x04\x00\x21", "malformed")
    need(is_digits(month) and is_digits(year) and 1 <= int(month.hex()) <= 12, "malformed")
    need(is_digits(code[146:154]) and is_digits(certificate[7:11]), "malformed")
    card = code[136:146].hex()
    need((card[:-1] if card[-1] == "f" else card).isdigit(), "malformed")

    pair = {"issuer": code[146:150].hex(), "platform": code[150:154].hex()}
    local = any(pair.items() <= rule.items() for rule in CONFIG["id_rules"])
    ids = [certificate[1:6], code[146:154], code[136:146]] if local else [DEFAULT_ID] * 3
    roots = {bytes.fromhex(r)[10]: bytes.fromhex(r) for r in CONFIG["roots"]}
    root = roots.get(certificate[5])
    issuer_key, user_key = uncompress(certificate[20:53]), uncompress(code[158:191])
    for name, owner, message, signature, user_id in (
        (
            "certificate",
            (u(root[16:48]), u(root[48:80])) if root else None,
            certificate[6:53],
            certificate[53:],
            ids[0],
        ),
        ("issuer", issuer_key, code[3 : 198 + n], code[199 + n : 263 + n], ids[1]),
        ("user", user_key, code[: 267 + n], code[268 + n :], ids[2]),
    ):
        if not sm2(owner, message, signature, user_id):
            broken.append(name)
    need(root is not None, "unknown_issuer")
    need(not broken, "bad_signature")
    assert root is not None
    today = "2912" if now < 1893456000 else "3001"
    need(root[12:13].hex() + root[11:12].hex() >= today, "expired")
    need(year.hex() + month.hex() >= today, "expired")
    times(u(code[263 + n : 267 + n]), u(code[195:197]), u(code[191:195]), now)
    need(fare <= u(code[155:158]), "over_limit")
    need(pair in CONFIG["accepted"], "unknown_issuer")
    need(certificate[7:11] == code[146:150], "unknown_issuer")


def union_code(text: bytes, now: int, fare: int, broken: list[str]) -> None:
    bare = text.rstrip(b"=")
    need(len(text) % 4 == 0 or bare == text, "malformed")
    try:
        code = base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise Declined("malformed") from None
    need(len(code) == 106 + code[40], "malformed")
    keys = {entry["index"]: bytes.fromhex(entry["key"]) for entry in CONFIG["union_keys"]}
    owner = keys.get(code[2:4].hex())
    need(owner is not None, "unknown_issuer")
    assert owner is not None
    if not sm2(uncompress(owner), code[4:-65], code[-64:], DEFAULT_ID):
        broken.append("issuer")
    need(not broken, "bad_signature")
    times(u(code[28:32]) + 1483200000, u(code[16:18]), None, now)


def alipay_code(code: bytes, now: int, fare: int, broken: list[str]) -> None:
    end = 4 + code[3]
    card_end = 74 + code[73]
    need(card_end + 1 + code[card_end] == end, "malformed")
    issuer_end = end + 1 + code[end]
    signed_end = issuer_end + 5
    need(code[issuer_end] == 4 and signed_end + 1 + code[signed_end] == len(code), "malformed")
    issuer_der, user_der = code[end + 1 : issuer_end], code[signed_end + 1 :]
    issuer, user = strict(issuer_der), strict(user_der)
    algorithm = {1: "secp256k1", 2: "sm2"}[code[1]]
    owner = None
    for entry in CONFIG["alipay_keys"]:
        if (entry["id"], entry["algorithm"]) == (code[2], algorithm):
            owner = bytes.fromhex(entry["key"])
    need(owner is not None, "unknown_issuer")
    assert owner is not None
    if algorithm == "sm2":
        e = reference.sm2_digest(point(owner), code[4:end], DEFAULT_ID)
        right = reference.sm2_verify(point(owner), e, *issuer)
    else:
        right = by_openssl(owner, code[4:end], issuer_der)
    if not right:
        broken.append("issuer")
    e = u(hashlib.sha1(code[:signed_end]).digest())
    rider = reference.SECP192K1.decompress(code[40:65])
    if rider is None or not reference.ecdsa_verify(reference.SECP192K1, rider, e, *user):
        broken.append("user")
    need(not broken, "bad_signature")
    times(u(code[issuer_end + 1 : signed_end]), u(code[24:26]), u(code[20:24]), now)
    need(fare <= u(code[26:28]), "over_limit")


def payment_code(text: bytes, now: int, fare: int, broken: list[str]) -> None:
    found = dict(objects(base64.b64decode(text)))
    need(found.get("85") == b"CPV01" and "61" in found, "malformed")
    application = dict(objects(found["61"])) | dict(objects(found.get("62", b"")))
    need("4F" in application, "malformed")
    need("57" in application and CONFIG["cpm"]["first_ride_risk"], "needs_online")
    number, _, rest = application["57"].hex().partition("d")
    need(number.isdigit(), "malformed")
    need(rest[:4] >= "3001", "expired")
    # Nobody pays for what comes without a cryptogram.
    transparent = application.get("63") or application.get("64", b"")
    need("9F26" in dict(objects(transparent)), "needs_online")
    need(fare <= CONFIG["cpm"]["cap"], "over_limit")


def objects(data: bytes) -> list[tuple[str, bytes]]:
    out, at = [], 0
    while at < len(data):
        width = 2 if data[at] & 31 == 31 else 1
        size = data[at + width]
        need(size < 0x80 and at + width + 1 + size <= len(data), "malformed")
        value = data[at + width + 1 : at + width + 1 + size]
        out.append((data[at : at + width].hex().upper(), value))
        at += width + 1 + size
    return out


def times(made: int, validity: int, authorised: int | None, now: int) -> None:
    if authorised is not None:
        need(made <= authorised and now <= authorised, "expired")
    need(made <= now + SKEW, "not_yet_valid")
    need(now - made <= validity, "expired")


@cache
def uncompress(data: bytes) -> Point:
    return reference.SM2.decompress(data)


def point(data: bytes) -> tuple[int, int]:
    found = uncompress(data)
    assert found is not None
    return found


def sm2(owner: Point, message: bytes, signature: bytes, user_id: bytes) -> bool:
    if owner is None:
        return False
    e = reference.sm2_digest(owner, message, user_id)
    return reference.sm2_verify(owner, e, u(signature[:32]), u(signature[32:]))


def by_openssl(owner: bytes, message: bytes, der: bytes) -> bool:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), owner)
    try:
        key.verify(der, message, ec.ECDSA(SHA1()))
    except InvalidSignature:
        return False
    return True


def strict(der: bytes) -> tuple[int, int]:
    """r and s of DER as X.690 has it: 30 len 02 len r 02 len s, shortest and not negative."""
    need(len(der) >= 8 and der[0] == 0x30 and der[1] == len(der) - 2, "malformed")
    numbers, at = [], 2
    for _ in range(2):
        size = der[at + 1]
        data = der[at + 2 : at + 2 + size]
        need(der[at] == 2 and 0 < len(data) == size and data[0] < 0x80, "malformed")
        need(size == 1 or data[0] != 0 or data[1] >= 0x80, "malformed")
        numbers.append(u(data))
        at += 2 + size
    need(at == len(der), "malformed")
    return numbers[0], numbers[1]


@pytest.mark.parametrize("kind", sorted({entry.kind for entry in codes.CODES.values()}))
def test_every_code_is_what_the_catalogue_says(kind: str) -> None:
    for name, entry in codes.CODES.items():
        if entry.kind != kind or "-twin-" in name:
            continue  # other forms of a code that is among them
        code = codes.make(name, at=AT)
        verdict, broken = judge(code, AT, codes.AMOUNT)
        assert verdict == entry.expected, name
        if entry.broken is not None:
            assert broken == entry.broken, name
            seen = read(code)
            assert (seen.broken, seen.problem) == (entry.broken, ""), name
        # A signature that breaks is the reason, save for a code without a known key.
        assert bool(entry.broken) == (entry.expected[1] == "bad_signature"), name


def test_a_defect_is_a_defect_at_any_time() -> None:
    """Made for another moment and shown then, or 5 s later, a code is worth the same."""
    for at in (1600000000, 1893456000, 2145916800):
        for name in ("mot", "mot-stale", "mot-too-late", "union-future", "alipay", "cpm"):
            code = codes.make(name, at=at)
            for later in (0, 5):
                verdict = judge(code, at + later, codes.AMOUNT)[0]
                assert verdict == codes.CODES[name].expected, (name, at)


def test_without_the_operators_rule_no_payment_code_rides() -> None:
    assert codes.configuration(cpm={"first_ride_risk": False})["cpm"] == {"first_ride_risk": False}
    assert CONFIG["cpm"]["first_ride_risk"] is True
    assert CONFIG["cpm"]["cap"] >= codes.AMOUNT


def test_fields_that_are_set_are_signed() -> None:
    changes: dict[str, dict[str, Any]] = {
        "mot": {"limit": 150, "issuer": "99990000", "validity": 30, "custom": b"\x00\r\n"},
        "alipay": {"limit": 150, "user": "2088990000000077"},
        "alipay-sm2": {"limit": 150, "card": ""},
        "union": {"scope": 9, "user": "RIDER777"},
    }
    for name, fields in changes.items():
        verdict, broken = judge(codes.make(name, at=AT, **fields), AT, 150)
        assert (verdict, broken) == (("accepted", ""), ()), name
        if "limit" in fields:
            assert judge(codes.make(name, at=AT, **fields), AT, 151)[0][1] == "over_limit"


def test_the_judge_notices_flipped_bits_of_what_is_signed() -> None:
    """Otherwise its verdicts about the catalogue would mean little. A sample."""
    code = codes.make("mot", at=AT)
    for at in (198, 267, *range(3, len(code), 13)):
        flipped = bytearray(code)
        flipped[at] ^= 1 << at % 8
        verdict, broken = judge(bytes(flipped), AT, codes.AMOUNT)
        # The rider signs the format byte of the issuer's signature; nobody signs that of his own.
        assert (verdict[0] == "accepted") == (at == 267), at
        if verdict[1] == "bad_signature":
            assert broken[-1] == "user" and (at != 198 or broken == ("user",))
