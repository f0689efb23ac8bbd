"""ECDSA over the three curves: published and made vectors, and what must be refused."""

import hashlib

from fakes import raises
from validator.crypto import ecdsa
from validator.crypto.curve import KeyInvalid
from validator.crypto.curves import CURVES, P256, SECP192K1, SECP256K1

# RFC 6979, A.2.5: P-256, SHA-256, "sample" and "test".
P256_KEY = bytes.fromhex(
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
SAMPLE = bytes.fromhex(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)
TEST = bytes.fromhex(
    "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
    "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
)
# Keys and signatures of the other two are synthetic; message b"ride", SHA-1.
K1_KEY = bytes.fromhex("0273953bef323ce3a90583ef8308998a8e302de0766ddecb862fe816c5ce8dfb11")
K1_DER = bytes.fromhex(
    "30450220589423381d2b956658f32de56c349c1f61e25bbf5140465834d296b35ce2ded7"
    "022100b4b03c8738c23e5a1081908614b6e2178afeb0e6eca14dd9c727d8d240c6d38b"
)
K192_KEY = bytes.fromhex("022da53b1da48fc7dedcd6e417d3af807b2acbd68190b51db8")
K192_SIGNATURE = bytes.fromhex(
    "b54644127df19f172b687693d3caf1d4b3933f992e996397"
    "7b0c71f8cf03693e240f610fb5c17d8e1e8e134fd5093b12"
)
RIDE = hashlib.sha1(b"ride").digest()


def test_p256_verifies_the_examples_of_rfc_6979():
    key = P256.key(P256_KEY)
    sample = hashlib.sha256(b"sample").digest()
    test = hashlib.sha256(b"test").digest()
    for _ in range(2):
        assert ecdsa.verify(key, sample, SAMPLE)
        assert ecdsa.verify(key, test, TEST)
        assert not ecdsa.verify(key, test, SAMPLE)
        key.prepare()


def test_secp256k1_and_secp192k1_verify_sha1():
    for curve, key, signature in (
        (SECP256K1, K1_KEY, ecdsa.from_der(K1_DER, 32)),
        (SECP192K1, K192_KEY, K192_SIGNATURE),
    ):
        key = curve.key(key)
        for _ in range(2):
            assert ecdsa.verify(key, RIDE, signature)
            for i in range(0, len(signature), 7):
                bad = bytearray(signature)
                bad[i] ^= 0x40
                assert not ecdsa.verify(key, RIDE, bytes(bad)), i
            assert not ecdsa.verify(key, RIDE[:19] + b"\0", signature)
            key.prepare()


def test_numbers_out_of_range_are_refused():
    for curve in (P256, SECP256K1, SECP192K1):
        size = curve.size
        key = curve.point(*curve.g)
        n = curve.n.to_bytes(size, "big")
        zero = bytes(size)
        one = (1).to_bytes(size, "big")
        for bad in (zero + one, one + zero, n + one, one + n, zero + zero, b"\xff" * 2 * size):
            assert not ecdsa.verify(key, RIDE, bad)
        assert not ecdsa.verify(key, RIDE, b"")
        assert not ecdsa.verify(key, RIDE, one + one + b"\0")


def test_a_digest_of_zero_still_counts():
    # e = 0: u1 = 0, so R = (r / s) Q. With Q = G, r = x(G), s = r: R = G.
    for curve in (P256, SECP256K1, SECP192K1):
        key = curve.point(*curve.g)
        r = (curve.g[0] % curve.n).to_bytes(curve.size, "big")
        assert ecdsa.verify(key, bytes(20), r + r)
        assert not ecdsa.verify(key, bytes(19) + b"\1", r + r)


def test_every_generator_has_its_order():
    for curve in CURVES.values():
        g = curve.point(*curve.g)
        x = curve.g[0] % curve.n
        assert curve.matches(curve.n - 1, 0, g, x)  # -G
        assert not curve.matches(curve.n - 2, 2, g, x)  # infinity
        assert curve.matches(curve.n - 2, 1, g, x)
        assert curve.matches(curve.n - 3, 4, g, x)


def test_an_x_beyond_n_is_found_in_its_residue():
    # secp192k1 and P-256 have points with n <= x < p; 2^-32 and less of all, so x is searched.
    curve = P256
    x = curve.n + 1
    while True:
        try:
            key = curve.key(b"\2" + x.to_bytes(32, "big"))
            break
        except KeyInvalid:
            x += 1
    assert key.x == x < curve.p
    assert curve.matches(0, 1, key, x - curve.n)
    assert not curve.matches(0, 1, key, x - curve.n + 1)


def test_keys_of_other_curves_are_off_the_curve():
    for curve in (P256, SECP256K1):
        for other in (P256, SECP256K1):
            if curve is not other:
                assert raises(KeyInvalid, curve.point, *other.g).reason == "off the curve"


def test_quotients_are_those_of_integers():
    for curve in (P256, SECP256K1, SECP192K1):
        n = curve.n
        for e, r, s in ((0, 1, 1), (5, n - 1, 2), (n - 1, 7, n - 1), (12345, 99999, n // 3)):
            u1, u2 = curve.quotients(e, r, s)
            assert u1 * s % n == e and u2 * s % n == r
            assert 0 <= u1 < n and 0 <= u2 < n


def test_der_gives_r_and_s():
    assert ecdsa.from_der(K1_DER, 32)[:4] == bytes.fromhex("58942338")
    assert (
        ecdsa.from_der(bytes.fromhex("3006020101020102"), 24)
        == bytes(23) + b"\1" + bytes(23) + b"\2"
    )
    longest = b"\x30\x46" + 2 * (b"\x02\x21\x00" + b"\xff" * 32)
    assert ecdsa.from_der(longest, 32) == b"\xff" * 64


def test_der_that_is_not_der_is_refused():
    good = bytes.fromhex("3006020101020102")
    for bad in (
        b"",
        good[:-1],
        good + b"\0",
        b"\x31" + good[1:],
        bytes.fromhex("3007020101020102"),
        bytes.fromhex("300702010102010200"),
        bytes.fromhex("308106020101020102"),
        bytes.fromhex("3006030101020102"),
        bytes.fromhex("3006020181020102"),
        bytes.fromhex("300702020001020102"),
        bytes.fromhex("30060200010201020102"),
        bytes.fromhex("3006020201010201"),
        bytes.fromhex("30800201010201020000"),
        b"\x30\x1e\x02\x19" + b"\x01" * 25 + b"\x02\x01\x01",
    ):
        raises(ecdsa.SignatureMalformed, ecdsa.from_der, bad, 24)
