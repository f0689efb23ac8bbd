"""Textbook SM3, SM2 and ECDSA for expected results: those that sign the simulated codes too."""

from __future__ import annotations

from faretap.sim.codes.reference import (
    CURVES,
    P256,
    SECP192K1,
    SECP256K1,
    SM2,
    Curve,
    Point,
    ecdsa_sign,
    ecdsa_verify,
    sm2_digest,
    sm2_sign,
    sm2_verify,
    sm3,
)

__all__ = [
    "CURVES",
    "P256",
    "SECP192K1",
    "SECP256K1",
    "SM2",
    "Curve",
    "Point",
    "ecdsa_sign",
    "ecdsa_verify",
    "sm2_digest",
    "sm2_sign",
    "sm2_verify",
    "sm3",
]
