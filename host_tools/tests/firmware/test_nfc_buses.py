"""The PN532 driver on SPI and I²C, and what a chip does over days, against the simulated chip."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim import cards as sim_cards
from validator.nfc.reader import ReaderDead

BUSES = [("uart", False), ("spi", False), ("spi", True), ("i2c", False), ("i2c", True)]
WIRED = [b for b in BUSES if b[0] != "uart"]
every_bus = pytest.mark.parametrize(("bus", "irq"), BUSES)
every_wire = pytest.mark.parametrize(("bus", "irq"), WIRED)


def read(result: Any) -> None:
    """The T-Union card was read as a whole, whatever was decided then."""
    assert result.medium == "tunion" and result.outcome != "retry", result.detail
    assert result.balance == 5000 and result.token_source


def good(bench: Any, name: str = "tunion") -> None:
    """A card that is laid on the reader now is read as it should be."""
    bench.chip.field_present(sim_cards.make(name))
    result = bench.tap()
    read(result)


@every_bus
def test_cards_on_every_bus(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq)
    good(bench)
    bench.chip.field_present(sim_cards.make("quickpass-debit"))
    assert bench.tap().medium == "quickpass"
    assert bench.reader.stats["resent"] == 0 and bench.reader.stats["aborted"] == 0
    assert bench.reader.traffic()["exchanges"] == len(bench.apdus)


@every_wire
@pytest.mark.parametrize("size", [29, 30, 31, 250, 252, 253, 254, 255])
def test_long_answers_on_every_bus(opened: Any, bus: str, irq: bool, size: int) -> None:
    bench = opened(bus=bus, irq=irq)
    bench.chip.faults.arm("Q23", size=size)
    bench.chip.field_present(sim_cards.make("tunion"))
    bench.run(bench.poller.next())
    answer = bench.run(bench.reader.transceive(bytes.fromhex("00A4040000")))
    assert len(answer) == size + 2 and answer[-2:] == b"\x90\x00"


FAULTS: dict[str, list[dict[str, Any]]] = {
    "Q02": [{"delay_ms": d} for d in (None, 14, 16, 100)],
    "Q03": [{"extra": n} for n in (1, 3, 5)],
    "Q05": [{"kind": "late"}],
    "Q06": [{}],
    "Q07": [{"kind": k} for k in ("lcs", "dcs", "tfi", "code", "length")],
    "Q26": [{"status": 0x27}],
    "Q27": [{"size": n} for n in (1, 16, 64)],
}
CASES = [(q, o) for q, variants in FAULTS.items() for o in variants]


@pytest.mark.parametrize(("bus", "irq"), [("spi", False), ("i2c", True)])
@pytest.mark.parametrize(("quirk", "options"), CASES, ids=lambda v: str(v))
def test_one_fault_on_a_bus(opened: Any, bus: str, irq: bool, quirk: str, options: Any) -> None:
    for skip in range(0, 9, 2):
        bench = opened(bus=bus, irq=irq)
        bench.chip.faults.arm(quirk, skip=skip, **options)
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert result.outcome in ("declined", "retry"), (skip, result)
        if result.outcome == "retry":
            assert result.reason in ("card_lost", "out_of_service"), (skip, result)
        else:
            read(result)
        bench.chip.faults.disarm()
        good(bench)


@every_wire
def test_q10_polls_without_answers_on_a_bus(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq)
    bench.chip.faults.arm("Q10", times=0)
    bench.time.call_later(3.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    read(bench.tap())


@pytest.mark.parametrize("irq", [False, True])
@pytest.mark.parametrize("stretch_us", [100, 440, 13000, 20000])
def test_q11_clock_stretching(unopened: Any, irq: bool, stretch_us: int) -> None:
    bench = unopened(bus="i2c", irq=irq)
    bench.chip.faults.arm("Q11", stretch_us=stretch_us, times=0 if stretch_us < 1000 else 200)
    assert bench.run(bench.reader.open())["firmware"] == "1.6"
    assert bench.reader._port.serial.bus_errors == 0
    bench.chip.faults.disarm()
    good(bench)


@pytest.mark.parametrize("line", ["sda", "scl"])
def test_q12_stuck_bus(opened: Any, line: str) -> None:
    bench = opened(bus="i2c")
    good(bench)
    bench.chip.faults.arm("Q12", line=line)
    died = bench.time.now
    good(bench)
    assert bench.poller.counters["recoveries"] == 1
    assert bench.time.now - died < 3.0


def test_q12_sda_is_freed_without_a_reset_pin(opened: Any) -> None:
    bench = opened(bus="i2c", reset_pin=None, power_pin=None)
    bench.chip.faults.arm("Q12", line="sda")
    good(bench)
    assert bench.reader._port.serial.freed == 1


@pytest.mark.parametrize("irq", [False, True])
def test_q13_others_have_their_turn_while_the_bus_is_dead(opened: Any, irq: bool) -> None:
    bench = opened(bus="i2c", irq=irq)
    bench.clock.longest_us = 0
    # As long as the time-out that the driver asks its bus for.
    bench.chip.faults.arm("Q13", block_ms=25, times=60)
    good(bench)
    assert bench.chip.faults.struck["Q13"] == 60
    assert bench.clock.longest_us <= 80_000


@every_bus
def test_q13_a_working_reader_never_blocks(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq)
    bench.clock.longest_us = 0
    good(bench)
    # The longest is a whole READ RECORD answer in one I2C transfer: 110 bytes at 400 kHz.
    assert bench.clock.longest_us <= 5000


def test_q14_garbage_behind_not_ready(opened: Any) -> None:
    bench = opened(bus="i2c")
    bench.chip.faults.arm("Q14")
    good(bench)
    assert bench.reader.stats["nacked"] == 0


def test_q15_clone_that_loses_bits_above_1_mhz(opened: Any) -> None:
    bench = opened(bus="spi")
    bench.chip.faults.arm("Q15", chance=0.02, seed=15)
    for _ in range(40):
        bench.chip.field_present(sim_cards.make("tunion"))
        assert bench.tap().outcome in ("declined", "retry")
        if bench.reader.traffic()["baud"] == 1000000:
            break
    assert bench.reader.traffic()["baud"] == 1000000
    before = dict(bench.reader.stats)
    for _ in range(20):
        good(bench)
    assert bench.reader.stats == before


@every_bus
@pytest.mark.parametrize("until", ["reset", "power"])
def test_q16_dead_chip_is_back_within_two_seconds(
    opened: Any, bus: str, irq: bool, until: str
) -> None:
    bench = opened(bus=bus, irq=irq)
    good(bench)
    told: list[tuple[str, float]] = []
    bench.poller.on_fault = lambda reason: told.append((reason, bench.time.now))
    bench.poller.on_recovered = lambda: told.append(("", bench.time.now))
    bench.chip.faults.arm("Q16", until=until)
    died = bench.time.now
    bench.time.call_later(8.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    read(bench.tap())
    (reason, noticed), (_, back) = told
    assert reason == "no_ack" and noticed - died <= 2.0
    # A chip that only the rail brings back costs the patience of one more attempt to open it.
    assert back - noticed <= (0.5 if until == "reset" else 3.0)
    assert bench.poller.status()["recovery_ms"] == pytest.approx((back - noticed) * 1000, abs=2)


@every_bus
def test_q16_chip_that_dies_while_a_card_leaves(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq)
    bench.chip.field_present(sim_cards.make("tunion"))
    target, result = bench.begin()
    read(result)
    died = bench.time.now
    told: list[float] = []
    bench.poller.on_fault = lambda reason: told.append(bench.time.now)
    bench.chip.faults.arm("Q16")
    taps = len(bench.apdus)
    assert not bench.run(bench.poller.finish(target))
    assert told[0] - died <= 2.0 and bench.poller.state == "removal"
    # The card that still lies there is not asked again by the reader that came back.
    assert len(bench.apdus) == taps
    bench.chip.field_remove()
    bench.time.call_later(1.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    read(bench.tap())


@pytest.mark.parametrize(("bus", "irq"), BUSES[:2] + BUSES[4:])
def test_q28_type_b_card(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq)
    bench.chip.faults.arm("Q28")
    bench.chip.field_present(sim_cards.make("tunion"))
    target, result = bench.begin()
    assert target.kind == "B" and target.apdu
    read(result)
    # It lies there: no second tap; it leaves: the next card is read.
    assert not bench.run(bench.poller.finish(target))
    bench.chip.field_remove()
    bench.chip.faults.disarm()
    bench.time.call_later(1.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    target, _ = bench.begin()
    assert target.kind == "A"


@pytest.mark.parametrize("what", ["uid", "ats", "sak", "all"])
def test_q29_phone_with_another_uid_each_time(opened: Any, what: str) -> None:
    bench = opened()
    bench.chip.faults.arm("Q29", what=what, times=0)
    bench.chip.field_present(sim_cards.make("quickpass-debit"))
    target, result = bench.begin()
    assert result.token_source
    # It is the same phone while it lies there, whatever it calls itself.
    assert not bench.run(bench.poller.finish(target))
    assert bench.poller.state == "removal"


@pytest.mark.parametrize("kind", ["6985", "6A82", "mute"])
def test_q31_phone_whose_applet_is_late(opened: Any, kind: str) -> None:
    bench = opened()
    bench.chip.faults.arm("Q31", kind=kind)
    good(bench)


def test_q33_card_left_in_iso_dep_is_reset_by_the_field(opened: Any) -> None:
    bench = opened()
    bench.chip.faults.arm("Q33", times=0)
    bench.chip.field_present(sim_cards.make("tunion"))
    target = bench.run(bench.poller.next())
    card = bench.poller.card(target)
    assert bench.run(card.transceive(bytes.fromhex("00A4040000")))
    # In the middle of its session: only a field that was off for long enough brings it back.
    assert bench.run(card.reset())
    assert bench.run(card.transceive(bytes.fromhex("00A4040000")))
    bench.chip.field_remove()
    assert bench.run(bench.poller.finish(target))
    good(bench)


def test_q35_clone_without_a_field_stays_a_reader(opened: Any) -> None:
    bench = opened()
    bench.chip.faults.arm("Q35")
    bench.chip.field_present(sim_cards.make("tunion"))
    bench.time.call_later(5.0, bench.chip.faults.disarm)
    read(bench.tap())
    assert bench.time.now > 5.0 and bench.poller.counters["faults"] == 0


@pytest.mark.parametrize("listed", [0, 1])
def test_q38_answer_that_nobody_asked_for(opened: Any, listed: int) -> None:
    bench = opened()
    for wait in (0.0, 0.005, 0.02):
        bench.time.call_later(1.0 + wait, lambda: bench.chip.faults.arm("Q38", listed=listed))
        bench.time.call_later(2.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
        start = bench.time.now
        result = bench.tap()
        if result.outcome != "retry":
            read(result)
        assert listed or bench.time.now - start >= 2.0
        bench.chip.field_remove()
        good(bench)


def test_q32_no_ecp_frame_in_a_whole_day_of_taps(opened: Any) -> None:
    bench = opened(baud=921600)
    for name in ("tunion", "quickpass-phone", "phone-not-ready", "mifare"):
        bench.chip.field_present(sim_cards.make(name))
        bench.tap()
    bench.run(bench.reader.recover())
    codes = {command[0] for command in bench.commands}
    # InCommunicateThru (42) and WriteRegister (08) are what frames of one's own need.
    assert codes <= {0x00, 0x02, 0x10, 0x12, 0x14, 0x32, 0x40, 0x44, 0x4A, 0x52, 0x54}
    assert {0x4A, 0x40} <= codes


@every_bus
def test_poll_cycle_and_field_share(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq, **({"baud": 921600} if bus == "uart" else {}))
    bench.time.call_later(5.0, lambda: bench.chip.field_present(sim_cards.make("tunion")))
    bench.run(bench.poller.next())
    status = bench.poller.status()
    assert 50 <= status["poll_ms"] <= 100
    assert 10 <= status["field_percent"] <= 60
    assert status["detect_us"] <= 60_000


@every_bus
def test_exchange_costs_little_more_than_its_wire(opened: Any, bus: str, irq: bool) -> None:
    bench = opened(bus=bus, irq=irq, **({"baud": 921600} if bus == "uart" else {}))
    card = sim_cards.make("tunion")
    bench.chip.field_present(card)
    bench.run(bench.poller.next())
    select = bytes.fromhex("00A4040000")
    start = bench.time.now
    for _ in range(10):
        bench.run(bench.reader.transceive(select))
    took_us = (bench.time.now - start) * 1e6 / 10
    traffic = bench.reader.traffic()
    assert traffic["exchanges"] == 10
    # The chip takes 1 ms to its ACK, the card its own time, a byte on air 85 us; the rest is ours.
    bits = 10 if bus == "uart" else 9
    wire_us = traffic["wire_bytes"] / 10 * bits * 1e6 / traffic["baud"]
    chip_us = 1000 + card.seconds * 1e6 + 85 * traffic["apdu_bytes"] / 10
    assert took_us - chip_us <= 1.3 * wire_us + 1000


def test_a_bus_without_a_chip_is_dead(unopened: Any) -> None:
    for bus in ("spi", "i2c"):
        bench = unopened(bus=bus)
        bench.chip.power(False)
        with pytest.raises(ReaderDead, match="no_ack"):
            bench.run(bench.reader.open())
        assert bench.time.now < 4.0
