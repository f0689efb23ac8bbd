"""Typed records from what the link carries, and the check of their hash chain.

The bytes are taken apart by the firmware's own `validator.store.record`: the format stands once.
The chain is computed here anew, with `hashlib` only: it is a check on the validator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from faretap.errors import FaretapError
from validator.media.phases import PHASES
from validator.store import record as wire_format

_CHAIN_SIZE = 8
_SHORT = 2  # version of a purse's record, which has two parts: docs/records.md
_SHORT_MARK = 0x80
_END_SIZE = 16
_ENDED_SIZES = tuple(_END_SIZE + 33 + sealed + about for sealed in (0, 22) for about in (0, 5))


class RecordsError(FaretapError):
    """An answer of the validator that holds no record, or one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Record:
    """One tap. Times in ms, fare in fen; None where the validator did not know."""

    seq: int
    time: datetime
    clock_trusted: bool
    test: bool
    medium: str
    outcome: str
    reason: str
    fare_fen: int
    token: str | None
    phases: dict[str, int | None]
    boot: int
    uptime_ms: int
    vehicle: str
    line: str
    stop: str
    last4: str
    config: int
    """Version of the configuration it was made under; 0: none."""
    account: str | None
    """Token of what a QuickPass card says is its account (PAR), hex; nobody has signed it."""
    code: str | None
    """Digest of an accepted ride code, hex, by which a second showing is known."""
    code_expires: int | None
    detail: dict[str, Any]
    evidence: bytes | None = field(repr=False)
    other: dict[int, bytes] = field(repr=False)
    version: int
    body: bytes = field(repr=False)
    chain: bytes
    chain_ok: bool | None
    """Whether it follows from the record before it. Of `from_wire` the validator's own word, of
    `linked` and of an archive what was found here; None: that one is not here, nobody can say."""

    def to_json(self) -> dict[str, Any]:
        """What JSON can carry; bytes as hex, the time as ISO 8601 in UTC."""
        return {
            "seq": self.seq,
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "clock_trusted": self.clock_trusted,
            "test": self.test,
            "medium": self.medium,
            "outcome": self.outcome,
            "reason": self.reason,
            "fare_fen": self.fare_fen,
            "token": self.token,
            "phases": dict(self.phases),
            "boot": self.boot,
            "uptime_ms": self.uptime_ms,
            "vehicle": self.vehicle,
            "line": self.line,
            "stop": self.stop,
            "last4": self.last4,
            "config": self.config,
            "account": self.account,
            "code": self.code,
            "code_expires": self.code_expires,
            "detail": self.detail,
            "evidence": None if self.evidence is None else self.evidence.hex(),
            "other": {str(key): value.hex() for key, value in self.other.items()},
            "version": self.version,
            "chain": self.chain.hex(),
            "chain_ok": self.chain_ok,
        }


Find = Callable[[bytes], bytes | None]


def from_wire(wire: Mapping[str, Any], find: Find | None = None) -> Record:
    """The record of `{"seq", "body": hex, "after": hex, "chain": hex, "chain_ok"}`.

    `find` returns the context of a name, or None (`KeyBlocks.find`); without it, what stands in
    contexts (place, boot, terminal of a purse's record) is left empty. RecordsError, naming the
    record, if the mapping or the body is not what it should be.
    """
    seq = wire.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool):
        raise RecordsError(f"A record without a number came from the validator: {seq!r}.")
    body = _hex(wire, "body", seq)
    after = _hex(wire, "after", seq)
    chain = _hex(wire, "chain", seq)
    if len(chain) != _CHAIN_SIZE:
        raise RecordsError(f"Record {seq}: its chain value has {len(chain)} bytes, not 8.")
    try:
        fields = wire_format.decode(body, find)
    except (wire_format.RecordError, RecursionError) as e:
        raise RecordsError(
            f"Record {seq} cannot be read: {e}.",
            "If the validator's firmware is newer than this tool, update the tool.",
        ) from e
    if fields["version"] != _SHORT and fields["seq"] != seq:
        raise RecordsError(f"Record {seq} says of itself that it is number {fields['seq']}.")
    commit, signal = wire_format.decode_after(after)
    known = {**fields["phases"], "commit": commit, "signal": signal}
    token = fields["token"]
    code = fields["code"]
    account = fields["account"]
    chain_ok = wire.get("chain_ok")
    return Record(
        seq=seq,
        time=datetime.fromtimestamp(fields["time"], UTC),
        clock_trusted=fields["clock_trusted"],
        test=fields["test"],
        medium=fields["medium"],
        outcome=fields["outcome"],
        reason=fields["reason"],
        fare_fen=fields["fare"],
        token=None if token is None else token.hex(),
        phases={name: known[name] for name in PHASES},
        boot=fields["boot"],
        uptime_ms=fields["uptime"],
        vehicle=fields["vehicle"],
        line=fields["line"],
        stop=fields["stop"],
        last4=fields["last4"],
        config=fields["config"],
        account=None if account is None else account.hex(),
        code=None if code is None else code[:8].hex(),
        code_expires=None if code is None else int.from_bytes(code[8:], "little"),
        detail=fields["detail"],
        evidence=fields["evidence"],
        other=fields["other"],
        version=fields["version"],
        body=body,
        chain=chain,
        chain_ok=chain_ok if isinstance(chain_ok, bool) else None,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """What a validator gave: the records that can be read, and a sentence for each that cannot."""

    records: list[Record]
    problems: list[str]
    breaks: list[ChainBreak]

    def to_json(self) -> dict[str, Any]:
        return {
            "records": [record.to_json() for record in self.records],
            "problems": list(self.problems),
            "chain": [
                {"seq": b.seq, "kind": b.kind, "sentence": b.sentence()} for b in self.breaks
            ],
        }


def read_listing(
    wires: Iterable[Mapping[str, Any]], before: bytes | None = None, find: Find | None = None
) -> Listing:
    """All records of an answer. One that cannot be read does not hide the others.

    `before`: chain value of the record ahead of the first, if an earlier upload left it.
    """
    records: list[Record] = []
    problems: list[str] = []
    for wire in wires:
        try:
            records.append(from_wire(wire, find))
        except RecordsError as e:
            problems.append(str(e))
    return Listing(records, problems, check_chain(records, before))


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """Where the chain does not hold.

    kind "changed"  record `seq` does not follow from the one before it, and none is missing
         "gap"      `missing` numbers before `seq` are not there: the link cannot be checked
         "order"    `seq` is not above the number before it
    """

    seq: int
    kind: str
    missing: int = 0

    def sentence(self) -> str:
        if self.kind == "gap":
            which = (
                f"record {self.seq - 1} is"
                if self.missing == 1
                else f"records {self.seq - self.missing} to {self.seq - 1} are"
            )
            return f"{which} missing; a power cut or damaged flash can do that."
        if self.kind == "order":
            return f"record {self.seq} came twice or out of order."
        return f"record {self.seq} does not follow from the one before it: one was changed."


def check_chain(records: Sequence[Record], before: bytes | None = None) -> list[ChainBreak]:
    """Every place where the chain of `records`, in the order given, does not hold.

    Each chain value is SHA-256(value of the record before, body) cut to 8 bytes; a body in two
    parts, a purse's, takes two such steps. The first is
    checked only against `before`. After a gap the link is not checked: what is missing may have
    been in between, or (a power cut) may never have been.
    """
    breaks: list[ChainBreak] = []
    previous = before
    last: int | None = None
    for record in records:
        if last is not None and record.seq <= last:
            breaks.append(ChainBreak(record.seq, "order"))
            continue
        if last is not None and record.seq > last + 1:
            breaks.append(ChainBreak(record.seq, "gap", record.seq - last - 1))
        elif previous is not None and link(previous, record.body) != record.chain:
            breaks.append(ChainBreak(record.seq, "changed"))
        previous = record.chain
        last = record.seq
    return breaks


def linked(records: Sequence[Record]) -> list[Record]:
    """The same, `chain_ok` as it is found here: None of one whose predecessor is not there."""
    found: list[Record] = []
    for record in records:
        before = found[-1] if found else None
        ok: bool | None = None
        if record.seq == 1:
            ok = link(bytes(_CHAIN_SIZE), record.body) == record.chain
        elif before is not None:
            # Behind a gap it follows as well, if a power cut kept the numbers from being used.
            follows = link(before.chain, record.body) == record.chain
            ok = follows if follows or record.seq == before.seq + 1 else None
        found.append(replace(record, chain_ok=ok))
    return found


def link(previous: bytes, body: bytes) -> bytes:
    """Chain value, 8 bytes, of `body` after a record with the value `previous`."""
    for part in _parts(body):
        previous = hashlib.sha256(previous + part).digest()[:_CHAIN_SIZE]
    return previous


def _parts(body: bytes) -> tuple[bytes, ...]:
    """What was made durable one after the other."""
    if body and body[0] & _SHORT_MARK and len(body) in _ENDED_SIZES:
        return body[:-_END_SIZE], body[-_END_SIZE:]
    return (body,)


def _hex(wire: Mapping[str, Any], key: str, seq: int) -> bytes:
    value = wire.get(key)
    try:
        if isinstance(value, str):
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise RecordsError(f"Record {seq}: its {key} is not hex: {value!r}.")
