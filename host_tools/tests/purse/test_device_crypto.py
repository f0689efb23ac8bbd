"""The validator's DES and its software PSAM, against `cryptography` and the simulators' keys."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES as Independent
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from hypothesis import given
from hypothesis import strategies as st

from faretap.sim.cards import purse_keys as keys
from faretap.sim.cards import purse_scheme
from validator.crypto.des import DES, TripleDES, mac
from validator.media import purse_rules
from validator.sam.soft import SoftPsam
from validator.sam.tries import Tries

from .bench import run

block = st.binary(min_size=8, max_size=8)


def independent(key: bytes, data: bytes) -> bytes:
    encryptor = Cipher(Independent(key), ECB()).encryptor()
    return encryptor.update(data) + encryptor.finalize()


@given(block, block)
def test_des(key: bytes, data: bytes) -> None:
    ours = DES(key)
    assert ours.encrypt(data) == independent(key * 3, data)
    assert ours.decrypt(ours.encrypt(data)) == data


@given(st.binary(min_size=16, max_size=16), block)
def test_two_keys(key: bytes, data: bytes) -> None:
    ours = TripleDES(key)
    assert ours.encrypt(data) == independent(key + key[:8], data)
    assert ours.decrypt(ours.encrypt(data)) == data


@given(st.binary(min_size=24, max_size=24), block)
def test_three_keys(key: bytes, data: bytes) -> None:
    assert TripleDES(key).encrypt(data) == independent(key, data)


def test_each_bit_of_key_and_data() -> None:
    for bit in range(64):
        one = (1 << bit).to_bytes(8, "big")
        assert DES(one).encrypt(bytes(8)) == independent(one * 3, bytes(8))
        assert DES(bytes(8)).encrypt(one) == independent(bytes(24), one)


@given(block, st.binary(max_size=40))
def test_mac(key: bytes, data: bytes) -> None:
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 8)
    encryptor = Cipher(Independent(key * 3), CBC(bytes(8))).encryptor()
    assert mac(DES(key), data) == (encryptor.update(padded) + encryptor.finalize())[-8:]


def soft(df: str, form: str) -> SoftPsam:
    entry = {
        "terminal": purse_scheme.TERMINAL,
        "key": keys.master("purchase", df, keys.DES3).hex(),
        "serial": 0x1FFFF,
        "form": form,
    }
    if df == "8011":
        entry["sm4_key"] = keys.master("purchase", df, keys.SM4).hex()
    return SoftPsam(purse_rules.load({"soft_psam": entry})["soft_psam"][0], Tries())


@pytest.mark.parametrize(
    ("df", "form", "levels", "algorithm"),
    [
        ("8011", "24", 2, keys.DES3),
        ("8011", "24", 2, keys.SM4),
        ("1001", "1C", 1, keys.DES3),
        ("1001", "14", 0, keys.DES3),
    ],
)
@given(
    st.binary(min_size=4, max_size=4),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.sampled_from((keys.PURCHASE, keys.COMPOSITE)),
    block,
    st.binary(min_size=4, max_size=4),
)
def test_soft_psam_and_cards_agree(
    df: str,
    form: str,
    levels: int,
    algorithm: int,
    random: bytes,
    counter: int,
    amount: int,
    kind: int,
    card_id: bytes,
    issuer: bytes,
) -> None:
    psam = soft(df, form)
    moment = bytes.fromhex("20260801120000")
    told = b"".join(
        (
            random,
            counter.to_bytes(2, "big"),
            amount.to_bytes(4, "big"),
            bytes([kind]),
            moment,
            bytes([1, algorithm]),
            card_id,
            issuer + b"\xff" * 4,
        )
    )
    serial, mac1 = run(psam.mac1(told))
    own = keys.card_key(keys.master("purchase", df, algorithm), issuer, card_id, levels, algorithm)
    session = keys.session_key(own, random, counter, serial, algorithm)
    terminal = bytes.fromhex(purse_scheme.TERMINAL)
    covered = keys.purchase_data(amount, kind, terminal, moment)
    assert serial == bytes.fromhex("00020000")
    assert mac1 == keys.mac(session, covered, algorithm)
    mac2 = keys.mac(session, keys.confirmation_data(amount), algorithm)
    assert run(psam.check(mac2)) is True
