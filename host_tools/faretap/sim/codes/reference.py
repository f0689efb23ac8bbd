"""Textbook SM3, SM2 and ECDSA with affine points, for results that the firmware did not make.

Slow and plain on purpose: formulas as in GM/T 0003, GM/T 0004 and SEC 1, Python's own modular
inverse, no tables but a point's doublings. The simulated codes are signed with it, and the tests
of the firmware's cryptography take their expected results from it. tests/crypto/test_reference.py
checks it against the published example and the `cryptography` package,
tests/codes/test_make_crypto.py against more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

Point = tuple[int, int] | None


@dataclass(frozen=True)
class Curve:
    p: int
    a: int
    b: int
    n: int
    g: tuple[int, int]

    @property
    def size(self) -> int:
        return (self.p.bit_length() + 7) // 8

    def add(self, one: Point, two: Point) -> Point:
        if one is None:
            return two
        if two is None:
            return one
        if one[0] == two[0]:
            if (one[1] + two[1]) % self.p == 0:
                return None
            slope = (3 * one[0] ** 2 + self.a) * pow(2 * one[1], -1, self.p)
        else:
            slope = (two[1] - one[1]) * pow(two[0] - one[0], -1, self.p)
        x = (slope * slope - one[0] - two[0]) % self.p
        return x, (slope * (one[0] - x) - one[1]) % self.p

    def times(self, k: int, point: Point) -> Point:
        total: Point = None
        bits = max(k.bit_length(), self.n.bit_length())
        for at, doubled in enumerate(_doublings(self, point, bits)):
            if k >> at & 1:
                total = self.add(total, doubled)
        return total

    def public(self, d: int) -> tuple[int, int]:
        point = self.times(d, self.g)
        assert point is not None
        return point

    def compress(self, point: tuple[int, int]) -> bytes:
        return bytes([2 + (point[1] & 1)]) + point[0].to_bytes(self.size, "big")

    def decompress(self, data: bytes) -> Point:
        """The point of `02 | 03 ‖ x`; None if it is none of the curve. Primes are 3 modulo 4."""
        x = int.from_bytes(data[1:], "big")
        if len(data) != 1 + self.size or data[0] not in (2, 3) or x >= self.p:
            return None
        square = (x**3 + self.a * x + self.b) % self.p
        y = pow(square, (self.p + 1) // 4, self.p)
        if y * y % self.p != square:
            return None
        return x, y if y & 1 == data[0] & 1 else self.p - y


@lru_cache(maxsize=64)
def _doublings(curve: Curve, point: Point, count: int) -> tuple[Point, ...]:
    """1, 2, 4, 8 … times the point, `count` of them."""
    found: list[Point] = []
    for _ in range(count):
        found.append(point)
        point = curve.add(point, point)
    return tuple(found)


def _hex(text: str) -> int:
    return int(text.replace(" ", ""), 16)


SM2 = Curve(
    p=_hex("FFFFFFFE FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF 00000000 FFFFFFFF FFFFFFFF"),
    a=_hex("FFFFFFFE FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF 00000000 FFFFFFFF FFFFFFFC"),
    b=_hex("28E9FA9E 9D9F5E34 4D5A9E4B CF6509A7 F39789F5 15AB8F92 DDBCBD41 4D940E93"),
    n=_hex("FFFFFFFE FFFFFFFF FFFFFFFF FFFFFFFF 7203DF6B 21C6052B 53BBF409 39D54123"),
    g=(
        _hex("32C4AE2C 1F198119 5F990446 6A39C994 8FE30BBF F2660BE1 715A4589 334C74C7"),
        _hex("BC3736A2 F4F6779C 59BDCEE3 6B692153 D0A9877C C62A4740 02DF32E5 2139F0A0"),
    ),
)
P256 = Curve(
    p=2**256 - 2**224 + 2**192 + 2**96 - 1,
    a=2**256 - 2**224 + 2**192 + 2**96 - 4,
    b=_hex("5AC635D8 AA3A93E7 B3EBBD55 769886BC 651D06B0 CC53B0F6 3BCE3C3E 27D2604B"),
    n=_hex("FFFFFFFF 00000000 FFFFFFFF FFFFFFFF BCE6FAAD A7179E84 F3B9CAC2 FC632551"),
    g=(
        _hex("6B17D1F2 E12C4247 F8BCE6E5 63A440F2 77037D81 2DEB33A0 F4A13945 D898C296"),
        _hex("4FE342E2 FE1A7F9B 8EE7EB4A 7C0F9E16 2BCE3357 6B315ECE CBB64068 37BF51F5"),
    ),
)
SECP256K1 = Curve(
    p=2**256 - 2**32 - 977,
    a=0,
    b=7,
    n=_hex("FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFE BAAEDCE6 AF48A03B BFD25E8C D0364141"),
    g=(
        _hex("79BE667E F9DCBBAC 55A06295 CE870B07 029BFCDB 2DCE28D9 59F2815B 16F81798"),
        _hex("483ADA77 26A3C465 5DA4FBFC 0E1108A8 FD17B448 A6855419 9C47D08F FB10D4B8"),
    ),
)
SECP192K1 = Curve(
    p=2**192 - 2**32 - 4553,
    a=0,
    b=3,
    n=_hex("FFFFFFFF FFFFFFFF FFFFFFFE 26F2FC17 0F69466A 74DEFD8D"),
    g=(
        _hex("DB4FF10E C057E9AE 26B07D02 80B7F434 1DA5D1B1 EAE06C7D"),
        _hex("9B2F2F6D 9C5628A7 844163D0 15BE8634 4082AA88 D95E2F9D"),
    ),
)
CURVES = {"sm2": SM2, "p256": P256, "secp256k1": SECP256K1, "secp192k1": SECP192K1}


def sm3(data: bytes) -> bytes:
    def rotate(x: int, n: int) -> int:
        n %= 32
        return (x << n | x >> 32 - n) & 0xFFFFFFFF

    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + (8 * len(data)).to_bytes(8, "big")
    v = [int.from_bytes(_IV[i : i + 4], "big") for i in range(0, 32, 4)]
    for at in range(0, len(padded), 64):
        w = [int.from_bytes(padded[at + i : at + i + 4], "big") for i in range(0, 64, 4)]
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotate(w[j - 3], 15)
            w.append(x ^ rotate(x, 15) ^ rotate(x, 23) ^ rotate(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = v
        for j in range(64):
            constant = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rotate(rotate(a, 12) + e + rotate(constant, j) & 0xFFFFFFFF, 7)
            ss2 = ss1 ^ rotate(a, 12)
            if j < 16:
                ff, gg = a ^ b ^ c, e ^ f ^ g
            else:
                ff, gg = a & b | a & c | b & c, e & f | ~e & 0xFFFFFFFF & g
            tt1 = ff + d + ss2 + (w[j] ^ w[j + 4]) & 0xFFFFFFFF
            tt2 = gg + h + ss1 + w[j] & 0xFFFFFFFF
            a, b, c, d = tt1, a, rotate(b, 9), c
            e, f, g, h = tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17), e, rotate(f, 19), g
        v = [x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h), strict=True)]
    return b"".join(x.to_bytes(4, "big") for x in v)


_IV = bytes.fromhex("7380166f4914b2b9172442d7da8a0600a96f30bc163138aae38dee4db0fb0e4e")


def sm2_digest(key: tuple[int, int], message: bytes, user_id: bytes) -> int:
    fixed = (SM2.a, SM2.b, *SM2.g, *key)
    za = sm3(
        (8 * len(user_id)).to_bytes(2, "big")
        + user_id
        + b"".join(x.to_bytes(32, "big") for x in fixed)
    )
    return int.from_bytes(sm3(za + message), "big")


def sm2_sign(d: int, k: int, message: bytes, user_id: bytes) -> tuple[int, int]:
    e = sm2_digest(SM2.public(d), message, user_id)
    r = (e + SM2.public(k)[0]) % SM2.n
    return r, pow(1 + d, -1, SM2.n) * (k - r * d) % SM2.n


def sm2_verify(key: tuple[int, int], e: int, r: int, s: int) -> bool:
    n = SM2.n
    t = (r + s) % n
    if not (0 < r < n and 0 < s < n and t):
        return False
    point = SM2.add(SM2.times(s, SM2.g), SM2.times(t, key))
    return point is not None and (e + point[0]) % n == r


def ecdsa_sign(curve: Curve, d: int, k: int, e: int) -> tuple[int, int]:
    r = curve.public(k)[0] % curve.n
    return r, pow(k, -1, curve.n) * (e + r * d) % curve.n


def ecdsa_verify(curve: Curve, key: tuple[int, int], e: int, r: int, s: int) -> bool:
    n = curve.n
    if not (0 < r < n and 0 < s < n):
        return False
    w = pow(s, -1, n)
    point = curve.add(curve.times(e * w % n, curve.g), curve.times(r * w % n, key))
    return point is not None and point[0] % n == r
