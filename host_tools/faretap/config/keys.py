"""The operator's key: ECDSA over P-256, in a PEM file that a passphrase protects.

key = create(Path("operator.pem"), passphrase)
key = load(Path("operator.pem"), lambda: passphrase)
public_bytes(key.public_key())           # x and y, 64 bytes: what a validator keeps
fingerprint(key.public_key())            # what it shows
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from faretap.config.errors import KeyFileError
from faretap.config.pkcs8 import encrypted_pem
from faretap.reading import PEM, SECRET, read_bytes, read_secret
from faretap.writing import create_files

MIN_PASSPHRASE = 8  # characters


def create(path: Path, passphrase: str) -> ec.EllipticCurvePrivateKey:
    """A new key in the new file `path`, its public half beside it in `path`.pub."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise KeyFileError(
            f"The passphrase has {len(passphrase)} characters.",
            f"It must have {MIN_PASSPHRASE} or more.",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    private = encrypted_pem(plain, passphrase.encode())
    public = public_pem(key.public_key())
    # Never over an existing file: a lost operator key is the loss of all validators.
    create_files([(path, private, True), (public_path(path), public, False)], KeyFileError)
    return key


def public_path(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def load(path: Path, passphrase: Callable[[], str]) -> ec.EllipticCurvePrivateKey:
    """The private key in `path`; `passphrase` is asked once the file is known to be a key."""
    data = read_secret(path, PEM, KeyFileError, lambda data: b"PRIVATE KEY" in data)
    if b"ENCRYPTED PRIVATE KEY" not in data:
        if b"PRIVATE KEY" in data:
            raise KeyFileError(
                f"{path} is not encrypted.", "Make an operator key with `faretap keys new`."
            )
        raise KeyFileError(f"{path} holds no private key.", "Make one with `faretap keys new`.")
    try:
        key = load_pem_private_key(data, passphrase().encode())
    except (ValueError, TypeError) as e:  # TypeError: an empty passphrase is none
        raise KeyFileError(f"{path} does not open with this passphrase.") from e
    except UnsupportedAlgorithm as e:
        raise KeyFileError(f"{path} is encrypted in a way that is not known here.") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path} is no key over P-256.", "Make one with `faretap keys new`.")
    return key


def load_public(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key in a .pub file; the private key's file will do if its .pub is beside it."""
    data = read_bytes(path, PEM, KeyFileError)
    if b"PRIVATE KEY" in data:
        beside = public_path(path)
        if not os.path.lexists(beside):
            raise KeyFileError(
                f"{path} holds the private key.", f"Give its public half, {beside}."
            )
        path, data = beside, read_bytes(beside, PEM, KeyFileError)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise KeyFileError(f"{path} holds no public key in PEM.") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path} is no key over P-256.", "Make one with `faretap keys new`.")
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """x and y, big-endian, 64 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def compressed(key: ec.EllipticCurvePublicKey) -> bytes:
    """33 bytes, as a configuration names keys."""
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """16 hex digits: the id by which validators and bundles know the key."""
    return hashlib.sha256(public_bytes(key)).hexdigest()[:16]


def point(data: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 key in `data`: x and y, or SEC 1. ValueError if it is none."""
    if len(data) == 64:
        data = b"\x04" + data
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def create_token(path: Path) -> None:
    """A new key for tokens in the new file `path`: 32 hex digits, readable by its owner alone."""
    create_files([(path, os.urandom(16).hex().encode() + b"\n", True)], KeyFileError)


def load_token(path: Path) -> str:
    """The key for tokens in `path`, as hex digits."""
    data = read_secret(path, SECRET, KeyFileError, _is_token)
    if not _is_token(data):
        raise KeyFileError(f"{path} holds no token key.", "Make one with `faretap keys token`.")
    return data.decode().strip().lower()


def _is_token(data: bytes) -> bool:
    return bool(re.fullmatch(rb"\s*[0-9A-Fa-f]{32}\s*", data))
