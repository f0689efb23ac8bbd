"""Points and roots of ride codes, checked by plain arithmetic that shares nothing with the
firmware's."""

from __future__ import annotations

from typing import Any

from faretap.config.values import Hex
from faretap.sim.codes import reference

_DEFAULT_ID = b"1234567812345678"


def point_on(curve: str, data: bytes) -> bool:
    """Whether `data` (SEC 1, 33 or 65 bytes) is a point of "sm2", "p256" or "secp256k1"."""
    return _point(reference.CURVES[curve], data) is not None


def _point(curve: reference.Curve, data: bytes) -> reference.Point:
    if len(data) == 1 + curve.size:
        return curve.decompress(data)
    if len(data) != 1 + 2 * curve.size or data[0] != 4:
        return None
    x, y = (int.from_bytes(part, "big") for part in (data[1:33], data[33:]))
    on = x < curve.p and y < curve.p and (y * y - x**3 - curve.a * x - curve.b) % curve.p == 0
    return (x, y) if on else None


def root_problem(data: bytes) -> str:
    """What is wrong with an MoT root file, or ""."""
    if len(data) != 144:
        return f"a root file of 144 bytes, not {len(data)}"
    head = (data[0], data[5:10].hex(), data[13:16].hex())
    if head != (0x21, "a000000632", "041140"):
        return "a root file: 21, service id, A000000632, index, expiry, 041140, key, signature"
    expiry = data[11:13].hex()
    if not expiry.isdigit() or not 1 <= int(expiry[:2]) <= 12:
        return f"an expiry of MMYY, not {expiry}"
    key = _point(reference.SM2, b"\x04" + data[16:80])
    if key is None:
        return "a root file whose key is a point of SM2's curve"
    e = reference.sm2_digest(key, data[:80], _DEFAULT_ID)
    r, s = int.from_bytes(data[80:112], "big"), int.from_bytes(data[112:], "big")
    if not reference.sm2_verify(key, e, r, s):
        return "a root file that is signed by its own key: this one is damaged, or no root"
    return ""


class Point(Hex):
    """A public key on a curve, in SEC 1 form."""

    def __init__(self, curve: str, *more: int) -> None:
        words = f"hex digits of a public key on {curve}, 33 or 65 bytes"
        super().__init__(33, 65, *more, words=words)
        object.__setattr__(self, "curve", curve)

    curve: str

    def check(self, value: Any) -> Any:
        plain = super().check(value)
        data = bytes.fromhex(plain)
        if not point_on(self.curve, b"\x04" + data if len(data) == 64 else data):
            raise ValueError
        return plain
