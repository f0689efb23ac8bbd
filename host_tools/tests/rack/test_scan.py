"""Ports that are plugged in: which is whose, and a rack file made of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from faretap.errors import PortError
from faretap.rack import ports as rack_ports
from faretap.rack.file import RackFileError, load
from faretap.rack.locks import Held
from faretap.rack.ports import NotFound, Plugged, find
from faretap.rack.scan import scan
from faretap.session import NotReady

A = Plugged("/dev/ttyUSB0", "0001", "1-1.1")
B = Plugged("/dev/ttyUSB1", "0001", "1-1.2")
C = Plugged("/dev/ttyACM0", "24:6F:28:00:00:0C", "1-1.3")
D = Plugged("/dev/ttyUSB7", "FT4X", "1-1.4")

INFO = {
    "/dev/ttyUSB0": {"board": "ESP32_BUS", "serial": "246f2800000a"},
    "/dev/ttyUSB1": {"board": "ESP32_BUS", "serial": "246f2800000b"},
    "/dev/ttyACM0": {"board": "ESP32S3_BUS", "serial": "246f2800000c"},
}


def who(port: str) -> dict[str, Any]:
    if port not in INFO:
        raise NotReady(f"The validator at {port} is silent.", "Flash it.")
    return INFO[port]


class Hub:
    """What is plugged in; a test moves it."""

    def __init__(self, *here: Plugged) -> None:
        self.here = list(here)
        self.looks = 0
        self.after: dict[int, list[Plugged]] = {}

    def __call__(self) -> list[Plugged]:
        self.looks += 1
        self.here = self.after.get(self.looks, self.here)
        return self.here


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(A, B, C, D)
    monkeypatch.setattr(rack_ports, "plugged", made)
    monkeypatch.setattr(rack_ports, "_LOOK_S", 0.001)
    return made


def _slot(tmp_path: Path, where: str) -> Any:
    path = tmp_path / "one.toml"
    path.write_text(f'[[slot]]\nname = "a"\nboard = "ESP32_BUS"\n{where}\n')
    return load(path).slots[0]


@pytest.mark.parametrize(
    ("where", "port"),
    [
        ('match = {usb_serial = "FT4X"}', D),
        ('match = {location = "1-1.2"}', B),
        ('match = {usb_serial = "0001", location = "1-1.1"}', A),
        ('match = {mac = "24-6f-28-00-00-0b"}', B),
        ('match = {mac = "246f2800000c"}', C),
        ('match = {usb_serial = "0001", mac = "246f2800000a"}', A),
        ('port = "/dev/ttyUSB1"', B),
    ],
)
def test_a_slot_is_found(where: str, port: Plugged, hub: Hub, tmp_path: Path) -> None:
    assert find(_slot(tmp_path, where), None, 0.0, who) == (port.device, port)


def test_a_chip_with_usb_of_its_own_is_not_asked(hub: Hub, tmp_path: Path) -> None:
    def nobody(port: str) -> dict[str, Any]:
        raise AssertionError(f"{port} was asked")

    spec = _slot(tmp_path, 'match = {mac = "246f2800000c"}')
    assert find(spec, None, 0.0, nobody)[0] == "/dev/ttyACM0"


def test_no_more_are_asked_than_need_be(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noting(port: str) -> dict[str, Any]:
        asked.append(port)
        return who(port)

    spec = _slot(tmp_path, 'match = {mac = "246f2800000b"}')
    assert find(spec, None, 0.0, noting)[0] == "/dev/ttyUSB1"
    assert asked == ["/dev/ttyUSB0", "/dev/ttyUSB1"]
    # Where it was, the slot has it open, and nobody else could ask.
    assert find(spec, B, 0.0, noting)[0] == "/dev/ttyUSB1"
    assert len(asked) == 2
    hub.here = [C, A, Plugged("/dev/ttyUSB5", "0001", "1-1.2")]
    monkeypatch.setitem(INFO, "/dev/ttyUSB5", INFO["/dev/ttyUSB1"])
    assert find(spec, B, 0.0, noting)[0] == "/dev/ttyUSB5"
    assert asked[2:] == ["/dev/ttyUSB0", "/dev/ttyUSB5"]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ('match = {usb_serial = "FT0"}', "no port has USB serial number FT0"),
        ('match = {location = "9-9"}', "no port has place 9-9"),
        ('match = {mac = "246f28ffffff"}', "no port has MAC address 246f28ffffff"),
        (
            'match = {usb_serial = "0001"}',
            "2 ports have USB serial number 0001 (/dev/ttyUSB0, /dev/ttyUSB1); a location tells "
            "them apart",
        ),
    ],
)
def test_one_that_is_not_found_is_named(where: str, why: str, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find(_slot(tmp_path, where), None, 0.0, who)
    assert str(caught.value).startswith(f"The slot a is not there: {why}. Plug it in, or ")
    assert "/dev/ttyUSB7 (serial FT4X, at 1-1.4)" in str(caught.value)


def test_a_port_that_somebody_uses_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    def busy(port: str) -> dict[str, Any]:
        if port == "/dev/ttyUSB0":
            raise Held(port, "somebody")
        return who(port)

    spec = _slot(tmp_path, 'match = {mac = "246f2800000a"}')
    with pytest.raises(NotFound):
        find(spec, None, 0.0, busy)


def test_one_that_comes_back_is_waited_for(hub: Hub, tmp_path: Path) -> None:
    hub.here = [A, B]
    hub.after = {3: [A, B, D]}
    spec = _slot(tmp_path, 'match = {usb_serial = "FT4X"}')
    assert find(spec, None, 30.0, who)[0] == "/dev/ttyUSB7"
    assert hub.looks == 3


@pytest.mark.parametrize(
    ("before", "after", "device"),
    [
        (D, [A, B, Plugged("/dev/ttyUSB9", "FT4X", "1-1.4")], "/dev/ttyUSB9"),
        (D, [Plugged("/dev/ttyUSB7", "OTHER", "1-1.4"), Plugged("/dev/ttyUSB8", "FT4X", "2-1")],
         "/dev/ttyUSB8"),
        # Adapters that share a serial number are known by their place.
        (A, [B, Plugged("/dev/ttyUSB4", "0001", "1-1.1")], "/dev/ttyUSB4"),
        (Plugged("/dev/ttyUSB0", "", "1-1.1"), [Plugged("/dev/ttyUSB3", "", "1-1.1")],
         "/dev/ttyUSB3"),
    ],
)  # fmt: skip
def test_a_device_is_found_again_under_another_name(
    before: Plugged, after: list[Plugged], device: str, hub: Hub, tmp_path: Path
) -> None:
    hub.here = after
    spec = _slot(tmp_path, f'port = "{before.device}"')
    assert find(spec, before, 0.0, who)[0] == device


def test_another_device_under_the_same_name_is_not_taken_for_it(hub: Hub, tmp_path: Path) -> None:
    hub.here = [Plugged("/dev/ttyUSB7", "OTHER", "2-1")]
    with pytest.raises(NotFound, match="no USB device has the serial number FT4X any more"):
        find(_slot(tmp_path, 'port = "/dev/ttyUSB7"'), D, 0.0, who)
    hub.here = []
    with pytest.raises(NotFound, match="the device that was at /dev/ttyUSB0 is gone"):
        find(_slot(tmp_path, 'port = "/dev/ttyUSB0"'), Plugged("/dev/ttyUSB0", "", "1-1"), 0, who)


# -- the rack file -------------------------------------------------------------------------------


def _scan(path: Path, *here: Plugged, **options: Any) -> Any:
    return scan(path, ports=lambda: list(here), who=who, **options)


def test_a_file_is_made_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    done = _scan(path, A, B, C, D)
    assert done.added == ["esp32-bus-1", "esp32-bus-2", "esp32s3-bus-1"]
    assert done.notes == [
        "/dev/ttyUSB7: The validator at /dev/ttyUSB7 is silent. Flash it. "
        "Taken in with --board BOARD."
    ]
    slots = load(path).slots
    assert [spec.kind for spec in slots] == ["match"] * 3
    # A serial number that two devices share says nothing; a place does.
    assert [(s.match.location, s.match.usb_serial, s.mac) for s in slots if s.match] == [
        ("1-1.1", None, "246f2800000a"),
        ("1-1.2", None, "246f2800000b"),
        (None, "24:6F:28:00:00:0C", "246f2800000c"),
    ]
    assert [spec.board for spec in slots] == ["ESP32_BUS", "ESP32_BUS", "ESP32S3_BUS"]


def test_a_board_is_given_for_those_that_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    assert _scan(path, D, board="ESP32C3_TAXI").added == ["esp32c3-taxi-1"]
    (spec,) = load(path).slots
    assert spec.mac is None and spec.match is not None and spec.match.usb_serial == "FT4X"


def test_a_port_without_usb_facts_is_taken_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    _scan(path, Plugged("/dev/ttyUSB0"))
    assert load(path).slots[0].port == "/dev/ttyUSB0"


HAND = """\
# Our rack. Ask Mei before you touch it.
name = "depot-3"

[[slot]]
name = "front"        # the one with the cracked glass
board = "ESP32_BUS"
match = {location = "1-1.1"}
mac = "24:6F:28:00:00:0A"
limits = {tap = 12}

# taken out on Monday
[[slot]]
name = "rear"
board = "ESP32_BUS"
port = "/dev/ttyUSB5"
mac = "246f2800000b"

[[slot]]
name = "far"
board = "ESP32_BUS"
port = "rfc2217://rack.example:4000"

[[slot]]
name = "spare"
board = "ESP32_BUS"
match = {location = "3-1"}
wire = {reader = "/dev/ttyUSB7"}
radio = "tty:USB8:pn532"
"""


def test_what_people_wrote_stays_and_places_follow(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    path.write_text(HAND)
    moved = Plugged("/dev/ttyUSB0", "0001", "1-2.9")
    done = _scan(path, moved, B, C, D, Plugged("/dev/ttyUSB8", "PN", "1-4"))
    assert (done.moved, done.kept) == (["front", "rear"], [])
    assert (done.missing, done.added) == (["spare"], ["esp32s3-bus-1"])
    assert done.notes == []  # /dev/ttyUSB7 and 8 are adapters of ours, and nobody to ask
    text = path.read_text()
    expected = HAND.replace('location = "1-1.1"', 'location = "1-2.9"').replace(
        "/dev/ttyUSB5", "/dev/ttyUSB1"
    )
    assert text.startswith(expected)
    assert set(tomllib.loads(text[len(expected) :])["slot"][0]) == {
        "name",
        "board",
        "match",
        "mac",
    }


def test_a_second_scan_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    _scan(path, A, B, C)
    before = path.read_text(), path.stat().st_ino
    done = _scan(path, A, B, C)
    assert (done.kept, done.added, done.moved) == (
        ["esp32-bus-1", "esp32-bus-2", "esp32s3-bus-1"],
        [],
        [],
    )
    assert (path.read_text(), path.stat().st_ino) == before


def test_a_chip_that_was_not_known_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    path.write_text('[[slot]]\nname = "a"\nboard = "ESP32_BUS"\nport = "/dev/ttyUSB0"\n')
    assert _scan(path, A).kept == ["a"]
    assert load(path).slots[0].mac == "246f2800000a"


def test_another_validator_in_a_slot_is_told_and_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    text = '[[slot]]\nname = "a"\nboard = "ESP32_BUS"\nport = "/dev/ttyUSB0"\nmac = "MAC"\n'
    path.write_text(text.replace("MAC", "24:6f:28:aa:aa:aa"))
    done = _scan(path, A)
    assert done.notes == [
        "/dev/ttyUSB0: the slot a is for the chip 24:6f:28:aa:aa:aa, but 246f2800000a is there; "
        "if that is right, correct mac in the file."
    ]
    path.write_text(text.replace('mac = "MAC"\n', "").replace("ESP32_BUS", "ESP32S3_BUS"))
    before = path.read_text()
    assert "the slot a is for a board ESP32S3_BUS, but ESP32_BUS" in _scan(path, A).notes[0]
    assert path.read_text() == before


def test_a_port_in_use_is_left_out_even_with_a_board(tmp_path: Path) -> None:
    def held(port: str) -> dict[str, Any]:
        raise Held(f"The port {port}", "the slot x of the rack y")

    path = tmp_path / "rack.toml"
    done = scan(path, board="ESP32_BUS", ports=lambda: [A], who=held)
    assert done.added == [] and "is in use by the slot x" in done.notes[0]
    assert not path.exists()


def test_a_port_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    def refused(port: str) -> dict[str, Any]:
        raise PortError(f"No permission to open {port}.", "Join dialout.")

    done = scan(tmp_path / "rack.toml", ports=lambda: [A], who=refused)
    assert done.notes == [
        "/dev/ttyUSB0: No permission to open /dev/ttyUSB0. Join dialout. "
        "Taken in with --board BOARD."
    ]


def test_a_file_with_mistakes_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    path.write_text('[[slot]]\nname = "a"\n')
    with pytest.raises(RackFileError, match=r"cannot be merged into: slot\[0\].board: missing"):
        _scan(path, A)
    assert path.read_text() == '[[slot]]\nname = "a"\n'


def test_names_that_are_taken_are_not_given_again(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    path.write_text('[[slot]]\nname = "esp32-bus-1"\nboard = "ESP32_BUS"\nport = "COM9"\n')
    assert _scan(path, A, B).added == ["esp32-bus-2", "esp32-bus-3"]


# A chip's own USB says its MAC address as the ROM and the USB-Serial-JTAG spell it, or as TinyUSB.
SPELLINGS = ["24:6F:28:00:00:0C", "246f2800000c", "246F2800000C", "24-6f-28-00-00-0c"]


@pytest.mark.parametrize("written", SPELLINGS)
@pytest.mark.parametrize("shown", SPELLINGS)
def test_a_serial_number_in_two_spellings_is_one_device(
    tmp_path: Path, hub: Hub, written: str, shown: str
) -> None:
    hub.here = [A, Plugged("/dev/ttyACM3", shown, "1-1.9")]
    spec = _slot(tmp_path, f'match = {{usb_serial = "{written}"}}')
    assert find(spec, None, 0, who)[0] == "/dev/ttyACM3"
    # It came back under another name, in the other spelling.
    seen = Plugged("/dev/ttyACM0", written, "1-1.3")
    assert find(spec, seen, 0, who)[0] == "/dev/ttyACM3"
    path = tmp_path / "one.toml"
    before = path.read_text()
    done = scan(path, ports=lambda: [Plugged("/dev/ttyACM3", shown, "1-1.9")], who=lambda _: {})
    assert (done.kept, done.moved, done.missing, done.added) == (["a"], [], [], [])
    assert f'usb_serial = "{written}"' in path.read_text() == before
    assert Plugged("x", shown).serial_as_mac == "246f2800000c"


def test_other_serial_numbers_stay_as_they_are(tmp_path: Path, hub: Hub) -> None:
    """Letters of an adapter's number count."""
    hub.here = [Plugged("/dev/ttyUSB0", "a1b2", "1-1"), Plugged("/dev/ttyUSB1", "A1B2", "1-2")]
    spec = _slot(tmp_path, 'match = {usb_serial = "A1B2"}')
    assert find(spec, None, 0, who)[0] == "/dev/ttyUSB1"


def test_two_slots_for_one_chip_in_two_spellings(tmp_path: Path) -> None:
    from faretap.rack.file import check

    slots = [
        {"name": "a", "board": "ESP32S3_BUS", "match": {"usb_serial": SPELLINGS[0]}},
        {"name": "b", "board": "ESP32S3_BUS", "match": {"usb_serial": SPELLINGS[1]}},
        {"name": "c", "board": "ESP32_BUS", "port": "RFC2217://rack:1", "mac": SPELLINGS[0]},
        {"name": "d", "board": "ESP32_BUS", "port": "rfc2217://rack:1", "mac": SPELLINGS[2]},
    ]
    found, _ = check({"slot": slots})
    assert len(found) == 3 and all("the same" in text for text in found)


@pytest.mark.parametrize("name", ["/dev/ttyUSB7", "tty:USB7", "/dev/ttyUSB7:pn532"])
def test_a_radio_takes_its_port_however_it_is_written(tmp_path: Path, hub: Hub, name: str) -> None:
    path = tmp_path / "rack.toml"
    path.write_text(
        f'[[slot]]\nname = "one"\nboard = "ESP32_BUS"\nport = "/dev/ttyUSB0"\nradio = "{name}"\n'
    )
    assert load(path).slots[0].radio == name
    asked: list[str] = []

    def asks(port: str) -> dict[str, Any]:
        asked.append(port)
        return who(port)

    scan(path, ports=lambda: [A, D], who=asks)
    assert asked == ["/dev/ttyUSB0"]


@pytest.mark.parametrize(
    ("port", "kind"),
    [
        ("/dev/serial/by-path/pci-0000:00:14.0-usb-0:1.3:1.0-port0", "serial"),
        ("RFC2217://rack:4000", "rfc2217"),
        ("rfc2217://rack:4000?ign_set_control", "rfc2217"),
        ("Socket://[::1]:4000", "socket"),
        ("COM7", "serial"),
    ],
)
def test_ports_of_slots(tmp_path: Path, port: str, kind: str) -> None:
    path = tmp_path / "rack.toml"
    path.write_text(f'[[slot]]\nname = "one"\nboard = "ESP32_BUS"\nport = "{port}"\n')
    spec = load(path).slots[0]
    assert spec.kind == kind and spec.port.partition("//")[2] == port.partition("//")[2]


@pytest.mark.parametrize("port", ["VIRTUAL", "Virtual:state"])
def test_virtual_in_capitals(tmp_path: Path, port: str) -> None:
    path = tmp_path / "rack.toml"
    path.write_text(f'[[slot]]\nname = "one"\nboard = "VIRTUAL"\nport = "{port}"\n')
    spec = load(path).slots[0]
    assert spec.kind == "virtual"
    assert spec.state == (tmp_path / "state" if ":" in port else None)


@pytest.mark.parametrize("board", ["../../evil", "x" * 80, "", "NO_SUCH_BOARD"])
def test_a_board_that_is_none(tmp_path: Path, hub: Hub, board: str) -> None:
    """A device says it: the file stays one that can be loaded."""
    path = tmp_path / "rack.toml"
    scan(path, ports=hub, who=who)
    before = path.read_text()
    there = Plugged("/dev/ttyUSB9", "FT9", "1-1.9")
    result = scan(path, ports=lambda: [there], who=lambda port: {"board": board, "serial": "aa"})
    assert not result.added and "says that it is a board" in result.notes[0]
    assert path.read_text() == before
    load(path)
