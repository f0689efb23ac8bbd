"""What a QuickPass terminal sends, and what it makes of a card's answers."""

from validator.emv import tlv
from validator.media.result import Refused
from validator.media.terminal import bcd

# Terminal transaction qualifiers, 9F66: offline data authentication for online authorisation with
# fDDA version 01, for cards that say in DF61 that they can; or the standard flow beside qUICS.
TTQ_ODA = b"\x21\x80\x00\x80"
TTQ_STANDARD = b"\x61\x00\x00\x80"
_DF61_ODA = 0x40
_TTQ_CVM = 0x40  # byte 2: the holder must be verified
_CRYPTOGRAMS = ("AAC", "TC", "ARQC", "")

# Bytes, at least and at most: what a record's evidence has room for.
_LENGTHS = {
    0x82: (2, 2),
    0x9F36: (2, 2),
    0x9F26: (8, 8),
    0x9F27: (1, 1),
    0x9F10: (5, 32),
    0x57: (1, 19),
    0x5A: (1, 10),
    0x5F24: (3, 3),
    0x5F34: (1, 1),
    0x9F63: (0, 16),
}


def asks(fci):
    """(what the PDOL asks for as [(tag, length)], whether DF61 offers offline authentication)."""
    a5 = tlv.find(fci, 0x6F, 0xA5)
    if a5 is None:
        raise Refused("malformed", "no A5 in FCI")
    pdol = tlv.find(a5, 0x9F38)
    df61 = tlv.find(a5, 0xBF0C, 0xDF61)
    names = tlv.parse_dol(pdol) if pdol is not None else ()
    return names, bool(df61 and df61[0] & _DF61_ODA)


def terminal_values(terminal, ttq, amount, rules=None):
    """{tag: bytes} that a card can ask for, and that a settlement needs.

    The unpredictable number, 9F37, is not among them: every GPO has its own.
    """
    values = {
        0x9F66: ttq,
        0x9F02: bcd(amount, 6),
        0x9F03: bytes(6),
        0x9F1A: terminal["country"],
        0x95: bytes(5),
        0x5F2A: terminal["currency"],
        0x9A: terminal["date"],
        0x9F21: terminal["time"],
        0x9C: b"\x00",  # goods and services
        0x9F35: terminal["type"],
    }
    if rules:
        if amount > rules["cvm"]:
            values[0x9F66] = bytes((ttq[0], ttq[1] | _TTQ_CVM, ttq[2], ttq[3]))
        values[0x9F33] = rules["capabilities"]
        values[0x9F34] = b"\x3f\x00\x00"  # the terminal verified no holder
        values[0x9F1E] = rules["serial"]
        values[0x9F41] = bcd(terminal["sequence"], 4)
        values[0x9F09] = rules["version"]
    return values


def parse_gpo(answer, tags):
    """Put the objects of GPO's answer into `tags`; True if qUICS (77), False if standard (80)."""
    template, value = _one(answer, 0x77, 0x80, "GPO answer")
    if template == 0x77:
        tlv.collect(value, tags)
        return True
    if len(value) < 2:
        raise Refused("malformed", "GPO answer")
    tags[0x82] = value[:2]
    tags[0x94] = value[2:]
    return False


def parse_ac(answer, tags):
    """Put the objects of GENERATE AC's answer into `tags`: 9F27, 9F36, 9F26, 9F10."""
    template, value = _one(answer, 0x77, 0x80, "GENERATE AC")
    if template == 0x77:
        tlv.collect(value, tags)
    else:
        if len(value) < 11:
            raise Refused("malformed", "GENERATE AC")
        for tag, part in ((0x9F27, value[:1]), (0x9F36, value[1:3]), (0x9F26, value[3:11])):
            tags[tag] = part
        if len(value) > 11:
            tags[0x9F10] = value[11:]
    require(tags, (0x9F27, 0x9F36, 0x9F26, 0x9F10))


def signature(answer):
    """The signature in the answer to INTERNAL AUTHENTICATE, of either form."""
    template, value = _one(answer, 0x77, 0x80, "INTERNAL AUTHENTICATE")
    if template == 0x80:
        return value
    found = tlv.find(value, 0x9F4B)
    if found is None:
        raise Refused("malformed", "no 9F4B")
    return found


def _one(answer, a, b, what):
    found = tlv.only(answer, a, b)
    if found is None:
        raise Refused("malformed", what)
    return found


def cryptogram(tags):
    """ "AAC", "TC", "ARQC", or "" if there is none yet: from the CVR in 9F10, else from 9F27.

    Nobody but the issuer can tell whether it is true. Where the two disagree it is the refusal.
    """
    if 0x9F26 not in tags:
        return ""
    issuer = tags.get(0x9F10, b"")
    said = by_information(tags.get(0x9F27, b""))
    if len(issuer) > 4:
        kind = _CRYPTOGRAMS[(issuer[4] >> 4) & 3]
        return kind if said in ("", kind) else "AAC"
    return said


def by_information(information):
    """The cryptogram's kind by 9F27, "" if that is empty."""
    return ("AAC", "TC", "ARQC", "")[information[0] >> 6] if len(information) else ""


def information(kind):
    """9F27 for a kind of cryptogram."""
    return bytes((("AAC", "TC", "ARQC").index(kind) << 6,))


def require(tags, mandatory):
    """Refused("malformed", …) if one of these is missing, or something has no right length."""
    for tag in mandatory:
        if tag not in tags:
            raise Refused("malformed", "no %X" % tag)
    for tag in _LENGTHS:
        if tag in tags:
            low, high = _LENGTHS[tag]
            if not low <= len(tags[tag]) <= high:
                raise Refused("malformed", "%X" % tag)


def track2(value):
    """(card number, "YYMM") of track 2 equivalent data, tag 57; Refused if it is not."""
    text = value.hex()
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
