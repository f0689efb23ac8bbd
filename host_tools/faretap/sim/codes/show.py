"""What a code says, and which of its signatures are right: for people, and for the test scheme.

Written from the formats' descriptions and apart from the builders. Numbers that stand for a rider
are masked, and fields that could hold one are given by their size. Of the keys that are not in the
code, the test scheme's are known.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import reference
from .keys import DEFAULT_ID, key

RIGHT, WRONG, UNKNOWN = "right", "wrong", "unknown key"

_ROOTS = {0x7F: "root", 0x7D: "root-old"}
_LOCAL = ("99990000", "99990002")
_UNION = {1: "union-1", 2: "union-2"}
_ALIPAY = {(1, 1): "alipay-1", (2, 2): "alipay-2", (1, 3): "alipay-3"}
_UNION_EPOCH = 1483200000

Point = tuple[int, int]


@dataclass
class Seen:
    """A code as it reads. `problem` says what ended the reading, or is empty."""

    kind: str
    fields: dict[str, str] = field(default_factory=dict)
    signatures: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def broken(self) -> tuple[str, ...]:
        return tuple(name for name, verdict in self.signatures.items() if verdict == WRONG)


class _Unreadable(ValueError):
    pass


def read(code: bytes) -> Seen:
    """Any bytes; never raises."""
    seen = Seen(_kind(code))
    reader = {"mot": _mot, "union": _union, "alipay": _alipay, "cpm": _cpm}.get(seen.kind)
    try:
        if reader:
            reader(code, seen)
    except (_Unreadable, IndexError) as error:
        seen.problem = str(error) if isinstance(error, _Unreadable) else "too short"
    return seen


def _kind(code: bytes) -> str:
    if code[:1] >= b"\x80":
        return "mot"
    if code[:2] in (b"\x02\x01", b"\x02\x02") or (
        code[:2] in (b"\x54\x01", b"\x54\x02") and code[2:4] in (b"\x02\x01", b"\x02\x02")
    ):
        return "alipay"
    if code[:2] == b"Ah" and code[2:3] in (b"E", b"F", b"G", b"H"):
        return "union"
    if code[:9] == b"hQVDUFYwM":
        return "cpm"
    starts = {19: range(62, 63), 18: range(10, 16)}
    if code.isdigit() and (
        int(code[:2]) in starts.get(len(code), ())
        or (16 <= len(code) <= 24 and 25 <= int(code[:2]) <= 30)
    ):
        return "payment number"
    return "Tencent" if code[:2] == b"TX" else "unknown"


def _mot(code: bytes, seen: Seen) -> None:
    size = len(code)
    if not 332 <= size <= 364:
        raise _Unreadable(f"{size} bytes, not 332 to 364")
    if _u(code[1:3]) != size - 3:
        raise _Unreadable(f"its length field says {_u(code[1:3]) + 3} bytes, not {size}")
    n = code[197]
    if size != 332 + n:
        raise _Unreadable(f"a custom field of {n} bytes does not fit")
    certificate, issued, signed = code[3:120], code[3 : 198 + n], code[: 267 + n]
    issuer, platform = code[146:150].hex(), code[150:154].hex()
    seen.fields |= {
        "version": f"{code[0]:02x}",
        "root": f"{certificate[5]:02x}",
        "certificate of": certificate[7:11].hex(),
        "certificate valid to": f"20{certificate[12]:02x}-{certificate[11]:02x}",
        "account": mask(code[120:136].decode("latin-1")),
        "card": mask(code[136:146].hex().rstrip("f")),
        "issuer": issuer,
        "platform": platform,
        "card type": str(code[154]),
        "limit": _yuan(_u(code[155:158])),
        "authorised to": _time(_u(code[191:195])),
        "validity": f"{_u(code[195:197])} s",
        "custom": _size(code[198 : 198 + n]),
        "generated": _time(_u(code[263 + n : 267 + n])),
    }
    local = (issuer, platform) == _LOCAL
    root = _ROOTS.get(certificate[5])
    for name, owner, message, signature, user_id in (
        (
            "certificate",
            key(root).public if root else UNKNOWN,
            certificate[6:53],
            certificate[53:],
            certificate[1:6],
        ),
        (
            "issuer",
            reference.SM2.decompress(certificate[20:53]),
            issued,
            code[199 + n : 263 + n],
            code[146:154],
        ),
        ("user", reference.SM2.decompress(code[158:191]), signed, code[268 + n :], code[136:146]),
    ):
        seen.signatures[name] = _sm2(owner, message, signature, user_id if local else DEFAULT_ID)


def _union(text: bytes, seen: Seen) -> None:
    try:
        code = base64.b64decode(
            text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4), validate=True
        )
    except binascii.Error:
        raise _Unreadable("no Base64") from None
    n = code[40]
    if len(code) != 106 + n:
        raise _Unreadable(f"a custom field of {n} bytes does not fit")
    index = _u(code[2:4])
    seen.fields |= {
        "certificate": f"{index:04x}",
        "app": code[4:12].decode("latin-1"),
        "institution": code[12:16].hex(),
        "validity": f"{_u(code[16:18])} s",
        "scope": code[18:20].hex(),
        "code id": code[20:28].hex(),
        "generated": _time(_u(code[28:32]) + _UNION_EPOCH),
        "user": mask(""),
        "custom": _size(code[41 : 41 + n]),
    }
    owner = key(_UNION[index]).public if index in _UNION else UNKNOWN
    seen.signatures["issuer"] = _sm2(owner, code[4:-65], code[-64:], DEFAULT_ID)


def _alipay(code: bytes, seen: Seen) -> None:
    if code[:1] == b"\x54":
        seen.fields["prefix"], code = code[:2].hex(), code[2:]
    end = 4 + code[3]
    card_end = 74 + code[73]
    if card_end + 1 + code[card_end] != end:
        raise _Unreadable("body 1 has another length than it says")
    issuer_end = end + 1 + code[end]
    signed_end = issuer_end + 1 + code[issuer_end]
    if signed_end - issuer_end != 5 or signed_end + 1 + code[signed_end] != len(code):
        raise _Unreadable("its lengths do not add up")
    seen.fields |= {
        "algorithm": {1: "ECDSA", 2: "SM2"}[code[1]],
        "key": str(code[2]),
        "user": mask(code[4:20].decode("latin-1")),
        "authorised to": _time(_u(code[20:24])),
        "validity": f"{_u(code[24:26])} s",
        "limit": _yuan(_u(code[26:28])),
        "identity": code[28:32].hex(),
        "institution": code[32:36].hex(),
        "card type": code[65:73].decode("latin-1"),
        "card": mask(code[74:card_end].decode("latin-1")) if card_end > 74 else "-",
        "card data": _size(code[card_end + 1 : end]),
        "generated": _time(_u(code[issuer_end + 1 : signed_end])),
    }
    owner = _ALIPAY.get((code[1], code[2]))
    signature = _from_der(code[end + 1 : issuer_end], "institution's")
    if owner is None:
        seen.signatures["issuer"] = UNKNOWN
    elif code[1] == 2:
        e = reference.sm2_digest(key(owner).public, code[4:end], DEFAULT_ID)
        right = reference.sm2_verify(key(owner).public, e, *signature)
        seen.signatures["issuer"] = RIGHT if right else WRONG
    else:
        seen.signatures["issuer"] = _ecdsa(
            reference.SECP256K1, key(owner).public, code[4:end], signature
        )
    seen.signatures["user"] = _ecdsa(
        reference.SECP192K1,
        reference.SECP192K1.decompress(code[40:65]),
        code[:signed_end],
        _from_der(code[signed_end + 1 :], "rider's"),
    )


def _cpm(text: bytes, seen: Seen) -> None:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _Unreadable("no Base64") from None
    for tag, value in _objects(data):
        if tag == "61":
            seen.fields |= {f"61.{t}": _object(t, v) for t, v in _objects(value)}
        else:
            seen.fields[tag] = _object(tag, value)


def _objects(data: bytes) -> list[tuple[str, bytes]]:
    found, at = [], 0
    while at < len(data):
        start = at
        at += 2 if data[at] & 0x1F == 0x1F else 1
        size, tag = data[at], data[start:at].hex().upper()
        at += 1
        if size > 0x80:
            count = size - 0x80
            size, at = _u(data[at : at + count]), at + count
        if at + size > len(data):
            raise _Unreadable(f"object {tag} is cut off")
        found.append((tag, data[at : at + size]))
        at += size
    return found


def _object(tag: str, value: bytes) -> str:
    """Only of objects that hold no number, name or account reference, the content."""
    if tag in ("57", "5A"):
        pan, _, rest = value.hex().upper().partition("D")
        return mask(pan.rstrip("F")) + (f", valid to 20{rest[:2]}-{rest[2:4]}" if rest else "")
    if tag in ("85", "50"):
        return value.decode("latin-1")
    return value.hex() if tag in ("4F", "5F34") else _size(value)


def _size(data: bytes) -> str:
    return f"{len(data)} bytes"


def mask(number: str) -> str:
    """First six and last four of a number of 13 letters and more; of a shorter one nothing."""
    return f"{number[:6]}******{number[-4:]}" if len(number) >= 13 else "******"


def _sm2(owner: Point | str | None, message: bytes, signature: bytes, user_id: bytes) -> str:
    if isinstance(owner, str):
        return owner
    if owner is None:
        return WRONG
    e = reference.sm2_digest(owner, message, user_id)
    right = reference.sm2_verify(owner, e, _u(signature[:32]), _u(signature[32:]))
    return RIGHT if right else WRONG


def _ecdsa(
    curve: reference.Curve, owner: Point | None, message: bytes, signature: tuple[int, int]
) -> str:
    if owner is None:
        return WRONG
    e = _u(hashlib.sha1(message).digest())
    return RIGHT if reference.ecdsa_verify(curve, owner, e, *signature) else WRONG


def _from_der(data: bytes, whose: str) -> tuple[int, int]:
    """Strict DER: exactly what an encoder would have written."""
    numbers = []
    at = 2
    while at + 2 <= len(data):
        end = at + 2 + data[at + 1]
        numbers.append(int.from_bytes(data[at + 2 : end], "big", signed=True))
        at = end
    again = b"".join(
        bytes([2, v.bit_length() // 8 + 1]) + v.to_bytes(v.bit_length() // 8 + 1, "big")
        for v in numbers
        if v >= 0
    )
    if len(numbers) != 2 or data != bytes([0x30, len(again)]) + again:
        raise _Unreadable(f"the {whose} signature is no DER of two numbers")
    return numbers[0], numbers[1]


def _u(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02} yuan"


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
