"""T-Union and city-card purses (JT/T 978): public file, administration file, balance.

Nothing is debited, and the holder's file (16), the log and the trips are not read.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from . import apdu, masking
from .report import Medium

MEDIUM = "tunion"

# Longest match names the scheme.
_SCHEMES = (
    ("a00000063201010510009156000014a1", "Beijing / Jing-Jin-Ji"),
    ("a0000006320101055800022058100000", "Lingnan"),
    ("a0000006320101050113581058000000", "Lingnan"),
    ("a000000632010105215053555a484f55", "Jiangsu"),
    ("a000000632010105", "T-Union"),
    ("a000000632", "T-Union"),
    ("a00000000386980701", "City Union"),
)
_CITY = bytes.fromhex("A00000000386980701")
_RIDS = (bytes.fromhex("A000000632"), bytes.fromhex("A00000000386980701"))

APPLICATION_TYPES = {0x01: "ED", 0x02: "EP", 0x03: "ED and EP"}
CARD_TYPES = {
    0x00: "normal",
    0x01: "normal",
    0x02: "student",
    0x03: "elderly",
    0x04: "test",
    0x05: "military",
}

_PUBLIC, _ADMINISTRATION = 0x15, 0x17
_PUBLIC_LENGTH = 28
_ADMINISTRATION_LENGTH = 11
_NUMBER = re.compile(r"[0-9a-f]([0-9]{19})")


def handles(aid: bytes) -> bool:
    return aid.startswith(_RIDS)


def read(channel: apdu.Channel, aid: bytes, fci: bytes, medium: Medium) -> None:
    """Fill `medium` from a selected purse; `fci` is SELECT's answer."""
    medium.scheme = next(n for prefix, n in _SCHEMES if aid.hex().startswith(prefix))
    public = apdu.find(fci, 0x6F, 0xA5, 0x9F0C)
    if public is None or len(public) < _PUBLIC_LENGTH:
        public, sw = apdu.exchange(channel, apdu.read_binary(_PUBLIC))
        if sw != apdu.OK:
            medium.problems.append(f"public file (15) refused with {sw:04X}")
            public = b""
    if public:
        public_file(public, medium, city=aid.startswith(_CITY))
    administration, sw = apdu.exchange(channel, apdu.read_binary(_ADMINISTRATION))
    if sw == apdu.OK:
        administration_file(administration, medium)
    elif not aid.startswith(_CITY):  # old city cards have none
        medium.problems.append(f"administration file (17) refused with {sw:04X}")
    balance(channel, medium)


def public_file(content: bytes, medium: Medium, city: bool = False) -> None:
    """File 15: issuer 8, application type 1, version 1, number 10, start 4, end 4, custom 2.

    On a City Union card (`city`) bytes 8 and 9 are others, 10 and 11 are the city, and the number
    is the 8 bytes behind them, which are not BCD: shown in hex.
    """
    if len(content) < _PUBLIC_LENGTH:
        medium.problems.append(f"public file (15) has {len(content)} bytes, not 30")
        return
    medium.detail["issuer"] = content[:8].hex()
    if not city:
        medium.detail["application_type"] = APPLICATION_TYPES.get(
            content[8], f"unknown ({content[8]:02x})"
        )
        if content[8] not in (0x02, 0x03) or not content[9]:
            medium.problems.append("not enabled as a purse (bytes 8 and 9 of file 15)")
    number = _NUMBER.fullmatch(content[10:20].hex())
    if city:
        medium.number = masking.shown(content[12:20].hex().upper())
    elif number:
        medium.number = masking.shown(number.group(1))
    else:
        medium.problems.append("card number is not in BCD")
    medium.valid_from = day(content[20:24].hex())
    medium.valid_to = day(content[24:28].hex())
    for name, value in (("start", medium.valid_from), ("end", medium.valid_to)):
        if value is None:
            medium.problems.append(f"{name} of validity is no date")


def administration_file(content: bytes, medium: Medium) -> None:
    """File 17: country 4, province 2, city 2, interoperability 2, card type 1, and more."""
    if len(content) < _ADMINISTRATION_LENGTH:
        medium.problems.append(f"administration file (17) has {len(content)} bytes, not 60")
        return
    detail: dict[str, Any] = {
        "country": content[:4].hex(),
        "province": content[4:6].hex(),
        "city": content[6:8].hex(),
        "interoperable": content[8:10] != b"\x00\x00",
        "card_type": CARD_TYPES.get(content[10], f"unknown ({content[10]:02x})"),
    }
    medium.detail.update(detail)


def balance(channel: apdu.Channel, medium: Medium) -> None:
    """The rider's own money in fen, below zero if overdrawn. GET BALANCE by P1: 00 what can be
    spent, 01 overdraft limit, 02 overdraft used, 03 own money."""
    own, _ = _fen(channel, 3)
    if own is not None:
        used = 0 if own else _fen(channel, 2)[0]
        medium.balance = own - (used or 0)
        return
    spendable, sw = _fen(channel, 0)
    if spendable is None:
        problem = f" ({sw:04X})" if sw != apdu.OK else " that is one"
        medium.problems.append("no balance" + problem)
        return
    medium.balance = spendable - (_fen(channel, 1)[0] or 0)


def _fen(channel: apdu.Channel, p1: int) -> tuple[int | None, int]:
    answer, sw = apdu.exchange(channel, apdu.get_balance(p1))
    if sw != apdu.OK or len(answer) != 4:
        return None, sw
    # Some cards set the top bit: it is no money.
    return int.from_bytes(answer, "big") & 0x7FFFFFFF, sw


def day(text: str) -> date | None:
    """YYYYMMDD in digits, or None. ED cards have 31 February and the like: that is no date."""
    if not re.fullmatch(r"[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
