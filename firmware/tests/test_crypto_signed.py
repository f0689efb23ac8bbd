"""The operator's signatures, with the kernel and, where there is no memory for it, without."""

from hashlib import sha256

from fakes import raises
from validator.crypto import curves, ecdsa, signed

# RFC 6979, A.2.5.
KEY = (
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
SAMPLE = (
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
)
TEST = (
    "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
)
VECTORS = (
    (KEY, b"sample", SAMPLE, True),
    (KEY, b"test", TEST, True),
    (KEY, b"sample", TEST, False),
    (KEY, b"tests", TEST, False),
)


def each(check):
    for key, message, signature, right in VECTORS:
        digest = sha256(message).digest()
        check(bytes.fromhex(key), digest, bytes.fromhex(signature), right)


def test_with_the_kernel():
    each(lambda key, digest, signature, right: same(signed.by(key, digest, signature), right))


def same(got, want):
    assert got is want


def test_without_memory_for_it():
    kept = ecdsa.verify

    def no_memory(key, digest, signature):
        raise MemoryError

    ecdsa.verify = no_memory
    try:
        each(lambda key, digest, signature, right: same(signed.by(key, digest, signature), right))
    finally:
        ecdsa.verify = kept


def test_bytes_that_are_no_key_and_no_signature():
    key = bytes.fromhex(KEY)
    digest = bytes(32)
    for public in (b"", bytes(33), bytes(64), b"\x05" + bytes(32), b"\x02" + b"\xff" * 32):
        assert signed.by(public, digest, bytes(64)) is False
        assert signed._by(public, digest, bytes(64)) is False
        raises(ValueError, signed.point, public)
        raises(ValueError, signed._point, public)
    for signature in (b"", bytes(64), bytes(63) + b"\x01", b"\xff" * 64, bytes(65)):
        assert signed.by(key, digest, signature) is False
        assert signed._by(key, digest, signature) is False


def test_both_ways_give_the_same_point():
    xy = bytes.fromhex(KEY)
    x, y = signed._point(xy)
    assert signed.point(xy) == xy == x.to_bytes(32, "big") + y.to_bytes(32, "big")
    short = bytes((2 | y & 1,)) + xy[:32]
    assert signed._point(short) == (x, y) and signed.point(short) == xy
    assert signed._point(bytes((3 - (y & 1),)) + xy[:32]) == (x, curves.P256.p - y)
    assert signed.point(b"\x04" + xy) == xy and signed._point(b"\x04" + xy) == (x, y)


def test_the_memory_is_given_back():
    each(lambda key, digest, signature, right: signed.by(key, digest, signature))
    assert curves.P256._field is None
