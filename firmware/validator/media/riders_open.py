"""Debits that are still open, and forgetting those that the operator has settled.

Loaded when somebody asks.
"""

from validator.media.riders import PURSE, QUICKPASS, WINDOW
from validator.media.riders_upkeep import PROBE, TORN, UNPROVEN
from validator.store import riders_format as fmt

_ROOMS = (PURSE, QUICKPASS)
_KINDS = {TORN: "torn", UNPROVEN: "unproven"}


def some(riders, start, most, scan):
    """([(room, kind, token, seq, time, 12 bytes)], next start or None): of the places from `start`
    on, at most `scan` of them. All that is pending comes first."""
    out = []
    pending = {}
    for room, slot, at in riders.waiting():
        kind = slot[at + 8] & fmt.KIND
        if kind in _KINDS and room in _ROOMS:
            key = bytes(slot[at : at + fmt.KEY])
            pending[room, kind, key] = slot, at
    if not start:
        for room, kind, key in pending:
            _tell(riders, out, room, kind, key, *pending[room, kind, key])
    for place, room, kind, slot in riders.table.places(start, _ROOMS[-1]):
        scan -= 1
        if scan < 0 or len(out) >= most:
            return out, place
        kind &= fmt.LIVE | fmt.KIND
        if kind & fmt.LIVE and kind & fmt.KIND in _KINDS:
            kind &= fmt.KIND
            key = bytes(slot[: fmt.KEY])
            if (room, kind, key) not in pending:
                _tell(riders, out, room, kind, key, slot, 0)
    return out, None


def _tell(riders, out, room, kind, key, slot, at):
    seq = fmt.seq_of(slot, at)
    if kind == TORN:
        known = riders.torn(room, key)
        if known and known[0] == seq:
            out.append((room, "torn", key, seq, known[1], known[4]))
    elif riders.unproven_of(room, key) == fmt.until_of(slot, at):
        out.append((room, "unproven", key, fmt.until_of(slot, at), None, b""))


def settle(riders, token, seq):
    """Forget what is open of this rider, record `seq`. How many entries; ValueError says why
    not."""
    while riders.carry():
        pass
    count = 0
    for room in _ROOMS:
        for kind, of, entry in riders.stored(room, token):
            if of != seq:
                continue
            if entry > riders.newest() - WINDOW:
                raise ValueError("record %d is too new: a start would read it again" % entry)
            if kind == TORN:
                count += riders.table.void(room, token, TORN, seq)
                riders.table.void(room, token, PROBE, riders.newest())
            else:
                count += riders.table.void(room, token, UNPROVEN, entry)
    riders.forget_view()
    if not count:
        raise ValueError("nothing is open of record %d and this token" % seq)
    return count
