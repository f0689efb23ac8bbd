"""The firmware's test lists are what this library builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import list_corpus as corpus  # type: ignore[import-not-found]
from faretap.lists import Changes, DenyList, Layout, build, delta

LAYOUT = Layout(corpus.BUCKETS, corpus.WIDTH, corpus.CELL)
SCALAR = int.from_bytes(hashlib.sha256(corpus.SEED).digest(), "big")
KEY = ec.derive_private_key(SCALAR, ec.SECP256R1())


def sign(data: bytes) -> bytes:
    signature = KEY.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def made(version: int, riders: Iterable[int], twins: Iterable[int] = ()) -> bytes:
    return build(
        [corpus.rider(n) for n in riders],
        version=version,
        sign=sign,
        space=5000,
        issued=corpus.ISSUED,
        exempt=[corpus.twin(corpus.rider(n)) for n in twins],
        key_check=corpus.KEY_CHECK,
        layout=LAYOUT,
    )


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> Any:
    # A few hundred tokens in a layout as narrow as a full list's.
    monkeypatch.setattr("faretap.lists.builder.MAX_FALSE", 1)


def test_lists() -> None:
    assert made(1, range(300)) == corpus.LIST_1
    assert made(2, range(20, 330), (30, 31)) == corpus.LIST_2
    assert made(3, (n for n in range(20, 330) if n % 10), (31,)) == corpus.LIST_3


def test_changes() -> None:
    first, second, third = map(DenyList.parse, (corpus.LIST_1, corpus.LIST_2, corpus.LIST_3))
    assert delta(first, second) == corpus.CHANGES_2
    assert delta(second, third) == corpus.CHANGES_3


def test_signatures() -> None:
    for data in (corpus.LIST_1, corpus.LIST_2, corpus.LIST_3):
        assert DenyList.parse(data).signed_by(KEY.public_key())
    for data in (corpus.CHANGES_2, corpus.CHANGES_3):
        assert Changes.parse(data).signed_by(KEY.public_key())
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert not DenyList.parse(corpus.LIST_1).signed_by(other)
