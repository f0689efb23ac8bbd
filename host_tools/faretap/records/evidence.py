"""The acquirer's side of a record's evidence: opened with the acquirer's private key.

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
from cryptography.hazmat.primitives.padding import PKCS7

from faretap.errors import FaretapError

VERSION = 1
_MAC_SIZE = 16
_IV_SIZE = 16
_KEYS_SIZE = 32


class EvidenceError(FaretapError):
    """Evidence that is damaged, or for another acquirer."""


def load_key(path: Path, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """The acquirer's private key from a PEM file."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password)
    except OSError as e:
        raise EvidenceError(f"The key {path} cannot be read: {e.strerror or e}.") from e
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise EvidenceError(
            f"{path} is no private key in PEM format, or has another password."
        ) from e
    if not isinstance(key, rsa.RSAPrivateKey):
        raise EvidenceError(f"{path} is no RSA key.", "Give the acquirer's RSA private key.")
    return key


def unseal(evidence: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The settlement's data objects (BER-TLV) of one record."""
    if len(evidence) < 3 or evidence[0] != VERSION:
        version = evidence[0] if evidence else "none"
        raise EvidenceError(
            f"Evidence of version {version}; this software knows {VERSION}.",
            "Use a newer faretap.",
        )
    size = int.from_bytes(evidence[1:3], "big")
    wrapped, rest = evidence[3 : 3 + size], evidence[3 + size :]
    cipher_size = len(rest) - _IV_SIZE - _MAC_SIZE
    if len(wrapped) != size or cipher_size < 16 or cipher_size % 16:
        raise EvidenceError("The evidence is cut off.", "Read the record again.")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    try:
        keys = key.decrypt(wrapped, oaep)
    except ValueError:
        raise EvidenceError(
            "This key does not open the evidence.", "Give the private key of its acquirer."
        ) from None
    if len(keys) != _KEYS_SIZE:
        raise EvidenceError("The evidence's keys have a wrong length.")
    mac = hmac.new(keys[16:], evidence[:-_MAC_SIZE], hashlib.sha256).digest()[:_MAC_SIZE]
    if not hmac.compare_digest(mac, evidence[-_MAC_SIZE:]):
        raise EvidenceError("The evidence was changed after it was made.")
    iv, ciphertext = rest[:_IV_SIZE], rest[_IV_SIZE:-_MAC_SIZE]
    decryptor = Cipher(algorithms.AES(keys[:16]), modes.CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


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
