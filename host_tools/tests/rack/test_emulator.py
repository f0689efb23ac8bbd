"""An emulator's slot: a process with a flash file and three sockets, played by a stand-in."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path

import pytest

from faretap import boards
from faretap.errors import FaretapError
from faretap.rack.emulator import EmulatorError, _free_ports
from faretap.rack.file import Rack
from faretap.rack.flashing import flash_all
from faretap.rack.lines import WireBench, WireError
from faretap.rack.locks import holder_of
from faretap.rack.slot import Slot, SlotError, devices_of
from faretap.rack.status import row
from faretap.sim import codes

MakeRack = Callable[[str], Rack]

STAND_IN = f"{sys.executable} {Path(__file__).with_name('stand_in.py')}"
ALL = f"{STAND_IN} {{flash}} {{uart0}} {{uart1}} {{uart2}}"


def _text(command: str, more: str = "", limits: str = "start = 20") -> str:
    return (
        f'[[slot]]\nname = "e"\nboard = "VIRTUAL"\nlimits = {{{limits}}}\n'
        f'emulator = {{command = "{command}"{more}}}\n'
    )


@pytest.fixture
def merged(tmp_path: Path, flash_image: bytes) -> Path:
    path = tmp_path / "merged.bin"
    path.write_bytes(flash_image)
    return path


def test_taps_and_codes_on_the_wire_of_an_emulator(make_rack: MakeRack, merged: Path) -> None:
    rack = make_rack(_text(ALL, ', flash = "merged.bin"'))
    before = merged.read_bytes()
    assert row(rack, rack.slots[0]).state == "on demand"
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.port.startswith("socket://127.0.0.1:")
        assert row(rack, rack.slots[0]).state == "in use"
        assert slot.identity["reader"]["chip"] == "pn532"
        assert slot.tap("quickpass-debit")["outcome"] == "accepted"
        assert slot.tap("quickpass-debit", via="link")["reason"] == "too_soon"
        assert slot.scan(codes.make("mot"))["outcome"] == "accepted"
        lost = slot.tap("quickpass-credit", lose_at_apdu=2)
        assert (lost["outcome"], lost["reason"]) == ("retry", "card_lost")
        slot.fault("Q20", times=1)
        slot.clear_faults()
        with pytest.raises(WireError, match="No part that is played here has a fault 'Q99'"):
            slot.fault("Q99")
        # Switching it off is killing it, and its flash is what it was.
        slot.power.cut()
        with pytest.raises(FaretapError):
            slot.session.link.call("ping", timeout=0.3)
        image = slot.flash_image()
        assert image is not None and image != before
        slot.power.on()
        slot.reopen()
        assert slot.session.link.call("records.info")["next"] == 5
        assert slot.tap("quickpass-phone")["seq"] == 5
        # One that died is started again, with its flash.
        where = slot.port
        slot._machine._process._process.kill()  # type: ignore[union-attr]
        slot.reopen()
        assert slot.port != where
        assert slot.session.link.call("records.info")["next"] == 6
    assert merged.read_bytes() == before


def test_its_flash_is_kept_in_a_folder_and_flashing_writes_it(
    make_rack: MakeRack, tmp_path: Path, flash_image: bytes
) -> None:
    rack = make_rack(_text(ALL, ', state = "kept"'))
    flash = tmp_path / "kept" / "flash.bin"
    flash.parent.mkdir()
    flash.write_bytes(flash_image)
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.tap("quickpass-debit")["seq"] == 1
    # Its application is gone, its records are there.
    slot_a = boards.load("VIRTUAL").partitions["app_a"]
    with flash.open("r+b") as f:
        f.seek(slot_a.offset)
        f.write(bytes(slot_a.size))
    (done,) = flash_all(rack, rack.slots)
    assert not done.error and done.result["written"] == slot_a.size, done.error
    assert done.result["hello"]["hash"] == done.result["app_id"]
    assert done.result["hello"]["journal"]["next"] == 2
    before = flash.read_bytes()
    (done,) = flash_all(rack, rack.slots, erase=True)
    assert "has a record that nobody has read, and --erase loses them" in done.error
    assert flash.read_bytes() == before
    rack.state.set_flashed(rack.slots[0].name, "f" * 16, "9.9.9")
    (done,) = flash_all(rack, rack.slots)
    assert "runs version 9.9.9, which is newer than the" in done.error
    assert flash.read_bytes() == before
    (done,) = flash_all(rack, rack.slots, erase=True, force=True)
    assert not done.error and done.result["unread"] == 1, done.error
    assert done.result["hello"]["journal"]["next"] == 1


def test_without_the_sockets_of_the_parts_riders_come_by_the_link(
    make_rack: MakeRack, merged: Path
) -> None:
    rack = make_rack(_text(f"{STAND_IN} {{flash}} {{uart0}}", ', flash = "merged.bin"'))
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.via() == slot.via(what="code") == "link"
        assert slot.tap("quickpass-debit")["outcome"] == "accepted"
        with pytest.raises(SlotError, match="nobody plays its reader"):
            slot.present("quickpass-debit")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("no-such-qemu {flash} {uart0}", "There is no program no-such-qemu for the slot e. Inst"),
        (
            "sh -c 'echo oh no >&2; exit 3' {flash} {uart0} {uart1}",
            r"The emulator of the slot e ended by itself \(oh no\). Try its command by hand.",
        ),
        (
            "sh -c 'exit 3' {flash} {uart0}",
            r"The emulator of the slot e ended by itself \(status 3\)",
        ),
        (
            "sleep 60 {flash} {uart0}",
            r"ended by itself \(.*sleep",
        ),
        (
            "sh -c 'exec sleep 60' {flash} {uart0} {uart1}",
            r"The emulator of the slot e does not open \{uart1\} within 1 s. Does its command ma",
        ),
        (
            "sh -c 'exec sleep 60' {flash} {uart0}",
            r"The emulator of the slot e does not open \{uart0\} within 1 s",
        ),
    ],
)
def test_an_emulator_that_does_not_run_is_named_with_its_last_words(
    command: str, sentence: str, make_rack: MakeRack, merged: Path
) -> None:
    rack = make_rack(_text(command, ', flash = "merged.bin"', limits="start = 1"))
    with pytest.raises(EmulatorError, match=sentence):
        Slot(rack, rack.slots[0]).open()
    assert holder_of(devices_of(rack, rack.slots[0])) is None


def test_a_flash_file_that_is_not_there_is_named(make_rack: MakeRack) -> None:
    rack = make_rack(_text(ALL, ', flash = "none.bin"'))
    with pytest.raises(EmulatorError, match="slot e: .*none.bin cannot be read: No such file"):
        Slot(rack, rack.slots[0]).open()


def test_what_an_emulator_started_ends_with_it(
    make_rack: MakeRack, merged: Path, tmp_path: Path
) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; exec sleep 600"
    command = "sh -c '" + script + "' {flash} {uart0}"
    rack = make_rack(_text(command, ', flash = "merged.bin"', limits="start = 1"))
    with pytest.raises(EmulatorError, match="does not open"):
        Slot(rack, rack.slots[0]).open()
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        while True:  # a killed one is gone when its new parent has taken notice
            os.kill(pid, 0)


# -- adapters at the pins of a board -------------------------------------------------------------


def test_parts_are_played_on_adapters(make_rack: MakeRack, merged: Path, tmp_path: Path) -> None:
    """A board whose link and pins are three lines that somebody else laid."""
    folder = tmp_path / "board"
    folder.mkdir()
    merged.rename(folder / "flash.bin")
    ports, claims = _free_ports(3)
    command = [*shlex.split(STAND_IN), str(folder / "flash.bin"), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as board:
        assert board.stdout is not None and board.stdout.readline() == b"stand-in runs\n"
        link, reader, scanner = (f"socket://127.0.0.1:{port}" for port in ports)
        rack = make_rack(
            f'[[slot]]\nname = "x"\nboard = "ESP32_BUS"\nport = "{link}"\n'
            f'wire = {{reader = "{reader}", scanner = "{scanner}"}}\n'
        )
        for claim in claims:
            claim.release()
        with Slot(rack, rack.slots[0], force=True) as slot:
            slot.configure()
            assert slot.via() == slot.via(what="code") == "wire"
            assert slot.tap("quickpass-debit")["outcome"] == "accepted"
            assert slot.scan(codes.make("mot"))["outcome"] == "accepted"
            slot.fault("Q20", times=1)
            slot.clear_faults()
        board.kill()


def test_an_adapter_runs_at_the_parts_rate() -> None:
    """At 115200 until the validator asks the PN532 for another rate; then there, at once."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    bench = WireBench(os.ttyname(theirs), None)
    try:
        os.write(ours, bytes.fromhex("55 55 00 00 00 00 00 00 00 00 00 00 00 00 00 00"))
        # SAMConfiguration, then SetSerialBaudRate 921600 and the host's ACK (UM0701-02, 7.2.6).
        for frame, ends in (
            ("0000ff05fbd4140114000300", "0000ff02fed5151600"),
            ("0000ff03fdd410071500", "0000ff02fed5111a00"),
        ):
            os.write(ours, bytes.fromhex(frame))
            seen = b""
            while not seen.endswith(bytes.fromhex(ends)):
                assert select.select([ours], [], [], 5.0)[0], seen.hex()
                seen += os.read(ours, 256)
        assert termios.tcgetattr(theirs)[5] == termios.B115200
        os.write(ours, bytes.fromhex("0000ff00ff00"))
        deadline = time.monotonic() + 5.0
        while termios.tcgetattr(theirs)[5] != termios.B921600:
            assert time.monotonic() < deadline
    finally:
        bench.close()
        os.close(ours)
        os.close(theirs)


def test_an_adapter_that_was_pulled_out_is_named() -> None:
    ours, theirs = os.openpty()
    bench = WireBench(os.ttyname(theirs), None)
    os.close(theirs)
    os.close(ours)
    try:
        deadline = time.monotonic() + 5.0
        while not bench.lines[0].broken:
            assert time.monotonic() < deadline
        with pytest.raises(WireError, match="The line of the reader chip broke: "):
            bench.present("quickpass-debit")
        with pytest.raises(WireError, match="No scan engine is played for this slot"):
            bench.scan(b"x")
    finally:
        bench.close()
