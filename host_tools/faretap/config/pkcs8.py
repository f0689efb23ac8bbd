"""A private key as an encrypted PKCS #8 file that any OpenSSL reads: PBES2 with scrypt (RFC 8018,
RFC 7914) and AES-256-CBC.

`cryptography` reads such files, and writes PBKDF2 with 2,048 rounds only, which is too few for a
key that a fleet depends on.
"""

from __future__ import annotations

import base64
import os
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

_N, _R, _P = 1 << 14, 8, 5  # 16 MB, some 0.2 s: OpenSSL's limit of memory, OWASP's of work
_PBES2 = "2a864886f70d01050d"
_SCRYPT = "2b06010401da47040b"
_AES_256_CBC = "60864801650304012a"


def encrypted_pem(private: bytes, passphrase: bytes) -> bytes:
    """`private` is the key as plain PKCS #8 in DER."""
    salt, iv = os.urandom(16), os.urandom(16)
    key = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(private) + padder.finalize()) + encryptor.finalize()
    numbers = b"".join(_integer(n) for n in (_N, _R, _P))
    kdf = _sequence(_oid(_SCRYPT), _sequence(_octets(salt), numbers))
    cipher = _sequence(_oid(_AES_256_CBC), _octets(iv))
    whole = _sequence(_sequence(_oid(_PBES2), _sequence(kdf, cipher)), _octets(sealed))
    lines = "\n".join(textwrap.wrap(base64.b64encode(whole).decode(), 64))
    label = "ENCRYPTED PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def _tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _octets(value: bytes) -> bytes:
    return _tlv(0x04, value)


def _oid(digits: str) -> bytes:
    return _tlv(0x06, bytes.fromhex(digits))


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))
