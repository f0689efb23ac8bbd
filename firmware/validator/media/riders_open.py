"""Debits that are still open, one after another, for an operator who settles them."""

from validator.media.riders import PURSE, QUICKPASS
from validator.media.riders_upkeep import TORN, UNPROVEN
from validator.store import riders_format as fmt


def opened(riders):
    """Yield (room, kind, token, seq, time, extra, flags, 12 bytes) of each TORN and UNPROVEN.

    Reads all of two rooms: some 0.3 ms an entry. What is asked for comes in no order."""
    for room, kind, slot, at in _all(riders):
        key = bytes(slot[at : at + fmt.KEY])
        seq = fmt.seq_of(slot, at)
        if kind == TORN:
            known = riders.torn(room, key)
            if known and known[0] == seq:
                yield (room, TORN, key) + known
        elif riders.is_unproven(room, key):
            yield room, UNPROVEN, key, seq, fmt.until_of(slot, at), 0, 0, b""


def _all(riders):
    pending = set()
    for room, slot, at in riders.waiting():
        kind = slot[at + 8] & fmt.KIND
        if kind == TORN or kind == UNPROVEN:
            pending.add((room, kind, bytes(slot[at : at + fmt.KEY])))
            yield room, kind, slot, at
    for room in (PURSE, QUICKPASS):
        for kind, slot in riders.table.entries(room):
            live = kind & fmt.LIVE
            kind &= fmt.KIND
            if live and kind in (TORN, UNPROVEN):
                if (room, kind, bytes(slot[: fmt.KEY])) not in pending:
                    yield room, kind, slot, 0
