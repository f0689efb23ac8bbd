"""What pyserial opens, opens here: both clients before the same servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
import serial
from esp_rfc2217_server.esp_port_manager import EspPortManager

from faretap.errors import PortError
from faretap.link import open_port
from tests.link.servers import (
    BINARY,
    COM_PORT,
    DTR_OFF,
    DTR_ON,
    ECHO,
    PURGE,
    RTS_OFF,
    RTS_ON,
    SET_BAUD,
    SET_CONTROL,
    SET_PARITY,
    SET_SIZE,
    SET_STOP,
    SGA,
    Managed,
    Scripted,
)

QUICK = "timeout=0.25"


class Espressif(EspPortManager):  # type: ignore[misc]
    """esp_rfc2217_server's, which makes resets out of single moves; here it notes them."""

    def __init__(self, cable: Any, connection: Any) -> None:
        super().__init__(cable, connection, False)

    def _hard_reset_thread(self) -> None:
        self.serial.moves.append("reset")

    def _reset_thread(self) -> None:
        self.serial.moves.append("download mode")


def pyserial_opens(url: str) -> bool:
    try:
        serial.serial_for_url(url).close()
    except (serial.SerialException, ValueError):
        return False
    return True


def comes(condition: Callable[[], bool]) -> bool:
    """The server's threads get to it when they do."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def opens(url: str) -> bool:
    try:
        open_port(url).close()
    except PortError:
        return False
    return True


BY_OPTION = [
    {kind: (option,)}
    for kind in ("mute", "other")
    for option in (SET_BAUD, SET_SIZE, SET_PARITY, SET_STOP, SET_CONTROL, PURGE)
] + [
    {kind: (option,)} for kind in ("refuse", "silent") for option in (BINARY, ECHO, SGA, COM_PORT)
]


@pytest.mark.parametrize("options", ["?" + QUICK, f"?{QUICK}&ign_set_control"])
@pytest.mark.parametrize("script", [{}, *BY_OPTION], ids=str)
def test_servers_that_leave_something_out(script: dict[str, Any], options: str) -> None:
    with Scripted(**script) as theirs, Scripted(**script) as ours:
        wanted = pyserial_opens(theirs.url(options))
        got = opens(ours.url(options))
    # A purge that nobody confirms is the one thing that costs pyserial the port, and not us.
    assert got == (wanted or PURGE in script.get("mute", script.get("other", ())))


def test_a_server_is_really_refused_where_the_table_says_so() -> None:
    """The table above compares something: both kinds of outcome are in it."""
    with Scripted(mute=(SET_CONTROL,)) as server:
        assert not pyserial_opens(server.url("?" + QUICK))
        assert pyserial_opens(server.url(f"?{QUICK}&ign_set_control"))


@pytest.mark.parametrize(
    "options",
    [
        "?ign_set_control",
        "?poll_modem",
        "?logging=error",
        "?timeout=2",
        "?timeout=2&poll_modem&ign_set_control&logging=error",
        "/",
        "/?timeout=2",
        "?timeout=never",
        "?logging=loud",
        "?nonblocking",
        "?ign-set-control",
    ],
)
def test_options_of_the_url(options: str) -> None:
    with Scripted() as server:
        assert opens(server.url(options)) == pyserial_opens(server.url(options))


@pytest.mark.parametrize("make", [serial.rfc2217.PortManager, Espressif])
@pytest.mark.parametrize("options", ["", "?ign_set_control"])
def test_pyserials_and_espressifs_servers(make: Callable[..., Any], options: str) -> None:
    url_options = (options + "&" if options else "?") + QUICK
    with Managed(make) as server:
        wanted = pyserial_opens(server.url(url_options))
        assert opens(server.url(url_options)) == wanted
        assert wanted == (make is not Espressif or bool(options))


@pytest.mark.parametrize(
    ("make", "options"),
    [(serial.rfc2217.PortManager, ""), (Espressif, "?ign_set_control")],
)
def test_bytes_both_ways(make: Callable[..., Any], options: str) -> None:
    with Managed(make) as server, contextlib.closing(open_port(server.url(options))) as port:
        port.timeout = 5
        everything = bytes(range(256))
        port.write(everything)
        assert port.read(256) == everything


def test_opening_resets_no_chip_behind_pyserials_server() -> None:
    """It asserts both lines for a new client. RTS alone is the reset."""
    with Managed() as server, contextlib.closing(open_port(server.url())) as port:
        assert server.cable.moves[0] == (True, False)
        assert server.cable.moves[-1] == (False, False)
        assert (False, True) not in server.cable.moves
        assert not port.dtr


def test_opening_moves_no_line_where_moves_are_not_confirmed() -> None:
    """Espressif's server takes RTS off for the end of a reset, and does one."""
    with Scripted(mute=(SET_CONTROL,)) as server:
        port = open_port(server.url("?ign_set_control"))
        assert server.lines() == []
        port.rts = True
        port.rts = False
        port.dtr = True
        assert comes(lambda: server.lines() == [RTS_ON, RTS_OFF, DTR_ON])
        port.close()


def test_opening_resets_no_chip_behind_espressifs_server() -> None:
    with Managed(Espressif) as server:
        port = open_port(server.url("?ign_set_control"))
        assert server.cable.moves == []
        port.rts = True
        port.rts = False  # as esptool ends
        assert comes(lambda: server.cable.moves == ["reset"])
        port.close()


def test_lines_at_opening_elsewhere() -> None:
    with Scripted() as server:
        open_port(server.url()).close()
        assert server.lines() == [RTS_OFF, DTR_OFF]


def test_a_purge_that_nobody_confirms_costs_one_time_out() -> None:
    with Scripted(mute=(PURGE,)) as server:
        begun = time.monotonic()
        port = open_port(server.url("?timeout=0.4"))
        for _ in range(20):
            port.reset_input_buffer()
            port.reset_output_buffer()
        spent = time.monotonic() - begun
        port.close()
        assert 0.4 <= spent < 4, spent  # 42 of them would take 17 s
        # asked all the same
        assert comes(lambda: sum(option == PURGE for option, _ in server.asked) == 42)


def test_what_to_do_when_lines_are_not_confirmed() -> None:
    for script in ({"mute": (SET_CONTROL,)}, {"other": (SET_CONTROL,)}):
        with (
            Scripted(**script) as server,
            pytest.raises(PortError, match=r"does not confirm DTR and RTS.*&ign_set_control"),
        ):
            open_port(server.url("?" + QUICK))


def test_what_to_do_when_the_rate_is_not_taken() -> None:
    for script in ({"mute": (SET_BAUD,)}, {"other": (SET_BAUD,)}):
        with (
            Scripted(**script) as server,
            pytest.raises(PortError, match="does not take the line's settings"),
        ):
            open_port(server.url("?" + QUICK))


def test_a_server_for_one_connection() -> None:
    """One that ends with its client: nobody may knock before."""
    with Scripted(most=1) as server:
        open_port(server.url()).close()
        assert server.accepted == 1
