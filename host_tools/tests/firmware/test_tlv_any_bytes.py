"""TLV and APDU handling of the firmware against anything a card may send."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeClock, run  # type: ignore[import-not-found]
from validator.emv import tlv
from validator.media import cards
from validator.media.phases import Phases

tags = st.sampled_from([0x5A, 0x57, 0x84, 0x6F, 0x70, 0x77, 0xA5, 0x9F38, 0xBF0C, 0xDF61, 0x9F7F])


def encoded(tag: int, value: bytes) -> bytes:
    head = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    n = len(value)
    if n < 0x80:
        return head + bytes([n]) + value
    return head + (bytes([0x81, n]) if n < 0x100 else bytes([0x82, n >> 8, n & 0xFF])) + value


@given(st.binary(max_size=300))
def test_nothing_but_tlv_error(data: bytes) -> None:
    for call in (tlv.parse, tlv.parse_dol, lambda d: tlv.collect(d, {})):
        try:
            call(data)
        except tlv.TlvError:
            pass


@given(st.lists(st.tuples(tags, st.binary(max_size=200)), max_size=8))
def test_what_was_encoded_is_found(objects: list[tuple[int, bytes]]) -> None:
    data = b"".join(encoded(t, v) for t, v in objects)
    assert [(t, bytes(v)) for t, v in tlv.parse(data)] == objects


@given(st.lists(st.tuples(tags, st.binary(max_size=60)), max_size=4), st.data())
def test_every_cut_is_noticed_or_at_a_border(
    objects: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    whole = b"".join(encoded(t, v) for t, v in objects)
    at = data.draw(st.integers(0, len(whole)))
    borders = [len(b"".join(encoded(t, v) for t, v in objects[:i])) for i in range(5)]
    try:
        tlv.parse(whole[:at])
        assert at in borders
    except tlv.TlvError:
        assert at not in borders


class Hostile:
    """Answers SELECT with well-formed nonsense, so that the media modules are reached."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers

    async def transceive(self, command: bytes) -> bytes:
        return self.answers.pop(0) if self.answers else b"\x6a\x82"


template = st.builds(
    lambda outer, inner: encoded(outer, b"".join(encoded(t, v) for t, v in inner)),
    st.sampled_from([0x6F, 0x70, 0x77, 0x80]),
    st.lists(
        st.tuples(
            st.sampled_from([0x82, 0x94, 0x5A, 0x57, 0x9F10, 0x9F26, 0x9F36, 0x5F24, 0xA5]),
            st.binary(max_size=24),
        ),
        max_size=5,
    ),
)


@given(
    st.binary(max_size=40),
    st.lists(st.one_of(template, st.binary(max_size=64)), max_size=12),
    st.booleans(),
)
def test_no_card_gets_past_the_tap(label: bytes, answers: list[bytes], purse: bool) -> None:
    aid = bytes.fromhex("A000000632010105" if purse else "A000000333010101")
    pdol = bytes.fromhex("9F38039F6604")
    inner = encoded(0x9F0C, label) if purse else pdol
    fci = encoded(0x6F, encoded(0x84, aid) + encoded(0xA5, inner))
    card = Hostile([b"\x6a\x82", fci + b"\x90\x00"] + [a + b"\x90\x00" for a in answers])
    clock = FakeClock()
    tap: Coroutine[Any, Any, Any] = cards.run(card, clock, Phases(clock), aids=(aid,))
    result = run(tap)
    assert result.outcome == "declined"
    assert result.reason in ("malformed", "unsupported", "unverified")
    if result.reason == "unverified":
        assert result.token_source.isdigit()
