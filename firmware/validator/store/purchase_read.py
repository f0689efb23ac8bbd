"""Reading the record of a purse's debit, version 2: store/purchase.py has the layout."""

import struct
from hashlib import sha256

from validator.media import purse_torn as torn
from validator.media.terminal import when
from validator.store.purchase import name
from validator.store.record import BEFORE, RecordError

# As in purchase.py: numbers of a module's own take no memory, those of another one do.
_VERSION = 2
_HEAD = "<BI8sHB2sHHB4sBB4s"
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
_CONTEXT_MARK = 0xC7
_CONTEXT_HEAD = "<B4sHI6s"
_NAME = 4

_SIZE = 33
_BESIDE = 29  # bytes that the seal of the number covers as well
_SEALED = 22
_LINK = 5
_LONG_LINK = 13
_END = 16
_LENGTHS = (0, 5, 13, 22, 27, 35)
_CONTEXT_SIZE = 17

# Outcome and reason of a debit, by its state; and of a purchase of 0, which is no ride.
_LOST = ("retry", "card_lost")
_PAID = ("accepted", "")
_WRONG = ("declined", "bad_signature")
_OUTCOMES = (_LOST, _LOST, _PAID, _PAID, _WRONG, ("declined", "card_refused"))
_PROOFS = (_LOST, _LOST, _LOST, _LOST, _WRONG, ("declined", "unsettled"))


def decode(data, find=None):
    """The fields of `record.decode`, with the record's end or without. The evidence is laid out as
    in media/purse_torn.py (MAC1 zeros; the number sealed as in media/evidence.py); "seq" is 0: the
    journal knows it. `find(name)` returns the record's context, or None; without `find`, what the
    context has is left empty. RecordError as there."""
    rest = len(data) - _SIZE
    ended = rest - _END in _LENGTHS
    if not ended and rest not in _LENGTHS:
        raise RecordError("%d bytes: no record of version 2 has that length" % len(data))
    head = struct.unpack(_HEAD, data[:_SIZE])
    flags = head[0]
    if flags & 0xC0 != 0x80 or flags & (_BOARD | _ALIGHT) == _BOARD | _ALIGHT:
        raise RecordError("unknown flags 0x%02x" % flags)
    rest -= _END if ended else 0
    at = _SIZE + (_SEALED if rest >= _SEALED else 0)
    block = find(head[12]) if find else None
    if find and block is None:
        raise RecordError("the block %s that it refers to is missing" % head[12].hex())
    key, boot, config, terminal, texts = _context(block)
    detail = {}  # type: dict
    if flags & (_BOARD | _ALIGHT):
        detail["trip"] = "out" if flags & _ALIGHT else "in"
    if flags & _UNFINISHED:
        detail["unfinished"] = True
    debit = torn.Debit(
        9 if flags & _COMPOSITE else 6, head[6], head[7] | head[8] << 16, head[3] | head[4] << 16
    )
    debit.terminal = terminal
    debit.serial = head[9]
    debit.when = when(head[1])
    debit.version = head[10]
    debit.algorithm = head[11]
    link = rest - (at - _SIZE)
    if link:
        kind, number = struct.unpack("<BI", data[at : at + _LINK])
        if (kind == _PROOF) != (link == _LONG_LINK) or not _VOID <= kind <= _PROOF:
            raise RecordError("unknown link %d" % kind)
        detail[("void", "unknown", "proof")[kind - 1]] = number
        if kind == _VOID:
            debit.void = number
        elif kind == _PROOF:
            detail["told"] = data[at + _LINK : at + _LONG_LINK].hex()
    phases = {}
    word = int.from_bytes(data[-_END:-8], "little") if ended else (1 << 64) - 16
    debit.state = word & 15
    if debit.state >= len(_OUTCOMES):
        raise RecordError("state %d is of a later firmware, or damage" % debit.state)
    for phase in BEFORE:
        word >>= 4 if phase == BEFORE[0] else 12
        ms = word & _UNKNOWN_MS
        phases[phase] = None if ms == _UNKNOWN_MS else ms
    if ended:
        debit.tac = data[-4:]
        if debit.state in (torn.LOST, torn.REFUSED):
            if data[-8:-6] != b"\0\0":
                detail["what"] = "DEBIT " + data[-8:-6].hex()
        else:
            debit.mac2 = data[-8:-4]
    if debit.state == torn.WRONG:
        detail["debited"] = True
        detail["what"] = "MAC2"
    detail["state"] = torn.STATES[debit.state]
    outcome, reason = (_PROOFS if "proof" in detail else _OUTCOMES)[debit.state]
    evidence = debit.pack()
    if at > _SIZE:
        beside = sha256(data[:_BESIDE]).digest()[:16]
        evidence += b"\x04" + key + beside + data[_SIZE:at]
    return {
        "version": _VERSION,
        "test": bool(flags & _TEST),
        "clock_trusted": True,  # no debit without
        "seq": 0,
        "time": head[1],
        "medium": "tunion",
        "outcome": outcome,
        "reason": reason,
        "fare": debit.amount if outcome == "accepted" else 0,
        "token": head[2],
        "phases": phases,
        "boot": boot,
        "uptime": 0,
        "vehicle": texts[0],
        "line": texts[1],
        "stop": texts[2],
        "last4": head[5].hex() if flags & _DIGITS else "",
        "detail": detail,
        "evidence": evidence,
        "code": None,
        "config": config,
        "account": None,
        "other": {},
    }


def _context(block):
    """(name of the key block, boot, configuration, terminal, [vehicle, line, stop])."""
    if block is None:
        return bytes(_NAME), 0, 0, bytes(6), ["", "", ""]
    if len(block) < _CONTEXT_SIZE or block[0] != _CONTEXT_MARK:
        raise RecordError("the block that it refers to is none of its kind")
    values = struct.unpack(_CONTEXT_HEAD, block[:_CONTEXT_SIZE])
    texts = []
    at = _CONTEXT_SIZE
    for _ in range(3):
        if at >= len(block) or at + 1 + block[at] > len(block):
            raise RecordError("its context is cut off")
        try:
            texts.append(block[at + 1 : at + 1 + block[at]].decode())
        except ValueError:
            raise RecordError("its context is not UTF-8")
        at += 1 + block[at]
    return values[1:] + (texts,)


class Contexts:
    """Contexts by their names, as they come with records (`Journal.read` with keys)."""

    def __init__(self):
        self._blocks = {}

    def add(self, block):
        """Take in a block; what is no context is left alone."""
        if block[:1] == b"\xc7":
            self._blocks[name(block)] = block

    def find(self, wanted):
        """The block of that name, or None. One with a wrong bit is mended: its name tells."""
        found = self._blocks.get(wanted)
        if found is None:
            for block in list(self._blocks.values()):
                found = _mend(bytearray(block), wanted)
                if found:
                    self._blocks[wanted] = found
                    break
        return found


def _mend(block, wanted):
    for bit in range(8 * len(block)):
        block[bit >> 3] ^= 1 << (bit & 7)
        if name(block) == wanted:
            return bytes(block)
        block[bit >> 3] ^= 1 << (bit & 7)
    return None
