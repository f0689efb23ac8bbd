"""UnionPay QuickPass while no operator has given keys: what a card or phone says of itself.

Nothing is verified here: an identified card is declined as "unverified". With an operator's rules
the kernel takes over (`validator.media.quickpass`); until then it is not even loaded, because it
takes a fifth of a plain ESP32's heap.
"""

from validator.emv import apdu, tlv
from validator.media.result import Refused, Result, mask
from validator.media.terminal import bcd

MEDIUM = "quickpass"
RID = b"\xa0\x00\x00\x03\x33"

# Terminal transaction qualifiers, 9F66: offline data authentication for online authorisation with
# fDDA version 01, for cards that say in DF61 that they can; or the standard flow beside qUICS.
TTQ_ODA = b"\x21\x80\x00\x80"
TTQ_STANDARD = b"\x61\x00\x00\x80"
_DF61_ODA = 0x40

_MAX_RECORDS = 32
_MAX_PDOL = 250
_CRYPTOGRAMS = ("AAC", "TC", "ARQC", "")


def handles(aid):
    return aid[:5] == RID


async def run(card, phases, aid, fci, terminal):
    """Read a selected application; `fci` is SELECT's answer. Returns a Result.

    Raises Refused, TlvError and what the reader raises.
    """
    a5 = tlv.find(fci, 0x6F, 0xA5)
    if a5 is None:
        raise Refused("malformed", "no A5 in FCI")
    pdol = tlv.find(a5, 0x9F38)
    names = tlv.parse_dol(pdol) if pdol is not None else ()
    if 0x9F66 not in [tag for tag, _ in names]:
        raise Refused("unsupported", "no 9F66 in PDOL")  # not a contactless application
    df61 = tlv.find(a5, 0xBF0C, 0xDF61)
    oda = bool(df61 and df61[0] & _DF61_ODA)
    data = build_dol(names, terminal_data(terminal, TTQ_ODA if oda else TTQ_STANDARD))

    answer, sw = await apdu.exchange(card, apdu.get_processing_options(data))
    if sw != apdu.SW_OK:
        raise Refused("unsupported", "GPO %04X" % sw)
    tags = {}
    quics = parse_gpo(answer, tags)
    kind = cryptogram(tags)
    records = afl_records(tags.get(0x94, b""))
    # In an electronic cash TC the card commits the debit when its last record is read. What is not
    # going to be accepted must not be paid.
    committing = kind == "TC" and terminal["amount"] > 0
    await _read(card, records[:-1] if committing else records, tags)
    phases.mark("read")
    return _result(aid, tags, oda, quics, kind, committing)


def terminal_data(terminal, ttq):
    """{tag: bytes} that a PDOL can ask for."""
    return {
        0x9F66: ttq,
        0x9F02: bcd(terminal["amount"], 6),
        0x9F03: bytes(6),
        0x9F1A: terminal["country"],
        0x95: bytes(5),
        0x5F2A: terminal["currency"],
        0x9A: terminal["date"],
        0x9F21: terminal["time"],
        0x9C: b"\x00",  # goods and services
        0x9F35: terminal["type"],
        0x9F37: terminal["random"](4),
    }


# Numeric data objects are cut and filled at the left, all others at the right (EMV Book 3, 5.4).
_NUMERIC = (0x9F02, 0x9F03, 0x9F1A, 0x5F2A, 0x9A, 0x9F21, 0x9C, 0x9F35)


def build_dol(names, values):
    """The data that a DOL asks for; an unknown tag is zeros of the asked length."""
    out = bytearray()
    for tag, length in names:
        value = values.get(tag, b"")
        have = len(value)
        if tag in _NUMERIC:
            value = value[have - length :] if have > length else bytes(length - have) + value
        else:
            value = value[:length] if have > length else value + bytes(length - have)
        out += value
        if len(out) > _MAX_PDOL:
            raise Refused("malformed", "PDOL too long")
    return bytes(out)


def parse_gpo(answer, tags):
    """Put the objects of GPO's answer into `tags`; True if qUICS (77), False if standard (80)."""
    objects = tlv.parse(answer)
    if len(objects) != 1 or objects[0][0] not in (0x77, 0x80):
        raise Refused("malformed", "GPO answer")
    template, value = objects[0]
    if template == 0x77:
        tlv.collect(value, tags)
        return True
    if len(value) < 2:
        raise Refused("malformed", "GPO answer")
    tags[0x82] = value[:2]
    tags[0x94] = value[2:]
    return False


def cryptogram(tags):
    """ "AAC", "TC", "ARQC", or "" if there is none yet: from the CVR in 9F10, else from 9F27."""
    if 0x9F26 not in tags:
        return ""
    issuer = tags.get(0x9F10, b"")
    if len(issuer) > 4:
        return _CRYPTOGRAMS[(issuer[4] >> 4) & 3]
    info = tags.get(0x9F27, b"")
    return ("AAC", "TC", "ARQC", "")[info[0] >> 6] if info else ""


def afl_records(afl):
    """[(sfi, record)] that an application file locator lists; Refused if it is not sane."""
    if len(afl) % 4:
        raise Refused("malformed", "AFL length")
    out = []
    for i in range(0, len(afl), 4):
        sfi = afl[i] >> 3
        first, last, authenticated = afl[i + 1], afl[i + 2], afl[i + 3]
        if not 1 <= sfi <= 30 or not 1 <= first <= last or authenticated > last - first + 1:
            raise Refused("malformed", "AFL entry")
        if len(out) + last - first >= _MAX_RECORDS:
            raise Refused("malformed", "AFL too long")
        for number in range(first, last + 1):
            out.append((sfi, number))
    return out


async def _read(card, records, tags):
    for sfi, number in records:
        answer, sw = await apdu.exchange(card, apdu.read_record(sfi, number))
        if sw != apdu.SW_OK:
            raise Refused("malformed", "record %d.%d: %04X" % (sfi, number, sw))
        if sfi <= 10:
            answer = tlv.find(answer, 0x70)
            if answer is None:
                raise Refused("malformed", "record %d.%d: no 70" % (sfi, number))
            tlv.collect(answer, tags)


def track2(value):
    """(card number, "YYMM") of track 2 equivalent data, tag 57; Refused if it is not."""
    text = bytes(value).hex()
    number, mark, rest = text.partition("d")
    if not mark or len(rest) < 4 or not rest[:4].isdigit():
        raise Refused("malformed", "track 2")
    return check_number(number), rest[:4]


def check_number(digits):
    """A card number as text, without its F padding; Refused if it is none."""
    digits = digits.rstrip("f")
    if not digits.isdigit() or not 12 <= len(digits) <= 19:
        raise Refused("malformed", "card number")
    return digits


def _result(aid, tags, oda, quics, kind, committing):
    number = expiry = ""
    if 0x57 in tags:
        number, expiry = track2(tags[0x57])
    if 0x5A in tags:
        other = check_number(bytes(tags[0x5A]).hex())
        if number and number != other:
            raise Refused("malformed", "two card numbers")
        number = other
    if len(tags.get(0x5F24, b"")) == 3:
        expiry = bytes(tags[0x5F24]).hex()[:4]
    if not number and not committing:
        raise Refused("malformed", "no card number")
    ctq = bytes(tags.get(0x9F6C, b""))
    atc = bytes(tags.get(0x9F36, b""))
    return Result(
        MEDIUM,
        "declined",
        "unverified",
        token_source=number.encode() if number else None,
        masked=mask(number) if number else "",
        expiry=expiry,
        detail={
            "aid": bytes(aid).hex(),
            "flow": "qUICS" if quics else "standard",
            "cryptogram": kind,
            "oda": oda,
            "atc": int.from_bytes(atc[:2], "big"),
            "ctq": ctq.hex(),
            "device_cvm": len(ctq) > 1 and bool(ctq[1] & 0x80),
            "par": 0x9F24 in tags,  # ties a phone's token and the plastic card to one rider
        },
    )
