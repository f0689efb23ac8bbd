"""Every bit of a code flipped, on the firmware: who notices, and what nobody signed."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import base64
import random
from functools import cache
from typing import Any

import pytest

from crypto_vectors import RIDE_CODE, ROOT
from faretap.sim.codes import CODES, configuration
from faretap.sim.codes.reference import SM2, sm2_digest, sm2_verify
from validator.media import code_rules

from . import device
from .device import NOW, Clock

ID = b"1234567812345678"
PARTS = 12

# Where a flipped bit is noticed first, by byte of a code with n bytes of custom field: the ranges
# that the standard has each signature cover, in the order of the chain.
FREE = "accepted"
UNKNOWN_ROOT = "unknown_issuer certificate"
MALFORMED = "malformed"


def noticed(at: int, n: int = 0) -> str:
    if at == 0:
        return "user"  # but for the top bit: see below
    if at in (1, 2, 197):
        return MALFORMED  # the lengths
    if at == 8:
        return UNKNOWN_ROOT
    if 9 <= at < 120:
        return "bad_signature certificate"
    if 3 <= at < 198 + n or 199 + n <= at < 263 + n:
        return "bad_signature issuer"
    return FREE if at == 267 + n else "user"


@cache
def vector_rules() -> dict[str, Any]:
    config = {"roots": [ROOT.hex()], "accepted": configuration()["accepted"]}
    rules: dict[str, Any] = code_rules.load(config)
    return rules


def show(code: bytes, vector: bool = False) -> Any:
    return device.show(code, Clock(), device.fresh(vector_rules() if vector else None))


def said(result: Any) -> str:
    if result.outcome == "accepted":
        return FREE
    return " ".join(filter(None, (result.reason, result.detail.get("signature"))))


def flipped(code: bytes, bit: int) -> bytes:
    changed = bytearray(code)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def expected(bit: int, n: int = 0) -> str:
    if bit == 7:
        return "unsupported"  # below 80 it is no ride code
    where = noticed(bit // 8, n)
    return "bad_signature user" if where == "user" else where


@pytest.mark.parametrize("part", range(PARTS))
def test_every_bit_of_the_vector(part: int) -> None:
    assert said(show(RIDE_CODE, True)) == FREE
    bits = range(8 * len(RIDE_CODE) * part // PARTS, 8 * len(RIDE_CODE) * (part + 1) // PARTS)
    for bit in bits:
        assert said(show(flipped(RIDE_CODE, bit), True)) == expected(bit), (bit // 8, bit % 8)


def test_a_bit_of_every_byte_with_a_custom_field() -> None:
    code = CODES["mot-custom"].make(NOW)
    n = code[197]
    assert n == 32 and said(show(code)) == FREE
    rnd = random.Random(1179)
    for at in range(1, len(code)):
        bit = 8 * at + rnd.randrange(8)
        if at == 8 and show(flipped(code, bit)).reason == "bad_signature":
            continue  # the index of another root that is configured
        assert said(show(flipped(code, bit))) == expected(bit, n), at


def broken(code: bytes) -> list[str]:
    """The signatures that are not right, by the textbook."""
    out = []
    root = int.from_bytes(ROOT[16:48], "big"), int.from_bytes(ROOT[48:80], "big")
    for name, key, signed, signature in (
        ("certificate", root, code[9:56], code[56:120]),
        ("issuer", SM2.decompress(code[23:56]), code[3:198], code[199:263]),
        ("user", SM2.decompress(code[158:191]), code[:267], code[268:]),
    ):
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if key is None or not sm2_verify(key, sm2_digest(key, signed, ID), r, s):
            out.append(name)
    return out


def test_the_textbook_says_the_same() -> None:
    assert broken(RIDE_CODE) == []
    rnd = random.Random(5)
    for _ in range(20):
        bit = rnd.randrange(8, 8 * len(RIDE_CODE))
        where = expected(bit)
        if where in (MALFORMED, UNKNOWN_ROOT):
            continue
        found = broken(flipped(RIDE_CODE, bit))
        assert where == (f"bad_signature {found[0]}" if found else FREE), bit


@pytest.mark.parametrize("name", ["alipay", "alipay-sm2", "alipay-sm2-prefixed"])
def test_a_bit_of_every_byte_of_an_alipay_code(name: str) -> None:
    code = CODES[name].make(NOW)
    assert said(show(code)) == FREE
    rnd = random.Random(name)
    named = set()
    for at in range(len(code)):
        result = show(flipped(code, 8 * at + rnd.randrange(8)))
        assert result.outcome == "declined", at
        named.add(said(result))
    assert named >= {"bad_signature issuer", "bad_signature user", "malformed"}


def test_a_bit_of_every_byte_of_a_union_code() -> None:
    code = base64.b64decode(CODES["union"].make(NOW))
    rnd = random.Random(2)
    for at in range(len(code)):
        result = show(base64.b64encode(flipped(code, 8 * at + rnd.randrange(8))))
        if at == len(code) - 65:
            assert said(result) == FREE  # the format byte
        elif at < 2:
            assert result.reason in ("unsupported", "malformed")
        elif at < 4:  # the index of no certificate, or of another one
            assert result.reason in ("unknown_issuer", "bad_signature")
        elif at != 40:  # the custom field's length
            assert said(result) == "bad_signature issuer", at
        else:
            assert said(result) == MALFORMED


WHOLE = [name for name, code in CODES.items() if code.expected == ("accepted", "")]


@pytest.mark.parametrize("name", WHOLE)
def test_every_truncation(name: str) -> None:
    code = CODES[name].make(NOW)
    for n in range(len(code)):
        result = show(code[:n])
        if result.outcome == "accepted":
            # Only Base64 without its padding is the same code still.
            assert code[n:].rstrip(b"\r\n") in (b"", b"=", b"=="), n
        elif name != "cpm-common" or result.reason != "needs_online":
            # Of several templates, the first ones alone are a code, without what it takes.
            assert result.reason in ("malformed", "unsupported"), n


def test_wrong_roots_vouch_for_nothing() -> None:
    code = CODES["mot"].make(NOW)
    others = configuration()["roots"][1:]
    for count in (0, 1):
        rules = device.load(roots=others[:count])
        assert said(device.show(code, Clock(), rules)) == UNKNOWN_ROOT
