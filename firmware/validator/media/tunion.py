"""T-Union and city-card electronic purse (JT/T 978, PBOC purse): number, validity, type, balance.

Nothing is verified and nothing is debited here: without an operator's rules and PSAM a card is
identified, and declined as "unverified". `media/purse.py` has the purchase.
"""

from validator.emv import apdu, tlv
from validator.media.result import Refused, Result, mask

MEDIUM = "tunion"
CITY = b"\xa0\x00\x00\x00\x03\x86\x98\x07\x01"
RIDS = (b"\xa0\x00\x00\x06\x32", CITY)

_PUBLIC = 0x15  # file: issuer 8, type 1, version 1, number 10, start 4, end 4, custom 2
_PUBLIC_LENGTH = 28
# File: country 4, province 2, city 2, interoperable 2, card type 1, …
ADMINISTRATION = 0x17
ADMINISTRATION_LENGTH = 11


def handles(aid):
    for rid in RIDS:
        if aid.startswith(rid):
            return True
    return False


async def run(card, phases, aid, fci, terminal):
    """Read a selected purse; `fci` is SELECT's answer. Returns a Result.

    Raises Refused, TlvError and what the reader raises.
    """
    data = await public(card, fci)
    number, start, end = parse_public(data)
    detail = {"aid": bytes(aid).hex(), "issuer": bytes(data[:8]).hex(), "start": start}

    administration, sw = await apdu.exchange(card, apdu.read_binary(ADMINISTRATION))
    if sw == apdu.SW_OK and len(administration) >= ADMINISTRATION_LENGTH:
        detail["city"] = administration[6:8].hex()
        detail["interoperable"] = administration[8:10] != b"\x00\x00"
        detail["card_type"] = administration[10]
    balance = await _balance(card)
    phases.mark("read")
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=number.encode(),
        masked=mask(number),
        expiry=end[2:6],
        balance=balance,
        detail=detail,
    )


async def public(card, fci):
    """File 15 out of SELECT's answer, or read from the card; Refused if it has none."""
    data = tlv.find(fci, 0x6F, 0xA5, 0x9F0C)
    if data is None or len(data) < _PUBLIC_LENGTH:
        data, sw = await apdu.exchange(card, apdu.read_binary(_PUBLIC))
        if sw != apdu.SW_OK:
            raise Refused("unsupported", "file 15: %04X" % sw)
    return bytes(data)


def parse_public(public):
    """(card number, start, end) of file 15, dates as YYYYMMDD; Refused if it is not in BCD."""
    if len(public) < _PUBLIC_LENGTH:
        raise Refused("malformed", "file 15 too short")
    text = bytes(public[10:_PUBLIC_LENGTH]).hex()
    number, start, end = text[1:20], text[20:28], text[28:36]
    if not (number.isdigit() and is_date(start) and is_date(end)):
        raise Refused("malformed", "file 15")
    return number, start, end


def is_date(text):
    """True for YYYYMMDD with a month and a day that exist in some month."""
    if not text.isdigit():
        return False
    return 1 <= int(text[4:6]) <= 12 and 1 <= int(text[6:]) <= 31


async def _balance(card):
    for p1 in (0, 3):  # 3 = without overdraft, which some cards insist on
        answer, sw = await apdu.exchange(card, apdu.get_balance(p1))
        if sw == apdu.SW_OK and len(answer) == 4 and not answer[0] & 0x80:
            return int.from_bytes(answer, "big")
    return None
