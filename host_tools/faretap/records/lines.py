"""The file of a validator's records, line by line: JSON Lines, only ever appended to.

    {"validator": serial, "format": 2}                  whose records follow; once, at the top
    {"key": hex}                                        a block of keys, or a context
    {"seq", "body", "after", "chain", "chain_ok"}       a record, as the validator has it
    {"gone": [first, last], "epoch": n}                 the operator knows that these are lost
    {"epoch": n}                                        the numbers began again

Files of format 1 have no first line: their name says whose they are. What `chain_ok` says is the
validator's word; nothing here believes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from faretap import bounded
from faretap.errors import FaretapError
from faretap.reading import RECORD_LINE, open_regular

FORMAT = 2
SERIAL = re.compile("[0-9a-f]{8,16}")
LAST_SEQ = 0xFFFFFFFF

_HEX = {"body": (2, 8192), "after": (0, 32), "chain": (16, 16)}  # digits, at least and at most
_HEADS = tuple(f'{{"{name}":'.encode() for name in ("seq", "key", "validator", "gone", "epoch"))
_KEY_DIGITS = (2, 8192)


class CollectionError(FaretapError):
    """A file of records that cannot be used."""


@dataclass(frozen=True, slots=True)
class Line:
    """`kind`: "validator", "key", "record", "gone" or "epoch". `at`: where in the file, in bytes;
    `number` counts lines from 1."""

    kind: str
    value: dict[str, Any]
    number: int
    at: int
    size: int = 0
    ended: bool = True
    """It has its newline."""


def read(path: Path) -> Iterator[Line]:
    """Every line, checked; CollectionError names the first that is none.

    An end without a newline, which a crash left, is no line, unless all of it is there.
    """
    with open_regular(path, CollectionError) as file:
        yield from lines(file, path)


def lines(file: BinaryIO, path: Path) -> Iterator[Line]:
    at = number = 0
    while True:
        number += 1
        try:
            data = file.readline(RECORD_LINE)
        except OSError as e:
            raise CollectionError(f"{path} cannot be read: {e.strerror or e}.") from e
        if not data:
            return
        whole = data.endswith(b"\n")
        try:
            if not whole and len(data) == RECORD_LINE:
                raise ValueError(f"longer than {RECORD_LINE >> 10} KB")
            line = replace(parse(data, number, at), size=len(data), ended=whole)
        except ValueError as e:
            if not whole and len(data) < RECORD_LINE and _begins(data):
                return
            raise CollectionError(
                f"{path}, line {number} is no record ({e}).",
                "Move the file away, and pull again: what the validator still has comes back.",
            ) from None
        yield line
        at += len(data)


def _begins(data: bytes) -> bool:
    """Whether it is the beginning of a line that was broken off."""
    return any(data.startswith(head[: len(data)]) for head in _HEADS)


def parse(data: bytes, number: int = 0, at: int = 0) -> Line:
    """ValueError if it is no line of such a file."""
    value = bounded.loads(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    if "seq" in value:
        kind = "record"
        _number(value["seq"], "seq")
        for name, most in _HEX.items():
            _hex(value.get(name), name, *most)
    elif "key" in value:
        kind = "key"
        _hex(value["key"], "key", *_KEY_DIGITS)
    elif "validator" in value:
        kind = "validator"
        if not isinstance(value["validator"], str) or not SERIAL.fullmatch(value["validator"]):
            raise ValueError("no serial of a validator")
        if value.get("format") != FORMAT:
            raise ValueError(f"format {value.get('format')!r}; this faretap knows {FORMAT}")
    elif "gone" in value:
        kind = "gone"
        given = value["gone"]
        if not isinstance(given, list) or len(given) != 2:
            raise ValueError("gone is not two numbers")
        if _number(given[0], "gone") > _number(given[1], "gone"):
            raise ValueError("gone goes backwards")
        _number(value.get("epoch", 1), "epoch")
    elif "epoch" in value:
        kind = "epoch"
        _number(value["epoch"], "epoch")
    else:
        raise ValueError("of no kind that this faretap knows")
    return Line(kind, value, number, at)


def _number(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LAST_SEQ:
        raise ValueError(f"{name} is no number from 1 on")
    return value


def _hex(value: Any, name: str, least: int, most: int) -> None:
    if not isinstance(value, str) or not least <= len(value) <= most or len(value) % 2:
        raise ValueError(f"{name} is not {least} to {most} hex digits")
    if not re.fullmatch("[0-9a-fA-F]*", value):
        raise ValueError(f"{name} is not hex")


def packed(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
