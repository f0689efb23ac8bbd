"""The reference agrees with what others have published and with the `cryptography` package."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from . import reference

ID = b"1234567812345678"


def test_sm3_of_abc() -> None:
    want = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert reference.sm3(b"abc").hex() == want


def test_sm2_signs_and_verifies_the_published_example() -> None:
    d = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
    k = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
    r, s = reference.sm2_sign(d, k, b"message digest", ID)
    assert r == 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    assert s == 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
    key = reference.SM2.public(d)
    assert reference.sm2_verify(key, reference.sm2_digest(key, b"message digest", ID), r, s)


@pytest.mark.parametrize("name", reference.CURVES)
def test_generators_have_their_order(name: str) -> None:
    curve = reference.CURVES[name]
    assert curve.times(curve.n, curve.g) is None
    x, y = curve.g
    assert (y * y - x**3 - curve.a * x - curve.b) % curve.p == 0


@pytest.mark.parametrize(
    ("curve", "theirs"),
    [(reference.P256, ec.SECP256R1()), (reference.SECP256K1, ec.SECP256K1())],
    ids=["p256", "secp256k1"],
)
def test_ecdsa_signatures_are_taken_by_cryptography(
    curve: reference.Curve, theirs: ec.EllipticCurve
) -> None:
    d, k = 0x1234567890ABCDEF << 100 | 77, 0xFEDCBA0987654321 << 90 | 5
    digest = hashlib.sha256(b"fare").digest()
    r, s = reference.ecdsa_sign(curve, d, k, int.from_bytes(digest, "big"))
    key = ec.derive_private_key(d, theirs).public_key()
    numbers = key.public_numbers()
    assert (numbers.x, numbers.y) == curve.public(d)
    key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
    with pytest.raises(InvalidSignature):
        key.verify(encode_dss_signature(r, s + 1), digest, ec.ECDSA(Prehashed(SHA256())))
