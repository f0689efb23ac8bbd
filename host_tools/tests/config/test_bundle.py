"""The bundle: the host's file, verified by `cryptography`, and any bytes at the device."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.config import samples
from faretap.config.bundle import SMALLEST_ROOM, body_text, is_bundle, make, read
from faretap.config.errors import ConfigError
from faretap.config.keys import public_bytes
from validator.store import bundle as layout
from validator.store.config_put import Put

from .bundles import FIRST, SECOND, TARGET, bundles, source
from .device import Device


def test_the_firmwares_test_bundles_are_current() -> None:
    assert TARGET.read_text(encoding="utf-8") == source()


def test_layout_and_signature_by_hand() -> None:
    body = {"format": 1, "version": 7, "not_before": 1893456000, "life_cycle": "bench"}
    data = make(body, FIRST)
    text = b'{\n"format":1,\n"version":7,\n"not_before":1893456000,\n"life_cycle":"bench"\n}'
    assert data[128:] == text and json.loads(text) == body
    numbers = FIRST.public_key().public_numbers()
    point = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    head = b"FTCB\x01\0\0\0" + struct.pack("<III", 7, 1893456000, len(text))
    head += hashlib.sha256(point).digest()[:8] + hashlib.sha256(text).digest() + bytes(4)
    assert data[:64] == head
    r, s = (int.from_bytes(data[at : at + 32], "big") for at in (64, 96))
    FIRST.public_key().verify(encode_dss_signature(r, s), head, ec.ECDSA(hashes.SHA256()))
    assert make(body, FIRST) == data  # the same again gives the same bytes


def test_read_is_the_reverse_of_make() -> None:
    body = samples.bench_body()
    made = make(body, FIRST)
    bundle = read(made)
    assert bundle.body == body and bundle.version == 1 and bundle.text == body_text(body)
    assert bundle.hash == hashlib.sha256(bundle.text).hexdigest()[:8]
    assert bundle.signed_by(FIRST.public_key()) and not bundle.signed_by(SECOND.public_key())
    forged = read(made[:70] + bytes([made[70] ^ 1]) + made[71:])
    assert not forged.signed_by(FIRST.public_key())
    assert is_bundle(made) and not is_bundle(b"version = 1\n")


def test_damage_is_named() -> None:
    made = make(samples.bench_body(), FIRST)
    for data in (b"", made[:100], made[:-1], made + b" ", made[:200] + b"\0" + made[201:]):
        with pytest.raises(ConfigError):
            read(data, "x.ftc")


def test_room_is_the_devices() -> None:
    device = Device()
    assert device.flash.size == 0x10000
    assert device.configuration.room() - layout.HEAD_SIZE == SMALLEST_ROOM


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_changed_head_is_taken(data: st.DataObject) -> None:
    """Whatever is changed in a head: refused, nothing raised but Refused, nothing erased."""
    device = Device()
    device.configuration.keep_key(public_bytes(FIRST.public_key()))
    head = bytearray(bundles_once()["V1"][:128])
    at = data.draw(st.integers(0, 127))
    head[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(layout.Refused):
        Put(device.configuration).begin(bytes(head), None)
    assert device.flash.log == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    device = Device()
    with pytest.raises(layout.Refused):
        Put(device.configuration).begin(data, None)
    assert device.flash.log == []


_members = st.dictionaries(
    st.sampled_from(["format", "version", "life_cycle", "fares", "access", "cards", "x", ""]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    ),
)


@settings(max_examples=100, deadline=None)
@given(_members, st.booleans())
def test_any_signed_body_is_taken_whole_or_refused(body: dict[str, object], right: bool) -> None:
    """An operator's key may sign anything: the validator refuses, or runs it, and never raises."""
    device = Device()
    device.configuration.keep_key(public_bytes(FIRST.public_key()))
    if right:
        body = {**body, "format": 1, "version": 1, "life_cycle": "bench"}
    text = body_text(body)
    signed = make({"version": 1}, FIRST)  # for its head's numbers
    head = layout.pack(1, 0, public_bytes(FIRST.public_key()), text)
    r_s = resigned(head) if len(text) else signed[64:128]
    put = Put(device.configuration)
    from validator.operation import CHECKS

    try:
        at = put.begin(head + r_s, None)
        while at < put.size:
            at = put.write(at, text[at : at + 300])
        put.commit(CHECKS)
    except layout.Refused as e:
        assert e.reason in ("invalid", "not_for_me") and device.configuration.version == 0
    else:
        for name in body:
            assert device.configuration.section(name) == body[name]
    device.boot()
    assert device.configuration.faults == []


def resigned(head: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(FIRST.sign(head, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


_made: dict[str, bytes] = {}


def bundles_once() -> dict[str, bytes]:
    if not _made:
        _made.update(bundles())
    return _made
