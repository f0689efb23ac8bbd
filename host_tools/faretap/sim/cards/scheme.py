"""A payment scheme for tests: CA, issuer and card keys, and the certificates they sign.

The keys stand in data/quickpass_test_keys.json, so that the same card always has the same
certificates. They are TEST KEYS: private halves included, published, worth nothing.
`python -m faretap.sim.cards.scheme` makes a new set and prints it. `configuration()` is what a
validator must be told to take cards of this scheme.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

RID = bytes.fromhex("A000000333")
EXPIRES = "4912"  # YYMM

# CA index: (CA, issuer, card) modulus bits. None of the indexes is one of UnionPay's.
SCHEMES = {0xF1: (1408, 1152, 1024), 0xF2: (1984, 1408, 1152)}


@dataclass(frozen=True)
class Key:
    """An RSA key with exponent 3."""

    modulus: int
    private_exponent: int

    @property
    def size(self) -> int:
        return (self.modulus.bit_length() + 7) // 8

    @property
    def modulus_bytes(self) -> bytes:
        return self.modulus.to_bytes(self.size, "big")

    def sign(self, message: bytes) -> bytes:
        """The RSA signature with message recovery: `message` has the size of the modulus."""
        if len(message) != self.size:
            raise ValueError(f"{len(message)} bytes to sign, the modulus has {self.size}")
        value = pow(int.from_bytes(message, "big"), self.private_exponent, self.modulus)
        return value.to_bytes(self.size, "big")


EXPONENT = b"\x03"


@dataclass(frozen=True)
class Scheme:
    index: int
    ca: Key
    issuer: Key
    card: Key
    stray: Key
    """A CA key of the same size that nobody knows: what a forger would sign with."""

    def ca_public(self) -> dict[str, str]:
        """The CA's public key as a validator's key list wants it: hex strings, check value."""
        modulus = self.ca.modulus_bytes
        check = hashlib.sha1(RID + bytes([self.index]) + modulus + EXPONENT).hexdigest()
        return {
            "rid": RID.hex(),
            "index": f"{self.index:02x}",
            "modulus": modulus.hex(),
            "exponent": EXPONENT.hex(),
            "check": check,
            "expires": EXPIRES,
        }

    def issuer_certificate(
        self, pan: str, expires: str = EXPIRES, signer: Key | None = None
    ) -> tuple[bytes, bytes]:
        """(tag 90, tag 92): the issuer's key, signed by the CA; `expires` YYMM."""
        room = self.ca.size - 36
        modulus = self.issuer.modulus_bytes
        identifier = bytes.fromhex(pan[:6].ljust(8, "F"))
        body = b"\x02" + identifier + mmyy(expires) + bytes.fromhex("000001") + b"\x01\x01"
        body += bytes([self.issuer.size, len(EXPONENT)]) + modulus[:room].ljust(room, b"\xbb")
        remainder = modulus[room:]
        return certificate(signer or self.ca, body, remainder + EXPONENT), remainder

    def card_certificate(
        self, pan: str, static_data: bytes, expires: str = EXPIRES
    ) -> tuple[bytes, bytes]:
        """(tag 9F46, tag 9F48): the card's key and its static data, signed by the issuer."""
        room = self.issuer.size - 42
        modulus = self.card.modulus_bytes
        body = b"\x04" + bytes.fromhex(pan.ljust(20, "F")) + mmyy(expires)
        body += bytes.fromhex("000002") + b"\x01\x01"
        body += bytes([self.card.size, len(EXPONENT)]) + modulus[:room].ljust(room, b"\xbb")
        remainder = modulus[room:]
        return certificate(self.issuer, body, remainder + EXPONENT + static_data), remainder

    def dynamic_signature(self, dynamic: bytes, terminal_data: bytes) -> bytes:
        """Tag 9F4B: `dynamic` are the ICC dynamic data, `terminal_data` what is hashed behind."""
        body = b"\x05\x01" + bytes([len(dynamic)]) + dynamic
        body += b"\xbb" * (self.card.size - 22 - len(body))
        return certificate(self.card, body, terminal_data)


def mmyy(yymm: str) -> bytes:
    return bytes.fromhex(yymm[2:] + yymm[:2])


def certificate(key: Key, body: bytes, hashed_too: bytes) -> bytes:
    """6A | body | SHA-1 over body and `hashed_too` | BC, signed."""
    return key.sign(b"\x6a" + body + hashlib.sha1(body + hashed_too).digest() + b"\xbc")


@cache
def _stored() -> dict[str, Any]:
    text = files(__package__).joinpath("data/quickpass_test_keys.json").read_text()
    stored: dict[str, Any] = json.loads(text)
    return stored


def _key(numbers: dict[str, str]) -> Key:
    return Key(int(numbers["modulus"], 16), int(numbers["private_exponent"], 16))


@cache
def scheme(index: int) -> Scheme:
    """The test scheme with this CA index: F1 (1408 bits) or F2 (1984 bits)."""
    try:
        keys = _stored()["schemes"][f"{index:02x}"]
    except KeyError:
        raise ValueError(f"no test scheme {index:02x}: choose one of f1, f2") from None
    return Scheme(index, *(_key(keys[name]) for name in ("ca", "issuer", "card", "stray")))


@cache
def acquirer() -> rsa.RSAPrivateKey:
    """The key that opens the evidence of taps with test cards, 2048 bits, exponent 65537."""
    key = _key(_stored()["acquirer"])
    p, q = rsa.rsa_recover_prime_factors(key.modulus, 65537, key.private_exponent)
    numbers = rsa.RSAPublicNumbers(65537, key.modulus)
    d = key.private_exponent
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), numbers
    ).private_key()


def configuration(**changes: Any) -> dict[str, Any]:
    """What a validator must be told to take test cards, as JSON: CA keys and acquirer.

    Its shape is that of `validator.media.rules.load`; `changes` replace whole members.
    """
    acquirer_modulus = _key(_stored()["acquirer"]).modulus_bytes.hex()
    config: dict[str, Any] = {
        "ca_keys": [scheme(index).ca_public() for index in SCHEMES],
        "acquirer": {"modulus": acquirer_modulus, "exponent": "010001"},
        "limits": {"tap": 5000, "cvm": 3000, "window_s": 5},
    }
    return {**config, **changes}


def generate() -> str:
    """A new set of keys as JSON text."""

    def new_key(bits: int, exponent: int = 3) -> dict[str, str]:
        key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
        numbers = key.private_numbers()
        return {"modulus": f"{numbers.public_numbers.n:x}", "private_exponent": f"{numbers.d:x}"}

    schemes = {
        f"{index:02x}": {
            name: new_key(bits)
            for name, bits in zip(
                ("ca", "issuer", "card", "stray"), (*sizes, sizes[0]), strict=True
            )
        }
        for index, sizes in SCHEMES.items()
    }
    label = "TEST KEYS of the simulated QuickPass cards. Public on purpose; protect nothing."
    keys = {
        "label": label,
        "exponent": 3,
        "schemes": schemes,
        "acquirer": new_key(2048, 65537),
    }
    return json.dumps(keys, indent=1)


if __name__ == "__main__":
    print(generate())
