"""Evidence as the acquirer gets it: `faretap.records.evidence` on what the kernel sealed."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.records.evidence import EvidenceError, KeyBlocks, load_key, objects, unseal
from faretap.replay import Aes
from faretap.sim import cards
from faretap.sim.cards.scheme import acquirer
from flash_sim import FlashSim  # type: ignore[import-not-found]
from validator.media import evidence
from validator.store import record
from validator.store.journal import Journal

from .kernel import Kernel

NUMBERS = acquirer().public_key().public_numbers()
SEAL = evidence.Seal(NUMBERS.n.to_bytes(256, "big"), NUMBERS.e, aes=Aes)


@given(st.binary(max_size=400))
def test_what_was_sealed_is_opened(data: bytes) -> None:
    assert unseal(SEAL.seal(data), acquirer()) == data


def test_the_acquirer_reads_what_it_needs() -> None:
    result = Kernel().tap(cards.make("quickpass-phone"))
    found = objects(unseal(result.evidence, acquirer()))
    assert set(evidence.TAGS) - set(found) == {0x9F63, 0x5A, 0x5F24}
    assert list(found) == [tag for tag in evidence.TAGS if tag in found]
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


def shared() -> tuple[KeyBlocks, list[tuple[bytes, bytes]], bytes]:
    """Records' evidence without its key block, with the data; and the block."""
    kernel = Kernel()
    taps = []
    block = b""
    for name in ("quickpass-phone", "quickpass-debit", "quickpass-ecash"):
        kernel.seconds += 1000
        sealed = kernel.evidence_of(kernel.tap(cards.make(name)))
        short, block = kernel.rules["seal"].split(sealed)
        taps.append((short, unseal(sealed, acquirer())))
    blocks = KeyBlocks()
    blocks.add(block)
    return blocks, taps, block


def test_evidence_that_names_its_key_block() -> None:
    blocks, taps, _ = shared()
    for short, data in taps:
        assert unseal(short, acquirer(), blocks) == data
        assert unseal(blocks.whole(short), acquirer()) == data
        with pytest.raises(EvidenceError, match="missing"):
            unseal(short, acquirer())
    numbers = {objects(data)[0x57] for _, data in taps}
    assert len(numbers) == 3


def test_from_tap_to_acquirer_through_the_journal() -> None:
    kernel = Kernel()
    journal = Journal(FlashSim(8))
    journal.mount()
    for n in range(60):
        kernel.seconds += 1000
        name = ("quickpass-phone", "quickpass-debit", "quickpass-ecash")[n % 3]
        sealed = kernel.evidence_of(kernel.tap(cards.make(name)))
        evidence_, block = kernel.rules["seal"].split(sealed)
        fields = {"seq": n + 1, "time": n, "medium": "quickpass", "outcome": "accepted"}
        body = record.encode({**fields, "reason": "", "evidence": evidence_})
        assert len(evidence_) <= 69 + 15
        journal.append(body, block)
    blocks = KeyBlocks()
    opened = []
    for seq, body, *_ in journal.read(0, True):
        if seq:
            found = record.decode(body)["evidence"]
            opened.append(objects(unseal(found, acquirer(), blocks)))
        else:
            blocks.add(body)
    assert len(opened) == 60 and len(blocks) == 1
    assert len({found[0x9F26] for found in opened}) == 60
    assert {found[0x9F02].hex() for found in opened} == {"000000000200"}


def test_a_key_block_with_a_rotten_bit_is_mended() -> None:
    _, taps, block = shared()
    for at in range(0, len(block), 37):
        rotten = bytearray(block)
        rotten[at] ^= 1 << at % 8
        blocks = KeyBlocks()
        blocks.add(bytes(rotten))
        for short, data in taps:
            assert unseal(short, acquirer(), blocks) == data
    blocks = KeyBlocks()
    blocks.add(block[:9] + bytes((block[9] ^ 3,)) + block[10:])
    with pytest.raises(EvidenceError, match="missing"):
        unseal(taps[0][0], acquirer(), blocks)


def brief(data: bytes, beside: bytes) -> tuple[bytes, KeyBlocks]:
    """Evidence of version 4, as it is read from a record, and its key block."""
    name, block, sealed = SEAL.brief(data, beside)
    blocks = KeyBlocks()
    assert blocks.add(block) == name
    return b"\x04" + name + hashlib.sha256(beside).digest()[:16] + sealed, blocks


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=40))
def test_evidence_without_a_byte_to_spare(data: bytes, beside: bytes) -> None:
    sealed, blocks = brief(data, beside)
    assert len(sealed) == 1 + 4 + 16 + len(data) + 4
    assert unseal(sealed, acquirer(), blocks) == data
    with pytest.raises(EvidenceError, match="missing"):
        unseal(sealed, acquirer())


@settings(max_examples=40)
@given(st.data())
def test_every_change_of_it_is_noticed(data: st.DataObject) -> None:
    sealed, blocks = brief(bytes(18), b"the rest of the record")
    changed = bytearray(sealed)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EvidenceError):
        unseal(bytes(changed), acquirer(), blocks)
    with pytest.raises(EvidenceError):
        unseal(sealed[:at], acquirer(), blocks)


@settings(max_examples=40)
@given(st.data())
def test_every_change_of_short_evidence_is_noticed(data: st.DataObject) -> None:
    blocks, taps, _ = SHARED
    short = bytearray(taps[0][0])
    at = data.draw(st.integers(0, len(short) - 1))
    short[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EvidenceError):
        unseal(bytes(short), acquirer(), blocks)


SHARED = shared()


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
    with pytest.raises(EvidenceError, match="others may read it"):
        load_key(path)
    path.chmod(0o600)
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
