"""What goes wrong on a bench: cables, hosts and validators that go away, at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faretap.errors import FaretapError, PortError
from faretap.link import LinkError
from faretap.rack.file import Rack, load
from faretap.rack.locks import holder_of
from faretap.rack.slot import Slot, SlotError, devices_of
from faretap.rack.status import row
from faretap.rack.take import NoSlot, take
from faretap.virtual import VirtualProcess, spawn

MakeRack = Callable[[str], Rack]

SLOT = '[[slot]]\nname = "{}"\nboard = "VIRTUAL"\nport = "{}"\n'
UNPACED = "virtual = {unpaced = true}\n"
STAND_IN = f"{sys.executable} {Path(__file__).with_name('stand_in.py')}"


class Cable:
    """A TCP line to a board: `url` is the port, `pull()` takes it out, `plug()` puts it back."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("rfc2217://").split(":")
        self._target = (host, int(port))
        self._ends: list[socket.socket] = []
        self._server: socket.socket | None = None
        self._port = 0
        self.cut_after: int | None = None  # bytes to the board
        self.plug()
        self.url = f"rfc2217://127.0.0.1:{self._port}"

    def plug(self) -> None:
        server = socket.create_server(("127.0.0.1", self._port))
        self._port = server.getsockname()[1]
        self._server = server
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def pull(self) -> None:
        self.cut_after = None
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(self._target)
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [near, far]
                for a, b, out in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=(a, b, out), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if outward and self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        self.pull()
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def board(tmp_path: Path, flash_image: bytes) -> Iterator[VirtualProcess]:
    state = tmp_path / "far"
    state.mkdir()
    (state / "flash.bin").write_bytes(flash_image)
    with spawn(state, unpaced=True) as process:
        yield process


@pytest.fixture
def cable(board: VirtualProcess) -> Iterator[Cable]:
    laid = Cable(board.port_url)
    yield laid
    laid.pull()


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


# -- unplugged -----------------------------------------------------------------------------------


def test_unplugged_at_any_moment_and_plugged_in_again(make_rack: MakeRack, cable: Cable) -> None:
    """Within a tap over the link, after so many bytes; each time the slot goes on afterwards."""
    rack = make_rack(SLOT.format("far", cable.url) + 'configure = "bench"\n')
    with Slot(rack, rack.slots[0]) as slot:
        seen = slot.session.link.call("records.info")["next"]
        for moment in (0, 400, 900):
            cable.cut_after = moment
            begun = time.monotonic()
            with pytest.raises(FaretapError) as caught:
                slot.tap("quickpass-debit", via="link")
            assert isinstance(caught.value, LinkError | PortError)
            assert time.monotonic() - begun < 8.0
            cable.pull()
            with pytest.raises(PortError, match="Nobody listens"):
                slot.reopen(0.2)
            cable.plug()
            slot.reopen()
            # On the wire: for the link the card that was lost with the host is still there.
            assert slot.tap("quickpass-credit", via="wire")["seq"] >= seen
        assert slot.session.link.call("info")["mode"] == "app"


def test_a_cable_that_is_put_back_late_is_waited_for(make_rack: MakeRack, cable: Cable) -> None:
    rack = make_rack(SLOT.format("far", cable.url))
    with Slot(rack, rack.slots[0]) as slot:
        cable.pull()
        later = threading.Timer(0.4, cable.plug)
        later.start()
        slot.reopen(10.0)
        later.join()
        assert slot.session.link.call("ping")


def test_unplugged_while_it_is_opened(make_rack: MakeRack, cable: Cable) -> None:
    rack = make_rack(SLOT.format("far", cable.url) + 'configure = "bench"\nlimits = {start = 1}\n')
    for moment in (0, 200, 700):
        cable.cut_after = moment
        with pytest.raises(FaretapError):
            Slot(rack, rack.slots[0]).open()
        assert holder_of(devices_of(rack, rack.slots[0])) is None
        cable.pull()
        cable.plug()
    rack = make_rack(SLOT.format("far", cable.url))
    with Slot(rack, rack.slots[0]) as slot:
        assert slot.identity["mode"] == "app"


# -- a host that is killed -----------------------------------------------------------------------

HOST = """
import sys
from faretap.rack.file import load
from faretap.rack.slot import Slot
rack = load(sys.argv[1])
for spec in rack.slots:
    slot = Slot(rack, spec).open()
    print(slot.port, flush=True)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_killed_host_leaves_no_lock_no_child_and_no_folder(
    make_rack: MakeRack, tmp_path: Path, flash_image: bytes
) -> None:
    (tmp_path / "merged.bin").write_bytes(flash_image)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "flash.bin").write_bytes(flash_image)
    rack = make_rack(
        SLOT.format("a", "virtual:kept")
        + UNPACED
        + '[[slot]]\nname = "b"\nboard = "VIRTUAL"\n'
        + f'emulator = {{command = "{STAND_IN} {{flash}} {{uart0}} {{uart1}} {{uart2}}", '
        + 'flash = "merged.bin"}\n'
    )
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, rack.source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert host.stdout is not None
    for line in host.stdout:
        if line == "open\n":
            break
    family = _descendants(host.pid)
    assert len(family) >= 5  # board, keeper, stand-in, and an interpreter each
    places = Path(tempfile.gettempdir())
    assert len(list(places.glob("faretap-rack-*"))) == 1
    os.kill(host.pid, signal.SIGKILL)
    host.communicate()
    _until(lambda: all(_gone(pid) for pid in family))
    for spec in rack.slots:
        assert holder_of(devices_of(rack, spec)) is None
    # Started again, it has all of them at once, and the folder of the one before is swept away.
    for spec in rack.slots:
        with Slot(rack, spec) as slot:
            assert slot.tap("quickpass-debit")["medium"] == "quickpass"
    assert list(places.glob("faretap-rack-*")) == []


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: list[int] = []
    new = [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def test_a_killed_flashing_leaves_nothing(make_rack: MakeRack, tmp_path: Path) -> None:
    """The processes of the slots end with the one that started them."""
    rack = make_rack("".join(SLOT.format(n, f"virtual:{n}") for n in "ab"))
    host = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom faretap.rack.file import load\n"
            "from faretap.rack.flashing import flash_all\n"
            "rack = load(sys.argv[1])\n"
            "flash_all(rack, rack.slots, on_say=lambda *what: print(*what, flush=True))\n",
            rack.source,
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert host.stdout is not None
    for line in host.stdout:
        if "writing" in line:
            break
    family = _descendants(host.pid)
    assert len(family) >= 2
    os.kill(host.pid, signal.SIGKILL)
    host.communicate()
    _until(lambda: all(_gone(pid) for pid in family))
    assert [holder_of(devices_of(rack, spec)) for spec in rack.slots] == [None, None]


# -- a validator that does not answer ------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[int]:
    """A TCP port that lets connect and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]


def _mute(silent: int) -> str:
    return (
        f'[[slot]]\nname = "mute"\nboard = "ESP32_BUS"\nlimits = {{start = 0.5}}\n'
        f'port = "socket://127.0.0.1:{silent}"\n'
    )


def test_a_slot_that_never_answers_is_named_within_its_limit(
    make_rack: MakeRack, silent: int
) -> None:
    rack = make_rack(_mute(silent))
    begun = time.monotonic()
    with pytest.raises(SlotError, match="The slot mute: The validator at socket.* is silent. Is"):
        Slot(rack, rack.slots[0]).open()
    assert time.monotonic() - begun < 6.0
    found = row(rack, rack.slots[0])
    assert found.state == "trouble" and "is silent" in found.text


def test_it_is_put_aside_and_others_go_on(
    make_rack: MakeRack, silent: int, tmp_path: Path
) -> None:
    rack = make_rack(_mute(silent) + SLOT.format("well", "virtual") + UNPACED)
    with take(rack) as slot:
        assert slot.name == "well"
    assert "is silent" in rack.state.quarantined()["mute"]
    begun = time.monotonic()
    with take(load(rack.source), {"link"}) as slot:  # nobody waits for it a second time
        assert slot.name == "well"
        with pytest.raises(NoSlot, match="mute is in quarantine: .*is silent.*; well is in use"):
            take(rack, wait=0.0)
    assert time.monotonic() - begun < 8.0


def test_a_silent_slot_with_a_supply_is_cycled_once(
    make_rack: MakeRack, silent: int, tmp_path: Path
) -> None:
    relay = tmp_path / "relay"
    relay.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/log\n")
    relay.chmod(0o755)
    rack = make_rack(
        _mute(silent) + f'power = {{on = "{relay} on", off = "{relay} off", seconds = 0}}\n'
    )
    with pytest.raises(SlotError, match="is silent"):
        Slot(rack, rack.slots[0]).open()
    assert (tmp_path / "log").read_text().split() == ["on", "off", "on"]
