"""What the builders of codes share: fields by name, BCD, signatures as bytes."""

from __future__ import annotations

from typing import Any

# Numbers that follow from other fields unless they are given.
_NUMBERS = (
    "body_1_length",
    "custom_length",
    "data_length",
    "expires",
    "generated",
    "key",
    "qr_id",
    "unpredictable",
)


class FieldError(ValueError):
    """A field of a code cannot be made: which, and what would be right."""


def number(fields: dict[str, Any], name: str, size: int) -> bytes:
    """A field of `size` bytes, big-endian."""
    value = fields[name]
    if not isinstance(value, int) or not 0 <= value < 1 << 8 * size:
        raise FieldError(f"{name} is {value!r}: a number from 0 to {(1 << 8 * size) - 1} expected")
    return value.to_bytes(size, "big")


def digits(fields: dict[str, Any], name: str, count: int) -> bytes:
    """BCD digits, two a byte. Hex letters are let through: codes with damage have them."""
    value = fields[name]
    if not isinstance(value, str) or len(value) != count or not _is_hex(value):
        raise FieldError(f"{name} is {value!r}: {count} digits expected")
    return bytes.fromhex(value)


def text(fields: dict[str, Any], name: str, size: int) -> bytes:
    value = fields[name]
    if not isinstance(value, str) or not value.isascii() or len(value) != size:
        raise FieldError(f"{name} is {value!r}: {size} ASCII characters expected")
    return value.encode()


def raw(fields: dict[str, Any], name: str, low: int, high: int | None = None) -> bytes:
    """Bytes, or their hex digits; `low` to `high` of them, `low` exactly if `high` is None."""
    value = fields[name]
    high = low if high is None else high
    data = value
    if isinstance(value, str) and len(value) % 2 == 0 and _is_hex(value or "0"):
        data = bytes.fromhex(value)
    if not isinstance(data, bytes) or not low <= len(data) <= high:
        size = f"{low}" if low == high else f"{low} to {high}"
        raise FieldError(f"{name} is {value!r}: {size} bytes in hex expected")
    return data


def _is_hex(value: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in value)


def merged(defaults: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """`defaults` with `fields` on top. Numbers may come as text, such as "100" or "0x7F".

    FieldError for a name that `defaults` does not have.
    """
    taken = dict(defaults)
    for name, value in fields.items():
        if name not in defaults:
            raise FieldError(f"no field {name!r}: choose one of {', '.join(defaults)}")
        if isinstance(value, str) and (isinstance(defaults[name], int) or name in _NUMBERS):
            try:
                value = int(value, 0)
            except ValueError:
                raise FieldError(f"{name} is {value!r}: a number expected") from None
        taken[name] = value
    return taken


def pair(signature: tuple[int, int], size: int = 32) -> bytes:
    """r ‖ s."""
    return b"".join(value.to_bytes(size, "big") for value in signature)


def der(signature: tuple[int, int]) -> bytes:
    """SEQUENCE { INTEGER r, INTEGER s }."""
    return sequence(*(integer(value) for value in signature))


def sequence(*items: bytes) -> bytes:
    body = b"".join(items)
    return bytes([0x30, len(body)]) + body


def integer(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([2, len(data)]) + data


def counted(data: bytes) -> bytes:
    """A length byte, then the data."""
    return bytes([len(data)]) + data
