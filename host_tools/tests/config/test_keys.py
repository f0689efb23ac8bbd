"""The operator's key at rest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from faretap.config import keys
from faretap.config.errors import KeyFileError

PASSPHRASE = "correct horse"


def never() -> str:
    raise AssertionError("asked for a passphrase")


def test_made_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "operator.pem"
    key = keys.create(path, PASSPHRASE)
    assert path.stat().st_mode & 0o777 == 0o600
    again = keys.load(path, lambda: PASSPHRASE)
    assert again.private_numbers() == key.private_numbers()
    public = keys.load_public(tmp_path / "operator.pem.pub")
    assert public.public_numbers() == key.public_key().public_numbers()
    assert keys.load_public(path) == public  # its .pub beside it
    assert len(keys.fingerprint(public)) == 16


def test_nothing_of_it_stands_in_clear(tmp_path: Path) -> None:
    path = tmp_path / "operator.pem"
    key = keys.create(path, PASSPHRASE)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    data = path.read_bytes()
    import base64

    der = base64.b64decode(b"".join(data.splitlines()[1:-1]))
    assert secret not in der and PASSPHRASE.encode() not in data
    assert bytes.fromhex("2b06010401da47040b") in der  # scrypt


def test_others_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "operator.pem"
    key = keys.create(path, PASSPHRASE)
    theirs = load_pem_private_key(path.read_bytes(), PASSPHRASE.encode())
    assert isinstance(theirs, ec.EllipticCurvePrivateKey)
    assert theirs.private_numbers() == key.private_numbers()
    if shutil.which("openssl"):
        done = subprocess.run(
            ["openssl", "pkey", "-in", path, "-passin", "pass:" + PASSPHRASE, "-pubout"],
            capture_output=True,
            check=True,
        )
        assert done.stdout == (tmp_path / "operator.pem.pub").read_bytes()


def test_a_wrong_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "operator.pem"
    keys.create(path, PASSPHRASE)
    for wrong in ("", "Correct horse", PASSPHRASE + " "):
        with pytest.raises(KeyFileError, match="does not open"):
            keys.load(path, iter([wrong]).__next__)


def test_a_short_passphrase_makes_no_key(tmp_path: Path) -> None:
    for short in ("", "1234567"):
        with pytest.raises(KeyFileError, match="8 or more"):
            keys.create(tmp_path / "operator.pem", short)
    assert not list(tmp_path.iterdir())


def test_never_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "operator.pem"
    keys.create(path, PASSPHRASE)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        keys.create(path, PASSPHRASE)
    assert path.read_bytes() == before
    with pytest.raises(KeyFileError, match="cannot be written"):
        keys.create(tmp_path / "no" / "operator.pem", PASSPHRASE)


def test_what_is_no_operator_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(KeyFileError, match="cannot be read"):
        keys.load(path, never)
    path.write_bytes(b"junk")
    with pytest.raises(KeyFileError, match="no private key"):
        keys.load(path, never)
    with pytest.raises(KeyFileError, match="no public key"):
        keys.load_public(path)
    plain = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.write_bytes(plain)
    with pytest.raises(KeyFileError, match="chmod 600"):
        keys.load(path, never)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not encrypted"):
        keys.load(path, never)
    with pytest.raises(KeyFileError, match="holds the private key"):
        keys.load_public(path)
    from faretap.config.pkcs8 import encrypted_pem

    other = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    path.write_bytes(encrypted_pem(other, b"x"))
    with pytest.raises(KeyFileError, match="no key over P-256"):
        keys.load(path, lambda: "x")


def test_token_keys(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    keys.create_token(path)
    assert len(keys.load_token(path)) == 32 and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="exists already"):
        keys.create_token(path)
    other = tmp_path / "other.key"
    keys.create_token(other)
    assert keys.load_token(other) != keys.load_token(path)
    other.write_bytes(b"\xff" * 16)
    with pytest.raises(KeyFileError, match="no token key"):
        keys.load_token(other)
