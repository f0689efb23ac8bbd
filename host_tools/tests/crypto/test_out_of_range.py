"""Numbers that the definition forbids, in signatures whose equation holds nevertheless.

A verifier that leaves a check out would take every one of these. The curve arithmetic is the same
in all kernels, so that of plain integers is enough.
"""

from __future__ import annotations

import hashlib

import pytest

from validator.crypto import ecdsa, sm2

from . import reference
from .kernels import kernel

SM2 = reference.SM2
PUBLIC = SM2.public(0x1234567)


def size_32(x: int) -> bytes:
    return x.to_bytes(32, "big")


def verify_sm2(e: int, r: int, s: int) -> bool:
    key = kernel("py").curves["sm2"].point(*PUBLIC)
    return bool(sm2.verify_digest(key, size_32(e), size_32(r) + size_32(s)))


def x_of(s: int, t: int) -> int:
    """x of s G + t Q."""
    point = SM2.add(SM2.times(s, SM2.g), SM2.times(t, PUBLIC))
    assert point is not None
    return point[0]


def test_sm2_refuses_r_of_zero() -> None:
    s = 99
    e = -x_of(s, s) % SM2.n  # t = s
    assert not verify_sm2(e, 0, s)
    assert not verify_sm2(e, SM2.n, s)
    # The same equation with r = 1 is a right signature.
    assert verify_sm2((1 - x_of(s, s + 1)) % SM2.n, 1, s)


def test_sm2_refuses_s_of_zero() -> None:
    r = 99
    e = (r - x_of(0, r)) % SM2.n
    assert not verify_sm2(e, r, 0)
    assert not verify_sm2(e, r, SM2.n)


def test_sm2_refuses_r_and_s_that_add_up_to_n() -> None:
    s = 99
    assert not verify_sm2((SM2.n - s - x_of(s, 0)) % SM2.n, SM2.n - s, s)


def test_sm2_refuses_numbers_beyond_n() -> None:
    r, s = 5, 7
    e = (r - x_of(s, r + s)) % SM2.n
    assert verify_sm2(e, r, s)
    assert not verify_sm2(e, r + SM2.n, s)
    assert not verify_sm2(e, r, s + SM2.n)


def made_backwards(name: str, x: int = 0) -> tuple[tuple[int, int], int, int, int]:
    """(key, e, r, s) with s = 1 and r the first possible one above `x`, over the named curve."""
    curve = reference.CURVES[name]
    while True:
        x += 1
        square = (x**3 + curve.a * x + curve.b) % curve.p
        y = pow(square, (curve.p + 1) // 4, curve.p)
        if y * y % curve.p == square:
            break
    u1, u2 = 1234567, x  # s = r / u2 = 1, e = u1 s; then Q = (R - u1 G) / u2
    minus = curve.times(curve.n - u1, curve.g)
    key = curve.times(pow(u2, -1, curve.n), curve.add((x, y), minus))
    assert key is not None and reference.ecdsa_verify(curve, key, u1, x % curve.n, 1)
    return key, u1, x, 1


@pytest.mark.parametrize("name", ["p256", "secp256k1", "secp192k1"])
def test_ecdsa_refuses_numbers_beyond_n(name: str) -> None:
    curve = kernel("py").curves[name]
    public, e, r, s = made_backwards(name)
    key = curve.point(*public)

    def verify(r: int, s: int) -> bool:
        size = curve.size
        signature = r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return bool(ecdsa.verify(key, e.to_bytes(20, "big"), signature))

    n = reference.CURVES[name].n
    assert verify(r, s)
    assert verify(r, n - s) is verify(r, s)  # ECDSA's own twin
    assert not verify(r + n, s)
    assert not verify(r, s + n)


def test_ecdsa_refuses_an_x_that_is_not_reduced() -> None:
    curve, n = kernel("py").curves["p256"], reference.P256.n
    public, e, x, s = made_backwards("p256", n)
    key = curve.point(*public)
    digest = e.to_bytes(20, "big")
    assert ecdsa.verify(key, digest, size_32(x - n) + size_32(s))
    assert not ecdsa.verify(key, digest, size_32(x) + size_32(s))


def test_ecdsa_takes_the_leftmost_bits_of_a_long_digest() -> None:
    curve, theirs = kernel("py").curves["secp192k1"], reference.SECP192K1
    digest = hashlib.sha256(b"long").digest()
    r, s = reference.ecdsa_sign(theirs, 77, 123456789, int.from_bytes(digest[:24], "big"))
    key = curve.point(*theirs.public(77))
    signature = r.to_bytes(24, "big") + s.to_bytes(24, "big")
    assert ecdsa.verify(key, digest, signature)
    assert ecdsa.verify(key, digest[:24], signature)
    assert not ecdsa.verify(key, digest[8:], signature)
