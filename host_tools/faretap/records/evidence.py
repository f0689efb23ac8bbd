"""The acquirer's side of a record's evidence: opened with the acquirer's private key.

    blocks = KeyBlocks()                      # those that came with the records
    blocks.add(block)
    objects(unseal(evidence, key, blocks))

The layout is that of `validator.media.evidence`; nothing of its code is used here.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from faretap.errors import FaretapError
from faretap.reading import PEM, read_secret

VERSIONS = (2, 3, 4)  # whole; without its key block; and with a short MAC, of bytes
_BRIEF = 4
_BRIEF_IV_SIZE = 16
_BRIEF_MAC_SIZE = 4
PURSE = 0x50  # first byte of a purse's evidence, which is laid out in docs/tunion.md
PURSE_SIZE = 52
_KEYS_SIZE = 32
_MENDS = 300  # blocks that are tried: each costs some thousand hashes
_LONGEST = 1024  # bytes of a block
_ID_SIZE = 4
_MAC_SIZE = 8

# The objects of a settlement in the order of `validator.media.evidence.TAGS`.
_TAGS = (
    *(0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A),
    *(0x9F03, 0x9F33, 0x9F34, 0x9F35, 0x9F1E, 0x9F41, 0x9F63, 0x84, 0x9F09, 0x57, 0x5F34),
    *(0x5A, 0x5F24),
)
_ABSENT = 0xFF


class EvidenceError(FaretapError):
    """Evidence that is damaged, or for another acquirer."""


def load_key(path: Path, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """The acquirer's private key from a PEM file that only its owner may read."""
    data = read_secret(path, PEM, EvidenceError, lambda data: b"PRIVATE KEY" in data)
    try:
        key = serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise EvidenceError(
            f"{path} is no private key in PEM format, or has another password."
        ) from e
    if not isinstance(key, rsa.RSAPrivateKey):
        raise EvidenceError(f"{path} is no RSA key.", "Give the acquirer's RSA private key.")
    return key


def key_block_name(evidence: bytes | None) -> bytes | None:
    """The name of the key block that sealed evidence needs, None if it needs none."""
    if evidence and evidence[0] == PURSE:
        evidence = evidence[PURSE_SIZE:]
    if not evidence or evidence[0] not in (3, _BRIEF):
        return None
    return evidence[1 : 1 + _ID_SIZE]


class KeyBlocks:
    """What came with records because many of them refer to it, by the name that they call it:
    blocks of keys, and contexts. One that has a rotten bit is mended when it is wanted: its name
    says when it is right."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, bytes] = {}
        self._none: set[bytes] = set()  # names for which there is no block to mend
        self._mends = _MENDS

    def add(self, block: bytes) -> bytes:
        """Take a block in; returns its name."""
        name = hashlib.sha256(block).digest()[:_ID_SIZE]
        self._blocks[name] = block
        self._none.clear()
        return name

    def __len__(self) -> int:
        return len(self._blocks)

    def find(self, name: bytes) -> bytes | None:
        """The block of that name, if it is here, or one bit of it is wrong."""
        found = self._blocks.get(name)
        if found is not None:
            return found
        if name in self._none:
            return None
        for block in list(self._blocks.values()):
            if self._mends <= 0:
                break
            self._mends -= 1
            mended = _mend(block, name) if len(block) <= _LONGEST else None
            if mended is not None:
                self._blocks[name] = mended
                return mended
        self._none.add(name)
        return None

    def of(self, evidence: bytes) -> bytes:
        """The block that evidence of version 3 or 4 names; EvidenceError if it is not here."""
        block = self.find(evidence[1 : 1 + _ID_SIZE])
        if block is None:
            raise EvidenceError(
                "The key block of this evidence is missing.",
                "Pull the records from the beginning: it stands before them.",
            )
        return block

    def whole(self, evidence: bytes) -> bytes:
        """The same evidence with its key block in it; unchanged if it has one already.

        EvidenceError if the block that it names is not here.
        """
        if evidence[:1] != b"\x03":
            return evidence
        block = self.of(evidence)
        return b"\x02" + len(block).to_bytes(2, "big") + block + evidence[1 + _ID_SIZE :]


def _mend(block: bytes, name: bytes) -> bytes | None:
    changed = bytearray(block)
    for at in range(len(changed)):
        for bit in range(8):
            changed[at] ^= 1 << bit
            if hashlib.sha256(changed).digest()[:_ID_SIZE] == name:
                return bytes(changed)
            changed[at] ^= 1 << bit
    return None


def unseal(evidence: bytes, key: rsa.RSAPrivateKey, blocks: KeyBlocks | None = None) -> bytes:
    """What was sealed: of a card, the settlement's data objects (BER-TLV); of a purse, its issuer
    (8 bytes) and number (10, BCD); of a code, its bytes.

    `blocks` are needed for evidence that only names its key block.
    """
    if not evidence or evidence[0] not in VERSIONS:
        version = evidence[0] if evidence else "none"
        raise EvidenceError(
            f"Evidence of version {version}; this software knows 2 to 4.",
            "Use a newer faretap.",
        )
    blocks = blocks or KeyBlocks()
    if evidence[0] == _BRIEF:
        block, sealed = blocks.of(evidence), evidence[1 + _ID_SIZE :]
        return _open(block, sealed, _BRIEF_IV_SIZE, _BRIEF_MAC_SIZE, key)[1]
    evidence = blocks.whole(evidence)
    size = int.from_bytes(evidence[1:3], "big")
    block, sealed = evidence[3 : 3 + size], evidence[3 + size :]
    if len(block) != size:
        raise EvidenceError("The evidence is cut off.", "Read the record again.")
    keys, plain = _open(block, sealed, 2, _MAC_SIZE, key)
    if plain[0] == 0:
        return plain[1:]
    common = block[2 + int.from_bytes(block[:2], "big") :]
    shared = _values(_decrypt(keys[:16], b"\xff\xff", common), [None] * len(_TAGS))
    values = _values(plain, shared)
    named = zip(_TAGS, values, strict=True)
    return b"".join(_tlv(tag, value) for tag, value in named if value is not None)


def _open(
    block: bytes, sealed: bytes, iv_size: int, mac_size: int, key: rsa.RSAPrivateKey
) -> tuple[bytes, bytes]:
    """The keys of a key block, and what `sealed` holds: the IV's first bytes, ciphertext, MAC."""
    wrapped_size = int.from_bytes(block[:2], "big")
    wrapped = block[2 : 2 + wrapped_size]
    if len(block) <= 2 + wrapped_size or len(sealed) < iv_size + 1 + mac_size:
        raise EvidenceError("The evidence is cut off.", "Read the record again.")
    keys = _unwrap(wrapped, key)
    iv, cipher, mac = sealed[:iv_size], sealed[iv_size:-mac_size], sealed[-mac_size:]
    message = hashlib.sha256(block).digest() + iv + cipher
    if not hmac.compare_digest(hmac.new(keys[16:], message, "sha256").digest()[:mac_size], mac):
        raise EvidenceError("The evidence was changed after it was made.")
    return keys, _decrypt(keys[:16], iv, cipher)


def _unwrap(wrapped: bytes, key: rsa.RSAPrivateKey) -> bytes:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    try:
        keys = key.decrypt(wrapped, oaep)
    except ValueError:
        raise EvidenceError(
            "This key does not open the evidence.", "Give the private key of its acquirer."
        ) from None
    if len(keys) != _KEYS_SIZE:
        raise EvidenceError("The evidence's keys have a wrong length.")
    return keys


def _decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-128-OFB, the IV filled up with zeros: each block of the key stream is the one before it,
    encrypted."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    state = iv.ljust(16, b"\0")
    stream = b""
    while len(stream) < len(data):
        state = encryptor.update(state)
        stream += state
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def _values(packed: bytes, shared: list[bytes | None]) -> list[bytes | None]:
    same = int.from_bytes(packed[1:5], "big")
    at = 5
    values: list[bytes | None] = []
    try:
        if packed[0] != 1 or same >> len(_TAGS):
            raise IndexError
        for number, known in enumerate(shared):
            if same >> number & 1:
                values.append(known)
                continue
            size = packed[at]
            at += 1
            if size == _ABSENT:
                values.append(None)
                continue
            values.append(packed[at : at + size])
            at += size
        if at != len(packed):
            raise IndexError
    except IndexError:
        raise EvidenceError(
            "The evidence holds no data objects.", "Use a newer faretap."
        ) from None
    return values


def _tlv(tag: int, value: bytes) -> bytes:
    head = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    return head + (b"\x81" if len(value) > 127 else b"") + bytes((len(value),)) + value


def objects(data: bytes) -> dict[int, bytes]:
    """{tag: value} of what `unseal` returns."""
    found: dict[int, bytes] = {}
    at = 0
    try:
        while at < len(data):
            start = at
            at += 2 if data[at] & 0x1F == 0x1F else 1
            tag = int.from_bytes(data[start:at], "big")
            size = data[at]
            at += 1
            if size == 0x81:
                size = data[at]
                at += 1
            if at + size > len(data):
                raise IndexError
            found[tag] = data[at : at + size]
            at += size
    except IndexError:
        raise EvidenceError("The evidence holds no data objects.") from None
    return found
