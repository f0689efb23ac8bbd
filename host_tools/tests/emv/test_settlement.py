"""Evidence as the acquirer gets it: `faretap.records.evidence` on what the kernel sealed."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.records.evidence import EvidenceError, load_key, objects, unseal
from faretap.replay import Aes
from faretap.sim import cards
from faretap.sim.cards.scheme import acquirer
from validator.media import evidence

from .kernel import Kernel

NUMBERS = acquirer().public_key().public_numbers()
SEAL = evidence.Seal(NUMBERS.n.to_bytes(256, "big"), NUMBERS.e, aes=Aes)


@given(st.binary(max_size=400))
def test_what_was_sealed_is_opened(data: bytes) -> None:
    assert unseal(SEAL.seal(data), acquirer()) == data


def test_the_acquirer_reads_what_it_needs() -> None:
    result = Kernel().tap(cards.make("quickpass-phone"))
    found = objects(unseal(result.evidence, acquirer()))
    assert set(evidence.TAGS) - set(found) == {0x9F63}
    assert found[0x57].hex().startswith("6299980000000000014d4912")
    assert found[0x9F02] == bytes.fromhex("000000000200")


@settings(max_examples=60)
@given(st.data())
def test_every_change_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(SEAL.seal(b"settlement"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EvidenceError):
        unseal(bytes(sealed), acquirer())


@given(st.integers(0, 320))
def test_every_cut_is_noticed(size: int) -> None:
    sealed = SEAL.seal(b"settlement")
    with pytest.raises(EvidenceError):
        unseal(sealed[: min(size, len(sealed) - 1)], acquirer())


def test_another_acquirers_key() -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(EvidenceError, match="does not open"):
        unseal(SEAL.seal(b"x"), other)


def test_key_files(tmp_path: Path) -> None:
    def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    path = tmp_path / "acquirer.pem"
    path.write_bytes(pem(acquirer()))
    assert unseal(SEAL.seal(b"x"), load_key(path)) == b"x"
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(EvidenceError, match="no RSA key"):
        load_key(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(EvidenceError, match="no private key"):
        load_key(path)
    with pytest.raises(EvidenceError, match="cannot be read"):
        load_key(tmp_path / "absent.pem")


@given(st.binary(max_size=40))
def test_nonsense_is_no_evidence(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        unseal(data, acquirer())
    try:
        objects(data)
    except EvidenceError:
        pass
