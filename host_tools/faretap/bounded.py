"""JSON from others, measured before it is parsed.

`json.loads` takes whatever memory and stack a text asks for: brackets by the hundred thousand end
in RecursionError, a number of a million digits in minutes of work, "NaN" in a number that is none.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEPTH = 24  # our own files and messages have up to 8 levels
SIZE = 1 << 18  # bytes of one message or line
_DIGITS = 20  # of a number: 2**64 - 1 has as many

# One without an end goes to the end of the text: else each quote in it would be tried anew.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


class Unbounded(ValueError):
    """Larger, deeper or longer than anything that belongs here; the sentence says what."""


def loads(data: bytes | bytearray | str, size: int = SIZE, depth: int = DEPTH) -> Any:
    """The value of `data`; ValueError if it is no JSON or more than `size` bytes, `depth` levels,
    or numbers of 20 digits."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    if len(raw) > size:
        raise Unbounded(f"{len(raw):,} bytes, where {size:,} are the most")
    level = 0
    for found in _BRACKET.finditer(_STRING.sub(b"", raw)):
        level += 1 if found[0] in b"[{" else -1
        if level > depth:
            raise Unbounded(f"more than {depth} levels of brackets")
    return json.loads(raw, parse_int=_int, parse_float=_float, parse_constant=_constant)


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise Unbounded(f"a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= 40 else math.inf
    if not math.isfinite(value):
        raise Unbounded(f"a number of {len(text)} characters that is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number")
