"""Records on the host: from a journal on simulated flash over the wire to JSON and table."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from faretap.records import RecordsError, check_chain, from_wire, read_listing
from faretap.records.evidence import KeyBlocks
from faretap.records.pull import pull
from faretap.records.table import table
from faretap.shown import Screen
from flash_sim import FlashSim  # type: ignore[import-not-found]
from validator.store import record
from validator.store.journal import Journal
from validator.store.wire import to_wire

Wire = dict[str, Any]


def fields(seq: int, **more: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "time": 1893456000 + seq,
        "clock_trusted": True,
        "test": True,
        "medium": "tunion",
        "outcome": "declined",
        "reason": "unverified",
        "token": bytes([seq]) * 8,
        "phases": {"detect": 1, "select": 20, "read": 30, "verify": 0, "decide": 2},
        "boot": 3,
        "uptime": 1000 * seq,
        **more,
    }


def journal_of(count: int, **more: Any) -> Any:
    journal = Journal(FlashSim(4))
    journal.mount()
    for _ in range(count):
        seq = journal.append(record.encode(fields(journal.next_seq, **more)))
        journal.set_after(seq, 4, 100)
    return journal


def wires(count: int, **more: Any) -> list[Wire]:
    # Through JSON, as over the link.
    entries = [to_wire(entry) for entry in journal_of(count, **more).read()]
    return list(json.loads(json.dumps(entries)))


def test_record_from_wire() -> None:
    (wire,) = wires(1, vehicle="京A12345", line="300", fare=200, detail={"balance": 5000})
    got = from_wire(wire)
    assert got.seq == 1
    assert got.time == datetime(2030, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (got.medium, got.outcome, got.reason) == ("tunion", "declined", "unverified")
    assert got.token == "01" * 8
    assert got.fare_fen == 200
    assert got.phases == {
        "detect": 1,
        "select": 20,
        "read": 30,
        "verify": 0,
        "decide": 2,
        "commit": 4,
        "signal": 100,
    }
    assert (got.vehicle, got.line, got.stop, got.detail) == (
        "京A12345",
        "300",
        "",
        {"balance": 5000},
    )
    assert (got.boot, got.uptime_ms, got.test, got.clock_trusted) == (3, 1000, True, True)
    assert got.chain_ok is True


def test_json_is_json() -> None:
    (wire,) = wires(1, evidence=b"\x01\xff", other={10: b"later"})
    got = json.loads(json.dumps(from_wire(wire).to_json()))
    assert got["time"] == "2030-01-01T00:00:01Z"
    assert got["token"] == "01" * 8
    assert got["evidence"] == "01ff"
    assert got["other"] == {"10": b"later".hex()}
    assert list(got["phases"]) == [
        "detect",
        "select",
        "read",
        "verify",
        "decide",
        "commit",
        "signal",
    ]
    assert got["chain"] == wire["chain"]


def test_times_after_a_cut_are_unknown() -> None:
    (wire,) = wires(1)
    wire["after"] = "ff" * 5
    got = from_wire(wire)
    assert got.phases["commit"] is None and got.phases["signal"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seq": None}, "without a number"),
        ({"seq": True}, "without a number"),
        ({"seq": 2}, "number 1"),
        ({"body": "0"}, "body is not hex"),
        ({"body": 7}, "body is not hex"),
        ({"body": "02" + "00" * 40}, "version 2"),
        ({"body": ""}, "empty"),
        ({"after": "zz"}, "after is not hex"),
        ({"chain": "00"}, "1 bytes"),
    ],
)
def test_what_is_no_record(change: Wire, says: str) -> None:
    (wire,) = wires(1)
    with pytest.raises(RecordsError, match=says):
        from_wire({**wire, **change})


def test_one_bad_record_does_not_hide_the_others() -> None:
    given = wires(3)
    given[1]["body"] = "ff"
    listing = read_listing(given)
    assert [r.seq for r in listing.records] == [1, 3]
    assert len(listing.problems) == 1 and "Record 2" in listing.problems[0]
    assert [b.kind for b in listing.breaks] == ["gap"]
    assert "record 2 is missing" in listing.to_json()["chain"][0]["sentence"]


# -- chain --------------------------------------------------------------------------------------


def test_chain_by_its_definition() -> None:
    value = bytes(8)
    for got in read_listing(wires(3)).records:
        value = hashlib.sha256(value + got.body).digest()[:8]
        assert got.chain == value


def test_sound_chain() -> None:
    records = read_listing(wires(5)).records
    assert check_chain(records) == []
    assert check_chain(records, bytes(8)) == []
    assert check_chain(records[2:], records[1].chain) == []


def test_changed_record() -> None:
    given = wires(4)
    forged = record.encode(fields(2, outcome="accepted", reason=""))
    given[1]["body"] = forged.hex()
    assert [(b.seq, b.kind) for b in read_listing(given).breaks] == [(2, "changed")]
    # With its chain value made to fit, the next one tells.
    first = bytes.fromhex(given[0]["chain"])
    given[1]["chain"] = hashlib.sha256(first + forged).digest()[:8].hex()
    assert [(b.seq, b.kind) for b in read_listing(given).breaks] == [(3, "changed")]


def test_replaced_journal() -> None:
    (first,) = read_listing(wires(1)).records
    assert [b.kind for b in check_chain([first], b"12345678")] == ["changed"]


def test_taken_out_and_doubled() -> None:
    records = read_listing(wires(6)).records
    (gap,) = check_chain([records[0], *records[3:]])
    assert (gap.seq, gap.kind, gap.missing) == (4, "gap", 2)
    assert "records 2 to 3 are missing" in gap.sentence()
    (twice,) = check_chain([*records[:3], records[1], *records[3:]])
    assert (twice.seq, twice.kind) == (2, "order")


# -- purses: records in two parts --------------------------------------------------------------

CONTEXT = bytes.fromhex("c7" + "00000000" + "0300" + "11000000" + "300089000340")
CONTEXT += b"\x03bus" + b"\x0252" + b"\x00"


def debit(seq: int) -> bytes:
    """The first part, as docs/records.md has it."""
    out = b"\xa1" + (1893456000 + seq).to_bytes(4, "little") + bytes([seq]) * 8
    out += (200).to_bytes(3, "little") + bytes.fromhex("9012") + (7).to_bytes(2, "little")
    out += (5000).to_bytes(3, "little") + bytes.fromhex("0000ff01" + "0101")
    return out + hashlib.sha256(CONTEXT).digest()[:4]


def end(state: int) -> bytes:
    word = state | 1 << 4 | 20 << 16 | 30 << 28 | 3 << 40 | 2 << 52
    return word.to_bytes(8, "little") + b"MAC2TAC!"


def purse_wires() -> tuple[list[Wire], bytes]:
    """A debit that was paid, one that nobody knows of, and a record of another medium."""
    journal = Journal(FlashSim(4))
    journal.mount()
    journal.append(debit(1), None, CONTEXT, True)
    journal.end(1, end(2))
    journal.append(debit(2), None, CONTEXT, True)
    journal.append(record.encode(fields(3)))
    entries = list(journal.read(0, True))
    (context,) = [entry[1] for entry in entries if not entry[0]]
    return [to_wire(entry) for entry in entries if entry[0]], context


def blocks(*given: bytes) -> KeyBlocks:
    made = KeyBlocks()
    for block in given:
        made.add(block)
    return made


def test_purses() -> None:
    given, context = purse_wires()
    assert context == CONTEXT
    listing = read_listing(given, bytes(8), blocks(context).find)
    assert not listing.problems and not listing.breaks
    paid, opened, other = listing.records
    assert (paid.seq, paid.outcome, paid.fare_fen, paid.last4) == (1, "accepted", 200, "9012")
    assert (paid.vehicle, paid.line, paid.boot, paid.config) == ("bus", "52", 3, 17)
    assert paid.phases["select"] == 20 and paid.phases["read"] == 30
    assert paid.evidence is not None and paid.evidence[-8:] == b"MAC2TAC!"
    assert (opened.seq, opened.outcome, opened.fare_fen) == (2, "retry", 0)
    assert (other.seq, other.vehicle) == (3, "")


def test_chain_goes_through_both_parts() -> None:
    given, _ = purse_wires()
    value = bytes(8)
    for part in (debit(1), end(2)):
        value = hashlib.sha256(value + part).digest()[:8]
    assert given[0]["chain"] == value.hex()
    assert given[1]["chain"] == hashlib.sha256(value + debit(2)).digest()[:8].hex()


def test_a_changed_end_shows() -> None:
    for changed in (end(3), b"", end(2)[:-1] + b"?"):
        given, context = purse_wires()
        given[0]["body"] = (debit(1) + changed).hex()
        find = blocks(context).find
        breaks = read_listing(given, bytes(8), find).breaks
        assert [(b.seq, b.kind) for b in breaks] == [(1, "changed")], changed


def test_a_context_that_is_missing_or_rotten() -> None:
    given, context = purse_wires()
    listing = read_listing(given, None, blocks().find)
    assert [r.seq for r in listing.records] == [3] and len(listing.problems) == 2
    assert "is missing" in listing.problems[0]
    rotten = bytearray(context)
    rotten[20] ^= 4
    assert not read_listing(given, None, blocks(bytes(rotten)).find).problems


def test_pull_brings_contexts() -> None:
    given, context = purse_wires()

    class WithContexts(Validator):
        def call(self, method: str, params: Wire) -> Any:
            return {**super().call(method, params), "contexts": [context.hex()]}

    assert [r.vehicle for r in pull(WithContexts(given))] == ["bus", "bus", ""]
    with pytest.raises(RecordsError, match="Record 1"):
        pull(Validator(given))

    class Nonsense(Validator):
        def call(self, method: str, params: Wire) -> Any:
            return {**super().call(method, params), "contexts": ["xyz"]}

    with pytest.raises(RecordsError, match="contexts"):
        pull(Nonsense(given))


# -- table --------------------------------------------------------------------------------------


def shown(given: list[Wire]) -> str:
    console = Screen(width=200, color_system=None)
    with console.capture() as capture:
        console.print(table(read_listing(given).records, UTC))
    return capture.get()


def test_table() -> None:
    text = shown(wires(2))
    row = next(line for line in text.splitlines() if "2030-01-01 00:00:02" in line)
    cells = [c.strip() for c in row.replace("│", "|").strip("| ").split("|")]
    assert cells[0] == "2"
    assert cells[2:6] == ["tunion", "02020202", "declined", "unverified"]
    assert cells[6:] == ["1", "20", "30", "0", "2", "4", "100", "157"]
    assert "02" * 8 not in text


def test_table_marks_what_is_doubtful() -> None:
    given = wires(1, clock_trusted=False, token=None, fare=250)
    given[0]["after"] = "ff" * 5
    given[0]["chain_ok"] = False
    text = shown(given)
    assert "~2030-01-01" in text and "1 !" in text and "–" in text and "2.50" in text


def test_table_of_nothing() -> None:
    assert "outcome" in shown([])


# -- pull ---------------------------------------------------------------------------------------


class Validator:
    """Answers records.read as the firmware does, a few at a time."""

    def __init__(self, given: list[Wire], at_most: int = 2) -> None:
        self.given = given
        self.at_most = at_most
        self.calls: list[Wire] = []

    def call(self, method: str, params: Wire) -> Any:
        assert method == "records.read"
        self.calls.append(params)
        from_here = [w for w in self.given if w["seq"] >= params["from"]]
        n = min(self.at_most, params["max"])
        following = from_here[n]["seq"] if len(from_here) > n else None
        return {"records": from_here[:n], "next": following}


def test_pull_in_several_calls() -> None:
    validator = Validator(wires(5))
    assert [r.seq for r in pull(validator)] == [1, 2, 3, 4, 5]
    assert [c["from"] for c in validator.calls] == [0, 3, 5]
    assert [r.seq for r in pull(validator, 4)] == [4, 5]


def test_pull_with_an_unreadable_record() -> None:
    given = wires(4)
    given[2]["body"] = "00"
    with pytest.raises(RecordsError, match="Record 3"):
        pull(Validator(given))
    problems: list[RecordsError] = []
    assert [r.seq for r in pull(Validator(given), on_problem=problems.append)] == [1, 2, 4]
    assert len(problems) == 1


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"records": 1}, {"records": [], "next": 0}, {"records": [], "next": "x"}],
)
def test_pull_of_nonsense_ends(answer: Any) -> None:
    class Confused:
        def call(self, method: str, params: Wire) -> Any:
            return answer

    with pytest.raises(RecordsError):
        pull(Confused())
