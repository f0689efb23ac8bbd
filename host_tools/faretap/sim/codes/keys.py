"""The keys that simulated codes are signed with: TEST KEYS, private halves included.

They are worth nothing. They stand in data/codes_test_keys.json, so that the same code has the same
keys everywhere. Each comes from a public label: d = SM3(label) mod (n − 1) + 1. `python -m
faretap.sim.codes.new_keys` prints the file anew.

A nonce is SM3(d ‖ e) mod (n − 1) + 1, so that the same code has the same bytes again. Good enough
for keys that everybody knows; nobody should copy it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from . import reference
from .reference import Curve

DEFAULT_ID = b"1234567812345678"


@dataclass(frozen=True)
class Key:
    """A private key `d` on the curve of that name."""

    curve_name: str
    d: int

    @property
    def curve(self) -> Curve:
        return reference.CURVES[self.curve_name]

    @property
    def public(self) -> tuple[int, int]:
        return _public(self.curve_name, self.d)

    @property
    def compressed(self) -> bytes:
        return self.curve.compress(self.public)

    def sm2(self, message: bytes, user_id: bytes = DEFAULT_ID) -> tuple[int, int]:
        """(r, s) of SM2 with SM3 over `message`."""
        return _sm2(self, message, user_id)

    def ecdsa(self, message: bytes) -> tuple[int, int]:
        """(r, s) of ECDSA with SHA-1 over `message`."""
        if self.curve_name == "secp256k1":
            return _by_openssl(self.d, message)
        e = int.from_bytes(hashlib.sha1(message).digest(), "big")
        return reference.ecdsa_sign(self.curve, self.d, _nonce(self, e), e)


# What an issuer signed is the same in every code of an hour.
@lru_cache(512)
def _sm2(key: Key, message: bytes, user_id: bytes) -> tuple[int, int]:
    e = reference.sm2_digest(key.public, message, user_id)
    return reference.sm2_sign(key.d, _nonce(key, e), message, user_id)


def _nonce(key: Key, e: int) -> int:
    n = key.curve.n
    hashed = reference.sm3(key.d.to_bytes(key.curve.size, "big") + e.to_bytes(32, "big"))
    return int.from_bytes(hashed, "big") % (n - 1) + 1


@cache
def _public(curve_name: str, d: int) -> tuple[int, int]:
    return reference.CURVES[curve_name].public(d)


def _by_openssl(d: int, message: bytes) -> tuple[int, int]:
    private = ec.derive_private_key(d, ec.SECP256K1())
    algorithm = ec.ECDSA(hashes.SHA1(), deterministic_signing=True)
    return decode_dss_signature(private.sign(message, algorithm))


@cache
def _stored() -> dict[str, dict[str, str]]:
    text = files(__package__).joinpath("data/codes_test_keys.json").read_text()
    stored: dict[str, dict[str, str]] = json.loads(text)["keys"]
    return stored


@cache
def key(name: str, curve: str = "") -> Key:
    """The test key of that name; ValueError if there is none, or none on that curve."""
    known = [n for n, entry in _stored().items() if curve in ("", entry["curve"])]
    if name not in known:
        raise ValueError(f"no {curve or 'test'} key {name!r}: choose one of {', '.join(known)}")
    stored = _stored()[name]
    return Key(stored["curve"], int(stored["d"], 16))
