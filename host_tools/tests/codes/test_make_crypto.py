"""What codes are signed with agrees with what others wrote, and the keys with their labels."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim.codes import new_keys, reference
from faretap.sim.codes.keys import Key, key
from faretap.sim.codes.reference import CURVES, SM2


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_sm3_is_openssls(data: bytes) -> None:
    theirs = hashes.Hash(hashes.SM3())
    theirs.update(data)
    assert reference.sm3(data) == theirs.finalize()


def test_the_stored_keys_come_from_their_labels() -> None:
    stored = files("faretap.sim.codes").joinpath("data/codes_test_keys.json").read_text()
    assert stored == new_keys.generate()
    for name, entry in json.loads(stored)["keys"].items():
        curve = CURVES[entry["curve"]]
        digest = hashes.Hash(hashes.SM3())
        digest.update(entry["label"].encode())
        d = int.from_bytes(digest.finalize(), "big") % (curve.n - 1) + 1
        assert int(entry["d"], 16) == d == key(name).d
    assert "TEST KEYS" in json.loads(stored)["label"]


@pytest.mark.parametrize("name", sorted(CURVES))
@given(d=st.integers(1, 2**190))
@settings(max_examples=10, deadline=None)
def test_points_survive_compression(name: str, d: int) -> None:
    curve = CURVES[name]
    point = curve.public(d)
    assert curve.decompress(curve.compress(point)) == point
    other = bytes([curve.compress(point)[0] ^ 1]) + curve.compress(point)[1:]
    assert curve.decompress(other) == (point[0], curve.p - point[1])


@pytest.mark.parametrize("name", sorted(CURVES))
def test_what_is_no_point_is_none(name: str) -> None:
    curve = CURVES[name]
    good = curve.compress(curve.g)
    assert curve.decompress(b"\x04" + good[1:]) is None
    assert curve.decompress(good[:-1]) is None
    assert curve.decompress(b"\x02" + curve.p.to_bytes(curve.size, "big")) is None
    missing = [
        x
        for x in range(1, 40)
        if curve.decompress(b"\x02" + x.to_bytes(curve.size, "big")) is None
    ]
    assert 5 < len(missing) < 35  # about every second x is no point's
    for x in missing:
        residue = (x**3 + curve.a * x + curve.b) % curve.p
        assert pow(residue, (curve.p - 1) // 2, curve.p) == curve.p - 1


@given(st.binary(max_size=80), st.binary(max_size=20))
@settings(max_examples=10, deadline=None)
def test_the_same_message_has_the_same_signature(message: bytes, user_id: bytes) -> None:
    for name in ("root", "alipay-1", "alipay-user"):
        one = key(name)
        two = Key(one.curve_name, one.d)
        if one.curve_name == "sm2":
            assert one.sm2(message, user_id) == two.sm2(message, user_id)
            assert one.sm2(message, user_id) != one.sm2(message + b"1", user_id)
        else:
            assert one.ecdsa(message) == two.ecdsa(message) != one.ecdsa(message + b"1")


@given(
    d=st.integers(1, SM2.n - 2),
    message=st.binary(max_size=100),
    user_id=st.binary(min_size=1, max_size=30),
)
@settings(max_examples=6, deadline=None)
def test_sm2_agrees_with_another_package(d: int, message: bytes, user_id: bytes) -> None:
    gmalg = pytest.importorskip("gmalg")
    one = Key("sm2", d)
    public = b"\x04" + b"".join(x.to_bytes(32, "big") for x in one.public)
    theirs = gmalg.SM2(d.to_bytes(32, "big"), user_id, public)
    r, s = one.sm2(message, user_id)
    assert theirs.verify(message, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    assert not theirs.verify(message + b"1", r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    r, s = (int.from_bytes(x, "big") for x in theirs.sign(message))
    e = reference.sm2_digest(one.public, message, user_id)
    assert reference.sm2_verify(one.public, e, r, s)
    assert not reference.sm2_verify(one.public, e ^ 1, r, s)


@given(d=st.integers(1, 2**192 - 2**100))
@settings(max_examples=12, deadline=None)
def test_secp192k1_agrees_with_another_package(d: int) -> None:
    ellipticcurve = pytest.importorskip("gmalg.ellipticcurve")
    curve = CURVES["secp192k1"]
    theirs = ellipticcurve.ECDLP(curve.p, curve.a, curve.b, curve.g, curve.n)
    assert tuple(theirs.kG(d)) == curve.public(d)
