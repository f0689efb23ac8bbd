"""Verification on every kernel, against signatures that the reference and `cryptography` made."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from validator.crypto import ecdsa, recode, sm2
from validator.crypto.curve import KeyInvalid

from . import reference
from .kernels import CPUS, kernel

KERNELS = ["py", *CPUS]
ID = b"1234567812345678"


def pair(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def compressed(key: tuple[int, int], size: int = 32) -> bytes:
    return bytes([2 | key[1] & 1]) + key[0].to_bytes(size, "big")


def example(seed: int) -> tuple[tuple[int, int], bytes, tuple[int, int]]:
    rnd = random.Random(seed)
    d, k = rnd.randrange(1, reference.SM2.n - 1), rnd.randrange(1, reference.SM2.n)
    message = rnd.randbytes(rnd.randrange(200))
    return reference.SM2.public(d), message, reference.sm2_sign(d, k, message, ID)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("seed", range(3))
def test_sm2_takes_right_signatures_and_no_others(name: str, seed: int) -> None:
    curve = kernel(name).curves["sm2"]
    public, message, (r, s) = example(seed)
    rnd = random.Random(seed)
    key = curve.key(compressed(public))
    assert (key.x, key.y) == public
    for _ in range(2):
        assert sm2.verify(key, message, pair(r, s))
        bad = bytearray(pair(r, s))
        bad[rnd.randrange(64)] ^= 1 << rnd.randrange(8)
        assert not sm2.verify(key, message, bytes(bad))
        assert not sm2.verify(key, message + b"\0", pair(r, s))
        key.prepare()


@pytest.mark.parametrize("arch", CPUS)
def test_sm2_takes_less_than_4_million_instructions(arch: str) -> None:
    made = kernel(arch)
    curve = made.curves["sm2"]
    public, message, (r, s) = example(9)
    curve.key(compressed(public))  # the generator's table is made once
    before = made.cpu.instructions
    key = curve.key(compressed(public))
    assert sm2.verify(key, message, pair(r, s))
    unknown = made.cpu.instructions - before
    key.prepare()
    before = made.cpu.instructions
    assert sm2.verify(key, message, pair(r, s))
    known = made.cpu.instructions - before
    assert 2_000_000 < unknown < 3_500_000
    assert known < unknown / 2


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("curve", ["p256", "secp256k1"])
def test_ecdsa_takes_what_cryptography_signs(name: str, curve: str) -> None:
    theirs = {"p256": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}[curve]
    ours = kernel(name).curves[curve]
    rnd = random.Random(curve)
    private = ec.derive_private_key(rnd.randrange(1, ours.n), theirs)
    numbers = private.public_key().public_numbers()
    key = ours.key(compressed((numbers.x, numbers.y)))
    for algorithm, digest in (
        (SHA1(), hashlib.sha1(b"gate").digest()),
        (SHA256(), hashlib.sha256(b"gate").digest()),
    ):
        signature = ecdsa.from_der(private.sign(digest, ec.ECDSA(Prehashed(algorithm))), 32)
        assert ecdsa.verify(key, digest, signature)
        bad = bytearray(signature)
        bad[rnd.randrange(64)] ^= 1
        assert not ecdsa.verify(key, digest, bytes(bad))


@pytest.mark.parametrize("name", KERNELS)
def test_ecdsa_over_secp192k1(name: str) -> None:
    ours, theirs = kernel(name).curves["secp192k1"], reference.SECP192K1
    rnd = random.Random(192)
    d, k = rnd.randrange(1, theirs.n), rnd.randrange(1, theirs.n)
    digest = hashlib.sha1(b"gate").digest()
    r, s = reference.ecdsa_sign(theirs, d, k, int.from_bytes(digest, "big"))
    key = ours.key(compressed(theirs.public(d), 24))
    for _ in range(2):
        assert ecdsa.verify(key, digest, pair(r, s, 24))
        assert not ecdsa.verify(key, digest, pair(s, r, 24))
        key.prepare()


def special_keys(curve: reference.Curve) -> list[int]:
    """Private keys whose points meet those of the tables in the ladder."""
    n = curve.n
    half = pow(2, -1, n)
    found = [1, 2, 3, 5, 15, 16, 17, n - 1, n - 3, half, n - half, 2**64, 2**128 + 1, n - 2**192]
    return [d % n for d in found]


@pytest.mark.parametrize(
    ("name", "curve", "keys"),
    [
        ("py", "sm2", 4),
        ("py", "p256", 4),
        ("py", "secp256k1", 4),
        ("py", "secp192k1", 4),
        ("xtensawin", "sm2", 2),
        ("rv32imc", "secp256k1", 1),
    ],
)
def test_keys_that_are_small_multiples_of_the_generator(name: str, curve: str, keys: int) -> None:
    """Edge scalars with keys that make points coincide; expected results from the reference."""
    ours, theirs = kernel(name).curves[curve], reference.CURVES[curve]
    n = theirs.n
    rnd = random.Random(curve)
    scalars = [0, 1, 2, 3, 16, 31, 32, 2**64, 2**64 - 1, 2**128, n - 1, n - 2, n // 2, n - 2**64]
    for d in rnd.sample(special_keys(theirs), keys):
        public = theirs.public(d)
        key = ours.point(*public)
        for prepared in (False, True):
            if prepared:
                key.prepare()
            for _ in range(5):
                u1, u2 = rnd.choice(scalars) % n, rnd.choice(scalars) % n
                point = theirs.times((u1 + u2 * d) % n, theirs.g)
                x = 5 if point is None else point[0] % n
                assert ours.matches(u1, u2, key, x) is (point is not None), (d, u1, u2)
                assert not ours.matches(u1, u2, key, (x + 1) % n)
            # u1 = -u2 d: infinity, which must match nothing.
            u2 = rnd.randrange(1, n)
            u1 = -u2 * d % n
            for x in (0, 1, public[0] % n):
                assert not ours.matches(u1, u2, key, x)


@pytest.mark.parametrize("name", KERNELS)
def test_sm2_from_the_definition(name: str) -> None:
    """r, s at their limits: what the definition says of each, wanted or not."""
    curve = kernel(name).curves["sm2"]
    n = reference.SM2.n
    public, message, (r, s) = example(4)
    key = curve.point(*public)
    e = reference.sm2_digest(public, message, ID)
    digest = e.to_bytes(32, "big")
    limits = (1, 2, n - 1, n - 2, n // 2)
    cases = [(0, s), (r, 0), (n, s), (r, n), (r, n - r), (2**256 - 1, s)]
    cases += [(limits[i], limits[-1 - i]) for i in range(len(limits))]
    for a, b in cases:
        want = reference.sm2_verify(public, e, a, b)
        assert sm2.verify_digest(key, digest, pair(a, b)) is want, (a, b)
    # Signatures made backwards: choose s and t, and e so that they are right.
    rnd = random.Random(name)
    for s, t in ((1, 1), (1, n - 2), (n - 1, n - 1), (rnd.randrange(1, n), 2**65)):
        r = (t - s) % n
        point = reference.SM2.add(
            reference.SM2.times(s, reference.SM2.g), reference.SM2.times(t, public)
        )
        if not r or point is None:
            continue
        e = (r - point[0]) % n
        assert reference.sm2_verify(public, e, r, s)
        assert sm2.verify_digest(key, e.to_bytes(32, "big"), pair(r, s))
        assert not sm2.verify_digest(key, ((e + 1) % n).to_bytes(32, "big"), pair(r, s))


@pytest.mark.parametrize("name", KERNELS)
def test_only_points_of_the_curve_are_keys(name: str) -> None:
    rnd = random.Random(name)
    for curve, ours in kernel(name).curves.items():
        theirs = reference.CURVES[curve]
        p = theirs.p
        for _ in range(6):
            x = rnd.randrange(p)
            square = (x**3 + theirs.a * x + theirs.b) % p
            root = pow(square, (p + 1) // 4, p)
            data = b"\3" + x.to_bytes(ours.size, "big")
            if root * root % p == square:
                y = root if root & 1 else p - root
                key: Any = ours.key(data)
                assert (key.x, key.y) == (x, y)
                with pytest.raises(KeyInvalid):
                    ours.point(x, (y + 1) % p)
            else:
                with pytest.raises(KeyInvalid):
                    ours.key(data)


def test_digits_are_the_scalar() -> None:
    rnd = random.Random(5)
    cases = [0, 1, 15, 16, 17, 31, 32, 2**256 - 1, 2**255, 2**192 - 1]
    for scalar in cases + [rnd.getrandbits(256) for _ in range(40)]:
        data = scalar.to_bytes(34, "little")
        for first, bits in ((0, 256), (0, 64), (64, 64), (192, 64), (48, 48)):
            out = bytearray(recode.LONGEST)
            used = recode.digits(data, first, bits, out, 0)
            values = [d - 256 if d > 127 else d for d in out]
            assert sum(d << i for i, d in enumerate(values)) == scalar >> first & ((1 << bits) - 1)
            assert all(d == 0 or d & 1 and abs(d) < 16 for d in values)
            assert used == max((i + 1 for i, d in enumerate(values) if d), default=0)
            assert used <= bits + 1
            places = [i for i, d in enumerate(values) if d]
            assert all(b - a >= 5 for a, b in zip(places, places[1:], strict=False))
