"""Rack files: what they mean, and every kind of mistake in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from faretap.rack.file import Rack, RackError, RackFileError, SlotSpec, load

GOOD = """
format = 1
name = "depot-3"

[[slot]]
name = "bus-1"
board = "ESP32_BUS"
port = "/dev/ttyUSB0"
wire = {reader = "/dev/ttyUSB4", scanner = "socket://127.0.0.1:9001"}
radio = "tty:USB6:pn532"
power = {on = "relay on 1", off = "relay off 1", seconds = 0.5}
mac = "24:6F:28:00:11:22"
firmware = "0123456789abcdef"
limits = {start = 30, tap = 4.5}

[[slot]]
name = "bus-2"
board = "ESP32S3_BUS"
match = {location = "1-2.3"}
power = {hub = "1-1", port = 2}
configure = "bench"

[[slot]]
name = "far"
board = "ESP32C3_TAXI"
port = "rfc2217://rack.example:4001"

[[slot]]
name = "try"
board = "VIRTUAL"
port = "virtual:boards/try"
virtual = {unpaced = true}

[[slot]]
name = "qemu"
board = "ESP32_BUS"

[slot.emulator]
command = "qemu -drive file={flash} -serial tcp::{uart0} -serial tcp::{uart1}"
micropython = "mp.bin"
state = "boards/qemu"
"""

SLOT = '[[slot]]\nname = "a"\nboard = "ESP32_BUS"\n'
AT = SLOT + 'port = "/dev/ttyUSB0"\n'


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "rack.toml"


def _rack(path: Path, text: str) -> Rack:
    path.write_text(text)
    return load(path)


def _mistakes(path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(RackFileError) as caught:
        _rack(path, text)
    assert str(path) in str(caught.value)
    return caught.value.problems


def _one(path: Path, text: str) -> SlotSpec:
    return _rack(path, text).slots[0]


def test_every_table_means_what_it_says(write: Path) -> None:
    rack = _rack(write, GOOD)
    assert (rack.name, rack.source, rack.path) == ("depot-3", str(write), write)
    first, second, far, virtual, emulator = rack.slots
    assert [spec.kind for spec in rack.slots] == [
        "serial",
        "match",
        "rfc2217",
        "virtual",
        "emulator",
    ]
    assert first.port == "/dev/ttyUSB0" and first.mac == "246f28001122"
    assert first.present == ("link", "wire", "radio")
    assert (first.limits.start, first.limits.tap, first.limits.flash) == (30, 4.5, 300)
    assert first.configure == "keep" and second.configure == "bench"
    assert second.match is not None and second.match.location == "1-2.3" and second.port == ""
    assert far.present == ("link",) and not far.made
    assert virtual.state == write.parent / "boards/try" and virtual.virtual.unpaced
    assert virtual.configure == "bench" and virtual.made and virtual.port == ""
    assert emulator.emulator is not None
    assert emulator.emulator.micropython == str(write.parent / "mp.bin")
    assert emulator.state == write.parent / "boards/qemu"


def test_what_a_slot_can_do_follows_from_its_tables(write: Path) -> None:
    first, second, far, virtual, emulator = _rack(write, GOOD).slots
    assert first.capabilities() == {"link", "wire", "radio", "scan_wire", "power_cut", "faults"}
    assert second.capabilities() == {"link", "power_cut"}
    assert far.capabilities() == {"link"}
    assert virtual.capabilities() == {
        "link",
        "wire",
        "scan_wire",
        "power_cut",
        "faults",
        "flash_file",
        "virtual",
    }
    # Without a place for UART2 nobody plays the scan engine.
    assert emulator.capabilities() == {"link", "wire", "power_cut", "faults", "flash_file"}


def test_another_slot_counts_unless_it_is_in_quarantine(write: Path) -> None:
    rack = _rack(write, AT + SLOT.replace('"a"', '"b"') + 'port = "/dev/ttyUSB1"\n')
    assert "two_slots" in rack.capabilities(rack.slots[0])
    rack.state.quarantine("b", "it hangs")
    assert "two_slots" not in rack.capabilities(rack.slots[0])
    assert "two_slots" in rack.capabilities(rack.slots[1])


def test_virtual_racks_need_no_file() -> None:
    assert [spec.name for spec in load("virtual").slots] == ["virtual-1"]
    rack = load("virtual:3")
    assert [spec.name for spec in rack.slots] == ["virtual-1", "virtual-2", "virtual-3"]
    assert rack.path is None and load(rack.source) == load("virtual:3") or rack.source
    assert all(spec.virtual.unpaced and spec.configure == "bench" for spec in rack.slots)


@pytest.mark.parametrize(
    "text", ["virtual:", "virtual:0", "virtual:x", "virtual:65", "virtual:-1"]
)
def test_a_wrong_number_of_virtual_slots_is_named(text: str) -> None:
    with pytest.raises(RackFileError, match=f"{text} is no rack. Write virtual:N, N from 1 to 64"):
        load(text)


def test_an_unknown_slot_is_answered_with_those_there_are() -> None:
    with pytest.raises(RackError, match="has no slot x. It has virtual-1, virtual-2"):
        load("virtual:2").slot("x")


# Each mistake alone: the text, and the sentence for it.
MISTAKES = {
    "format": ("format = 2\n" + AT, "format: 2; right would be 1."),
    "key": ("nam = 1\n" + AT, "nam: there is no such key; did you mean name."),
    "slots": ("format = 1\n", "slot: missing; right would be a list of tables."),
    "no slot": ("slot = []\n", "slot: []; right would be at least one entry."),
    "name": (
        AT.replace('"a"', '"a b"'),
        "slot[0].name: 'a b'; right would be up to 32 letters, digits, '.', '_', '-'.",
    ),
    "no name": (
        AT.replace('name = "a"\n', ""),
        "slot[0].name: missing; right would be up to 32 letters, digits, '.', '_', '-'.",
    ),
    "board": (
        AT.replace("ESP32_BUS", "ESP33"),
        "slot[0].board: 'ESP33'; right would be a board: "
        "ESP32C3_TAXI, ESP32S3_BUS, ESP32_BUS, ESP32_BUS_4M, VIRTUAL.",
    ),
    "port": (
        SLOT + 'port = "telnet://x:1"\n',
        "slot[0].port: 'telnet://x:1'; right would be a serial port such as /dev/ttyUSB0 or COM7, "
        "rfc2217://HOST:PORT, socket://HOST:PORT, virtual or virtual:DIR.",
    ),
    "port number": (
        SLOT + 'port = "rfc2217://x:70000"\n',
        "slot[0].port: 'rfc2217://x:70000'; right would be a serial port such as /dev/ttyUSB0 or "
        "COM7, rfc2217://HOST:PORT, socket://HOST:PORT, virtual or virtual:DIR.",
    ),
    "port type": (
        SLOT + "port = 7\n",
        "slot[0].port: 7; right would be a serial port such as /dev/ttyUSB0 or COM7, "
        "rfc2217://HOST:PORT, socket://HOST:PORT, virtual or virtual:DIR.",
    ),
    "nowhere": (SLOT, "slot[0]: right would be exactly one of port, match, emulator."),
    "two places": (
        AT + 'match = {mac = "246f28001122"}\n',
        "slot[0]: right would be exactly one of port, match, emulator.",
    ),
    "empty match": (
        SLOT + "match = {}\n",
        "slot[0].match: right would be at least one of usb_serial, location, mac.",
    ),
    "location": (
        SLOT + 'match = {location = "usb1"}\n',
        "slot[0].match.location: 'usb1'; right would be a place on a hub, such as 1-2.3.",
    ),
    "mac": (
        AT + 'mac = "24:6f:28"\n',
        "slot[0].mac: '24:6f:28'; right would be the chip's MAC address, such as "
        "24:6f:28:00:11:22.",
    ),
    "way": (
        AT + 'present = ["link", "air"]\n',
        "slot[0].present[1]: 'air'; right would be link, wire or radio.",
    ),
    "no way": (
        AT + "present = []\n",
        "slot[0].present: []; right would be at least one entry.",
    ),
    "wire": (
        AT + 'present = ["wire"]\n',
        "slot[0].present: right would be a table wire beside it, or no wire in it.",
    ),
    "empty wire": (
        AT + "wire = {}\n",
        "slot[0].wire: right would be reader, scanner or both.",
    ),
    "radio": (
        AT + 'present = ["radio"]\n',
        "slot[0].present: right would be radio = READER beside it, or no radio in it.",
    ),
    "reader": (
        AT + 'radio = "PN532"\n',
        "slot[0].radio: 'PN532'; right would be an nfcpy path, such as tty:USB1:pn532.",
    ),
    "half a power": (
        AT + 'power = {on = "relay on"}\n',
        "slot[0].power: right would be either on and off, or hub and port.",
    ),
    "two powers": (
        AT + 'power = {on = "a", off = "b", hub = "1-1", port = 1}\n',
        "slot[0].power: right would be either on and off, or hub and port.",
    ),
    "hub": (
        AT + 'power = {hub = "one", port = 1}\n',
        "slot[0].power.hub: 'one'; right would be a hub as uhubctl lists it, such as 1-1.",
    ),
    "hub port": (
        AT + 'power = {hub = "1-1", port = 0}\n',
        "slot[0].power.port: 0; right would be 1 to 32.",
    ),
    "hook": (
        AT + """power = {on = "relay 'on", off = "relay off"}\n""",
        """slot[0].power.on: "relay 'on"; right would be a command line with its quotes closed.""",
    ),
    "limit": (
        AT + "limits = {tap = -1}\n",
        "slot[0].limits.tap: -1; right would be 0 to 3600 s.",
    ),
    "limit type": (
        AT + 'limits = {tap = "long"}\n',
        "slot[0].limits.tap: 'long'; right would be 0 to 3600 s.",
    ),
    "unknown limit": (
        AT + "limits = {taps = 1}\n",
        "slot[0].limits.taps: there is no such key; did you mean tap.",
    ),
    "firmware": (
        AT + 'firmware = "1.0"\n',
        "slot[0].firmware: '1.0'; right would be the 16 hex digits that `faretap info` shows.",
    ),
    "configure": (
        AT + 'configure = "yes"\n',
        "slot[0].configure: 'yes'; right would be bench or keep.",
    ),
    "virtual board": (
        SLOT + 'port = "virtual"\n',
        "slot[0].board: right would be VIRTUAL, which is what a port virtual has.",
    ),
    "board with pins": (
        AT.replace("ESP32_BUS", "VIRTUAL"),
        "slot[0].board: right would be a board with pins: VIRTUAL has a port virtual or "
        "rfc2217://.",
    ),
    "virtual options": (
        AT + "virtual = {unpaced = true}\n",
        'slot[0].virtual: right would be no table virtual without port = "virtual".',
    ),
    "heap": (
        SLOT.replace("ESP32_BUS", "VIRTUAL") + 'port = "virtual"\nvirtual = {heap = 1}\n',
        "slot[0].virtual.heap: 1; right would be 32 to 4096 KB.",
    ),
    "unpaced": (
        SLOT.replace("ESP32_BUS", "VIRTUAL") + 'port = "virtual"\nvirtual = {unpaced = 1}\n',
        "slot[0].virtual.unpaced: 1; right would be true or false.",
    ),
    "virtual power": (
        SLOT.replace("ESP32_BUS", "VIRTUAL")
        + 'port = "virtual"\npower = {hub = "1-1", port = 1}\n',
        "slot[0].power: right would be no table power: a virtual or emulated one has its own.",
    ),
    "virtual wire": (
        SLOT.replace("ESP32_BUS", "VIRTUAL") + 'port = "virtual"\nwire = {reader = "COM1"}\n',
        "slot[0].wire: right would be no table wire: the parts of a virtual or emulated one are "
        "played anyway.",
    ),
    "places of an emulator": (
        SLOT + 'emulator = {command = "qemu {flash} {uart9}"}\n',
        "slot[0].emulator.command: 'qemu {flash} {uart9}'; right would be a command line with "
        "{flash} and {uart0}, and as the emulator has them {uart1} and {uart2}.",
    ),
    "two flashes": (
        SLOT + 'emulator = {command = "q {flash} {uart0}", flash = "a", micropython = "b"}\n',
        "slot[0].emulator: right would be either flash or micropython.",
    ),
    "wire without a socket": (
        SLOT + 'present = ["wire"]\nemulator = {command = "q {flash} {uart0}"}\n',
        "slot[0].present: right would be {uart1} in the emulator's command, or no wire in it.",
    ),
    "name twice": (
        AT + AT.replace("USB0", "USB1"),
        "slot[1].name: 'a'; right would be a name of its own: slot[0].name has the same.",
    ),
    "port twice": (
        AT + AT.replace('"a"', '"b"'),
        "slot[1].port: '/dev/ttyUSB0'; right would be a port of its own: slot[0].port has the "
        "same.",
    ),
    "port as adapter": (
        AT + AT.replace('"a"', '"b"').replace("USB0", "USB1") + 'wire = {reader = "/dev/ttyUSB0"}',
        "slot[1].wire.reader: '/dev/ttyUSB0'; right would be a port of its own: slot[0].port has "
        "the same.",
    ),
    "hub port twice": (
        AT
        + 'power = {hub = "1-1", port = 2}\n'
        + AT.replace('"a"', '"b"').replace("USB0", "USB1")
        + 'power = {hub = "1-1", port = 2}\n',
        "slot[1].power.port: 2; right would be a port of the hub of its own: slot[0].power.port "
        "has the same.",
    ),
    "folder twice": (
        "".join(f'[[slot]]\nname = "{n}"\nboard = "VIRTUAL"\nport = "virtual:d"\n' for n in "ab"),
        "slot[1].port: 'virtual:d'; right would be a port of its own: slot[0].port has the same.",
    ),
}


@pytest.mark.parametrize("which", MISTAKES)
def test_a_mistake_is_named_with_path_value_and_what_is_right(which: str, write: Path) -> None:
    text, sentence = MISTAKES[which]
    assert _mistakes(write, text) == (sentence,)


def test_all_mistakes_are_told_at_once(write: Path) -> None:
    """The slots of all single mistakes in one file: no sentence is lost."""
    whole: list[str] = []
    expected = set()
    for text, sentence in MISTAKES.values():
        if sentence.startswith("slot[0]") and "[[slot]]" in text:
            n = len(whole)
            whole.append(
                text.replace('name = "a"', f'name = "s{n}"').replace(
                    'port = "/dev/ttyUSB0"', f'port = "/dev/port{n}"'
                )
            )
            expected.add(sentence.replace("slot[0]", f"slot[{n}]"))
    assert len(whole) > 25
    found = _mistakes(write, "format = 3\n" + "".join(whole))
    assert expected < set(found)
    others = [s for s in found if s not in expected and "of its own" not in s]
    assert others == ["format: 3; right would be 1."]


def test_files_that_are_no_rack_file(tmp_path: Path) -> None:
    with pytest.raises(RackFileError, match=r"There is no rack file .*none.toml. `faretap rack"):
        load(tmp_path / "none.toml")
    with pytest.raises(RackFileError, match="cannot be read: it is a folder"):
        load(tmp_path)
    (tmp_path / "a.toml").write_text("slot = [")
    with pytest.raises(RackFileError, match="is not TOML: "):
        load(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(RackFileError, match="is not UTF-8"):
        load(tmp_path / "b.toml")


@pytest.mark.parametrize("slot", ["1", '"x"', "{}", "[1]", "[[]]"])
def test_a_slot_of_another_type_is_a_mistake_and_no_crash(slot: str, write: Path) -> None:
    assert _mistakes(write, f"slot = {slot}\n")


def test_what_happened_to_slots_is_kept_beside_the_file(write: Path) -> None:
    rack = _rack(write, AT)
    rack.state.quarantine("a", "its display is broken")
    rack.state.set_flashed("a", "0123456789abcdef", "1.2.3")
    again = load(write)
    assert again.state.quarantined() == {"a": "its display is broken"}
    assert again.state.flashed("a")["hash"] == "0123456789abcdef"
    assert again.state.release("a") and not again.state.release("a")
    assert load(write).state.quarantined() == {}
    assert load(write).state.flashed("a")["version"] == "1.2.3"
    assert load("virtual").state.quarantined() == {}


def test_a_damaged_state_is_as_none(write: Path) -> None:
    rack = _rack(write, AT)
    for text in ("", "{", "[]", '{"slots": 3}', '{"slots": {"a": 1}}'):
        write.with_suffix(".state.json").write_text(text)
        assert load(write).state.quarantined() == {} and rack.state.flashed("a") == {}
    rack.state.quarantine("a", "x")
    assert load(write).state.quarantined() == {"a": "x"}
