"""Port strings taken apart."""

from __future__ import annotations

import pytest

from faretap import address
from faretap.errors import PortError

BY_PATH = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1.3:1.0-port0"


@pytest.mark.parametrize(
    ("port", "kind", "normal"),
    [
        ("/dev/ttyUSB0", "serial", "/dev/ttyUSB0"),
        (BY_PATH, "serial", BY_PATH),
        ("COM7", "serial", "COM7"),
        ("/home/VIRTUAL:x", "serial", "/home/VIRTUAL:x"),
        ("virtual", "virtual", "virtual"),
        ("VIRTUAL", "virtual", "virtual"),
        ("Virtual:My:Dir", "virtual", "virtual:My:Dir"),
        ("RFC2217://Host:1?Timeout=2", "rfc2217", "rfc2217://Host:1?Timeout=2"),
        ("SOCKET://[FE80::1]:1", "socket", "socket://[FE80::1]:1"),
        ("HWGREP://303A:1001", "hwgrep", "hwgrep://303A:1001"),
        ("spy:///dev/ttyUSB0", "spy", "spy:///dev/ttyUSB0"),
    ],
)
def test_kind_and_normal_form(port: str, kind: str, normal: str) -> None:
    assert address.kind(port) == kind == address.kind(normal)
    assert address.normal(port) == normal


@pytest.mark.parametrize(
    ("port", "where"),
    [
        ("rfc2217://host:4000", ("host", 4000)),
        ("rfc2217://host:4000/", ("host", 4000)),
        ("rfc2217://host:4000?ign_set_control&timeout=3", ("host", 4000)),
        ("RFC2217://[::1]:4000", ("::1", 4000)),
        ("socket://10.0.0.1:65535", ("10.0.0.1", 65535)),
    ],
)
def test_host_and_number(port: str, where: tuple[str, int]) -> None:
    assert address.host_and_number(port) == where


@pytest.mark.parametrize(
    "port",
    [
        "rfc2217://host",
        "rfc2217://host:",
        "rfc2217://:1",
        "rfc2217://host:0",
        "rfc2217://host:65536",
        "rfc2217://host:-1",
        "rfc2217://host:1x",
        "rfc2217://[::1",
        "rfc2217://",
    ],
)
def test_what_is_none(port: str) -> None:
    with pytest.raises(PortError):
        address.host_and_number(port)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:4000", ("127.0.0.1", 4000)),
        (":4000", ("", 4000)),
        ("[::1]:0", ("::1", 0)),
        ("::1:4000", None),
        ("host", None),
        ("host:65536", None),
        ("host:x", None),
        ("host:\u0664", None),  # a digit of another script
    ],
)
def test_where_to_listen(text: str, where: tuple[str, int] | None) -> None:
    assert address.host_port(text) == where
    if where and where[0]:
        assert address.host_port(f"{address.bracketed(where[0])}:{where[1]}") == where
