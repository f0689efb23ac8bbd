"""Simulated ride codes as a scan engine delivers them: `make("mot")`; `names()` lists them."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable

# Synthetic: made with keys derived from public labels, of no issuer and no person.
_MOT = bytes.fromhex(
    "80014924010100007F1299990000124000000104040021027706B5084826D9E2F9EBFCB2D16BF1B002072EB6"
    "9197DA0D3071EF1E734EE5A500E63B8CB1010807EE0AC5BB95DEC3387B242B78FF201BC427546D513FEA759C"
    "2E423C09D957FE2BCBF2D038F139DEA241842512CF8BD389CA4618CC9150E579393939393030303030303030"
    "303030319999000000000000001F9999000099990001000007D00382A7D53277999F27E537BA0107C01AE0BD"
    "EACB144DDA8C5D50421873E89BF6DD70DD2A0002580015904DE203A7211A382EA4962FBC57E1DEA614ADA9BF"
    "19D0F858AFE1E4B26CB940701D629D275FAB4CC851569CBB17161E335966B2ED86145D074801C2D7C8C55770"
    "DBD88015AED3DCEEF3DB30FD2AEC3C938909A5095874CB4ED9F605CB85C92CA5573820A5415B13C03AC94B0B"
    "BBCC1DB7BA73DF4BDD141A0B1571FB1CD7BF110CA0C57032"
)


def _union() -> bytes:
    """UnionPay industry code, 130 bytes as Base64 text. Its structure is right, its signature is
    not one: 64 bytes from a hash, which no key verifies."""
    fields = bytes.fromhex("02110001")  # version, type, certificate index
    fields += b"FARETAP0"  # mobile application
    fields += bytes.fromhex("99990000")  # application's institution
    fields += (300).to_bytes(2, "big") + bytes.fromhex("0001")  # validity, industry scope
    fields += bytes.fromhex("0000000000000001")  # code id
    fields += (1893456000 - 1483200000).to_bytes(4, "big")  # since 2017-01-01 in Beijing
    custom = b"FARETAP TEST CUSTOM DATA"
    fields += b"RIDER001" + bytes([len(custom)]) + custom
    dummy = hashlib.sha512(b"not a signature").digest()
    return base64.b64encode(fields + b"\x15" + dummy)


_CODES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "mot": ("MoT interoperable ride code, 332 raw bytes, generated 2030-01-01", lambda: _MOT),
    "cpm": (
        "consumer-presented payment code, EMVCo's first published example",
        lambda: b"hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8=",
    ),
    "union": ("UnionPay industry ride code with a dummy signature", _union),
    "url": ("an ordinary text code", lambda: b"https://example.com/ticket?id=42"),
    "empty": ("a code without content", lambda: b""),
    "noise-5000": ("5,000 random bytes", lambda: random.Random(5000).randbytes(5000)),
}


def names() -> dict[str, str]:
    """Every code that `make` knows, with one line about it."""
    return {name: text for name, (text, _) in _CODES.items()}


def make(name: str) -> bytes:
    """The bytes of a code, always the same. ValueError lists the names for an unknown one."""
    if name not in _CODES:
        raise ValueError(f"no code {name!r}: choose one of {', '.join(_CODES)}")
    return _CODES[name][1]()


__all__ = ["make", "names"]
