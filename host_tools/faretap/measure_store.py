"""`faretap bench --store`: deny list, records out, and an update, on a validator of the test
operator's. It adds test records, replaces the deny list and writes the idle slot; what runs
stays."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any

from faretap import boards
from faretap.config import samples
from faretap.errors import FaretapError
from faretap.image.app import build_app
from faretap.image.container import make
from faretap.image.sign import sign
from faretap.link import transfer
from faretap.lists import build
from faretap.lists import push as lists
from faretap.lists.builder import signer
from faretap.session import Session
from faretap.update import update

Say = Callable[[str], None]

ENTRIES = 100_000
RECORDS = 1000
_LOOKUPS = 200
_APPENDS = 200  # at least, for the figures of one
_AT_ONCE = 25
_RECORD = 512  # bytes of flash that a record of the bench takes, at most


def store(
    session: Session, say: Say, bare: Callable[[], float], entries: int = ENTRIES
) -> dict[str, Any]:
    """{"baud", "append", "mount_ms", "list", "records", "update"}; times by the validator's clock
    where a line could not be told from the work, else seconds and shares of the line. `bare()` is
    the share that blocks of nothing reach now: what line and machine allow."""
    baud = int(session.link.device.baudrate)
    out: dict[str, Any] = {"baud": baud}
    say(f"records: {RECORDS:,} in the journal")
    out["append"] = append(session)
    out["mount_ms"] = session.link.call("info")["journal"]["mount_ms"]
    say("records out")
    out["records"] = {"bare": bare(), **records_out(session, baud)}
    say(f"a deny list of {entries:,}")
    out["list"] = deny_list(session, entries)
    say("an update into the idle slot")
    out["update"] = image(session, baud)
    return out


def append(session: Session, records: int = RECORDS) -> dict[str, Any]:
    """Append records like those of a tap, each durable before the next, until that many are in
    the journal: {"n", "ms", "most_ms", "bytes", and a record's "program", "read" and "erase"}.

    The last three are operations on flash. Erasing is part of it: no idle time comes between.
    """
    journal = session.link.call("info")["journal"]
    wanted = max(_APPENDS, records - journal["records"])
    n = min(wanted, journal["free_bytes"] // _RECORD) // _AT_ONCE * _AT_ONCE
    if n <= 0:
        raise FaretapError(
            "The journal has no room for records of the bench.",
            "Take out and acknowledge what it has: faretap records pull --ack.",
        )
    total: dict[str, float] = {"us": 0, "bytes": 0, "program": 0, "read": 0, "erase": 0}
    most = 0
    for _ in range(n // _AT_ONCE):
        got = session.link.call(
            "bench.crypto", {"what": "append", "times": _AT_ONCE}, timeout=60.0, again=60.0
        )
        most = max(most, got["most_us"])
        for name in total:
            total[name] += got[name]
    row: dict[str, Any] = {"n": n, "most_ms": round(most / 1000, 3)}
    row["ms"] = round(total.pop("us") / 1000 / n, 3)
    row["bytes"] = round(total.pop("bytes") / n)
    for name in total:
        row[name] = round(total[name] / n, 3)
    return row


def records_out(session: Session, baud: int) -> dict[str, Any]:
    """Bytes of records a second as a share of the line. A record's are its number, flags, chain,
    times and body, 18 bytes and the body; frames, lengths, cursors and calls do not count. All
    that is there is read, several times over if that is less than 100 KB."""
    size = count = 0
    start = time.perf_counter()
    while size < 100_000:
        for _, piece in transfer.pull(session, "records", {"from": 1}):
            size += len(piece)
            count += 1
    seconds = time.perf_counter() - start
    return {"records": count, "bytes": size, "share": round(size * 10 / seconds / baud, 3)}


def deny_list(session: Session, entries: int) -> dict[str, Any]:
    """Load a list of that many tokens; µs of a lookup, flash reads included."""
    known = lists.info(session.link)
    seed = secrets.token_bytes(8)
    tokens = [hashlib.sha256(seed + i.to_bytes(4, "big")).digest()[:8] for i in range(entries)]
    data = build(
        tokens,
        version=known["version"] + 1,
        sign=signer(samples.operator_key()),
        space=known["room"],
        issued=int(time.time()),
    )
    start = time.perf_counter()
    lists.push(session, data)
    seconds = time.perf_counter() - start
    row: dict[str, Any] = {"entries": entries, "bytes": len(data), "seconds": round(seconds, 2)}
    for name, asked in (
        ("listed", tokens[:: max(1, entries // 200)]),
        ("unlisted", [secrets.token_bytes(8)] * 20),
    ):
        got = session.link.call(
            "bench.crypto",
            {"what": "lookup", "tokens": [t.hex() for t in asked[:20]], "times": _LOOKUPS},
            timeout=60.0,
            again=60.0,
        )
        assert got["denied"] == (20 if name == "listed" else 0)
        row[f"{name}_us"] = round(got["us"] / _LOOKUPS / 20, 1)
    return row


def image(session: Session, baud: int) -> dict[str, Any]:
    """What runs, built anew and signed, into the idle slot; image bytes as a share of the line."""
    board = boards.load(session.link.call("info")["board"])
    container = sign(make(build_app(board)), samples.operator_key())
    start = time.perf_counter()
    report = update(session, container, restart=False, again=True)
    seconds = time.perf_counter() - start
    written = sum(1 for byte in container.image if byte != 0xFF)
    return {
        "seconds": round(seconds, 2),
        "bytes": written,
        "sent": report.sent,
        "share": round(written * 10 / seconds / baud, 3),
    }
