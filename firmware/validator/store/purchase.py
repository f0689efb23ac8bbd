"""The record of a purse's debit, short: version 2 of a record, in two parts (journal.py).

The first part is durable before DEBIT goes out, little endian:

    0   80, and flags: 01 test, 02 composite, 04 board, 08 alight, 10 unfinished, 20 last digits
    1   time of DEBIT 4, unix | token 8 | amount 3, fen | last digits 2, BCD
    18  counter 2 and balance 3 before | terminal serial 4 | key version 1 | algorithm 1
    29  name of its context 4: SHA-256, cut off
    33  ciphertext 18 | MAC 4, as `Seal.brief` makes them of issuer and card number, with the first
        29 bytes beside them; absent without an acquirer's key
    …   absent, or 5 bytes: 01 and the number of a record whose debit did not happen if this one
        did, or 02 and that of one of which nobody can tell; or 13 bytes: 03 and the number of the
        record for whose sake this purchase of 0 proves the card's key, and MAC2 and TAC that the
        card told of that one, zeros if none

Its end is made durable when the card has answered:

    0   8 bytes, a number: bits 0 to 3 the debit's state, then 12 each for the ms of detect,
        select, read, verify and decide (FFF: unknown)
    8   MAC2 4, or the status word of a card that refused, and zeros | TAC 4

What many records share is their context, a block that stands once in a sector:

    C7 | name of the key block 4 | boot 2 | version of the configuration 4 | terminal of the PSAM 6
    | vehicle, line, stop: length 1 and UTF-8 each

purchase_read.py reads them.
"""

import struct
from hashlib import sha256

from validator.media import purse_torn as torn
from validator.store.record import BEFORE

_SHORT = 0x80
MAX_FEN = 0xFFFFFF
_TEST = 1
_COMPOSITE = 2
_BOARD = 4
_ALIGHT = 8
_UNFINISHED = 16
_DIGITS = 32
_VOID = 1
_UNKNOWN = 2
_PROOF = 3
_UNKNOWN_MS = 0xFFF
_CONTEXT = 0xC7
_NAME = 4


def context(key, boot, config, terminal, texts):
    """The block of these values; `key` is the name of the key block, or b"", `texts` as `names`
    makes them."""
    key = key or bytes(_NAME)
    return struct.pack("<B4sHI6s", _CONTEXT, key, boot & 0xFFFF, config, terminal) + texts


def names(*texts):
    """Vehicle, line and stop as a context has them."""
    out = b""
    for text in texts:
        data = text.encode()
        out += bytes((len(data),)) + data
    return out


def name(block):
    """What records call a block."""
    return sha256(block).digest()[:_NAME]


def pack(debit, token, last4, detail, test):
    """The first 29 bytes. `debit` as in media/purse_torn.py; `last4` the number's last digits, or
    ""; of `detail` trip and unfinished count."""
    flags = _SHORT | (_TEST if test else 0)
    if debit.type == 9:
        flags |= _COMPOSITE
    trip = detail.get("trip")
    if trip:
        flags |= _ALIGHT if trip == "out" else _BOARD
    if detail.get("unfinished"):
        flags |= _UNFINISHED
    digits = b"\0\0"
    if len(last4) == 4 and "*" not in last4:
        flags |= _DIGITS
        digits = bytes((int(last4[:2], 16), int(last4[2:], 16)))
    return b"".join(
        (
            struct.pack("<BI", flags, debit.unix),
            token,
            debit.amount.to_bytes(3, "little"),
            digits,
            struct.pack("<H", debit.counter),
            debit.before.to_bytes(3, "little"),
            debit.serial,
            bytes((debit.version, debit.algorithm)),
        )
    )


def about(debit, detail):
    """What stands behind all else in the first part: another record that this debit is about."""
    if debit.proves:
        return struct.pack("<BI8s", _PROOF, debit.proves, debit.proof)
    if debit.void:
        return struct.pack("<BI", _VOID, debit.void)
    if "unknown" in detail:
        return struct.pack("<BI", _UNKNOWN, detail["unknown"])
    return b""


def pack_end(debit, phases):
    """The end of it: 16 bytes; `phases` a media.phases.Phases."""
    word = 0
    for phase in reversed(BEFORE):
        ms = phases.ms(phase)
        word = word << 12 | (_UNKNOWN_MS if ms is None else max(0, min(ms, _UNKNOWN_MS - 1)))
    word = word << 4 | debit.state
    mac2 = debit.mac2
    if debit.state in (torn.LOST, torn.REFUSED):
        mac2 = debit.answer
    return word.to_bytes(8, "little") + (mac2 + b"\0\0\0\0")[:4] + debit.tac
