"""Second forms of one code, made of bytes that nobody signs: each is the code it was made of.

Whoever has ridden on a code shows its twin. `CODES[name].kind` is the code that it is a twin of.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from . import alipay, cpm, mot, union
from .kind import Kind, decoded, put

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def add_all() -> None:
    for name, build in (
        ("mot", mot.build),
        ("union", union.build),
        ("alipay", alipay.build),
        ("cpm", cpm.build),
    ):
        add = Kind(name, build).add
        for twin, note, head in (
            ("eci", "behind an ECI header, as an engine tells it", b"\\000026"),
            ("ecis", "behind two ECI headers", b"\\000003\\000026"),
            ("aim", "behind AIM's identifier of a QR code", b"]Q1"),
            ("bom", "behind a byte order mark", b"\xef\xbb\xbf"),
        ):
            add(f"twin-{twin}", note, damage=_behind(head))
        if name in ("union", "cpm"):
            add("twin-lines", "with line ends around it", damage=_between(b"\r\n", b"\r\n"))
    # Labels of such a length that Base64 has padding.
    Kind("cpm", cpm.build).add(
        "twin-unpadded",
        "Base64 without its padding",
        label="Union Pay",
        damage=lambda code: code.rstrip(b"="),
    )
    Kind("cpm", cpm.build).add(
        "twin-bits", "other unused bits in Base64's last letter", label="Union Pay", damage=_bits
    )
    Kind("union", union.build).add(
        "twin-bits", "other unused bits in Base64's last letter", damage=_bits
    )
    Kind("mot", mot.build).add(
        "twin-format", "another format byte of the rider's signature", damage=put(267, b"\x21")
    )
    Kind("union", union.build).add(
        "twin-format",
        "another format byte of the signature",
        damage=decoded(lambda code: code[:-65] + b"\x22" + code[-64:]),
    )
    Kind("alipay", alipay.build).add(
        "twin-city", "behind a city's two bytes", damage=_behind(b"\x54\x02")
    )


def _behind(head: bytes) -> Callable[[bytes], bytes]:
    return lambda code: head + code


def _between(before: bytes, after: bytes) -> Callable[[bytes], bytes]:
    return lambda code: before + code + after


def _bits(code: bytes) -> bytes:
    """The last letter of Base64 that is padded has 2 or 4 bits that mean nothing."""
    letters = code.rstrip(b"=")
    assert len(letters) < len(code), "no padding, no unused bits"
    last = _LETTERS[_LETTERS.index(letters[-1]) ^ 1]
    changed = letters[:-1] + bytes([last]) + code[len(letters) :]
    assert base64.b64decode(changed) == base64.b64decode(code)
    return changed
