"""A payment scheme for tests: CA, issuer and card keys, and the certificates they sign.

The keys stand in data/quickpass_test_keys.json, so that the same card always has the same
certificates. They are TEST KEYS: private halves included, published, worth nothing.
`python -m faretap.sim.cards.scheme` makes a new set and prints it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cryptography.hazmat.primitives.asymmetric import rsa

RID = bytes.fromhex("A000000333")
EXPIRY_MMYY = bytes.fromhex("1249")

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
        }

    def issuer_certificate(self, pan: str) -> tuple[bytes, bytes]:
        """(tag 90, tag 92): the issuer's key, signed by the CA."""
        room = self.ca.size - 36
        modulus = self.issuer.modulus_bytes
        identifier = bytes.fromhex(pan[:6].ljust(8, "F"))
        body = b"\x02" + identifier + EXPIRY_MMYY + bytes.fromhex("000001") + b"\x01\x01"
        body += bytes([self.issuer.size, len(EXPONENT)]) + modulus[:room].ljust(room, b"\xbb")
        remainder = modulus[room:]
        return _certificate(self.ca, body, remainder + EXPONENT), remainder

    def card_certificate(self, pan: str, static_data: bytes) -> tuple[bytes, bytes]:
        """(tag 9F46, tag 9F48): the card's key and its static data, signed by the issuer."""
        room = self.issuer.size - 42
        modulus = self.card.modulus_bytes
        body = b"\x04" + bytes.fromhex(pan.ljust(20, "F")) + EXPIRY_MMYY
        body += bytes.fromhex("000002") + b"\x01\x01"
        body += bytes([self.card.size, len(EXPONENT)]) + modulus[:room].ljust(room, b"\xbb")
        remainder = modulus[room:]
        return _certificate(self.issuer, body, remainder + EXPONENT + static_data), remainder

    def dynamic_signature(self, atc: int, terminal_data: bytes) -> bytes:
        """Tag 9F4B of fDDA; `terminal_data` is what is hashed behind the dynamic data."""
        dynamic = b"\x02" + atc.to_bytes(2, "big")
        body = b"\x05\x01" + bytes([len(dynamic)]) + dynamic
        body += b"\xbb" * (self.card.size - 22 - len(body))
        return _certificate(self.card, body, terminal_data)


def _certificate(key: Key, body: bytes, hashed_too: bytes) -> bytes:
    return key.sign(b"\x6a" + body + hashlib.sha1(body + hashed_too).digest() + b"\xbc")


@cache
def scheme(index: int) -> Scheme:
    """The test scheme with this CA index: F1 (1408 bits) or F2 (1984 bits)."""
    stored = json.loads(files(__package__).joinpath("data/quickpass_test_keys.json").read_text())
    try:
        keys = stored["schemes"][f"{index:02x}"]
    except KeyError:
        raise ValueError(f"no test scheme {index:02x}: choose one of f1, f2") from None

    def load(name: str) -> Key:
        return Key(int(keys[name]["modulus"], 16), int(keys[name]["private_exponent"], 16))

    return Scheme(index, load("ca"), load("issuer"), load("card"))


def generate() -> str:
    """A new set of keys as JSON text."""

    def new_key(bits: int) -> dict[str, str]:
        numbers = rsa.generate_private_key(public_exponent=3, key_size=bits).private_numbers()
        return {"modulus": f"{numbers.public_numbers.n:x}", "private_exponent": f"{numbers.d:x}"}

    schemes = {
        f"{index:02x}": dict(zip(("ca", "issuer", "card"), map(new_key, sizes), strict=True))
        for index, sizes in SCHEMES.items()
    }
    label = "TEST KEYS of the simulated QuickPass cards. Public on purpose; protect nothing."
    return json.dumps({"label": label, "exponent": 3, "schemes": schemes}, indent=1)


if __name__ == "__main__":
    print(generate())
