"""`faretap bench`: the validator's cryptography, beside the textbook form in the same run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from faretap.link import Refused
from faretap.session import Session
from faretap.sim.codes import reference

_KEY = 0x1D0F2B3C4D5E6F708192A3B4C5D6E7F8091A2B3C4D5E6F70  # of nobody: smaller than every order
_NONCE = 0x2B7E151628AED2A6ABF7158809CF4F3C762E7160F38B4DA5
_MESSAGE = b"a message of the bench"

# Name of the curve on the validator, the reference's, and its hash.
_CURVES: tuple[tuple[str, reference.Curve, Callable[[bytes], Any] | None], ...] = (
    ("sm2", reference.SM2, None),
    ("p256", reference.P256, hashlib.sha256),
    ("secp256k1", reference.SECP256K1, hashlib.sha1),
    ("secp192k1", reference.SECP192K1, hashlib.sha1),
)


def crypto(session: Session, times: int = 5) -> dict[str, Any]:
    """{"sm3_kb_s", "sha256_kb_s", "signatures": {curve: ms of one verification, by unknown key, by
    a key with its table, by the textbook form; bytes of heap}}."""
    out: dict[str, Any] = {}
    for name in ("sm3", "sha256"):
        size = 16 * 1024
        got = session.link.call(
            "bench.crypto",
            {"what": "hash", "algorithm": name, "bytes": size},
            timeout=60.0,
            again=60.0,
        )
        out[f"{name}_kb_s"] = round(size / 1024 / (got["us"] / 1e6), 1)
    out["signatures"] = {
        name: _curve(session, name, curve, make_hash, times) for name, curve, make_hash in _CURVES
    }
    return out


def bundle(session: Session, times: int = 5) -> dict[str, Any] | None:
    """The signed configuration in force, verified as one that comes in: {"bytes", "ms": head,
    P-256 and the body's hash in flash, "parse_ms": its members}; None if there is none."""
    try:
        got = session.link.call(
            "bench.crypto", {"what": "bundle", "times": times}, timeout=60.0, again=60.0
        )
    except Refused:
        return None
    return {
        "bytes": got["bytes"],
        "ms": round(got["us"] / 1000 / times, 3),
        "parse_ms": round(got["parse_us"] / 1000 / times, 3),
    }


def _curve(
    session: Session,
    name: str,
    curve: reference.Curve,
    make_hash: Callable[[bytes], Any] | None,
    times: int,
) -> dict[str, Any]:
    x, y = curve.public(_KEY)
    size = curve.size
    if make_hash is None:
        e = reference.sm2_digest((x, y), _MESSAGE, b"1234567812345678")
        r, s = reference.sm2_sign(_KEY, _NONCE, _MESSAGE, b"1234567812345678")
        digest = e.to_bytes(32, "big")
    else:
        digest = make_hash(_MESSAGE).digest()
        r, s = reference.ecdsa_sign(curve, _KEY, _NONCE, int.from_bytes(digest, "big"))
    params = {
        "what": "signature",
        "curve": name,
        "key": curve.compress((x, y)).hex(),
        "digest": digest.hex(),
        "signature": (r.to_bytes(size, "big") + s.to_bytes(size, "big")).hex(),
    }
    row: dict[str, Any] = {}
    for column, more in (
        ("unknown_ms", {"times": times}),
        ("table_ms", {"times": times, "table": True}),
        ("textbook_ms", {"times": 1, "textbook": True}),
    ):
        got = session.link.call("bench.crypto", {**params, **more}, timeout=120.0, again=120.0)
        if not got["right"]:
            raise AssertionError(f"{name}: the validator says that a right signature is wrong")
        row[column] = round(got["us"] / 1000 / more["times"], 3)
        if "allocated" in got:
            row["allocated"] = max(row.get("allocated", 0), got["allocated"])
    row["faster"] = round(row["textbook_ms"] / row["unknown_ms"], 1)
    return row
