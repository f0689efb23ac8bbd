"""The firmware's MFRC522 driver, ISO-DEP and poller against the simulated chip."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any

import pytest

from faretap.sim import cards as sim_cards
from faretap.sim.chips.mfrc522 import Mfrc522
from faretap.sim.chips.probe_card import Probe
from faretap.sim.virtual_time import VirtualTime
from validator.media import cards
from validator.media.phases import Phases
from validator.nfc.mfrc522 import Mfrc522Reader
from validator.nfc.poller import Poller
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead, ReaderError

SPI_HZ = 4_000_000
ACCESS = 30e-6  # seconds that MicroPython takes around one access
SELECT_PPSE = bytes.fromhex("00A404000E325041592E5359532E444446303100")


class Bench:
    """Clock and SPI of the firmware, both driven by the simulator's virtual time."""

    def __init__(self, version: int = 0x92) -> None:
        self.time = VirtualTime()
        self.chip = Mfrc522(version=version)
        self.chip.attach(self.time.call_later, lambda: self.time.now)
        self.chip.set_clock(SPI_HZ)
        self.reader = Mfrc522Reader(
            self, self.cs, self, reset_pin=self.chip.set_reset, power_pin=self.chip.power
        )
        self.poller = Poller(self.reader, self)
        self.phases = Phases(self)
        self.apdus: list[bytes] = []
        self.frames = 0
        self.chip.trace = self.trace

    def trace(self, kind: str, data: bytes) -> None:
        if kind == "apdu":
            self.apdus.append(data)
        if kind == "frame":
            self.frames += 1

    def cs(self, level: int) -> None:
        if level:
            self.chip.deselect()
        else:
            self.chip.select()

    # What machine.SPI has.

    def write_readinto(self, out: Any, into: Any) -> None:
        self.time.advance(ACCESS + 8 * len(out) / SPI_HZ)
        into[:] = self.chip.exchange(bytes(out))

    # What validator.hal.Clock has.

    def ticks_us(self) -> int:
        return round(self.time.now * 1e6)

    def ticks_ms(self) -> int:
        return self.ticks_us() // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    async def sleep_ms(self, ms: int) -> None:
        self.time.advance(ms / 1000 or 0.00005)

    def unix(self) -> int:
        return 1893456000

    # What an application does.

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value
        raise AssertionError("waits for something outside virtual time")

    def poll(self) -> Any:
        return self.run(self.reader.poll())

    def transceive(self, apdu: bytes) -> bytes:
        answer = self.run(self.reader.transceive(apdu))
        assert isinstance(answer, bytes)
        return answer

    def tap(self) -> Any:
        """One card from the first poll to its removal; whoever lies there is taken away after."""
        target = self.run(self.poller.next())
        card = self.poller.card(target)
        self.phases.start()
        result = self.run(cards.run(card, self, self.phases))
        self.chip.field_remove()
        assert self.run(self.poller.finish(target))
        return result


def opened() -> Bench:
    bench = Bench()
    assert bench.run(bench.reader.open())["firmware"] == "2.0"
    return bench


def activated(name: str = "quickpass-debit", **options: Any) -> Bench:
    bench = opened()
    bench.chip.field_present(sim_cards.make(name, **options))
    assert bench.poll() is not None
    return bench


def next_tap_works(bench: Bench) -> None:
    bench.chip.field_remove()
    bench.run(bench.reader.deselect())
    bench.chip.faults.disarm()
    bench.poller = Poller(bench.reader, bench)
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().medium == "tunion"


MEDIA = {
    "tunion": "tunion",
    "tunion-student": "tunion",
    "quickpass-debit": "quickpass",
    "quickpass-credit": "quickpass",
    "quickpass-phone": "quickpass",
    "phone-not-ready": "quickpass",
    "mifare": "unknown_card",
    "empty": "unknown_card",
}


@pytest.mark.parametrize("name", MEDIA)
def test_every_card(name: str) -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make(name))
    assert bench.tap().medium == MEDIA[name]
    assert bench.reader.stats["errors"] == 0
    next_tap_works(bench)


def test_empty_poll() -> None:
    bench = opened()
    for _ in range(20):
        began = bench.time.now
        assert bench.poll() is None
        assert bench.time.now - began < 0.03


def test_q15_bits_lost_on_the_bus_end_in_errors_of_the_reader() -> None:
    for seed in range(20):
        bench = opened()
        bench.chip.field_present(sim_cards.make("tunion"))
        bench.chip.faults.arm("Q15", chance=0.01, seed=seed)
        for _ in range(20):
            try:
                if bench.poll():
                    bench.transceive(SELECT_PPSE)
                if not bench.run(bench.reader.check()):
                    bench.run(bench.reader.recover())
            except ReaderError:
                pass
        bench.chip.faults.disarm("Q15")
        bench.run(bench.reader.recover())
        next_tap_works(bench)


@pytest.mark.parametrize("until", ["reset", "power"])
def test_q16_dead_chip_is_recovered_by_the_poller(until: str) -> None:
    bench = opened()
    bench.chip.faults.arm("Q16", until=until, skip=40)
    dead_at = bench.time.now
    bench.chip.field_present(sim_cards.make("tunion"))
    bench.chip.field_remove()

    def lay_down() -> None:
        bench.chip.field_present(sim_cards.make("tunion"))

    bench.time.call_later(3.0, lay_down)
    assert bench.tap().medium == "tunion"
    assert bench.poller.counters["recoveries"] >= 1
    assert bench.time.now - dead_at < 6


@pytest.mark.parametrize("when", ["before", "after"])
def test_q20_card_leaves_at_any_apdu(when: str) -> None:
    for n in range(1, 6):
        bench = opened()
        bench.chip.field_present(sim_cards.make("tunion"), lose_at_apdu=n, lose=when)  # type: ignore[arg-type]
        result = bench.tap()
        assert (result.outcome, result.reason) in (
            ("retry", "card_lost"),
            ("declined", "unverified"),
        )
        next_tap_works(bench)


def test_q20_card_leaves_at_any_byte() -> None:
    at_byte = 0
    while True:
        bench = activated()
        bench.chip.faults.arm("Q20", at_byte=at_byte)
        try:
            bench.transceive(SELECT_PPSE)
        except CardLost:
            pass
        else:
            break
        assert bench.run(bench.reader.present()) is False
        next_tap_works(bench)
        at_byte += 7
    assert at_byte > 70


def test_q21_card_that_misses_polls() -> None:
    bench = activated()
    bench.run(bench.reader.deselect())
    bench.chip.faults.arm("Q21", every=2, times=0)
    seen = [bench.run(bench.reader.present()) for _ in range(10)]
    assert seen.count(True) >= 5


def test_q22_two_cards() -> None:
    bench = opened()
    bench.chip.field_present(sim_cards.make("tunion"))
    bench.chip.field_present(sim_cards.make("quickpass-debit"))
    assert bench.poll().count == 2
    bench = opened()
    bench.chip.field_present(sim_cards.make("tunion"))
    bench.chip.faults.arm("Q22", kind="two")
    assert bench.poll().count == 2
    bench = opened()
    names = ("tunion", "quickpass-debit", "quickpass-credit", "mifare")
    for name in names:
        bench.chip.field_present(sim_cards.make(name))
    assert bench.poll().count == 2


def test_q22_collision_in_an_exchange() -> None:
    bench = activated()
    bench.chip.faults.arm("Q22", kind="collision")
    assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"
    bench.chip.faults.arm("Q22", kind="collision", times=0)
    with pytest.raises(ReaderError):
        bench.transceive(SELECT_PPSE)
    next_tap_works(bench)


@pytest.mark.parametrize("size", [2, 60, 61, 62, 63, 250, 251, 252, 253, 254, 255, 256, 4096])
def test_q23_answers_of_any_length(size: int) -> None:
    bench = activated()
    bench.chip.faults.arm("Q23", size=size)
    answer = bench.transceive(SELECT_PPSE)
    assert len(answer) == size + 2 and answer[-2:] == b"\x90\x00"
    assert bench.reader.stats["errors"] == bench.reader.stats["timeouts"] == 0


@pytest.mark.parametrize("length", [5, 60, 62, 63, 64, 65, 120, 127, 128, 129, 255, 261])
def test_commands_of_any_length(length: int) -> None:
    bench = activated()
    apdu = bytes((0x00, 0xB0, 0, 0)) + bytes(i & 0xFF for i in range(length - 4))
    bench.apdus.clear()
    bench.transceive(apdu)
    assert bench.apdus == [apdu]
    assert bench.reader.stats["errors"] == bench.reader.stats["timeouts"] == 0


@pytest.mark.parametrize("when", ["answer", "chain", "nak"])
@pytest.mark.parametrize("wtxm", [1, 59])
def test_q24_waiting_time_extension(wtxm: int, when: str) -> None:
    bench = activated()
    if when == "chain":
        bench.chip.faults.arm("Q23", size=600)
    if when == "nak":
        bench.chip.faults.arm("Q25", kind="mute")
    bench.chip.faults.arm("Q24", wtxm=wtxm, count=3, when=when)
    assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"
    assert bench.reader.stats["wtx"] == 3
    assert len(bench.apdus) == 1


def test_q24_granted_time_is_waited_for() -> None:
    bench = activated()
    bench.chip.faults.arm("Q24", wtxm=5, count=1, fill=0.9)
    began = bench.time.now
    assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"
    assert bench.time.now - began > 0.1
    assert bench.reader.stats["timeouts"] == 0


@pytest.mark.parametrize(("wtxm", "count"), [(0, 1), (1, 0), (59, 0)])
def test_q24_illegal_or_endless(wtxm: int, count: int) -> None:
    bench = activated()
    bench.chip.faults.arm("Q24", wtxm=wtxm, count=count, fill=0.5)
    began = bench.time.now
    with pytest.raises((CardLost, CardProtocolError)):
        bench.transceive(SELECT_PPSE)
    assert bench.time.now - began < 2
    next_tap_works(bench)


@pytest.mark.parametrize("kind", ["duplicate", "number", "nak", "crc", "mute"])
def test_q25_wrong_block(kind: str) -> None:
    bench = activated()
    bench.transceive(SELECT_PPSE)
    bench.apdus.clear()
    bench.chip.faults.arm("Q25", kind=kind)
    assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"
    assert len(bench.apdus) == 1
    # And for ever, at repeated blocks too: three R(NAK), at most two I-blocks again.
    bench.chip.faults.arm("Q25", kind=kind, times=0, repeats=True)
    bench.frames = 0
    with pytest.raises((CardLost, CardProtocolError)):
        bench.transceive(SELECT_PPSE)
    assert 4 <= bench.frames <= 6
    assert len(bench.apdus) == 2
    next_tap_works(bench)


@pytest.mark.parametrize("kind", ["number", "nak", "crc", "mute"])
def test_q25_wrong_block_inside_a_chain(kind: str) -> None:
    for skip in range(4):
        bench = activated()
        bench.chip.faults.arm("Q23", size=1000)
        bench.chip.faults.arm("Q25", kind=kind, skip=skip)
        bench.apdus.clear()
        assert len(bench.transceive(SELECT_PPSE)) == 1002
        assert len(bench.apdus) == 1
        assert bench.chip.faults.struck["Q25"] == 1


def test_q25_silence_for_ever() -> None:
    bench = activated()
    bench.frames = 0
    bench.chip.faults.arm("Q35")
    with pytest.raises(CardLost, match="timeout"):
        bench.transceive(SELECT_PPSE)
    assert bench.frames == 4
    next_tap_works(bench)


@pytest.mark.parametrize("what", ["uid", "ats", "sak", "all"])
def test_q29_phone(what: str) -> None:
    bench = opened()
    bench.chip.faults.arm("Q29", what=what, times=0)
    bench.chip.field_present(sim_cards.make("quickpass-phone"))
    assert bench.tap().medium == "quickpass"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_q30_noise(size: int) -> None:
    bench = activated()
    for frames in (1, 2, 3):
        bench.chip.faults.arm("Q30", frames=frames, size=size)
        bench.frames = 0
        assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"
        assert bench.frames == 1


@pytest.mark.parametrize("kind", ["6985", "6A82", "mute"])
def test_q31_applet_not_ready(kind: str) -> None:
    bench = opened()
    bench.chip.faults.arm("Q31", kind=kind)
    bench.chip.field_present(sim_cards.make("quickpass-phone"))
    assert bench.tap().outcome in ("declined", "retry")
    next_tap_works(bench)


def test_q33_card_half_open_after_an_error() -> None:
    bench = activated()
    bench.chip.faults.arm("Q33", times=0)
    bench.chip.faults.arm("Q35")
    with pytest.raises(CardLost):
        bench.transceive(SELECT_PPSE)
    bench.run(bench.reader.deselect())
    bench.chip.faults.disarm("Q35")
    assert bench.poll() is not None
    assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"


def test_q34_over_temperature() -> None:
    bench = activated()
    bench.chip.faults.arm("Q34")
    with pytest.raises(ReaderDead, match="over_temperature"):
        bench.transceive(SELECT_PPSE)
    bench.run(bench.reader.recover())
    next_tap_works(bench)


def test_q35_no_field() -> None:
    bench = opened()
    bench.chip.faults.arm("Q35")
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.poll() is None


@pytest.mark.parametrize("kind", ["61", "6C"])
def test_q37_status_words_are_the_callers(kind: str) -> None:
    bench = opened()
    bench.chip.faults.arm("Q37", kind=kind, times=0)
    bench.chip.field_present(sim_cards.make("tunion"))
    assert bench.tap().medium == "tunion"


def test_q38_something_in_the_fifo_before_anything_was_sent() -> None:
    bench = activated()
    bench.chip.faults.arm("Q38")
    bench.frames = 0
    assert bench.transceive(SELECT_PPSE)[-2:] == b"\x90\x00"
    assert bench.frames == 1
    bench = opened()
    bench.chip.faults.arm("Q38")
    assert bench.poll() is None


def test_random_faults_by_seed_and_a_clean_tap_after() -> None:
    kinds = ("Q20", "Q21", "Q22", "Q23", "Q24", "Q25", "Q29", "Q30", "Q31", "Q33", "Q37")
    bench = opened()
    rng = random.Random(522)
    for _ in range(60):
        for fault in rng.sample(kinds, rng.randrange(4)):
            bench.chip.faults.arm(fault, skip=rng.randrange(4))
        bench.chip.field_present(sim_cards.make(rng.choice(("tunion", "quickpass-debit"))))
        result = bench.tap()
        assert result.outcome in ("declined", "retry")
        bench.chip.faults.disarm()
        bench.apdus.clear()
    next_tap_works(bench)
    assert bench.poller.counters["faults"] == 0


@pytest.mark.parametrize("size", [2, 40, 250, 1000])
def test_exchange_costs_little_more_than_the_air(size: int) -> None:
    bench = opened()
    bench.chip.field_present(Probe(size=size, seconds=0.0))
    bench.poll()
    before = bench.reader.traffic()
    for _ in range(20):
        bench.transceive(SELECT_PPSE)
    after = bench.reader.traffic()
    bits = 9 * (after["wire_bytes"] - before["wire_bytes"]) / 20
    each_us = (after["us"] - before["us"]) / 20
    assert 128 / 13.56 * bits < each_us <= 1.3 * 128 / 13.56 * bits + 1000


VERSIONS = [0x88, 0x90, 0x91, 0x92, 0xB2, 0x12, 0x15, 0x80, 0x82]


@pytest.mark.parametrize("version", VERSIONS)
def test_q35_clones_serve(version: int) -> None:
    bench = Bench(version)
    for _ in range(3):  # opened anew, with the field on and bytes left behind
        firmware = bench.run(bench.reader.open())["firmware"]
        assert firmware.startswith("clone") == (version not in (0x90, 0x91, 0x92))
        bench.chip.field_present(sim_cards.make("tunion"))
        result = bench.tap()
        assert result.reason != "card_lost" and bench.apdus
        bench.run(bench.reader.field(True))
        bench.chip.fifo += b"\x01\x02\x03"
        assert bench.run(bench.reader.check())


@pytest.mark.parametrize("version", VERSIONS)
def test_q16_clones_that_die_are_dead(version: int) -> None:
    bench = Bench(version)
    bench.run(bench.reader.open())
    bench.chip.power(False)
    assert not bench.run(bench.reader.check())
    with pytest.raises(ReaderDead) as caught:
        bench.run(bench.reader.open())
    assert caught.value.reason == "no_answer"
