"""What an RFC 2217 port takes out of its stream, however that is cut into pieces."""

from __future__ import annotations

import threading

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st
from serial.rfc2217 import DO, DONT, IAC, SB, SE, WILL, WONT

from faretap.link.remote import RemotePort


class Line:
    """In a socket's place: pieces, then the end."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def recv(self, size: int) -> bytes:
        piece = next(self._pieces, b"")
        assert len(piece) <= size
        return piece


class Port(RemotePort):
    """Notes commands instead of obeying them."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self.commands: list[tuple[bytes, ...]] = []
        self._read_buffer = None
        self.__dict__["_socket"] = Line(pieces)
        self._timeout = 0.0
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def _telnet_negotiate_option(self, command: bytes, option: bytes) -> None:
        self.commands.append((command, option))

    def _telnet_process_subnegotiation(self, suboption: bytes) -> None:
        self.commands.append((SB, suboption))

    def _telnet_process_command(self, command: bytes) -> None:
        self.commands.append((command,))


# Bytes that mean something are most of what is sent.
some = st.lists(
    st.sampled_from([IAC, SE, SB, DO, b"\x00", b"\x2c", b"x"]), min_size=1, max_size=9
).map(b"".join)
byte = st.integers(0, 255).map(lambda n: bytes([n]))
items = st.lists(
    st.one_of(
        st.tuples(st.just(b""), some),
        st.tuples(st.sampled_from([DO, DONT, WILL, WONT]), byte),
        st.tuples(st.just(SB), some),
        st.tuples(st.sampled_from([b"\xf1", b"\xf4", b"\xf6"])),
    ),
    max_size=8,
)


def doubled(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\xff")


def on_the_line(item: tuple[bytes, ...]) -> bytes:
    """As RFC 854 and RFC 855 have it."""
    if item[0] == b"":
        return doubled(item[1])
    if item[0] == SB:
        return b"\xff\xfa" + doubled(item[1]) + b"\xff\xf0"
    return b"\xff" + b"".join(item)


@given(items, st.data())
def test_data_and_commands_in_any_pieces(
    sent: list[tuple[bytes, ...]], data: st.DataObject
) -> None:
    stream = b"".join(map(on_the_line, sent))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=9)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    port = Port([piece for piece in pieces if piece])
    port._telnet_read_loop()
    assert port.commands == [item for item in sent if item[0]]
    wanted = b"".join(item[1] for item in sent if not item[0])
    assert port.in_waiting == len(wanted)
    assert (port.read(len(wanted)) if wanted else b"") == wanted
    with pytest.raises(serial.SerialException, match="closed"):
        port.read(1)


def test_a_read_waits_for_its_bytes_and_no_longer() -> None:
    port = Port([])
    assert port.read(4) == b""  # its time-out is none at all
    port._read_buffer.put(bytearray(b"abc"))
    assert port.read(4) == b"abc"
    port._timeout = 30.0
    port._read_buffer.put(bytearray(b"de"))
    changed = port._read_buffer._changed

    def later() -> None:
        while not changed._waiters:  # type: ignore[attr-defined]
            pass  # the reader is not yet there
        port._read_buffer.put(bytearray(b"fg!"))

    sender = threading.Thread(target=later)
    sender.start()
    assert port.read(4) == b"defg"
    sender.join()
    port._read_buffer.get(False)
    assert port.in_waiting == 0


def test_a_read_ends_with_the_line() -> None:
    port = Port([b"ab"])
    port._timeout = 30.0
    port._telnet_read_loop()
    assert port.read(4) == b"ab"  # what came before the end
    with pytest.raises(serial.SerialException):
        port.read(4)


def test_a_command_without_end_fills_no_memory() -> None:
    """No command of RFC 2217 is so long: it is taken for data, and data are bounded."""
    port = Port([b"\xff\xfa\x2c", *[bytes(60000)] * 40])
    port._telnet_read_loop()
    assert port.in_waiting == 1 << 20
    assert port.commands == []
