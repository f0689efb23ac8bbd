"""ISO-DEP with any lengths, any frame sizes and any mixture of faults and foreign blocks."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeClock, run  # type: ignore[import-not-found]
from iso_dep_card import BlockCard, BlockLink  # type: ignore[import-not-found]
from validator.nfc.iso_dep import IsoDep, parse_ats
from validator.nfc.reader import ReaderError

FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
LOSSES = st.sampled_from(["lost_out", "lost_in", "damaged_in", "noise"])


def answer_to(apdu: bytes, size: int) -> bytes:
    return bytes((len(apdu) + sum(apdu) + i) & 0xFF for i in range(size))


@settings(max_examples=150, deadline=None)
@given(
    apdus=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3),
    size=st.integers(0, 700),
    fsci=st.integers(0, 15),
    fsdi=st.integers(0, 8),
    losses=st.dictionaries(st.integers(0, 60), LOSSES, max_size=12),
    twice=st.none() | st.integers(0, 60),
    wtx=st.lists(st.integers(1, 59), max_size=3),
)
def test_right_once_or_a_clean_error(
    apdus: list[bytes],
    size: int,
    fsci: int,
    fsdi: int,
    losses: dict[int, str],
    twice: int | None,
    wtx: list[int],
) -> None:
    clock = FakeClock()
    card = BlockCard(
        lambda apdu: answer_to(apdu, size),
        ats=bytes((3, 0x20 | fsci, 0x40)),
        fsd=FRAME_SIZES[fsdi],
        wtx=wtx,
    )
    link = BlockLink(card, clock)
    dep = IsoDep(link, clock, fsdi=fsdi)
    run(dep.activate())
    link.n = 0
    link.faults = dict(losses)
    if twice is not None:
        link.faults[twice] = "twice_in"
    done: list[bytes] = []
    for apdu in apdus:
        began = clock.ticks_ms()
        try:
            answer = run(dep.exchange(apdu))
        except ReaderError:
            assert not dep.active
            assert card.apdus in (done, [*done, apdu])
            break
        finally:
            assert clock.ticks_ms() - began <= 1500 + (len(apdu) + size) // 4 + 50
        done.append(apdu)
        assert answer == answer_to(apdu, size)
        assert card.apdus == done  # each exactly once
        assert card.longest <= FRAME_SIZES[min(fsci, 8)]


class Hostile:
    """A link whose other end says anything."""

    def __init__(self, clock: Any, frames: list[bytes]) -> None:
        self.clock = clock
        self.frames = frames
        self.sent = 0

    async def exchange(self, frame: bytes, timeout_us: int) -> bytes:
        self.sent += 1
        self.clock.advance_us(500)
        return self.frames[self.sent % len(self.frames)]

    listen = exchange


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.binary(max_size=4)
        | st.sampled_from([b"\xf2\x01", b"\x12a", b"\x13a", b"\xa2", b"\xa3", b"\x02", b"\x03"]),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 300),
)
def test_any_blocks_end_in_an_answer_or_an_error(frames: list[bytes], size: int) -> None:
    clock = FakeClock()
    link = Hostile(clock, frames)
    dep = IsoDep(link, clock)
    dep.active, dep.size, dep.fwt_us = True, 253, 42409
    calls: list[Callable[[], Any]] = [
        lambda: dep.exchange(bytes(size)),
        dep.present,
        dep.deselect,
        dep.activate,
    ]
    for call in calls:
        began = clock.ticks_ms()
        try:
            run(call())
        except ReaderError:
            pass
        assert clock.ticks_ms() - began <= 1500 + 4352 // 4 + 50


@given(st.binary(max_size=24))
def test_any_ats(ats: bytes) -> None:
    try:
        fsc, fwi, sfgi, _, _ = parse_ats(ats)
    except ValueError:
        return
    assert ats[0] == len(ats)
    assert fsc in FRAME_SIZES and 0 <= fwi <= 14 and 0 <= sfgi <= 14
