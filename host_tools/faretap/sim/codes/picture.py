"""A code as a PNG, for a screen in front of a scan engine."""

from __future__ import annotations

import io
from pathlib import Path

import segno

from faretap.writing import write_bytes

MAX_BYTES = 2331
"""What a QR code of error correction level M holds (ISO/IEC 18004, version 40)."""


def save(code: bytes, path: Path, scale: int = 6) -> str:
    """Write the picture; the symbol's version and level, such as "14-M"."""
    data, symbol = png(code, scale)
    write_bytes(path, data)
    return symbol


def png(code: bytes, scale: int = 6) -> tuple[bytes, str]:
    """The picture, and the symbol's version and level.

    Bytes go in as they are, in byte mode without ECI: any scan engine gives back the same ones.
    Digits alone are packed as digits. ValueError for a code that no QR code holds.
    """
    if not 0 < len(code) <= MAX_BYTES:
        raise ValueError(f"a QR code holds 1 to {MAX_BYTES} bytes, not {len(code)}")
    mode = "numeric" if code.isdigit() else "byte"
    symbol = segno.make_qr(code, mode=mode, error="m", boost_error=False)
    out = io.BytesIO()
    symbol.save(out, kind="png", scale=scale, border=4)
    return out.getvalue(), str(symbol.designator)
