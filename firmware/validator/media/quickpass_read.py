"""UnionPay QuickPass while no operator has given keys: what a card or phone says of itself.

Nothing is verified here: an identified card is declined as "unverified". With an operator's rules
the kernel (`validator.media.quickpass`) is loaded instead.
"""

from validator.emv import afl, apdu, dol, tlv
from validator.media import quickpass_data as answers
from validator.media.result import Refused, Result, mask

MEDIUM = "quickpass"
RID = b"\xa0\x00\x00\x03\x33"


def handles(aid):
    return aid[:5] == RID


async def run(card, phases, aid, fci, terminal):
    """Read a selected application; `fci` is SELECT's answer. Returns a Result.

    Raises Refused, TlvError and what the reader raises.
    """
    names, oda = answers.asks(fci)
    if 0x9F66 not in dol.tags(names):
        raise Refused("unsupported", "no 9F66 in PDOL")  # not a contactless application
    ttq = answers.TTQ_ODA if oda else answers.TTQ_STANDARD
    amount = terminal["amount"]
    values = answers.terminal_values(terminal, ttq, amount)
    values[0x9F37] = terminal["random"](4)
    command = apdu.get_processing_options(dol.build(names, values))
    answer, sw = await apdu.exchange(card, command)
    if sw != apdu.SW_OK:
        raise Refused("unsupported", "GPO %04X" % sw)
    tags = {}
    quics = answers.parse_gpo(answer, tags)
    kind = answers.cryptogram(tags)
    records = afl.records(tags.get(0x94, b""))
    # In an electronic cash TC the card commits the debit when its last record is read. What is not
    # going to be accepted must not be paid.
    committing = kind == "TC" and amount > 0
    for sfi, number, _ in records[:-1] if committing else records:
        answer, sw = await apdu.exchange(card, apdu.read_record(sfi, number))
        if sw != apdu.SW_OK:
            raise Refused("malformed", "record %d.%d: %04X" % (sfi, number, sw))
        if sfi <= 10:
            answer = tlv.find(answer, 0x70)
            if answer is None:
                raise Refused("malformed", "record %d.%d: no 70" % (sfi, number))
            tlv.collect(answer, tags)
    phases.mark("read")
    return _result(aid, tags, oda, quics, kind, committing)


def _result(aid, tags, oda, quics, kind, committing):
    number = expiry = ""
    if 0x57 in tags:
        number, expiry = answers.track2(tags[0x57])
    if 0x5A in tags:
        other = answers.check_number(bytes(tags[0x5A]).hex())
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
