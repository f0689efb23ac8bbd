"""Ride codes on a validator with the bench configuration: what rides, and one code for each reason
why another does not. The whole catalogue goes through the firmware in host_tools/tests/codes."""

from __future__ import annotations

from typing import Any

from faretap.present import moment
from faretap.session import Session
from faretap.sim import codes
from faretap.sim.codes import CODES
from faretap.testing.hands import Records, Rider, Supply

ACCEPTED = [name for name, code in CODES.items() if code.expected[0] == "accepted"]


def one_of_each_reason() -> list[str]:
    found: dict[tuple[str, str, tuple[str, ...]], str] = {}
    for name, code in CODES.items():
        if code.expected[0] != "accepted" and name not in ("empty", "noise-5000"):
            found.setdefault((code.kind, code.expected[1], tuple(code.broken or ())), name)
    return list(found.values())


def show(rider: Rider, now: int, name: str, number: int, **how: Any) -> dict[str, Any]:
    # Each of its own second, and where that is not signed, of its own number: no code is replayed.
    fields: dict[str, Any] = {"qr_id": 1000 + number} if name.startswith("union") else {}
    if name.startswith("cpm") and CODES[name].expected[0] == "accepted":
        fields["pan"] = f"62999800000000{number:05}"  # a payment card rides once in a day
    return rider.scan(name, at=now - number, **how, **fields)


def test_whatever_rides_rides_by_the_scan_engine(
    rider: Rider, records: Records, validator: Session
) -> None:
    now = moment(validator)
    for number, name in enumerate(ACCEPTED):
        summary = show(rider, now, name, number)
        assert (summary["outcome"], summary["reason"]) == ("accepted", ""), (name, summary)
        record = records.of(summary)
        assert record.code and record.code_expires and record.fare_fen == summary["fare"]


def test_each_reason_once_on_the_link(rider: Rider, records: Records, validator: Session) -> None:
    now = moment(validator)
    for number, name in enumerate(one_of_each_reason()):
        summary = show(rider, now, name, number, via="link")
        assert (summary["outcome"], summary["reason"]) == CODES[name].expected, (name, summary)
        broken = CODES[name].broken
        if broken and summary["reason"] == "bad_signature":
            assert summary["detail"]["signature"] == broken[0], name
            assert records.of(summary).detail["signature"] == broken[0]


def test_a_code_rides_once_even_with_the_power_cut(
    rider: Rider, power: Supply, validator: Session
) -> None:
    code = codes.make("mot", at=moment(validator))
    assert rider.scan(code)["outcome"] == "accepted"
    power.cycle()
    again = rider.scan(code)
    assert (again["outcome"], again["reason"]) == ("declined", "replayed")


def test_no_others_no_start_and_no_clock_let_a_code_ride_again(
    rider: Rider, power: Supply, validator: Session
) -> None:
    now = moment(validator)
    code = codes.make("mot", at=now)
    assert rider.scan(code, via="link")["outcome"] == "accepted"
    for number in range(1, 40):
        rider.scan(codes.make("mot", at=now - number), via="link")
    try:
        for jump, reason in ((30 * 86400, "expired"), (-3600, "not_yet_valid"), (5, "replayed")):
            validator.link.call("clock.set", {"unix": now + jump})
            again = rider.scan(code, via="link")
            assert (again["outcome"], again["reason"]) == ("declined", reason), jump
            other = rider.scan(codes.make("mot", at=now + jump), via="link")
            assert other["outcome"] == "accepted" or jump == 5, "and it holds up nobody"
    finally:
        validator.link.call("clock.set", {"unix": now + 30})
    power.cycle()
    again = rider.scan(code)
    assert (again["outcome"], again["reason"]) == ("declined", "replayed")
    riders = validator.link.call("info")["riders"]
    assert riders["full"] == [] and riders["rooms"]["codes"]["entries"] > 20


def test_a_phone_held_before_the_engine_is_one_presentation(
    rider: Rider, records: Records, validator: Session
) -> None:
    code = codes.make("mot", at=moment(validator))
    first = rider.scan(code, via="link")
    second = rider.scan(code, via="link")
    assert first["outcome"] == "accepted" and first["seq"] is not None
    assert second["seq"] is None  # no record, no charge: the first outcome is shown again
    assert len(records.all()) == 1
