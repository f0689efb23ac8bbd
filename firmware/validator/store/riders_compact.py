"""Writing a bucket of the table of riders anew, and erasing what is not in use any more.

All of it is idle work. An erase takes some 50 ms in which an ESP32 does nothing else.
"""

from validator.store import riders_format as fmt
from validator.store.riders_format import SLOT, RidersError

KEEP = 1
DROP = 0
DROP_UNTIL = -1  # and remember until when it was to be known
_NONE = 0xFF


def tidy(table):
    """Make one spare ready. Returns whether it tried."""
    for i in range(table.count):
        if i in table.clean or i in table.bad or bytes((i,)) in table.sectors:
            continue
        if _is_clean(table, i) or _erase(table, i):
            table.clean.append(i)
        return True
    return False


def _is_clean(table, i):
    """Erased to the end, and nothing written since but the sign of that."""
    rx = table.rx
    table.flash.read(i * table.size, table.rxv[:SLOT])
    if bytes(rx[:4]) != fmt.MAGIC:
        return False
    return _is_blank(table, i, 4)


def _is_blank(table, i, start):
    piece = table.piece
    for pos in range(0, table.size, piece):
        table.flash.read(i * table.size + pos, table.rxv[:piece])
        if bytes(table.rxv[start:piece]).rstrip(b"\xff"):
            return False
        start = 0
    return True


def _erase(table, i):
    """Whether sector i can be used; if not, it is passed over."""
    try:
        table.flash.erase(i * table.size)
        if _is_blank(table, i, 0) and table.program(i * table.size, fmt.MAGIC):
            return True
    except OSError:
        pass
    table.faults += 1
    table.bad.append(i)
    return False


def _spare(table):
    while not table.clean:
        if not tidy(table):
            raise RidersError("no sector can be erased any more")
    return table.clean.pop(0)


def begin(table, bucket, room, latest):
    """A sector of its own for a bucket that has none yet."""
    for _ in range(table.count):
        i = _spare(table)
        fmt.pack_header(
            table.tx,
            room,
            bucket - table.first(room),
            table.buckets[room],
            1,
            0,
            latest,
            table.check,
        )
        if table.program(i * table.size, table.txv[:SLOT]):
            _take(table, bucket, i, 1)
            return
        table.bad.append(i)
    raise RidersError("flash does not keep what is written to it")


def _take(table, bucket, i, used):
    table.sectors[bucket] = i
    table.used_slots[i] = used
    table.old[i] = 0


def over(table, bucket, keep):
    """How many entries `compact` would drop."""
    old = table.sectors[bucket]
    if old == _NONE or not table.used(bucket):
        return 0
    return _sift(table, old, None, keep)[1]


def compact(table, bucket, keep, latest, urgent):
    """`keep(kind and flags, slot, strange)` says of each entry that is the last of its key and
    kind: KEEP, DROP or DROP_UNTIL. `strange`: it was made under another key."""
    old = table.sectors[bucket]
    if old == _NONE or not table.used(bucket):
        return 0
    if not table.clean and not urgent:
        return -1
    for _ in range(table.count):
        i = _spare(table)
        kept, gone, dropped = _sift(table, old, i, keep)
        if kept >= 0 and _name(table, old, i, dropped, latest):
            _take(table, bucket, i, kept + 1)
            return gone
        table.bad.append(i)  # it does not keep what is written to it
    raise RidersError("flash does not keep what is written to it")


def _sift(table, old, new, keep):
    """(entries kept, entries dropped, latest end that is to be remembered) of sector `old`; the
    first is -1 if flash does not keep them. Copies them to sector `new`, or only counts (None).

    From the last slot to the first, so that the latest entry of a key and kind comes first."""
    rx, rxv, tx = table.rx, table.rxv, table.tx
    piece = table.piece
    end = table.used_slots[old] * SLOT
    strange = bool(table.old[old])
    keys = bytearray(end // SLOT * fmt.KEY)
    kinds = bytearray(end // SLOT)
    seen = kept = total = dropped = 0
    for pos in range((end - 1) // piece * piece, -1, -piece):
        n = min(piece, end - pos)
        table.flash.read(old * table.size + pos, rxv[:n])
        out = 0
        for at in range(n - SLOT, -1 if pos else 0, -SLOT):
            kind = fmt.kind_of(rx, at)
            total += 1
            key = bytes(rx[at : at + fmt.KEY])
            if not kind or _known(keys, kinds, seen, key, kind):
                continue
            keys[seen * fmt.KEY : (seen + 1) * fmt.KEY] = key
            kinds[seen] = kind & (fmt.LIVE | fmt.KIND)
            seen += 1
            what = keep(kind, rxv[at : at + SLOT], strange)
            if what == KEEP:
                tx[out : out + SLOT] = rx[at : at + SLOT]
                out += SLOT
            elif what == DROP_UNTIL:
                dropped = max(dropped, fmt.until_of(rx, at))
        if out and new is not None:
            if not table.program(new * table.size + (kept + 1) * SLOT, table.txv[:out]):
                return -1, 0, 0
        kept += out // SLOT
    return kept, total - kept, dropped


def _name(table, old, new, dropped, latest):
    """Write the header of sector `new`, which makes it valid."""
    table.flash.read(old * table.size, table.rxv[:SLOT])
    header = fmt.unpack_header(table.rxv[:SLOT])
    if header is None:
        raise RidersError("a header was lost")
    _, room, bucket, buckets, generation, before, _, _ = header
    fmt.pack_header(
        table.tx, room, bucket, buckets, generation + 1, max(before, dropped), latest, table.check
    )
    return table.program(new * table.size, table.txv[:SLOT])


def _known(keys, kinds, seen, key, kind):
    at = keys.find(key, 0, seen * fmt.KEY)
    while at >= 0:
        if not at % fmt.KEY and kinds[at // fmt.KEY] == kind & (fmt.LIVE | fmt.KIND):
            return True
        at = keys.find(key, at + 1, seen * fmt.KEY)
    return False
