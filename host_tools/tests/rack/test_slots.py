"""Slots in use: opened, known, configured, tapped on, switched, taken out of use."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faretap import radio
from faretap.config import push, samples
from faretap.link import NoAnswer
from faretap.present import PresentError
from faretap.rack.file import Rack, load
from faretap.rack.flashing import flash_all
from faretap.rack.locks import Held, holder_of
from faretap.rack.power import PowerError
from faretap.rack.run import CommandError
from faretap.rack.slot import Slot, SlotError, devices_of
from faretap.rack.status import row, rows
from faretap.rack.take import NoSlot, take
from faretap.rack.workers import Job, run_all
from faretap.sim import codes
from faretap.virtual import VirtualProcess, spawn

MakeRack = Callable[[str], Rack]

SLOT = '[[slot]]\nname = "{}"\nboard = "VIRTUAL"\nport = "{}"\n'
UNPACED = "virtual = {unpaced = true}\n"


@pytest.fixture
def board(tmp_path: Path, flash_image: bytes) -> Iterator[VirtualProcess]:
    """A virtual validator that somebody else runs: for the rack a far one."""
    state = tmp_path / "far"
    state.mkdir()
    (state / "flash.bin").write_bytes(flash_image)
    with spawn(state, unpaced=True) as process:
        yield process


@pytest.fixture
def kept(tmp_path: Path, flash_image: bytes, make_rack: MakeRack) -> Rack:
    """Two virtual slots, a and b, whose flash is kept."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "flash.bin").write_bytes(flash_image)
    return make_rack("".join(SLOT.format(n, f"virtual:{n}") + UNPACED for n in "ab"))


def test_a_virtual_slot_from_opening_to_closing() -> None:
    rack = load("virtual")
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.identity["board"] == "VIRTUAL" and slot.identity["life_cycle"] == "bench"
        assert slot.via() == "wire" and slot.via(what="code") == "wire"
        assert slot.tap("quickpass-debit")["outcome"] == "accepted"
        assert slot.tap("quickpass-credit", via="link")["outcome"] == "accepted"
        assert slot.scan(codes.make("mot"))["outcome"] == "accepted"
        first = slot.session
        slot.power.cut()
        with pytest.raises(NoAnswer):
            slot.session.link.call("ping", timeout=0.3)
        slot.power.on()
        slot.reopen()
        assert slot.session is first  # its adapter was not switched off
        assert slot.session.link.call("records.info")["next"] == 4
        assert slot.tap("quickpass-phone")["seq"] == 4
        assert [text for _, text in slot.events] == ["configured", "power off", "power on"]
        assert b"rst:" in slot.console()
        image = slot.flash_image()
        assert image is not None and len(image) == 8 << 20
        pid, folder = slot.session.bench.status()["pid"], slot._machine.flash.parent  # type: ignore[union-attr]
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_card_stays_until_it_is_withdrawn() -> None:
    rack = load("virtual")
    with Slot(rack, rack.slots[0]) as slot:
        slot.session.forget_notifications()
        slot.present("quickpass-debit")
        assert slot.session.wait_for("tap", 8.0) is not None
        slot.withdraw()
        slot.fault("Q20", times=1)
        with pytest.raises(Exception, match="Q99"):
            slot.fault("Q99")
        slot.clear_faults()
        assert slot.tap("quickpass-credit")["outcome"] == "accepted"


def test_the_configuration_is_pushed_once(kept: Rack) -> None:
    a = kept.slot("a")
    with Slot(kept, a) as slot:
        runs = push.info(slot.session.link)
        assert runs["version"] == 1
    with Slot(kept, a) as slot:
        assert push.info(slot.session.link) == runs
        assert slot.events == []
    with Slot(kept, a, changes={"fares": {"flat": 350}}) as slot:
        assert push.info(slot.session.link)["version"] == 2
        assert slot.tap("quickpass-debit")["fare"] == 350


def test_a_validator_in_service_is_not_configured(kept: Rack) -> None:
    a = kept.slot("a")
    with Slot(kept, a, configure="keep") as slot:
        samples.provision(slot.session.link, life_cycle="service")
    with pytest.raises(SlotError, match="in service: the rack does not configure it"):
        Slot(kept, a).open()
    with Slot(kept, a, configure="keep") as slot:
        assert slot.identity["life_cycle"] == "service"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"firmware": "0" * 16},
            "runs the firmware .*, not 0{16}, which the rack file says. Flash",
        ),
        ({"mac": "0" * 12}, "is a validator with serial [0-9a-f]{12}, not 0{12}. Were two cables"),
        ({"board": "ESP32_BUS"}, "is a validator with board VIRTUAL, not ESP32_BUS"),
    ],
)
def test_another_validator_or_firmware_is_not_used(
    change: dict[str, Any], sentence: str, kept: Rack
) -> None:
    spec = dataclasses.replace(kept.slot("a"), **change)
    with pytest.raises(SlotError, match=sentence) as caught:
        Slot(kept, spec).open()
    assert caught.value.slot == "a"
    assert holder_of(devices_of(kept, spec)) is None


def test_what_was_flashed_is_what_has_to_run(kept: Rack) -> None:
    kept.state.set_flashed("a", "f" * 16, "9.9.9")
    with pytest.raises(SlotError, match="not f{16}, which was flashed"):
        Slot(kept, kept.slot("a")).open()


# -- who takes what ------------------------------------------------------------------------------


def test_the_first_free_slot_that_can_is_taken(kept: Rack) -> None:
    with take(kept, {"wire", "power_cut", "two_slots"}) as first:
        assert first.name == "a"
        with take(kept, {"wire"}) as second:
            assert second.name == "b"
            with pytest.raises(NoSlot) as caught:
                take(kept, wait=0.0)
            assert not caught.value.impossible
            assert set(caught.value.why) == {"a", "b"}
            assert "a is in use (The slot a is in use by the slot a of the rack bench" in str(
                caught.value
            )
        with pytest.raises(NoSlot) as caught:
            take(kept, {"radio"}, wait=60.0)
        assert caught.value.impossible
        assert str(caught.value) == (
            "No slot of the rack bench can be taken: a has no radio; b has no radio."
        )


def test_a_slot_that_cannot_be_opened_is_quarantined_and_the_next_taken(
    kept: Rack, tmp_path: Path
) -> None:
    (tmp_path / "a" / "flash.bin").write_bytes(b"\xff" * (8 << 20))
    with take(kept) as slot:
        assert slot.name == "b"
        assert "has an empty flash" in kept.state.quarantined()["a"]
        with pytest.raises(NoSlot, match="a is in quarantine: The slot a: .*; b is not wanted"):
            take(kept, skip={"b"})
    with pytest.raises(SlotError, match="in quarantine: .* faretap rack release a"):
        Slot(kept, kept.slot("a")).open()
    assert [r.state for r in rows(kept)] == ["quarantine", "on demand"]


def test_one_that_misbehaves_is_put_aside_by_its_user(kept: Rack) -> None:
    with take(kept) as slot:
        slot.quarantine("its display is dark")
    with pytest.raises(NoSlot, match="a is in quarantine: its display is dark; b is not wanted"):
        take(load(kept.source), skip={"b"})
    assert row(kept, kept.slot("a")).text == "its display is dark"


# -- a far one -----------------------------------------------------------------------------------


def _far(make_rack: MakeRack, board: VirtualProcess, more: str = "") -> Rack:
    return make_rack(SLOT.format("far", board.port_url) + more)


def test_a_board_at_a_port_of_its_own(make_rack: MakeRack, board: VirtualProcess) -> None:
    rack = _far(make_rack, board, 'configure = "bench"\n')
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.tap("quickpass-debit")["outcome"] == "accepted"
        slot.power.cycle()
        slot.reopen()
        assert slot.identity["boots"] > 2
        assert slot.tap("quickpass-credit")["outcome"] == "accepted"
    assert board.running


def test_two_racks_that_claim_one_port(
    make_rack: MakeRack, board: VirtualProcess, tmp_path: Path
) -> None:
    ours = _far(make_rack, board)
    other = tmp_path / "other.toml"
    other.write_text(SLOT.format("mine", board.port_url.replace("127.0.0.1", "localhost")))
    theirs = load(other)
    with Slot(ours, ours.slots[0]):
        with pytest.raises(Held) as caught:
            Slot(theirs, theirs.slots[0]).open()
        assert "is in use by the slot far of the rack bench (process" in str(caught.value)
        found = row(theirs, theirs.slots[0])
        assert found.state == "in use" and "the slot far of the rack bench" in found.text
    with Slot(theirs, theirs.slots[0]) as slot:
        assert slot.identity["board"] == "VIRTUAL"


def test_what_a_slot_cannot_do_is_a_sentence(make_rack: MakeRack, board: VirtualProcess) -> None:
    rack = _far(make_rack, board)
    spec = dataclasses.replace(rack.slots[0], board="ESP32_BUS", present=("link",))
    with Slot(rack, spec, force=True) as slot:
        slot.session.bench = None
        with pytest.raises(SlotError, match="cannot present a card by wire. It can by: link"):
            slot.tap("quickpass-debit", via="wire")
        with pytest.raises(SlotError, match="nobody plays its reader"):
            slot.present("quickpass-debit")
        with pytest.raises(PowerError, match="cannot be switched. Give it a table power"):
            slot.power.cut()
        assert slot.flash_image() is None
        with pytest.raises(PresentError, match="cannot be presented"):
            slot.tap("no-such-card")


def test_status_asks_without_changing_anything(make_rack: MakeRack, board: VirtualProcess) -> None:
    rack = _far(make_rack, board)
    found = row(rack, rack.slots[0])
    assert (found.state, found.port, found.life_cycle) == ("ready", board.port_url, "factory")
    assert found.serial and found.hash and found.taps == 0
    board.stop()
    gone = row(rack, rack.slots[0])
    assert gone.state == "missing" and gone.text == f"Nobody listens at {board.port_url}."


# -- power ---------------------------------------------------------------------------------------


def test_hooks_switch_and_are_told_the_slot(make_rack: MakeRack, tmp_path: Path) -> None:
    script = tmp_path / "relay"
    script.write_text(f'#!/bin/sh\necho "$FARETAP_SLOT $1" >> {tmp_path}/log\n')
    script.chmod(0o755)
    rack = make_rack(
        '[[slot]]\nname = "x"\nboard = "ESP32_BUS"\nport = "/dev/null/x"\n'
        f'power = {{on = "{script} on", off = "{script} off", seconds = 0}}\n'
    )
    slot = Slot(rack, rack.slots[0])
    with pytest.raises(Exception, match="There is no port|cannot be opened"):
        slot.open()  # its supply was switched on to look for it
    assert (tmp_path / "log").read_text() == "x on\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("exit 3", "The command .*relay on failed: status 3."),
        ("echo no relay 7 >&2; exit 1", "The command .*relay on failed: no relay 7."),
        ("sleep 60 & sleep 60", "The command .*relay on did not end within 0.3 s. It was killed."),
    ],
)
def test_a_hook_that_fails_or_hangs_is_named(
    text: str, sentence: str, make_rack: MakeRack, tmp_path: Path
) -> None:
    script = tmp_path / "relay"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    rack = make_rack(
        '[[slot]]\nname = "x"\nboard = "ESP32_BUS"\nport = "/dev/null/x"\nlimits = {hook = 0.3}\n'
        f'power = {{on = "{script} on", off = "{script} off"}}\n'
    )
    with pytest.raises(CommandError, match=sentence):
        Slot(rack, rack.slots[0]).open()
    assert holder_of(devices_of(rack, rack.slots[0])) is None


HUB = """
[[slot]]
name = "x"
board = "ESP32_BUS"
port = "/dev/null/x"
power = {hub = "1-1", port = 2}
"""


def test_a_hub_is_switched_by_uhubctl(
    make_rack: MakeRack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rack = make_rack(HUB)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PowerError, match="uhubctl.* is not installed. Install the package"):
        Slot(rack, rack.slots[0]).open()
    tool = tmp_path / "uhubctl"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/log\n')
    tool.chmod(0o755)
    with pytest.raises(Exception, match="There is no port|cannot be opened"):
        Slot(rack, rack.slots[0]).open()
    assert (tmp_path / "log").read_text() == "-l 1-1 -p 2 -a on\n"


# -- a process per slot --------------------------------------------------------------------------


def works(rack: Rack, spec: Any, say: Any, factor: int) -> dict[str, Any]:
    print("this is for people")
    say("half", 1, 2)
    return {"slot": spec.name, "value": 21 * factor, "process": os.getpid()}


def refuses(rack: Rack, spec: Any, say: Any) -> None:
    raise SlotError(spec.name, "It does not want to.", "Ask again.")


def breaks(rack: Rack, spec: Any, say: Any) -> None:
    raise ValueError("oh")


def dies(rack: Rack, spec: Any, say: Any) -> None:
    os.kill(os.getpid(), 9)


def hangs(rack: Rack, spec: Any, say: Any) -> None:
    say("hanging")
    while True:
        time.sleep(60)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """This module's name for a child."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return "test_slots"


def test_jobs_run_in_processes_of_their_own_and_end_as_they_do(kept: Rack, here: str) -> None:
    said = []
    ends = run_all(
        kept,
        [
            Job("a", f"{here}:works", {"factor": 2}),
            Job("b", f"{here}:refuses"),
            Job("a", f"{here}:breaks"),
            Job("b", f"{here}:dies"),
            Job("z", f"{here}:works"),
        ],
        lambda *what: said.append(what),
    )
    assert ends[0].result["value"] == 42 and ends[0].result["process"] != os.getpid()
    assert ends[1].error == "It does not want to. Ask again."
    assert ends[2].error.startswith("ValueError: oh. This is a fault of faretap")
    assert ends[3].error == "The process of the slot b ended by itself: status -9."
    assert "has no slot z" in ends[4].error
    assert said == [("a", "half", 1, 2)]
    assert kept.state.quarantined() == {}


def test_a_job_that_hangs_is_killed_and_its_slot_named(kept: Rack, here: str) -> None:
    (end,) = run_all(kept, [Job("a", f"{here}:hangs", seconds=1.0)])
    assert end.killed
    assert end.error == "The slot a hangs. It did not end within 1 s and was killed."
    assert kept.state.quarantined() == {"a": "It did not end within 1 s and was killed."}


def test_all_slots_are_flashed_at_once_and_one_that_fails_stops_nobody(
    make_rack: MakeRack, tmp_path: Path, flash_image: bytes
) -> None:
    """a is empty, b runs already, c is not there at all, d begins anew each time."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "flash.bin").write_bytes(flash_image)
    rack = make_rack(
        "".join(SLOT.format(n, f"virtual:{n}") + UNPACED for n in "ab")
        + SLOT.format("c", "rfc2217://127.0.0.1:9")
        + SLOT.format("d", "virtual")
    )
    rack.state.quarantine("a", "it was empty")
    lines: dict[str, list[str]] = {}
    ends = flash_all(
        rack, rack.slots, on_say=lambda slot, text, *rest: lines.setdefault(slot, []).append(text)
    )
    a, b, c, d = ends
    assert not a.error and a.result["written"] > 100_000, a.error
    assert not b.error and b.result["written"] == 0, b.error
    assert "Nobody listens at" in c.error
    assert "made anew each time" in d.error
    assert a.result["hello"]["hash"] == a.result["app_id"]
    assert "writing" in lines["a"] and lines["a"][-1] == "starting"
    assert rack.state.quarantined() == {}
    assert rack.state.flashed("a")["hash"] == a.result["app_id"]
    with Slot(rack, rack.slot("a")) as slot:
        assert slot.tap("quickpass-debit")["outcome"] == "accepted"


def test_records_that_nobody_has_read_stop_their_slot_alone(kept: Rack) -> None:
    """Both are flashed at once with --erase; a has a record, and says so; --force loses it."""
    with Slot(kept, kept.slot("a")) as slot:
        assert slot.tap("quickpass-debit")["outcome"] == "accepted"
    a, b = flash_all(kept, kept.slots, erase=True)
    assert "has a record that nobody has read, and --erase loses them" in a.error
    assert "records pull --ack" in a.error and "--force" in a.error
    assert not b.error and b.result["erased"] and b.result["unread"] == 0
    with Slot(kept, kept.slot("a")) as slot:
        assert slot.session.link.call("info")["journal"]["unacknowledged"] == 1
    a, b = flash_all(kept, kept.slots, erase=True, force=True)
    assert not a.error and a.result["unread"] == 1 and not b.error
    with Slot(kept, kept.slot("a")) as slot:
        assert slot.session.link.call("info")["journal"]["next"] == 1


# -- by radio ------------------------------------------------------------------------------------


def test_a_reader_that_plays_cards_stays_open_until_it_fails(
    make_rack: MakeRack, board: VirtualProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done with it is tested with the chips themselves; here, when it is opened."""
    happened: list[Any] = []

    @contextlib.contextmanager
    def open_emulator(path: str) -> Iterator[str]:
        happened.append(("open", path))
        yield path
        happened.append("close")

    def tap(session: Any, emulator: str, name: str, **settings: Any) -> dict[str, Any]:
        happened.append((name, emulator, settings))
        if name == "broken":
            raise radio.RadioError("The reader went away.")
        return {"outcome": "accepted"}

    monkeypatch.setattr(radio, "open_emulator", open_emulator)
    monkeypatch.setattr(radio, "tap", tap)
    rack = _far(make_rack, board, 'radio = "tty:USB9:pn532"\npresent = ["radio", "link"]\n')
    usual = {"timeout": 8.0, "lose_at_apdu": None, "options": None}
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.via() == "radio" and slot.via(what="code") == "link"
        assert happened == []
        assert slot.tap("one") == {"outcome": "accepted"}
        slot.tap("two", timeout=3.0, lose_at_apdu=2, options={"atc": 7})
        with pytest.raises(radio.RadioError):
            slot.tap("broken")
        slot.tap("four")
        assert holder_of(["/dev/ttyUSB9"]) is not None
    assert happened == [
        ("open", "tty:USB9:pn532"),
        ("one", "tty:USB9:pn532", usual),
        ("two", "tty:USB9:pn532", {"timeout": 3.0, "lose_at_apdu": 2, "options": {"atc": 7}}),
        ("broken", "tty:USB9:pn532", usual),
        "close",
        ("open", "tty:USB9:pn532"),
        ("four", "tty:USB9:pn532", usual),
        "close",
    ]
