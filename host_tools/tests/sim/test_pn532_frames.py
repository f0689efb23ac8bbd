"""The chip's frame parser against frames written by hand, and against any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faretap.sim.chips import pn532_frames as frames
from faretap.sim.chips.pn532_frames import Frame, Parser

GET_VERSION = bytes.fromhex("0000FF02FED4022A00")


def test_a_frame_is_built_byte_for_byte() -> None:
    assert frames.build(bytes.fromhex("D402")) == GET_VERSION
    assert frames.response(0x02, bytes.fromhex("32010607")) == bytes.fromhex(
        "0000FF06FAD50332010607E800"
    )


def test_an_extended_frame_is_built_above_255_bytes() -> None:
    longest_normal = frames.build(b"\xd5" * 255)
    assert longest_normal[:5] == bytes.fromhex("0000FFFF01")
    extended = frames.build(b"\xd5" + bytes(264))
    assert extended[:9] == bytes.fromhex("0000FFFFFF0109F6D5")
    assert extended[-2:] == bytes.fromhex("2B00")
    with pytest.raises(ValueError, match="1 to 265"):
        frames.build(bytes(266))


@pytest.mark.parametrize("body", [b"\xd4\x02", b"\xd4" + bytes(254), b"\xd4" + bytes(264)])
def test_what_was_built_is_parsed(body: bytes) -> None:
    assert Parser().feed(frames.build(body)) == [Frame("data", body)]


def test_ack_and_nack() -> None:
    assert Parser().feed(frames.ACK + frames.NACK) == [Frame("ack"), Frame("nack")]


def test_any_preamble_length() -> None:
    for extra in range(20):
        assert Parser().feed(bytes(extra) + GET_VERSION) == [Frame("data", b"\xd4\x02")]


def test_no_preamble_and_no_postamble() -> None:
    assert Parser().feed(GET_VERSION[1:-1]) == [Frame("data", b"\xd4\x02")]


@pytest.mark.parametrize("at", [3, 4, 5, 6, 7])
def test_one_flipped_bit_loses_the_frame_but_not_the_next_one(at: int) -> None:
    broken = bytearray(GET_VERSION)
    broken[at] ^= 0x01
    parser = Parser()
    found = parser.feed(bytes(broken) + bytes(4)) + parser.gap() + parser.feed(GET_VERSION)
    assert found == [Frame("data", b"\xd4\x02")]
    assert parser.rejected >= 1


def test_an_extended_length_beyond_the_chips_buffer_is_no_frame() -> None:
    head = bytes.fromhex("0000FFFFFF010AF5")
    parser = Parser()
    assert parser.feed(head + bytes(300)) == []
    assert not parser.pending


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 16))
@example(bytes.fromhex("00FF8080"), 1)
@example(bytes.fromhex("0000FF00"), 3)
def test_any_bytes_never_raise_and_the_next_frame_is_found(noise: bytes, step: int) -> None:
    parser = Parser()
    for start in range(0, len(noise), step):
        parser.feed(noise[start : start + step])
    parser.gap()
    found = []
    for start in range(0, len(GET_VERSION), step):
        found += parser.feed(GET_VERSION[start : start + step])
    assert found == [Frame("data", b"\xd4\x02")]


@settings(deadline=None)
@given(st.binary(max_size=120), st.binary(max_size=120))
def test_slicing_does_not_matter(before: bytes, after: bytes) -> None:
    data = before + GET_VERSION + after
    whole = Parser()
    single = Parser()
    expected = whole.feed(data) + whole.gap()
    assert [f for b in data for f in single.feed(bytes([b]))] + single.gap() == expected
