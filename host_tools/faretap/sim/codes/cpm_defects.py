"""Payment codes in the catalogue, and codes that are no ride codes at all."""

from __future__ import annotations

import random
from typing import Any

from . import cpm
from .fields import FieldError
from .kind import Kind, cut, decoded


def add_all() -> None:
    add = Kind("cpm", cpm.build).add
    add("", "consumer-presented payment code with a cryptogram")
    add("common", "of two applications with number and cryptogram in common (62)", common=True)
    add("expired", "card expired in 2020", "expired", expiry="2012")
    add(
        "example",
        "EMVCo's first published example, of 2019",
        "expired",
        damage=lambda code: cpm.EXAMPLE,
    )
    add("no-pan", "without a card number", "needs_online", pan="")
    add("no-cryptogram", "without anything to settle it with", "needs_online", cryptogram="")
    add("no-aid", "without an application", "malformed", aid="")
    add("format", "payload format CPV02", "malformed", format="CPV02")
    add("truncated", "TLV cut off", "malformed", damage=decoded(cut(3)))
    numeric = Kind("cpm-numeric", cpm.numeric).add
    numeric("", "UnionPay's payment code of 19 digits", "needs_online")
    numeric(
        "wechat", "WeChat Pay's payment code of 18 digits", "needs_online", start="13", length=18
    )
    numeric("alipay", "Alipay's payment code of 18 digits", "needs_online", start="28", length=18)
    numeric("20", "20 digits from 62: nobody's", "unsupported", None, length=20)


def add_others() -> None:
    def plain(name: str, note: str, reason: str, data: bytes) -> None:
        def build(at: int, **fields: Any) -> bytes:
            if fields:
                raise FieldError(f"{name} has no fields")
            return data

        Kind(name, build).add("", note, reason, None)

    plain(
        "tencent", "Tencent's ride code, whose format is closed", "unsupported", b"TX" + b"0" * 98
    )
    plain("url", "an ordinary text code", "unsupported", b"https://example.com/ticket?id=42")
    plain("empty", "a code without content", "malformed", b"")
    plain(
        "noise-5000",
        "5,000 random bytes, the first ones as of a ride code",
        "malformed",
        random.Random(5000).randbytes(5000),
    )
