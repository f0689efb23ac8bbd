"""The check after a run finds each kind of lie; none in an honest validator."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faretap.rack.results import Check
from faretap.rack.scenario import check, make_plan
from faretap.rack.scenario.plan import Ride
from faretap.rack.scenario.truth import Gap, Truth
from faretap.sim import cards
from validator.store import record

FIRST = 5  # somebody was here before


class Validator:
    """Stands for a slot with its session and link: a journal in memory."""

    name = "one"

    def __init__(self) -> None:
        self.session = self.link = self
        self.wires: list[dict[str, Any]] = []
        self.boots = 3
        self.fault = ""
        self.damaged = 0
        self.said = b"an old Traceback\n"
        self.acked = 0
        self._chain = bytes(8)

    def write(self, **fields: Any) -> dict[str, Any]:
        """A record; the summary that a rider sees of it."""
        told: dict[str, Any] = {
            "medium": "tunion", "outcome": "accepted", "reason": "", "fare": 200,
            "token": bytes(8), **fields,
        }  # fmt: skip
        seq = FIRST + len(self.wires)
        body = record.encode(
            {"seq": seq, "test": True, "clock_trusted": True, "time": 1_893_456_000,
             "phases": {}, "boot": 3, "uptime": 1, **told}
        )  # fmt: skip
        self._chain = hashlib.sha256(self._chain + body).digest()[:8]
        wire = {"seq": seq, "body": body.hex(), "after": bytes(5).hex(),
                "chain": self._chain.hex(), "chain_ok": True}  # fmt: skip
        self.wires.append(wire)
        return {**told, "seq": seq, "token": told["token"].hex()}

    def console(self) -> bytes:
        return self.said

    def call(self, method: str, params: Any = None, **_: Any) -> Any:
        if method == "info":
            journal = {"damaged": self.damaged}
            return {"boots": self.boots, "fault": self.fault, "heap_free": 1, "journal": journal}
        if method == "records.info":
            return {"next": FIRST + len(self.wires)}
        if method == "records.ack":
            self.acked = params["to"]
            return {}
        assert method == "records.read"
        return {"records": [w for w in self.wires if w["seq"] >= params["from"]], "next": None}


class Shift:
    def __init__(self, folder: Path) -> None:
        self.validator = Validator()
        self.truth = Truth(self.validator, folder)  # type: ignore[arg-type]
        self.truth.begin()
        riders = [{"medium": "tunion", "count": 9, "until": 9}]
        self.rides: list[Ride] = make_plan(check({"name": "x", "riders": riders})).rides

    def ride(self, n: int, **fields: Any) -> dict[str, Any]:
        summary = self.validator.write(**fields)
        self.truth.saw(self.rides[n], summary)
        return summary

    def found(self) -> dict[str, Check]:
        """What is wrong, by the first words of the check."""
        checks = self.truth.checks()
        assert len(checks) == 5 and all(c.slot == "one" for c in checks)
        return {c.name: c for c in checks if not c.ok}

    def only(self, name: str) -> str:
        found = self.found()
        assert len(found) == 1, found
        ((title, one),) = found.items()
        assert name in title
        return one.text


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    return Shift(tmp_path)


ONCE, RECORDED, CHAIN, MONEY, RAN = "exactly once", "as it was", "chain", "purse", "ran through"


def test_an_honest_validator(shift: Shift) -> None:
    shift.ride(0)
    shift.ride(1, outcome="declined", reason="expired", fare=0)
    shift.ride(2, token=b"12345678")
    shift.truth.saw(shift.rides[2], {"seq": None, "outcome": "declined", "reason": "too_soon"})
    assert shift.found() == {}
    assert shift.validator.acked == FIRST + 2
    assert [r.seq for r in shift.truth.records] == [5, 6, 7]


@pytest.mark.parametrize(
    ("what", "lie"),
    [("fare", 100), ("outcome", "retry"), ("reason", "expired"), ("medium", "quickpass"),
     ("token", "00" * 7 + "01")],
)  # fmt: skip
def test_another_record_than_was_seen(shift: Shift, what: str, lie: Any) -> None:
    summary = shift.validator.write(outcome="declined", reason="malformed")
    shift.truth.saw(shift.rides[0], {**summary, what: lie})
    text = shift.only(RECORDED)
    assert f"record 5 has {what}" in text and str(lie) in text


def test_a_ride_without_a_record(shift: Shift) -> None:
    shift.truth.saw(shift.rides[0], {"seq": None, "outcome": "accepted", "reason": ""})
    found = shift.found()
    assert (
        "without a record" in found[f"every outcome that a rider saw is recorded {RECORDED}"].text
    )


def test_a_lost_record(shift: Shift) -> None:
    for n in range(3):
        shift.ride(n)
    del shift.validator.wires[1]
    found = shift.found()
    assert any("record 6 of rider" in c.text for c in found.values())
    assert any("record 6 is missing" in c.text for c in found.values())


def test_the_last_record_lost(shift: Shift) -> None:
    shift.ride(0)
    shift.ride(1)
    del shift.validator.wires[1]
    assert any("the last record is 5, not 6" in c.text for c in shift.found().values())


def test_a_ride_that_nobody_took(shift: Shift) -> None:
    shift.ride(0)
    shift.validator.write()
    assert shift.only(ONCE) == "record 6 is a ride that nobody took"


def test_a_record_told_twice(shift: Shift) -> None:
    summary = shift.ride(0)
    shift.truth.saw(shift.rides[1], summary)
    assert "record 5 was told 2 times" in shift.only(ONCE)


def test_a_changed_record(shift: Shift) -> None:
    for n in range(3):
        shift.ride(n)
    shift.validator.wires[1]["chain"] = "00" * 8
    assert "record 6 does not follow" in shift.only(CHAIN)


def test_the_validator_doubts_its_chain(shift: Shift) -> None:
    shift.ride(0)
    shift.validator.wires[0]["chain_ok"] = False
    assert "the validator says of record 5" in shift.only(CHAIN)


def test_a_record_that_cannot_be_read(shift: Shift) -> None:
    shift.validator.write(outcome="declined", reason="expired")
    shift.validator.wires[0]["body"] = "ff"
    assert "Record 5 cannot be read" in shift.only(CHAIN)


def cut(shift: Shift, n: int, seen: dict[str, Any] | None, *unseen: dict[str, Any]) -> None:
    gap = Gap(shift.rides[n], seen, shift.truth.next_seq)
    for fields in unseen:
        shift.validator.write(**fields)
    shift.truth.cut(gap)


def test_a_ride_that_nobody_saw_before_the_cut(shift: Shift) -> None:
    """Allowed: recorded, the outcome never shown; the rider is told so the second time."""
    shift.ride(0)
    cut(shift, 1, None, {})
    shift.ride(1, outcome="declined", reason="too_soon", fare=0)
    shift.ride(2)
    assert shift.found() == {}


def test_charged_twice_over_a_cut(shift: Shift) -> None:
    cut(shift, 0, None, {})
    shift.ride(0)
    assert "is recorded 2 times for one ride" in shift.only(ONCE)


def test_turned_away_without_a_ride(shift: Shift) -> None:
    cut(shift, 0, None)
    shift.ride(0, outcome="declined", reason="too_soon", fare=0)
    assert "was turned away without a ride" in shift.only(ONCE)


def test_a_ride_beside_the_one_that_was_seen(shift: Shift) -> None:
    gap = Gap(shift.rides[0], None, shift.truth.next_seq)
    gap.seen = shift.ride(0)
    shift.validator.write()
    shift.truth.cut(gap)
    assert "rides nobody saw" in shift.only(ONCE)


def test_a_cut_excuses_only_its_own_records(shift: Shift) -> None:
    cut(shift, 0, None)
    shift.ride(0)
    shift.validator.write()
    assert shift.only(ONCE) == "record 6 is a ride that nobody took"


def test_records_come_home_in_between(shift: Shift) -> None:
    shift.ride(0)
    shift.truth.bring_home()
    assert shift.validator.acked == FIRST
    shift.ride(1)
    assert shift.found() == {}
    assert [r.seq for r in shift.truth.records] == [5, 6]


@pytest.mark.parametrize(("paid", "ok"), [(200, True), (400, False), (0, False)])
def test_a_purse_pays_what_was_seen(shift: Shift, tmp_path: Path, paid: int, ok: bool) -> None:
    shift.ride(0)
    person = shift.rides[0].person
    path = tmp_path / f"purse-{person.number}.json"
    purse: Any = cards.make("tunion", **person.options, state=str(path))
    contents = purse.memory.contents
    purse.memory.commit(replace(contents, balance=contents.balance - paid))
    if ok:
        assert shift.found() == {}
    else:
        assert shift.only(MONEY) == f"rider {person.number} paid {paid} fen for rides of 200"


def test_a_start_that_nobody_made(shift: Shift) -> None:
    shift.ride(0)
    shift.validator.boots += 1
    assert shift.only(RAN) == "it started 1 times, not 0"
    shift.truth.restarted()
    assert shift.found() == {}


def test_what_the_validator_says_of_itself(shift: Shift) -> None:
    shift.validator.said += b"Traceback (most recent call last):\n  File x\nOSError: 5\n"
    shift.validator.fault = "no journal"
    shift.validator.damaged = 2
    text = shift.only(RAN)
    assert "a traceback: OSError: 5" in text
    assert "no journal" in text and "2 damaged" in text
