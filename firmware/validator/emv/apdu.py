"""Command APDUs and status words (ISO 7816-4, EMV Book 1 and 3, PBOC purse)."""

from validator.nfc.reader import CardProtocolError

SW_OK = 0x9000
SW_CONDITIONS = 0x6985  # conditions of use not satisfied: a phone whose applet is not ready (Q31)
SW_NOT_FOUND = 0x6A82

_MAX_DATA = 1024
_MAX_ROUNDS = 20  # GET RESPONSE in a row


def select(name):
    """SELECT by DF name, first occurrence, FCI asked for."""
    n = len(name)
    out = bytearray(n + 6)
    out[1] = 0xA4
    out[2] = 0x04
    out[4] = n
    out[5 : 5 + n] = name
    return out


def get_processing_options(data):
    """GPO; `data` is the PDOL's data without its 83 template."""
    n = len(data)
    at = 7 if n < 0x80 else 8  # where the data begin
    out = bytearray(at + n + 1)
    out[0] = 0x80
    out[1] = 0xA8
    out[4] = at - 5 + n
    out[5] = 0x83
    out[6] = 0x81
    out[at - 1] = n
    out[at : at + n] = data
    return out


def read_record(sfi, number):
    """READ RECORD `number` (1…) of the file with short identifier `sfi` (1…30)."""
    return bytes((0x00, 0xB2, number, (sfi << 3) | 4, 0x00))


def read_binary(sfi):
    """READ BINARY from the start of the file with short identifier `sfi`."""
    return bytes((0x00, 0xB0, 0x80 | sfi, 0x00, 0x00))


def get_balance(p1=0):
    """GET BALANCE of the purse; `p1` 3 leaves the overdraft limit out."""
    return bytes((0x80, 0x5C, p1, 0x02, 0x04))


def get_data(tag):
    """GET DATA of one object, whose answer is the object with its tag."""
    return bytes((0x80, 0xCA, tag >> 8, tag & 0xFF, 0x00))


def internal_authenticate(data):
    """`data` is what the card's DDOL asks for."""
    return b"\x00\x88\x00\x00" + bytes((len(data),)) + data + b"\x00"


def generate_ac(kind, data):
    """GENERATE AC; `kind` 0x80 asks for an ARQC. `data` is what the card's CDOL asks for."""
    return bytes((0x80, 0xAE, kind, 0x00, len(data))) + data + b"\x00"


def get_response(length):
    return bytes((0x00, 0xC0, 0x00, 0x00, length))


def with_le(apdu, le):
    """The same command asking for `le` bytes (0 = 256), whether it had an Le before or not."""
    n = len(apdu)
    has_le = n == 5 or (n > 5 and n == 6 + apdu[4])
    return (apdu[:-1] if has_le else apdu) + bytes((le,))


async def exchange(card, apdu):
    """Send `apdu` and see 61xx and 6Cxx through (Q37). Returns (data, status word).

    Raises what `card.transceive` raises, and CardProtocolError for an answer without a status word
    or without end.
    """
    answer = await card.transceive(apdu)
    if _sw(answer) >> 8 == 0x6C:
        answer = await card.transceive(with_le(apdu, answer[-1]))
    sw = _sw(answer)
    if len(answer) > _MAX_DATA:
        raise CardProtocolError("too_long")
    if sw >> 8 != 0x61:
        return answer[:-2], sw
    data = answer[:-2]
    for _ in range(_MAX_ROUNDS):
        length = sw & 0xFF
        answer = await card.transceive(get_response(length))
        if _sw(answer) >> 8 == 0x6C:
            answer = await card.transceive(get_response(answer[-1]))
        sw = _sw(answer)
        data += answer[:-2]
        if len(data) > _MAX_DATA:
            break
        if sw >> 8 != 0x61:
            return data, sw
    raise CardProtocolError("endless")


def _sw(answer):
    if len(answer) < 2:
        raise CardProtocolError("no_status_word")
    return (answer[-2] << 8) | answer[-1]
