"""A chip's own USB goes away when the chip restarts, and comes back under whatever name."""

from __future__ import annotations

import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any

import pytest
import serial
import serial.tools.list_ports
from serial.tools.list_ports_common import ListPortInfo

import faretap.link.native as native
from faretap.errors import PortError
from faretap.link import open_port
from faretap.link.native import NativePort

ROM, TINYUSB = "24:6F:28:00:00:0C", "246f2800000c"


class Bus:
    """What is plugged in, each a pseudo-terminal."""

    def __init__(self) -> None:
        self.here: list[ListPortInfo] = []
        self.masters: list[int] = []
        self._slaves: list[int] = []

    def comports(self, include_links: bool = False) -> list[ListPortInfo]:
        return list(self.here)

    def plug(self, number: str, vid: int = 0x303A) -> str:
        master, slave = pty.openpty()
        tty.setraw(slave)
        info = ListPortInfo(os.ttyname(slave))
        info.vid, info.serial_number = vid, number
        self.masters.append(master)
        self._slaves.append(slave)
        self.here.append(info)
        return str(info.device)

    def pull(self) -> None:
        self.here.clear()
        self.close()

    def close(self) -> None:
        for one in (*self.masters, *self._slaves):
            os.close(one)
        self.masters.clear()
        self._slaves.clear()


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    made = Bus()
    monkeypatch.setattr(serial.tools.list_ports, "comports", made.comports)
    yield made
    made.close()


def read(port: Any, size: int) -> bytes:
    """As a link's reader thread does."""
    data = b""
    deadline = time.monotonic() + 20
    while len(data) < size and time.monotonic() < deadline:
        data += port.read(1)
    return data


def returns(port: Any) -> None:
    deadline = time.monotonic() + 20
    while port._gone_at is not None and time.monotonic() < deadline:
        port.read(1)
    assert port._gone_at is None


@pytest.mark.parametrize("after", [TINYUSB, ROM])
def test_it_is_found_again(bus: Bus, after: str) -> None:
    port = open_port(bus.plug(ROM), returning=True)
    assert isinstance(port, NativePort)
    os.write(bus.masters[0], b"ab")
    assert read(port, 2) == b"ab"
    bus.pull()
    bus.plug("246f2800ffff")  # a neighbour
    assert port.read(1) == b"" and port.read(1) == b"" and port.in_waiting == 0
    bus.plug(after)
    returns(port)
    os.write(bus.masters[1], b"cd")
    assert read(port, 2) == b"cd"
    assert port.port == bus.here[1].device
    assert (port.dtr, port.rts) == (True, True)
    port.write(b"ef")
    assert os.read(bus.masters[1], 2) == b"ef"
    # And again: it restarts as often as it likes.
    bus.pull()
    assert port.read(1) == b""
    bus.plug(ROM)
    returns(port)
    os.write(bus.masters[0], b"gh")
    assert read(port, 2) == b"gh"
    port.close()


def test_a_write_waits_for_it(bus: Bus) -> None:
    port = open_port(bus.plug(TINYUSB), returning=True)
    bus.pull()
    assert port.read(1) == b""
    writer = threading.Thread(target=port.write, args=(b"later",))
    writer.start()
    bus.plug(ROM)
    returns(port)
    writer.join(20)
    assert os.read(bus.masters[0], 5) == b"later"
    port.close()


def test_one_that_stays_away_is_told(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "BACK_S", 0.3)
    port = open_port(bus.plug(TINYUSB), returning=True)
    bus.pull()
    began = time.monotonic()
    with pytest.raises(serial.SerialException, match="did not come back"):
        while True:
            port.read(1)
    assert time.monotonic() - began >= 0.3
    with pytest.raises(serial.SerialException, match="did not come back"):
        port.write(b"x")


def test_others_are_gone_at_once(bus: Bus) -> None:
    for vid, returning in ((0x10C4, True), (0x303A, False)):
        port = open_port(bus.plug("FT4X", vid), returning=returning)
        assert not isinstance(port, NativePort)
        bus.pull()
        with pytest.raises((serial.SerialException, OSError)):
            read(port, 1)
        port.close()


def test_after_flashing_it_is_waited_for(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    from faretap.cli import flashing

    asked: list[str] = []

    class Session:
        class link:  # noqa: N801
            @staticmethod
            def call(method: str) -> dict[str, Any]:
                return {"mode": "app"}

        def __enter__(self) -> Session:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def connect(port: str, wait: float) -> Session:
        asked.append(port)
        if len(asked) < 3:
            raise PortError("There is no port.", "Plug it in.")
        if len(asked) == 3:
            bus.plug(TINYUSB)
            raise PortError("No permission.", "udev is not there yet.")
        return Session()

    monkeypatch.setattr(flashing, "connect", connect)
    name = bus.plug(ROM)
    hello = flashing.hello_of(name)
    bus.pull()
    assert hello(name) == {"mode": "app"}
    assert asked == [name, name, name, bus.here[0].device]
    asked.clear()
    adapter = bus.plug("FT4X", 0x0403)
    with pytest.raises(PortError):
        flashing.hello_of(adapter)(adapter)
    assert asked == [adapter]
