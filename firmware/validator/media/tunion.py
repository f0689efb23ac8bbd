"""T-Union and city-card electronic purse (JT/T 978, PBOC purse): number, validity, type, balance.

Nothing is verified and nothing is debited here: without an operator's rules and PSAM a card is
identified, and declined as "unverified". `media/purse.py` has the purchase.

A card number is 19 digits on a T-Union card. On a City Union card it is bytes 12 to 19 of file 15,
any bytes, as 16 hex digits. `rider` is what stands for the rider: only those bytes diversify the
card's key, so that a relay which changes another byte of the number stays the same rider.
"""

from validator.emv import apdu, tlv
from validator.media.result import Refused, Result, mask

MEDIUM = "tunion"
CITY = b"\xa0\x00\x00\x00\x03\x86\x98\x07\x01"
RIDS = (b"\xa0\x00\x00\x06\x32", CITY)

_PUBLIC = 0x15  # file: issuer 8, type 1, version 1, number 10, start 4, end 4, custom 2
_PUBLIC_LENGTH = 28
_TYPE, _ENABLED = 8, 9  # bytes of file 15
_BLOCKED = (0x6283, 0x6284, 0x9303)
# File: country 4, province 2, city 2, interoperable 2, card type 1, …
ADMINISTRATION = 0x17
ADMINISTRATION_LENGTH = 11


def handles(aid):
    for rid in RIDS:
        if aid.startswith(rid):
            return True
    return False


def is_city(aid):
    """A City Union card: its files have other bytes in places than those of T-Union."""
    return aid[: len(CITY)] == CITY


def blocked(aid, sw):
    """Whether a SELECT that ends in `sw` says that the purse is stopped, locked or blocked."""
    return sw in _BLOCKED and not is_city(aid)


def check_enabled(aid, public):
    """Refused if file 15 says that this is no purse in use; City Union cards say nothing of it."""
    if is_city(aid):
        return
    # Application type: 01 ED, 02 EP, 03 both. A purse is EP.
    if public[_TYPE] not in (2, 3):
        raise Refused("card_refused", "type %02x" % public[_TYPE])
    if not public[_ENABLED]:
        raise Refused("card_refused", "not enabled")


def rider(public):
    """What stands for the rider, ASCII: the bytes of the number that are in the card's key."""
    # The first three digits of a T-Union number, 310, and a city's code are not in the key.
    return b"310" + bytes(public[12:20]).hex().encode()


async def run(card, phases, aid, fci, terminal):
    """Read a selected purse; `fci` is SELECT's answer. Returns a Result.

    Raises Refused, TlvError and what the reader raises.
    """
    data = await public(card, fci)
    number, start, end = parse_public(aid, data)
    check_enabled(aid, data)
    detail = {"aid": bytes(aid).hex(), "issuer": bytes(data[:8]).hex(), "start": start}

    administration, sw = await apdu.exchange(card, apdu.read_binary(ADMINISTRATION))
    if sw == apdu.SW_OK and len(administration) >= ADMINISTRATION_LENGTH:
        detail["city"] = administration[6:8].hex()
        detail["interoperable"] = administration[8:10] != b"\x00\x00"
        detail["card_type"] = administration[10]
    money = await balance(card)
    phases.mark("read")
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=rider(data),
        masked=mask(number),
        expiry=end[2:6],
        balance=money,
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


def parse_public(aid, public):
    """(card number, start, end) of file 15, dates as YYYYMMDD; Refused if they are none."""
    if len(public) < _PUBLIC_LENGTH:
        raise Refused("malformed", "file 15 too short")
    text = bytes(public[10:_PUBLIC_LENGTH]).hex()
    start, end = text[20:28], text[28:36]
    if is_city(aid):
        number = text[4:20].upper()
    else:
        number = text[1:20]
        if not number.isdigit():
            raise Refused("malformed", "file 15")
    if not (is_date(start) and is_date(end)):
        raise Refused("malformed", "file 15")
    return number, start, end


def is_date(text):
    """True for YYYYMMDD with a month and a day that exist in some month."""
    if not text.isdigit():
        return False
    return 1 <= int(text[4:6]) <= 12 and 1 <= int(text[6:]) <= 31


def fen(data):
    """4 bytes of a card as fen: the top bit is no money, some cards have it set."""
    return int.from_bytes(data, "big") & 0x7FFFFFFF


async def balance(card):
    """The rider's own money in fen, below zero if overdrawn; None if the card does not tell.

    GET BALANCE by P1: 00 what can be spent, 01 overdraft limit, 02 overdraft used, 03 own money.
    """
    own = await _ask(card, 3)
    if own is not None:
        return own or -(await _ask(card, 2) or 0)
    spendable = await _ask(card, 0)
    if spendable is None:
        return None
    return spendable - (await _ask(card, 1) or 0)


async def _ask(card, p1):
    answer, sw = await apdu.exchange(card, apdu.get_balance(p1))
    return fen(answer) if sw == apdu.SW_OK and len(answer) == 4 else None
