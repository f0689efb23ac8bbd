"""Ports that cannot be opened: one sentence with the cause and the next step."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pty
import socket
import types
from pathlib import Path

import pytest
import serial
import serial.tools.list_ports

from faretap.errors import PortError
from faretap.link import open_port
from faretap.link.remote import RemotePort
from tests.link.servers import Scripted


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_absent_port() -> None:
    with pytest.raises(PortError, match="There is no port /dev/ttyNONE.*Plug the validator in"):
        open_port("/dev/ttyNONE")


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_nobody_listens(scheme: str) -> None:
    with pytest.raises(PortError, match="Nobody listens at .*Start it"):
        open_port(f"{scheme}://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "port",
    [
        "rfc2217://",
        "rfc2217://host",
        "rfc2217://h:notanumber",
        "RFC2217://host",
        "Socket://:4000",
        "socket://h:99999",
        "socket://h:0",
        "rfc2217://[::1]",
        "rfc2217://[::1:4000",
    ],
)
def test_address_with_a_mistake(port: str) -> None:
    with pytest.raises(PortError, match="host|HOST"):
        open_port(port)


def test_unknown_scheme() -> None:
    with pytest.raises(PortError, match="is not a port"):
        open_port("gopher://127.0.0.1:1")


def test_busy_port() -> None:
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    try:
        first = open_port(name)
        with pytest.raises(PortError, match="in use by another program"):
            open_port(name)
        first.close()
    finally:
        os.close(slave)
        os.close(master)


def test_ipv6_without_brackets() -> None:
    with pytest.raises(PortError, match=r"An IPv6 address stands in brackets: rfc2217://\[::1\]"):
        open_port("rfc2217://::1:4000")


@pytest.mark.parametrize("port", ["virtual", "VIRTUAL", "Virtual:DIR", "loop://", "LOOP://"])
def test_nothing_that_this_could_open(port: str) -> None:
    with pytest.raises(PortError, match="There is no validator behind"):
        open_port(port)


@pytest.mark.parametrize(
    ("port", "hint"),
    [
        ("depot-3:4000", r"write rfc2217://depot-3:4000\."),
        ("rfc2217:depot-3:4000", r"write rfc2217://depot-3:4000\."),
        ("socket:/depot-3:4000", r"write socket://depot-3:4000\."),
    ],
)
def test_an_address_without_its_scheme(port: str, hint: str) -> None:
    with pytest.raises(PortError, match=hint):
        open_port(port)


@pytest.mark.parametrize("scheme", ["rfc2217", "RFC2217", "Rfc2217"])
def test_schemes_in_any_case(scheme: str) -> None:
    with Scripted() as server, contextlib.closing(open_port(server.url())) as port:
        assert type(port) is RemotePort
    with (
        Scripted() as server,
        contextlib.closing(open_port(server.url().replace("rfc2217", scheme))) as port,
    ):
        assert type(port) is RemotePort
        assert port.port.startswith("rfc2217://")  # esptool compares it so


@pytest.mark.parametrize("scheme", ["socket", "SOCKET"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_sockets_in_any_case(scheme: str, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with contextlib.closing(open_port(f"{scheme}://{host}:{number}")) as port:
            far, _ = server.accept()
            with far:
                port.write(b"x")
                assert far.recv(1) == b"x"


needs_ipv6 = pytest.mark.skipif(
    not Path("/proc/net/if_inet6").is_file() or not Path("/proc/net/if_inet6").read_text(),
    reason="this machine has no IPv6",
)


@needs_ipv6
@pytest.mark.parametrize("scheme", ["rfc2217", "RFC2217"])
def test_ipv6(scheme: str) -> None:
    with Scripted(host="::1") as server:
        open_port(f"{scheme}://[::1]:{server.port}").close()
        assert server.accepted == 1


def test_pyserials_other_names_of_a_cable(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    info = serial.tools.list_ports_common.ListPortInfo(name)
    info.hwid = "USB VID:PID=303A:1001"
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda links=False: [info])
    try:
        for url in (f"spy://{name}?file={os.devnull}", "hwgrep://303a:1001", "HWGREP://303A:1001"):
            with contextlib.closing(open_port(url)) as port:
                port.write(b"x")
                assert os.read(master, 1) == b"x", url
                with pytest.raises(PortError, match="in use"):
                    open_port(url)
        with pytest.raises(PortError, match="There is no port hwgrep://10C4"):
            open_port("hwgrep://10C4:EA60")
        with pytest.raises(PortError, match="cannot be opened"):
            open_port("hwgrep://(")
    finally:
        os.close(slave)
        os.close(master)


def test_the_group_that_owns_a_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.write_bytes(b"")
    names = {port.stat().st_gid: "uucp"}
    monkeypatch.setattr(
        grp, "getgrgid", lambda number: types.SimpleNamespace(gr_name=names[number])
    )

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", denied)
    with pytest.raises(PortError, match=r"No permission .* group that owns it \(uucp\)"):
        open_port(str(port))
    with pytest.raises(PortError, match=r"group that owns it \(often dialout\)"):
        open_port(str(tmp_path / "other"))


class Usb(serial.Serial):  # type: ignore[misc]
    """A port that notes what its lines are told, after the kernel has asserted both."""

    def open(self) -> None:
        self.is_open = True
        self.moves = [("dtr", self._dtr_state), ("rts", self._rts_state)]

    def close(self) -> None:
        self.is_open = False

    def _update_dtr_state(self) -> None:
        self.moves.append(("dtr", self._dtr_state))

    def _update_rts_state(self) -> None:
        self.moves.append(("rts", self._rts_state))

    def _reconfigure_port(self, force_update: bool = False) -> None:
        pass


@pytest.mark.parametrize(
    ("vid", "pid", "asserted"),
    [
        (0x303A, 0x1001, True),  # USB-Serial-JTAG
        (0x303A, 0x4001, True),  # MicroPython's TinyUSB
        (0x10C4, 0xEA60, False),  # CP2102
        (0x1A86, 0x55D4, False),  # CH9102, which is a ttyACM as well
        (None, None, True),  # nobody says: both are safe for an adapter too
    ],
)
def test_lines_of_a_cable_and_of_native_usb(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    vid: int | None,
    pid: int | None,
    asserted: bool,
) -> None:
    info = serial.tools.list_ports_common.ListPortInfo("/dev/ttyACM0")
    info.vid, info.pid = vid, pid
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda links=False: [info])
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyACM0")  # another name of it is the same port

    def made(port: str, **_: object) -> serial.Serial:
        device = Usb(None)
        device.port = port
        return device

    monkeypatch.setattr(serial, "serial_for_url", made)
    for name in ("/dev/ttyACM0", str(link)):
        device = open_port(name)
        assert (device.dtr, device.rts) == (asserted, asserted)
        # RTS alone resets, DTR alone straps: neither stands alone but for DTR on its way off.
        lines = {"dtr": True, "rts": True}
        for line, level in device.moves:
            lines[line] = level
            assert not (lines["rts"] and not lines["dtr"])
            assert not asserted or lines == {"dtr": True, "rts": True}
