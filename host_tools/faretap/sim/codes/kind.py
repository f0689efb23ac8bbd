"""A row of simulated codes: the valid one, and those with one defect each."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .reference import Curve

AMOUNT = 200
"""Fen that the expectations are for."""

Fields = Callable[[int], dict[str, Any]]
Damage = Callable[[bytes], bytes]

_LATER, _HOUR = 30, 3600
_LAST = 0xFFFFFFFF


@dataclass(frozen=True)
class Code:
    """One code. `broken` are the signatures that do not verify, in the order of the chain:
    "certificate", "issuer", "user"; None where the code is not in order and nobody looks."""

    note: str
    expected: tuple[str, str]
    build: Callable[..., bytes]
    fields: Fields
    damage: Callable[[bytes], bytes]
    broken: tuple[str, ...] | None
    kind: str
    defect: str

    def make(self, at: int, **fields: Any) -> bytes:
        """The bytes at `at`, unix seconds; `fields` go over those that the defect needs."""
        return self.damage(self.build(at, **{**self.fields(at), **fields}))

    def outcome(self) -> str:
        return " ".join(filter(None, self.expected))


CODES: dict[str, Code] = {}
"""Every code by its name, in the order of the listing."""


def as_it_is(code: bytes) -> bytes:
    return code


class Kind:
    """A row of codes with one builder: the valid one and its defects."""

    def __init__(self, name: str, build: Callable[..., bytes], **fields: Any) -> None:
        self.name = name
        self.build = build
        self.fields = fields

    def add(
        self,
        defect: str,
        note: str,
        reason: str = "",
        broken: str | None = "",
        at: Fields = lambda at: {},
        damage: Callable[[bytes], bytes] = as_it_is,
        **fields: Any,
    ) -> None:
        """`fields` are fixed, those of `at` follow from the time; `broken` in words."""
        name = f"{self.name}-{defect}" if defect else self.name
        fixed = {**self.fields, **fields}
        CODES[name] = Code(
            note,
            ("declined", reason) if reason else ("accepted", ""),
            self.build,
            lambda moment: {**fixed, **at(moment)},
            damage,
            None if broken is None or reason == "malformed" else tuple(broken.split()),
            self.name,
            defect,
        )


def always(name: str, value: Any) -> Fields:
    """A field whose name is not known before."""
    return lambda at: {name: value}


def flip(offset: int, bits: int = 1) -> Callable[[bytes], bytes]:
    def damage(code: bytes) -> bytes:
        changed = bytearray(code)
        changed[offset] ^= bits
        return bytes(changed)

    return damage


def put(offset: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda code: code[:offset] + data + code[offset + len(data) :]


def cut(count: int) -> Callable[[bytes], bytes]:
    return lambda code: code[:-count]


def after(data: bytes) -> Callable[[bytes], bytes]:
    return lambda code: code + data


def no_point(size: int, curve: Curve) -> bytes:
    """The smallest compressed point that is none of the curve."""
    for x in range(2, 100):
        data = b"\x02" + x.to_bytes(size, "big")
        if curve.decompress(data) is None:
            return data
    raise AssertionError("every x is on the curve")


def times(kind: Kind, oldest: int = 0, authorised: bool = True) -> None:
    """What is wrong with a code's times while its signatures are right.

    `oldest`: the unix seconds that its times count from. `authorised`: it has an authorisation's
    expiry and a single-trip limit."""
    kind.add("skewed", "made by a clock 30 s ahead", at=lambda at: {"generated": at + _LATER})
    kind.add(
        "future",
        "generated an hour ahead",
        "not_yet_valid",
        at=lambda at: {"generated": at + _HOUR},
    )
    kind.add("stale", "shown an hour ago", "expired", at=lambda at: {"generated": at - _HOUR})
    ends: tuple[dict[str, Any], ...] = ({"generated": oldest}, {"generated": oldest + _LAST})
    if authorised:
        ends = tuple({**end, "expires": end["generated"]} for end in ends)
    first, last = (lambda at, end=end: end for end in ends)
    kind.add("ancient", "generated at the beginning of its time", "expired", at=first)
    kind.add("last-day", "generated at the end of its time", "not_yet_valid", at=last)
    if not authorised:
        return
    kind.add(
        "unauthorised",
        "authorisation over for an hour, the code itself is fresh",
        "expired",
        at=lambda at: {
            "generated": at - 2 * _HOUR,
            "expires": at - _HOUR,
            "validity": 3 * _HOUR,
        },
    )
    kind.add(
        "too-late",
        "generated after its authorisation is over, within the clock's skew",
        "expired",
        at=lambda at: {"generated": at + _LATER, "expires": at + _LATER - 15},
    )
    kind.add("over-limit", "single-trip limit 1.00 yuan", "over_limit", limit=100)
    kind.add("limit-zero", "single-trip limit 0", "over_limit", limit=0)
    kind.add("limit-exact", "single-trip limit 2.00 yuan, the fare itself", limit=AMOUNT)


def decoded(damage: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda code: base64.b64encode(damage(base64.b64decode(code)))
