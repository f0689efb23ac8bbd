"""The firmware's driver, poller and card media against the simulated PN532, in virtual time."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim import cards as sim_cards

MEDIA = {
    "tunion": "tunion",
    "tunion-student": "tunion",
    "tunion-low": "tunion",
    "quickpass-debit": "quickpass",
    "quickpass-credit": "quickpass",
    "quickpass-phone": "quickpass",
    "phone-not-ready": "quickpass",
    "mifare": "unknown_card",
    "empty": "unknown_card",
}


@pytest.mark.parametrize("name", MEDIA)
def test_every_card(opened: Any, name: str) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make(name))
    result = bench.tap()
    # What is decided then is the business of the medium's own tests: here it was read as a whole.
    assert result.medium == MEDIA[name] and result.outcome != "retry", result.detail
    if result.medium == "unknown_card":
        assert result.reason == "unsupported" and not result.token_source
    else:
        assert result.token_source and "******" in result.masked
        assert len(result.expiry) == 4


def test_card_of_noise(opened: Any) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make("garbage"))
    assert bench.tap().outcome == "declined"


def test_balances(opened: Any) -> None:
    for name, balance in (("tunion", 5000), ("tunion-low", 80)):
        bench = opened()
        bench.chip.field_present(sim_cards.make(name))
        assert bench.tap().balance == balance


def test_same_rider_same_token_source(opened: Any) -> None:
    bench = opened()
    seen = []
    for _ in range(2):
        bench.chip.field_present(sim_cards.make("quickpass-debit"))
        seen.append(bench.tap().token_source)
    assert seen[0] == seen[1]


def test_card_that_comes_while_the_poller_waits(opened: Any) -> None:
    bench = opened()
    bench.time.call_later(1.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    assert bench.tap().token_source
    assert bench.poller.counters["polls"] > 10


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["tunion", "quickpass-debit"])
def test_q20_card_lost_at_every_apdu(opened: Any, name: str, when: Any) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make(name))
    bench.tap()
    total = len(bench.apdus)
    assert total >= 4
    for n in range(1, total + 1):
        bench.chip.field_present(sim_cards.make(name), lose_at_apdu=n, lose=when)
        result = bench.tap()
        if when == "after" and n == total:
            continue  # the last answer is lost as well, or it got through: both are right
        assert (result.outcome, result.reason) == ("retry", "card_lost"), n
    bench.chip.field_present(sim_cards.make(name))
    assert bench.tap().token_source


FAULTS: dict[str, list[dict[str, Any]]] = {
    "Q02": [{"delay_ms": d} for d in (None, 14, 16, 100)],
    "Q03": [{"extra": n} for n in range(6)],
    "Q04": [{"order": order} for order in ("burst", "before", "bytes")],
    "Q05": [{"kind": "again"}, {"kind": "late"}],
    "Q06": [{}],
    "Q07": [{"kind": k} for k in ("lcs", "dcs", "tfi", "code", "length")],
    "Q26": [{"status": 0x27}],
    "Q27": [{"size": n} for n in (1, 16, 64)],
}
CASES = [(q, o) for q, variants in FAULTS.items() for o in variants]


@pytest.mark.parametrize(("quirk", "options"), CASES, ids=lambda v: str(v))
def test_one_fault_somewhere_and_then_the_reader_works(
    opened: Any, quirk: str, options: Any
) -> None:
    for skip in range(8):
        bench = opened()
        bench.chip.faults.arm(quirk, skip=skip, **options)
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert result.outcome in ("declined", "retry"), (skip, result)
        if result.reason == "malformed" and options.get("kind") == "again":
            # An old answer to a new command is nonsense before the right one behind it is seen.
            assert result.token_source is None
        elif result.outcome == "declined":
            assert result.token_source and result.balance == 5000, (skip, result.detail)
        bench.chip.faults.disarm()
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert result.token_source and result.balance == 5000, skip


@pytest.mark.parametrize("quirk", ["Q03", "Q04"])
def test_faults_that_cost_nothing_when_they_never_end(opened: Any, quirk: str) -> None:
    bench = opened()
    bench.chip.faults.arm(quirk, times=0)
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().balance == 5000


def test_q01_chip_that_falls_asleep(opened: Any) -> None:
    bench = opened()
    bench.chip.faults.arm("Q01")
    bench.chip.field_present(sim_cards.make("tunion"))
    # Woken by the polls it answers none of them before it is configured again.
    assert bench.tap().token_source
    assert bench.time.now < 3.0


def test_q08_chip_at_another_rate(unopened: Any) -> None:
    bench = unopened()
    bench.chip.faults.arm("Q08", baud=460800)
    assert bench.run(bench.reader.open())["baud"] == 115200
    assert bench.chip.baud == 115200


def test_q08_raised_rate_and_back(opened: Any) -> None:
    bench = opened(baud=460800)
    assert bench.chip.baud == 460800
    bench.chip.field_present(sim_cards.make("quickpass-debit"))
    assert bench.tap().token_source
    bench.run(bench.reader.close())
    assert bench.chip.baud == 115200


def test_q10_polls_without_answers(opened: Any) -> None:
    bench = opened()
    bench.chip.faults.arm("Q10", times=0)
    bench.time.call_later(3.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    assert bench.tap().token_source
    assert bench.time.now < 5.0


def test_q16_dead_chip_is_reset(opened: Any) -> None:
    bench = opened()
    bench.chip.faults.arm("Q16")
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().token_source
    assert bench.poller.counters["recoveries"] == 1


def test_q21_card_that_lies_there_taps_once(opened: Any) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make("tunion"))
    target, _ = bench.begin()
    bench.chip.faults.arm("Q21", times=2)
    assert not bench.run(bench.poller.finish(target))
    assert bench.poller.state == "removal"
    once = len(bench.apdus)
    bench.time.call_later(5.0, bench.chip.field_remove)
    bench.time.call_later(6.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    bench.run(bench.poller.next())
    assert len(bench.apdus) == once and bench.time.now > 6.0


def test_q22_two_cards(opened: Any) -> None:
    for kind in ("two", "collision"):
        bench = opened()
        bench.chip.faults.arm("Q22", kind=kind)
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert (result.outcome, result.reason) == ("retry", "multiple_media"), kind


@pytest.mark.parametrize("status", [0x2D, 0x0D])
def test_q34_overload(opened: Any, status: int) -> None:
    bench = opened()
    bench.chip.faults.arm("Q34", status=status)
    bench.chip.field_present(sim_cards.make("tunion"))
    result = bench.tap()
    assert (result.outcome, result.reason) == ("retry", "out_of_service")
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().token_source
