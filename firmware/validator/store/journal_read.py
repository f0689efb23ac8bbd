"""Reading the journal from end to end, while it is written to."""

from validator.store import journal_format as fmt


def entries(journal, ring, from_seq, keys):
    """What `Journal.read` yields."""
    if not ring.number:
        return
    i = ring.start(from_seq)
    whole = i == ring.tail
    last = None
    blocks = []  # of this sector, not told yet
    told = []
    missing = 0
    before = []  # what the next record's chain may follow: several if something was lost
    while True:
        erases = ring.erases
        first = ring.first(i)
        header = fmt.unpack_open(ring.header(i)) if first else None
        if header:
            last = first - 1 if last is None else last
            missing += max(0, first - 1 - last)
            last = max(last, first - 1)
            before.append(header[3])
            blocks = []
            for pos, kind, seq, n in ring.walk(i, header[4]):
                stored = bytes(ring.rxv[8:16])
                end = fmt.BODY_AT + n
                if kind == fmt.DAMAGE:
                    before.append(stored)
                    head = fmt.entry_head(ring.entry(pos))
                    if head and head[0] == fmt.PARTED:
                        ending = fmt.end_of(ring.rxv, fmt.BODY_AT + head[1])
                        before.append(fmt.link(stored, ending))
                elif kind == fmt.KEY:
                    block = bytes(ring.rxv[fmt.BODY_AT : end]) if keys else b""
                    if block and block not in told:
                        blocks.append(block)
                elif kind in fmt.RECORDS and seq > last:
                    if seq == journal.pending:
                        return  # what becomes of it is not known yet
                    missing += seq - 1 - last
                    last = seq
                    chain = stored
                    body = b""
                    if kind == fmt.PARTED:
                        body = fmt.end_of(ring.rxv, end)
                        if body:
                            chain = fmt.link(stored, body)
                    if seq >= from_seq:
                        body = bytes(ring.rxv[fmt.BODY_AT : end]) + body
                        after = fmt.after_at(n, kind)
                        after = bytes(ring.rxv[after : after + fmt.AFTER_SIZE])
                        ok = stored in [fmt.link(c, body[:n]) for c in before]
                        while blocks:
                            told = told[-7:] + blocks[:1]
                            yield 0, blocks.pop(0), b"", True, fmt.NO_CHAIN
                        yield seq, body, after, ok, chain
                        if erases != ring.erases and ring.first(i) != first:
                            break
                    before = [chain]
        if erases != ring.erases and ring.first(i) != first:
            # Reclaimed while the caller had a record of it in hands.
            whole = False
            i = ring.tail
        elif i == ring.head:
            break
        else:
            i = (i + 1) % ring.count
    if whole and last is not None:
        journal.damaged = missing + journal.next_seq - 1 - last
