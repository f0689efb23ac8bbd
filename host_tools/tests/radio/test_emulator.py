"""A PN532 driven by nfcpy as a card, before a bare reader chip."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from faretap.desk.errors import ReaderError
from faretap.radio import (
    NotByRadio,
    Presenting,
    RadioError,
    open_emulator,
    present_by_radio,
)
from faretap.radio.emulator import historical_bytes
from faretap.radio.patience import Patient
from faretap.sim import cards
from faretap.sim.chips.field import Air
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.pty_line import PtyLine
from tests.radio.conftest import Bench, Reader

PPSE = "00A404000E325041592E5359532E444446303100"


class Scripted:
    """A card that answers what it is told to, and counts its powers."""

    uid = bytes.fromhex("04A1B2C3D4E5F6")
    atqa = 0x0044
    sak = 0x20
    ats = bytes.fromhex("0778807002AABB")
    seconds = 0.0

    def __init__(self, answer: Callable[[bytes], bytes] = lambda command: b"\x90\x00") -> None:
        self.answer = answer
        self.commands: list[bytes] = []
        self.offs = 0

    def apdu(self, command: bytes) -> bytes:
        self.commands.append(command)
        return self.answer(command)

    def power_off(self) -> None:
        self.offs += 1


def listed(reader: Reader) -> bytes:
    return reader.ask("4A0100")


def test_a_card_is_shown_as_far_as_the_chip_can(bench: Bench) -> None:
    with Presenting(bench.emulator, Scripted(), timeout=20.0) as presenting:
        # UID of four bytes, 08 in front; the chip's own interface bytes; the card's historical.
        assert listed(bench.reader) == bytes.fromhex("4B01010004200408D4E5F60775339203AABB")
    assert presenting.went is not None
    assert (presenting.went.activations, presenting.went.ended) == (1, "stopped")


def test_commands_reach_the_card_and_answers_the_reader(bench: Bench) -> None:
    model = cards.make("tunion")
    expected = cards.make("tunion").apdu(bytes.fromhex(PPSE))
    with Presenting(bench.emulator, model, timeout=20.0) as presenting:
        listed(bench.reader)
        assert bench.reader.ask("4001" + PPSE) == b"\x41\x00" + expected
        assert bench.reader.ask("4001" + "00B0950000")[:2] == b"\x41\x00"
    assert presenting.went is not None and presenting.went.commands == 2


def test_long_commands_and_answers(bench: Bench) -> None:
    long = bytes(n & 0xFF for n in range(256)) + b"\x90\x00"
    card = Scripted(lambda command: long)
    command = bytes.fromhex("00D60000FA") + bytes(range(200))
    with Presenting(bench.emulator, card, timeout=20.0):
        listed(bench.reader)
        assert bench.reader.ask("4001" + command.hex()) == b"\x41\x00" + long
    assert card.commands == [command]


def test_a_card_that_thinks_long_is_waited_for(bench: Bench) -> None:
    """Longer than the frame waiting time of 155 ms: the chip asks for more."""
    thinking = threading.Event()

    def think(command: bytes) -> bytes:
        thinking.wait(0.5)
        return b"\x12\x34\x90\x00"

    with Presenting(bench.emulator, Scripted(think), timeout=20.0):
        listed(bench.reader)
        assert bench.reader.ask("4001" + PPSE) == b"\x41\x00\x12\x34\x90\x00"


def test_a_reader_that_lets_go_finds_the_same_card_again(bench: Bench) -> None:
    card = Scripted()
    with Presenting(bench.emulator, card, timeout=20.0) as presenting:
        first = listed(bench.reader)
        bench.reader.ask("4001" + PPSE)
        offs = card.offs
        assert bench.reader.ask("4401") == bytes.fromhex("4500")
        assert listed(bench.reader) == first
        bench.reader.ask("4001" + PPSE)
    assert card.offs > offs  # it lost its state in between
    assert presenting.went is not None and presenting.went.activations == 2


def test_until_released(bench: Bench) -> None:
    with Presenting(bench.emulator, Scripted(), timeout=20.0, until_released=True) as presenting:
        listed(bench.reader)
        bench.reader.ask("5200")  # no command was given: the card stays
        listed(bench.reader)
        bench.reader.ask("4001" + PPSE)
        bench.reader.ask("5200")
        _until(lambda: not presenting.running)
    assert presenting.went is not None
    assert (presenting.went.ended, presenting.went.commands) == ("released", 1)


@pytest.mark.parametrize("lose", ["before", "after"])
def test_a_card_is_pulled_away_at_a_command(bench: Bench, lose: Any) -> None:
    card = Scripted()
    with Presenting(bench.emulator, card, timeout=20.0, lose_at_apdu=2, lose=lose) as presenting:
        listed(bench.reader)
        assert bench.reader.ask("4001" + PPSE)[:2] == b"\x41\x00"
        assert bench.reader.ask("4001" + PPSE) == b"\x41\x01"
        assert bench.reader.ask("3205010101") == b"\x33"
        assert listed(bench.reader) == bytes.fromhex("4B00")
    assert presenting.went is not None and presenting.went.ended == "pulled"
    assert len(card.commands) == (1 if lose == "before" else 2)


def test_a_mute_card_leaves(bench: Bench) -> None:
    with Presenting(bench.emulator, Scripted(lambda c: b""), timeout=20.0) as presenting:
        listed(bench.reader)
        assert bench.reader.ask("4001" + PPSE) == b"\x41\x01"
        _until(lambda: not presenting.running)
    assert presenting.went is not None and presenting.went.ended == "mute"


def test_nobody_comes(bench: Bench) -> None:
    went = bench.emulator.present(Scripted(), timeout=0.2)
    assert (went.activations, went.commands, went.ended) == (0, 0, "timeout")
    bench.reader.ask("3205010101")
    assert listed(bench.reader) == bytes.fromhex("4B00")


def test_what_cannot_be_played_is_said_before(line: PtyLine) -> None:
    with pytest.raises(NotByRadio, match="knows no APDUs"):
        present_by_radio("/nowhere", cards.make("mifare"), 1.0)
    with pytest.raises(ReaderError):
        present_by_radio(line.path + "x", cards.make("tunion"), 1.0)


def test_an_answer_that_does_not_fit(bench: Bench) -> None:
    card = Scripted(lambda command: bytes(300))
    with (
        pytest.raises(NotByRadio, match="300 bytes"),
        Presenting(bench.emulator, card, timeout=20.0) as going,
    ):
        listed(bench.reader)
        bench.reader.tell("4001" + PPSE)
        _until(lambda: not going.running)


def test_a_reader_that_dies_is_named(bench: Bench) -> None:
    with Presenting(bench.emulator, Scripted(), timeout=20.0):
        listed(bench.reader)
        bench.line.run(lambda: bench.line.part.power(False))
    with pytest.raises(RadioError, match="stopped answering"):
        bench.emulator.present(Scripted(), timeout=1.0)


def test_present_by_radio_opens_and_closes(line: PtyLine) -> None:
    assert isinstance(line.part, Pn532)
    chip = Pn532(time_scale=0.1)
    reader = Reader(line, chip)
    Air(chip, line.part)
    went: list[Any] = []
    card = cards.make("tunion")
    thread = threading.Thread(target=lambda: went.append(present_by_radio(line.path, card, 20.0)))
    thread.start()
    assert listed(reader)[:2] == bytes.fromhex("4B01")
    assert reader.ask("4001" + PPSE)[:2] == b"\x41\x00"
    reader.ask("5200")
    thread.join(10)
    assert went[0].ended == "released"
    deadline = time.monotonic() + 5.0
    while not line.part.asleep and time.monotonic() < deadline:
        thread.join(0.01)  # the chip has the last command in its own time
    assert line.part.asleep  # and the rate is back, for whoever comes next
    assert line.part.baud == 115200


def test_a_reader_of_another_kind_is_refused(line: PtyLine, monkeypatch: Any) -> None:
    import nfc.clf.pn532

    class Other(nfc.clf.pn532.Device):  # type: ignore[misc]
        pass

    monkeypatch.setattr(nfc.clf.pn532, "init", _other(nfc.clf.pn532.init, Other))
    with pytest.raises(RadioError, match="cannot play cards"), open_emulator(line.path):
        pass


def _other(init: Any, kind: Any) -> Any:
    def opened(transport: Any) -> Any:
        device = init(transport)
        device.__class__ = kind
        return device

    return opened


def test_card_numbers_stay_out_of_the_log(bench: Bench, caplog: Any) -> None:
    caplog.set_level(1)
    model = cards.make("quickpass-debit")
    with Presenting(bench.emulator, model, timeout=20.0):
        listed(bench.reader)
        bench.reader.ask("4001" + PPSE)
    assert not [r for r in caplog.records if "325041592e" in r.getMessage().lower()]
    assert not logging.getLogger("nfc").isEnabledFor(logging.INFO)


def test_historical_bytes() -> None:
    assert historical_bytes(bytes.fromhex("0778807002AABB")) == b"\xaa\xbb"
    assert historical_bytes(bytes.fromhex("0402AABB")) == b"\xaa\xbb"
    assert historical_bytes(bytes.fromhex("052281AABB")) == b"\xaa\xbb"
    assert historical_bytes(b"\x01") == historical_bytes(b"") == b""


class Port:
    """A port without a descriptor, as on Windows: bytes are there after some looks."""

    def __init__(self, after: int) -> None:
        self.looks = 0
        self.after = after

    @property
    def in_waiting(self) -> int:
        self.looks += 1
        return int(self.looks > self.after)


class Transport:
    def __init__(self, after: int) -> None:
        self.tty = Port(after)
        self.baudrate = 115200

    def read(self, timeout: int) -> bytes:
        return b"frame"


def test_a_port_that_cannot_be_selected_is_looked_at() -> None:
    line = Patient(Transport(after=5))
    assert line.read(2000) == b"frame"
    line.baudrate = 921600
    assert line.baudrate == 921600
    with pytest.raises(OSError):
        Patient(Transport(after=1_000_000)).read(30)


def test_stop_is_heeded_only_where_it_may() -> None:
    line = Patient(Transport(after=1_000_000))
    line.enough.set()
    started = time.monotonic()
    with pytest.raises(OSError), line.heeding():
        line.read(60_000)
    assert time.monotonic() - started < 30
    with pytest.raises(OSError):
        line.read(120)


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.005)
