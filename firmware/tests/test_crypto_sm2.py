"""SM2: the standard's example, the chain of a ride code, and what must be refused."""

from crypto_vectors import RIDE_CODE, ROOT, SM2_KEY, SM2_SIGNATURE, ride_code_signatures
from fakes import raises
from validator.crypto import sm2
from validator.crypto.curve import KeyInvalid
from validator.crypto.curves import SM2

N = SM2.n
MESSAGE = b"message digest"


def test_identity_is_the_example_of_the_standard():
    want = "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    assert sm2.identity(SM2.point(*SM2_KEY)).hex() == want


def test_verifies_the_example_of_the_standard():
    key = SM2.point(*SM2_KEY)
    assert sm2.verify(key, MESSAGE, SM2_SIGNATURE)
    assert sm2.verify(key, (b"message ", b"digest"), SM2_SIGNATURE)
    assert not sm2.verify(key, b"message digesT", SM2_SIGNATURE)
    assert not sm2.verify(key, MESSAGE, SM2_SIGNATURE, user_id=b"ALICE123@YAHOO.COM")


def test_a_prepared_key_says_the_same():
    key = SM2.point(*SM2_KEY).prepare()
    assert key.table is not None
    assert sm2.verify(key, MESSAGE, SM2_SIGNATURE)
    assert not sm2.verify(key, b"other", SM2_SIGNATURE)
    for i in range(0, 64, 9):
        bad = bytearray(SM2_SIGNATURE)
        bad[i] ^= 1
        assert not sm2.verify(key, MESSAGE, bytes(bad)), i


def test_verifies_the_chain_of_a_ride_code():
    for name, key, signed, signature in ride_code_signatures(RIDE_CODE):
        assert sm2.verify(SM2.key(key), signed, signature), name


def test_verifies_the_root_by_its_own_key():
    assert sm2.verify(SM2.key(ROOT[16:80]), ROOT[:80], ROOT[80:])


def test_a_changed_bit_breaks_the_signatures_that_cover_it():
    # Field 4 (offset 120), field 16 (263), certificate bytes 3 and 12.
    for offset, broken in (
        (120, {"issuer", "user"}),
        (263, {"user"}),
        (3 + 12, {"certificate", "issuer", "user"}),
        (3 + 3, {"issuer", "user"}),
    ):
        code = bytearray(RIDE_CODE)
        code[offset] ^= 0x10
        found = set()
        for name, key, signed, signature in ride_code_signatures(bytes(code)):
            if not sm2.verify(SM2.key(key), signed, signature):
                found.add(name)
        assert found == broken, (offset, found)


def test_numbers_out_of_range_are_refused():
    key = SM2.point(*SM2_KEY)
    r, s = SM2_SIGNATURE[:32], SM2_SIGNATURE[32:]
    zero = bytes(32)
    n = N.to_bytes(32, "big")
    for bad in (
        zero + s,
        r + zero,
        n + s,
        r + n,
        b"\xff" * 64,
        zero + zero,
        r + s + b"\0",
        r + s[:31],
        b"",
    ):
        assert not sm2.verify(key, MESSAGE, bad)


def test_r_and_s_that_add_up_to_n_are_refused():
    key = SM2.point(*SM2_KEY)
    r = int.from_bytes(SM2_SIGNATURE[:32], "big")
    assert not sm2.verify(key, MESSAGE, SM2_SIGNATURE[:32] + (N - r).to_bytes(32, "big"))


def test_r_or_s_increased_by_n_is_refused():
    # Small r and s, so that r + n fits in 32 bytes: such a signature must not be "the same".
    key = SM2.point(*SM2_KEY)
    for r, s in ((5, 7), (5 + N, 7), (5, 7 + N)):
        assert not sm2.verify(key, MESSAGE, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_keys_are_read_in_every_form():
    x, y = SM2_KEY
    bare = x.to_bytes(32, "big") + y.to_bytes(32, "big")
    for data in (bare, b"\4" + bare, bytes([2 | y & 1]) + bare[:32]):
        key = SM2.key(data)
        assert (key.x, key.y) == SM2_KEY
    other = SM2.key(bytes([3 ^ (y & 1)]) + bare[:32])
    assert (other.x, other.y) == (x, SM2.p - y)
    assert key.encoded() == bare


def test_keys_off_the_curve_are_refused():
    x, y = SM2_KEY
    good = x.to_bytes(32, "big") + y.to_bytes(32, "big")
    p = SM2.p.to_bytes(32, "big")
    assert raises(KeyInvalid, SM2.key, b"").reason == "key format"
    assert raises(KeyInvalid, SM2.key, b"\4" + good[:32]).reason == "key format"
    assert raises(KeyInvalid, SM2.key, b"\5" + good[:32]).reason == "key format"
    assert raises(KeyInvalid, SM2.key, b"\2" + good).reason == "key format"
    assert raises(KeyInvalid, SM2.key, b"\2" + p).reason == "coordinate range"
    assert raises(KeyInvalid, SM2.key, p + good[32:]).reason == "coordinate range"
    assert raises(KeyInvalid, SM2.key, good[:32] + p).reason == "coordinate range"
    assert raises(KeyInvalid, SM2.key, bytes(64)).reason == "off the curve"
    for i in (0, 31, 32, 63):
        bad = bytearray(good)
        bad[i] ^= 1
        assert raises(KeyInvalid, SM2.key, bytes(bad)).reason == "off the curve"


def test_about_half_of_all_x_have_no_point():
    found = 0
    for x in range(1, 13):
        try:
            SM2.key(b"\2" + x.to_bytes(32, "big"))
            found += 1
        except KeyInvalid as e:
            assert e.reason == "off the curve"
    # Euler's criterion with Python integers is the reference.
    p = SM2.p
    want = 0
    for x in range(1, 13):
        v = (x * x * x + SM2.a * x + SM2.b) % p
        want += pow(v, (p - 1) // 2, p) == 1
    assert found == want and 0 < want < 12


def test_the_generator_as_key_is_decided_rightly():
    # u1 G + u2 G meets its own points in the ladder; d = 1 makes such signatures.
    for d in (1, 2, 3, N - 1, N - 2):
        x, y = SM2.g
        if d != 1:
            from validator.crypto import textbook

            x, y = textbook.sum_of_two(d, SM2.g, 0, SM2.g, SM2.a, SM2.p)
        for prepared in (False, True):
            key = SM2.point(x, y)
            if prepared:
                key.prepare()
            e = int.from_bytes(sm2.digest(key, MESSAGE), "big")
            k = 0x123456789ABCDEF0123456789ABCDEF
            from validator.crypto import textbook

            x1 = textbook.sum_of_two(k, SM2.g, 0, SM2.g, SM2.a, SM2.p)[0]
            r = (e + x1) % N
            # (1 + d) s = k - r d; d = n - 1 has no inverse, and no valid signature.
            if (1 + d) % N == 0:
                continue
            s = pow(1 + d, N - 2, N) * (k - r * d) % N
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            assert sm2.verify(key, MESSAGE, signature), d
            assert not sm2.verify(key, b"x", signature), d


def test_infinity_matches_nothing():
    g = SM2.point(*SM2.g)
    for x in (0, 1, SM2.g[0] % N):
        assert not SM2.matches(5, N - 5, g, x)
        assert not SM2.matches(0, 0, g, x)


def test_one_scalar_may_be_zero():
    g = SM2.point(*SM2.g)
    assert SM2.matches(1, 0, g, SM2.g[0] % N)
    assert SM2.matches(0, 1, g, SM2.g[0] % N)
    assert SM2.matches(N - 1, 0, g, SM2.g[0] % N)
    assert not SM2.matches(2, 0, g, SM2.g[0] % N)


def test_two_scalars_of_zero_do_not_see_the_point_before():
    g = SM2.point(*SM2.g).prepare()
    x = SM2.g[0] % N
    assert SM2.matches(1, 0, g, x)
    assert not SM2.matches(0, 0, g, x)
