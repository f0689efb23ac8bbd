"""A configuration for benches and tests: it takes every simulated card and code.

    bundle = bench_bundle()                       # signed by the test operator
    provision(session.link)                       # a validator runs it afterwards

The operator's key is a TEST KEY: anybody can derive it, and it protects nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from faretap.config import bundle, push, source
from faretap.sim.cards import purse_scheme, scheme
from faretap.sim.codes import catalogue as codes

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@cache
def operator_key() -> ec.EllipticCurvePrivateKey:
    """The test operator's key."""
    d = int.from_bytes(hashlib.sha256(b"Faretap TEST operator").digest(), "big")
    return ec.derive_private_key(d % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def bench_configuration(**changes: Any) -> dict[str, Any]:
    """The configuration as an operator's file says it; `changes` replace whole members. In service
    a PSAM in slot 0 takes the place of the one in software."""
    in_service = changes.get("life_cycle") == "service"
    config: dict[str, Any] = {
        "version": 1,
        "life_cycle": "bench",
        "identity": {"operator": "Faretap Test", "vehicle": "T-0001", "line": "42", "stop": "1"},
        "fares": {"flat": 200, "types": {"student": 100, "elderly": 0}},
        "cards": scheme.configuration(),
        "codes": codes.configuration(),
        "purse": purse_scheme.configuration() if in_service else purse_scheme.soft(),
    }
    return {**config, **changes}


def bench_body(**changes: Any) -> dict[str, Any]:
    """The same as the validator gets it."""
    return source.check(bench_configuration(**changes), "the bench configuration").body()


def bench_bundle(**changes: Any) -> bytes:
    """The same, signed by the test operator."""
    return bundle.make(bench_body(**changes), operator_key())


def provision(link: push.Caller, **changes: Any) -> dict[str, Any]:
    """Claim a validator for the test operator and give it the bench configuration, one version up
    from what it runs; returns what runs then. The validator restarts."""
    push.claim(link, operator_key().public_key())
    changes.setdefault("version", push.info(link)["seen"] + 1)
    return push.push(link, bench_bundle(**changes))
