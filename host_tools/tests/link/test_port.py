"""Ports that cannot be opened: one sentence with the cause and the next step."""

from __future__ import annotations

import os
import pty
import socket

import pytest

from faretap.errors import PortError
from faretap.link import open_port


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


@pytest.mark.parametrize("port", ["rfc2217://", "rfc2217://host", "rfc2217://h:notanumber"])
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
