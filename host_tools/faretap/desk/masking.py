"""Card numbers out of what a card said, in place and length kept, so that it still parses.

A digit that goes becomes 0: a masked 5A or track 2 is still one, and a masked trace still replays,
up to the signatures, which no longer fit.
"""

from __future__ import annotations

import re
from typing import Any

from . import apdu

# Objects that are, or lead to, a person: all zeros. The card's certificates (9F46, 9F2D) look
# like noise but give the whole number to whoever has the public CA keys; the account reference
# (9F24) names the rider as well as the number does.
_BLANK = frozenset(
    (0x56, 0x5F20, 0x9F0B, 0x9F1F, 0x9F20, 0x9F24, 0x9F2D, 0x9F46, 0x9F61, 0x5F30, 0x5F50)
)
_NUMBER = frozenset((0x5A,))
_TRACK_2 = frozenset((0x57, 0x9F6B))
_PURSE_PUBLIC = 0x9F0C  # a copy of file 15 in the FCI of a purse
# Keys, signatures, cryptograms: random bytes in which a run of digits means nothing.
_NOISE = frozenset((0x90, 0x92, 0x93, 0x9F26, 0x9F2F, 0x9F37, 0x9F48, 0x9F4B, 0x9F4C, 0x9F69))
# Names of applications, lists of tags and files, and the like: digits, but nobody's number.
_STRUCTURE = frozenset(
    (0x4F, 0x84, 0x9F06, 0x82, 0x94, 0x8C, 0x8D, 0x8E, 0x97, 0x9F38, 0x9F49, 0x9F4A, 0x9F10)
)
_LABELS = frozenset((0x50, 0x9F12))
_TEMPLATES = (0x6F, 0x70, 0x77)

_RUN = re.compile(r"[0-9]{13,}")
_TEXT_RUN = re.compile(rb"[0-9]{9,}")


def shown(digits: str) -> str:
    """A number as it may be shown: first six, six stars, last four; short ones only the stars."""
    return f"{digits[:6]}******{digits[-4:]}" if len(digits) >= 13 else "******"


def zeroed(digits: str) -> str:
    """The same digits kept as `shown` does, zeros for the others."""
    if len(digits) < 13:
        return "0" * len(digits)
    return digits[:6] + "0" * (len(digits) - 10) + digits[-4:]


def response(command: bytes, answer: bytes) -> bytes:
    """`answer` to `command` with every number masked; as long as before."""
    data = bytearray(answer)
    body = memoryview(data)[: max(0, len(data) - 2)]
    if command[1:2] == b"\xa8" and answer[:1] == b"\x80":
        return bytes(data)  # the standard flow's answer: AIP and AFL
    if command[1:2] == b"\xb0" and command[2:3] == b"\x95":
        _public_file(body)
    elif command[1:2] == b"\xb0" and command[2:3] == b"\x97":
        _scrub(body[11:])  # before that: country, province, city, interoperability, card type
    elif len(body) and (body[0] in _TEMPLATES or command[1:2] == b"\xca"):
        _walk(body, 0)
    else:
        _scrub(body)
    return bytes(data)


def uid(value: bytes) -> bytes:
    """Only the first byte, which tells its kind and maker."""
    return value[:1] + bytes(max(0, len(value) - 1))


def ats(value: bytes, interface: bytes) -> bytes:
    """Historical bytes can hold the chip's serial number: zeros."""
    return interface + bytes(len(value) - len(interface))


def _walk(view: memoryview, depth: int) -> None:
    try:
        if depth > 8:
            raise ValueError("nested too deep")
        objects: list[tuple[int, Any]] = apdu.parse(view)  # type: ignore[arg-type]
    except ValueError:
        _scrub(view)
        return
    for tag, value in objects:
        if apdu.is_constructed(tag):
            _walk(value, depth + 1)
        elif tag in _BLANK:
            value[:] = bytes(len(value))
        elif tag in _NUMBER:
            _digits(value)
        elif tag in _TRACK_2:
            _track_2(value)
        elif tag in _LABELS and re.fullmatch(rb"[ -~]*", value):
            value[:] = _TEXT_RUN.sub(lambda run: b"0" * len(run.group()), value)
        elif tag == _PURSE_PUBLIC:
            _public_file(value)
        elif tag not in _NOISE and tag not in _STRUCTURE:
            _scrub(value)


def _digits(view: memoryview) -> None:
    text = bytes(view).hex()
    number = text.rstrip("f")
    _put(view, zeroed(number) + text[len(number) :])


def _track_2(view: memoryview) -> None:
    """Number, D, YYMM, service code; the issuer's discretionary data goes."""
    number, mark, rest = bytes(view).hex().partition("d")
    _put(view, zeroed(number) + mark + rest[:7] + "0" * len(rest[7:]))


def _public_file(view: memoryview) -> None:
    """File 15: the number is 10 bytes at 10, a nibble and 19 digits."""
    if len(view) < 20:
        _scrub(view)
        return
    number = bytes(view[10:20]).hex()
    _put(view[10:20], "0" + zeroed(number[1:]))


def _scrub(view: memoryview) -> None:
    """Data of unknown layout: every run of 13 digits or more, BCD or ASCII, at any nibble."""
    text = bytes(view).hex()
    _put(view, _RUN.sub(lambda run: zeroed(run.group()), text))


def _put(view: memoryview, text: str) -> None:
    view[:] = bytes.fromhex(text)
