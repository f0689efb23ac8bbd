"""QuickPass (qUICS, EMV kernel 7): number, expiry, and what the card can.

The number stands in records that a card shows only after GET PROCESSING OPTIONS, so a transaction
of 0 fen is begun and not finished. It counts the card's ATC up by one and moves no money.
Certificates are not checked here.
"""

from __future__ import annotations

import calendar
import os
import re
from datetime import date, datetime

from . import apdu, masking
from .report import Medium

MEDIUM = "quickpass"
RID = bytes.fromhex("A000000333")

_SCHEMES = {
    "010101": "UnionPay debit",
    "010102": "UnionPay credit",
    "010103": "UnionPay quasi-credit",
    "010106": "UnionPay electronic cash",
    "010108": "UnionPay US common debit",
}

# Terminal transaction qualifiers (9F66): transit ODA for cards that say in DF61 that they can;
# else qUICS beside the standard flow, for cards of any age.
_TTQ_ODA = bytes.fromhex("21800080")
_TTQ_ANY = bytes.fromhex("61000080")
_ODA = 0x40

_MAX_PDOL = 250
_MAX_RECORDS = 32
_DECISIONS = ("AAC", "TC", "ARQC", "")
_NUMERIC = frozenset((0x9F02, 0x9F03, 0x9F1A, 0x5F2A, 0x9A, 0x9F21, 0x9C, 0x9F35))
_NUMBER = re.compile(r"([0-9]{12,19})f?")
_TRACK_2 = re.compile(r"([0-9]{12,19})d([0-9]{4})[0-9a-f]*")


def handles(aid: bytes) -> bool:
    return aid.startswith(RID)


def read(channel: apdu.Channel, aid: bytes, fci: bytes, medium: Medium, now: datetime) -> None:
    """Fill `medium` from a selected application; `fci` is SELECT's answer, `now` local time."""
    medium.scheme = _SCHEMES.get(aid[5:8].hex(), "UnionPay")
    pdol = apdu.find(fci, 0x6F, 0xA5, 0x9F38)
    names = apdu.parse_dol(pdol) if pdol is not None else []
    if 0x9F66 not in [tag for tag, _ in names]:
        medium.problems.append("not contactless: its PDOL does not ask for 9F66")
        return
    df61 = apdu.find(fci, 0x6F, 0xA5, 0xBF0C, 0xDF61)
    oda = bool(df61 and df61[0] & _ODA)
    medium.detail["transit_oda"] = oda
    values = terminal_data(now, _TTQ_ODA if oda else _TTQ_ANY)
    answer, sw = apdu.exchange(channel, apdu.get_processing_options(build_dol(names, values)))
    if sw != apdu.OK:
        medium.problems.append(f"GET PROCESSING OPTIONS refused with {sw:04X}")
        return
    tags = processing_options(answer, medium)
    for sfi, number in records(tags.get(0x94, b"")):
        record, sw = apdu.exchange(channel, apdu.read_record(sfi, number))
        if sw != apdu.OK:
            medium.problems.append(f"record {sfi}.{number} refused with {sw:04X}")
        elif sfi <= 10:
            content = apdu.find(record, 0x70)
            if content is None:
                medium.problems.append(f"record {sfi}.{number} has no template 70")
            else:
                apdu.collect(content, tags)
    interpret(tags, medium)
    _balance(channel, medium)


def terminal_data(now: datetime, ttq: bytes) -> dict[int, bytes]:
    """What a PDOL can ask for: 0 fen, goods, China, and a real random number."""
    return {
        0x9F66: ttq,
        0x9F1A: b"\x01\x56",
        0x5F2A: b"\x01\x56",
        0x9A: bytes.fromhex(now.strftime("%y%m%d")),
        0x9F21: bytes.fromhex(now.strftime("%H%M%S")),
        0x9F35: b"\x22",
        0x9F37: os.urandom(4),
    }


def build_dol(names: list[tuple[int, int]], values: dict[int, bytes]) -> bytes:
    """Numeric objects are cut and filled at the left, others at the right (EMV Book 3, 5.4);
    unknown ones are zeros."""
    out = b""
    for tag, length in names:
        value = values.get(tag, b"")
        if tag in _NUMERIC:
            out += value[max(0, len(value) - length) :].rjust(length, b"\x00")
        else:
            out += value[:length].ljust(length, b"\x00")
        if len(out) > _MAX_PDOL:
            raise apdu.Malformed("a PDOL that asks for too much")
    return out


def processing_options(answer: bytes, medium: Medium) -> dict[int, bytes]:
    """The objects of GPO's answer: template 77 is qUICS, 80 the standard flow."""
    objects = apdu.parse(answer)
    if len(objects) != 1 or objects[0][0] not in (0x77, 0x80):
        raise apdu.Malformed("an answer to GET PROCESSING OPTIONS without 77 or 80")
    template, value = objects[0]
    medium.detail["flow"] = "qUICS" if template == 0x77 else "standard"
    tags: dict[int, bytes] = {}
    if template == 0x77:
        apdu.collect(bytes(value), tags)
    elif len(value) >= 2:
        tags = {0x82: bytes(value[:2]), 0x94: bytes(value[2:])}
    return tags


def records(afl: bytes) -> list[tuple[int, int]]:
    """(SFI, record) of each record that an application file locator lists."""
    if len(afl) % 4:
        raise apdu.Malformed("an AFL of odd length")
    out: list[tuple[int, int]] = []
    for at in range(0, len(afl), 4):
        sfi, first, last, authenticated = afl[at] >> 3, *afl[at + 1 : at + 4]
        if not (1 <= sfi <= 30 and 1 <= first <= last and authenticated <= last - first + 1):
            raise apdu.Malformed("an AFL entry out of range")
        out += [(sfi, number) for number in range(first, last + 1)]
        if len(out) > _MAX_RECORDS:
            raise apdu.Malformed("an AFL that lists too many records")
    return out


def interpret(tags: dict[int, bytes], medium: Medium) -> None:
    """Number, validity and abilities from the collected data objects."""
    found: list[str] = []
    if 0x57 in tags:
        track = _TRACK_2.fullmatch(tags[0x57].hex())
        if track:
            found.append(track.group(1))
            medium.valid_to = _end_of_month(track.group(2))
        else:
            medium.problems.append("track 2 (57) is none")
    if 0x5A in tags:
        number = _NUMBER.fullmatch(tags[0x5A].hex())
        if number:
            found.append(number.group(1))
        else:
            medium.problems.append("card number (5A) is none")
    if not found:
        medium.problems.append("no card number")
    elif len(set(found)) > 1:
        medium.problems.append("two different card numbers")
    else:
        medium.number = masking.shown(found[0])
    if 0x5F24 in tags:
        medium.valid_to = _day(tags[0x5F24].hex())
        if medium.valid_to is None:
            medium.problems.append("expiry (5F24) is no date")
    if 0x5F25 in tags:
        medium.valid_from = _day(tags[0x5F25].hex())
    ctq = tags.get(0x9F6C, b"")
    verified = len(ctq) > 1 and bool(ctq[1] & 0x80)
    if verified:  # only a phone or a watch verifies its holder
        medium.form = "phone"
    medium.detail["holder_verified"] = verified
    medium.detail["account_reference"] = 0x9F24 in tags
    medium.detail["cryptogram"] = cryptogram(tags)
    if len(tags.get(0x9F36, b"")) == 2:
        medium.detail["transactions"] = int.from_bytes(tags[0x9F36], "big")


def cryptogram(tags: dict[int, bytes]) -> str:
    """ "AAC", "TC", "ARQC", or "" if there is none: from the CVR in 9F10, else from 9F27."""
    if 0x9F26 not in tags:
        return ""
    issuer = tags.get(0x9F10, b"")
    if len(issuer) > 4:
        return _DECISIONS[issuer[4] >> 4 & 0x03]
    information = tags.get(0x9F27, b"")
    return _DECISIONS[information[0] >> 6] if information else ""


def _balance(channel: apdu.Channel, medium: Medium) -> None:
    """Electronic cash (9F79, n12, fen); most cards have none."""
    answer, sw = apdu.exchange(channel, apdu.get_data(0x9F79))
    if sw != apdu.OK:
        return
    value = apdu.find(answer, 0x9F79)
    if value is not None and re.fullmatch(r"[0-9]{12}", value.hex()):
        medium.balance = int(value.hex())
    else:
        medium.problems.append("electronic cash balance (9F79) is none")


def _day(text: str) -> date | None:
    """YYMMDD in digits, or None."""
    if not re.fullmatch(r"[0-9]{6}", text):
        return None
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        return None


def _end_of_month(text: str) -> date | None:
    """The last day of YYMM in digits, or None."""
    year, month = 2000 + int(text[:2]), int(text[2:])
    if not 1 <= month <= 12:
        return None
    return date(year, month, calendar.monthrange(year, month)[1])
