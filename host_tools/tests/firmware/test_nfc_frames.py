"""The firmware's PN532 frame parser against any stream, in any slicing."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from validator.nfc import pn532_frame as pf


def wire(body: bytes) -> bytes:
    n = len(body)
    head = bytes([n, -n & 0xFF])
    if n > 255:
        head = bytes([0xFF, 0xFF, n >> 8, n & 0xFF, -((n >> 8) + n) & 0xFF])
    return b"\x00\x00\xff" + head + body + bytes([-sum(body) & 0xFF, 0])


def events(parser: pf.Parser, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    out = []
    for piece in pieces:
        i = 0
        while i < len(piece):
            i = parser.feed(piece, i, len(piece))
            if parser.event:
                frame = parser.event == pf.FRAME
                out.append((parser.event, bytes(parser.view[: parser.length]) if frame else b""))
    return out


def sliced(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(c, len(data)) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in zip(places, places[1:], strict=False)]


bodies = st.binary(min_size=1, max_size=264).map(lambda b: b"\xd5" + b)
cuts = st.lists(st.integers(0, 1200), max_size=30)


@given(st.lists(bodies, max_size=4), cuts, st.integers(0, 5))
def test_frames_in_any_slicing(frames: list[bytes], where: list[int], extra: int) -> None:
    stream = b"".join(bytes(extra) + wire(body) for body in frames)
    assert events(pf.Parser(), sliced(stream, where)) == [(pf.FRAME, body) for body in frames]


@given(st.binary(max_size=600), cuts)
def test_any_bytes_and_slicing_does_not_matter(data: bytes, where: list[int]) -> None:
    assert events(pf.Parser(), sliced(data, where)) == events(pf.Parser(), [data])


@given(st.binary(max_size=100))
def test_good_frame_is_found_after_noise_and_silence(noise: bytes) -> None:
    parser = pf.Parser()
    events(parser, [noise])
    parser.reset()  # what the driver does after a gap
    assert events(parser, [wire(b"\xd5\x4b\x00")]) == [(pf.FRAME, b"\xd5\x4b\x00")]


@given(st.integers(0, 255), st.binary(max_size=263))
def test_sealed_frames_are_as_the_manual_says(code: int, data: bytes) -> None:
    buf = bytearray(b"\xaa" * pf.BUFFER)
    buf[pf.PARAMETERS : pf.PARAMETERS + len(data)] = data
    start, end = pf.seal(buf, code, len(data))
    assert bytes(buf[start:end]) == wire(bytes([0xD4, code]) + data)
