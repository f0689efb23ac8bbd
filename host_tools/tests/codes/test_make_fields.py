"""Codes with any fields: what was asked for is what stands in them, and both parties signed it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import codes
from faretap.sim.codes import reference
from faretap.sim.codes.keys import key
from faretap.sim.codes.mot import root_file
from faretap.sim.codes.reference import SM2

U32 = st.integers(0, 0xFFFFFFFF)
U16 = st.integers(0, 0xFFFF)
ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
DEFAULT_ID = b"1234567812345678"


def number(size: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=size, max_size=size)


def u(data: bytes) -> int:
    return int.from_bytes(data, "big")


def sm2(owner: reference.Point, message: bytes, signature: bytes, user_id: bytes) -> bool:
    assert owner is not None
    e = reference.sm2_digest(owner, message, user_id)
    return reference.sm2_verify(owner, e, u(signature[:32]), u(signature[32:]))


@given(
    at=U32,
    version=st.integers(0x80, 0xFF),
    account=st.text(ASCII, min_size=16, max_size=16),
    card=number(19) | number(20),
    issuer=number(8),
    platform=number(8),
    card_type=st.integers(0, 255),
    limit=st.integers(0, 0xFFFFFF),
    expires=U32,
    validity=U16,
    custom=st.binary(max_size=32),
    local=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_any_ride_code(
    at: int,
    version: int,
    account: str,
    card: str,
    issuer: str,
    platform: str,
    card_type: int,
    limit: int,
    expires: int,
    validity: int,
    custom: bytes,
    local: bool,
) -> None:
    code = codes.make(
        "mot",
        at=at,
        version=version,
        account=account,
        card=card,
        issuer=issuer,
        platform=platform,
        card_type=card_type,
        limit=limit,
        expires=expires,
        validity=validity,
        custom=custom,
        ids="local" if local else "default",
    )
    n = len(custom)
    assert len(code) == 332 + n and u(code[1:3]) == 329 + n and code[197] == n
    assert code[0] == version and code[120:136] == account.encode()
    assert code[136:146].hex().rstrip("f") == card
    assert code[146:150].hex() == issuer == code[10:14].hex() and code[150:154].hex() == platform
    assert code[154] == card_type and u(code[155:158]) == limit
    assert u(code[191:195]) == expires and u(code[195:197]) == validity
    assert code[198 : 198 + n] == custom and u(code[263 + n : 267 + n]) == at
    assert code[198 + n] == code[267 + n] == 0x15
    certificate = code[3:120]
    ids = (certificate[1:6], code[146:154], code[136:146]) if local else (DEFAULT_ID,) * 3
    assert sm2(key("root").public, certificate[6:53], certificate[53:], ids[0])
    issuer_key = SM2.decompress(certificate[20:53])
    assert sm2(issuer_key, code[3 : 198 + n], code[199 + n : 263 + n], ids[1])
    assert sm2(SM2.decompress(code[158:191]), code[: 267 + n], code[268 + n :], ids[2])


@given(
    at=st.integers(1483200000, 1483200000 + 0xFFFFFFFF),
    certificate=U16,
    app=st.text(ASCII, min_size=8, max_size=8),
    institution=number(8),
    validity=U16,
    scope=U16,
    qr_id=st.integers(0, 2**64 - 1),
    user=st.text(ASCII, min_size=8, max_size=8),
    custom=st.binary(max_size=40),
)
@settings(max_examples=25, deadline=None)
def test_any_industry_code(
    at: int,
    certificate: int,
    app: str,
    institution: str,
    validity: int,
    scope: int,
    qr_id: int,
    user: str,
    custom: bytes,
) -> None:
    code = base64.b64decode(
        codes.make(
            "union",
            at=at,
            certificate=certificate,
            app=app,
            institution=institution,
            validity=validity,
            scope=scope,
            qr_id=qr_id,
            user=user,
            custom=custom,
        ),
        validate=True,
    )
    n = len(custom)
    assert code[:2] == b"\x02\x11" and u(code[2:4]) == certificate
    assert code[4:12] == app.encode() and code[12:16].hex() == institution
    assert (u(code[16:18]), u(code[18:20]), u(code[20:28])) == (validity, scope, qr_id)
    assert u(code[28:32]) + 1483200000 == at and code[32:40] == user.encode()
    assert code[40] == n and code[41 : 41 + n] == custom and len(code) == 106 + n
    assert sm2(key("union-1").public, code[4:-65], code[-64:], DEFAULT_ID)


@given(
    at=U32,
    algorithm=st.sampled_from((1, 2)),
    prefix=st.sampled_from((b"", b"\x54\x01", b"\x54\x02")),
    user=st.text(ASCII, min_size=16, max_size=16),
    expires=U32,
    validity=U16,
    limit=U16,
    card=st.text("0123456789", max_size=20),
    card_data=st.binary(max_size=64),
)
@settings(max_examples=25, deadline=None)
def test_any_alipay_code(
    at: int,
    algorithm: int,
    prefix: bytes,
    user: str,
    expires: int,
    validity: int,
    limit: int,
    card: str,
    card_data: bytes,
) -> None:
    whole = codes.make(
        "alipay",
        at=at,
        algorithm=algorithm,
        prefix=prefix,
        user=user,
        expires=expires,
        validity=validity,
        limit=limit,
        card=card,
        card_data=card_data,
    )
    assert whole.startswith(prefix)
    code = whole[len(prefix) :]
    end = 4 + code[3]
    assert code[:3] == bytes([2, algorithm, algorithm])
    assert code[4:20] == user.encode() and u(code[20:24]) == expires
    assert (u(code[24:26]), u(code[26:28])) == (validity, limit)
    assert code[73] == len(card) and code[74 : 74 + len(card)] == card.encode()
    assert code[74 + len(card)] == len(card_data) and code[75 + len(card) : end] == card_data
    issuer_end = end + 1 + code[end]
    signed_end = issuer_end + 5
    assert code[issuer_end] == 4 and u(code[issuer_end + 1 : signed_end]) == at
    assert signed_end + 1 + code[signed_end] == len(code)
    r_s = two_numbers(code[end + 1 : issuer_end])
    if algorithm == 1:
        owner = ec.derive_private_key(key("alipay-1").d, ec.SECP256K1()).public_key()
        owner.verify(code[end + 1 : issuer_end], code[4:end], ec.ECDSA(SHA1()))
    else:
        signature = b"".join(x.to_bytes(32, "big") for x in r_s)
        assert sm2(key("alipay-2").public, code[4:end], signature, DEFAULT_ID)
    rider = reference.SECP192K1.decompress(code[40:65])
    assert rider is not None
    e = u(hashlib.sha1(code[:signed_end]).digest())
    assert reference.ecdsa_verify(
        reference.SECP192K1, rider, e, *two_numbers(code[signed_end + 1 :])
    )


def two_numbers(der: bytes) -> tuple[int, int]:
    assert der[0] == 0x30 and der[1] == len(der) - 2 and der[2] == 2
    size = der[3]
    assert der[4 + size] == 2 and der[5 + size] == len(der) - 6 - size
    return u(der[4 : 4 + size]), u(der[6 + size :])


@pytest.mark.parametrize(
    ("name", "index", "expiry"), [("root", 0x7F, "4012"), ("stray", 1, "2001")]
)
def test_a_root_file_signs_itself(name: str, index: int, expiry: str) -> None:
    data = root_file(name, index, expiry)
    assert len(data) == 144 and data[0] == 0x21 and data[5:10].hex() == "a000000632"
    assert data[10] == index and data[11:13].hex() == expiry[2:] + expiry[:2]
    assert data[13:16] == b"\x04\x11\x40"
    owner = (u(data[16:48]), u(data[48:80]))
    assert owner == key(name).public
    assert sm2(owner, data[:80], data[80:], DEFAULT_ID)
    forged = root_file(name, index, expiry, signer="user")
    assert forged[:80] == data[:80]
    assert not sm2(owner, forged[:80], forged[80:], DEFAULT_ID)


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("mot", {"limt": 1}, "no field 'limt': choose one of version"),
        ("mot", {"limit": -1}, "limit is -1: a number from 0 to 16777215 expected"),
        ("mot", {"limit": 1 << 24}, "limit is 16777216: a number from 0 to"),
        ("mot", {"limit": "many"}, "limit is 'many': a number expected"),
        ("mot", {"card": "12"}, "card is '12': 20 digits expected"),
        ("mot", {"account": "é" * 16}, "account is .*: 16 ASCII characters expected"),
        ("mot", {"custom": "0g"}, "custom is '0g': 0 to 255 bytes in hex expected"),
        ("mot", {"user_signer": "alipay-1"}, "no sm2 key 'alipay-1': choose one of root"),
        ("mot", {"ids": "other"}, "ids is 'other': default or local expected"),
        ("union", {"generated": 5}, "generated is -1483199995"),
        ("alipay", {"user_signer": "me"}, "no test key 'me'"),
        ("url", {"limit": 1}, "url has no fields"),
        ("motte", {}, "no code 'motte': choose one of mot, mot-custom"),
    ],
)
def test_what_cannot_be_made_is_told(name: str, fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        codes.make(name, at=1893456000, **fields)


def test_numbers_may_come_as_text() -> None:
    told = codes.make("mot", at=5, limit="0x64", root_index="126", expires="77", custom="000a")
    assert told == codes.make("mot", at=5, limit=100, root_index=126, expires=77, custom=b"\x00\n")
