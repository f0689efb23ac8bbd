"""Ride codes on a validator with the bench configuration: what rides, and one code for each reason
why another does not. The whole catalogue goes through the firmware in host_tools/tests/codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from faretap.present import moment, scan
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim import codes
from faretap.sim.codes import CODES
from faretap.virtual import VirtualProcess

ACCEPTED = [name for name, code in CODES.items() if code.expected[0] == "accepted"]


def one_of_each_reason() -> list[str]:
    found: dict[tuple[str, str, tuple[str, ...]], str] = {}
    for name, code in CODES.items():
        if code.expected[0] != "accepted" and name not in ("empty", "noise-5000"):
            found.setdefault((code.kind, code.expected[1], tuple(code.broken or ())), name)
    return list(found.values())


@pytest.fixture
def gate(provision: Callable[..., Session]) -> Session:
    return provision(codes=codes.configuration())


def show(session: Session, name: str, number: int, **how: Any) -> dict[str, Any]:
    # Each of its own second, and where that is not signed, of its own number: no code is replayed.
    fields = {"qr_id": 1000 + number} if name.startswith("union") else {}
    return scan(session, codes.make(name, at=moment(session) - number, **fields), **how)


def test_whatever_rides_rides_by_the_scan_engine(gate: Session) -> None:
    for number, name in enumerate(ACCEPTED):
        summary = show(gate, name, number)
        assert (summary["outcome"], summary["reason"]) == ("accepted", ""), (name, summary)
        record = pull(gate.link, summary["seq"])[0]
        assert record.code and record.code_expires and record.fare_fen == summary["fare"]


def test_each_reason_once_on_the_link(gate: Session) -> None:
    for number, name in enumerate(one_of_each_reason()):
        summary = show(gate, name, number, via="link")
        assert (summary["outcome"], summary["reason"]) == CODES[name].expected, (name, summary)
        broken = CODES[name].broken
        if broken and summary["reason"] == "bad_signature":
            assert summary["detail"]["signature"] == broken[0], name
            record = pull(gate.link, summary["seq"])[0]
            assert record.detail["signature"] == broken[0]


def test_a_code_rides_once_even_with_the_power_cut(gate: Session, board: VirtualProcess) -> None:
    code = codes.make("mot", at=moment(gate))
    assert scan(gate, code)["outcome"] == "accepted"
    gate.forget_notifications()
    with board.bench() as hands:
        hands.power(False)
        hands.power(True)
    assert gate.wait_for("hello", 15.0)
    gate.tell_time()
    again = scan(gate, code)
    assert (again["outcome"], again["reason"]) == ("declined", "replayed")


def test_a_phone_held_before_the_engine_is_one_presentation(gate: Session) -> None:
    code = codes.make("mot", at=moment(gate))
    first = scan(gate, code, via="link")
    second = scan(gate, code, via="link")
    assert first["outcome"] == "accepted" and first["seq"] is not None
    assert second["seq"] is None  # no record, no charge: the first outcome is shown again
    assert len(pull(gate.link)) == 1
