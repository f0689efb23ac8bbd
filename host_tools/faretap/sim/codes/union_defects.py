"""UnionPay industry codes in the catalogue."""

from __future__ import annotations

from . import union
from .kind import Kind, cut, decoded, flip, put, times
from .reference import SM2

_N = SM2.n.to_bytes(32, "big")
_ZERO, _ONE = bytes(32), (1).to_bytes(32, "big")


def add_all() -> None:
    add = (kind := Kind("union", union.build)).add
    add("", "UnionPay industry ride code, 130 bytes as Base64")
    add("second-key", "under the second certificate", certificate=2, signer="union-2")
    add("format-21", "signature with format byte 21", format=0x21)
    add("no-custom", "without a custom field", custom=b"")
    add("unpadded", "Base64 without = at its end", padding=0)
    times(kind, oldest=union.EPOCH, authorised=False)
    add(
        "unknown-key",
        "certificate index that nobody knows",
        "unknown_issuer",
        None,
        certificate=0x7777,
    )
    add("wrong-key", "signed by somebody else's key", "bad_signature", "issuer", signer="stray")
    add(
        "other-index", "the index of another certificate", "bad_signature", "issuer", certificate=2
    )
    add("tampered-user", "user id changed", "bad_signature", "issuer", damage=decoded(flip(39)))
    add(
        "tampered-validity",
        "validity raised by the rider",
        "bad_signature",
        "issuer",
        damage=decoded(put(16, b"\xff\xff")),
    )
    add("r-zero", "signature with r = 0", "bad_signature", "issuer", signature=_ZERO + _ONE)
    add("s-zero", "signature with s = 0", "bad_signature", "issuer", signature=_ONE + _ZERO)
    add("s-n", "signature with s = n", "bad_signature", "issuer", signature=_ONE + _N)
    add("truncated", "last byte missing", "malformed", damage=decoded(cut(1)))
    add("custom-length", "custom field one byte too long", "malformed", custom_length=25)
    add("not-base64", "a character that Base64 does not have", "malformed", damage=put(60, b"!"))
    add("cut-text", "last letter missing", "malformed", damage=cut(1))
    add("type-12", "another type of code", "unsupported", None, type=0x20)
