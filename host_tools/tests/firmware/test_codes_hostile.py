"""Whatever a rider holds under the scan engine: a result comes back, and nothing is raised."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from base64 import b64encode
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import codes as sim_codes
from validator.media import codes
from validator.media.phases import Phases
from validator.media.result import Result
from validator.qr.framing import CODE, CUT, MAX_CODE, OVERSIZE, Framer

MOT = sim_codes.make("mot")
CPM = sim_codes.make("cpm")
UNION = sim_codes.make("union")


class StoppedClock:
    def ticks_us(self) -> int:
        return 0

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier


def run(code: bytes) -> Result:
    clock = StoppedClock()
    result = codes.run(code, clock, Phases(clock))
    assert isinstance(result, Result)
    assert result.outcome == "declined"  # nothing is verified yet: nothing is accepted
    assert result.reason in ("unverified", "malformed", "unsupported")
    if result.reason != "unverified":
        assert result.token_source is None and result.masked == ""
    assert result.evidence is None
    return result


@st.composite
def damaged(draw: Any) -> bytes:
    """A good code with some bytes changed, cut or put in."""
    code = bytearray(draw(st.sampled_from((MOT, CPM, UNION))))
    for _ in range(draw(st.integers(1, 4))):
        if not code:
            break
        at = draw(st.integers(0, len(code) - 1))
        kind = draw(st.sampled_from(("change", "remove", "insert")))
        if kind == "change":
            code[at] = draw(st.integers(0, 255))
        elif kind == "remove":
            del code[at : at + draw(st.integers(1, 8))]
        else:
            code[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(code)


HEADS = (b"", b"\x80\x01\x49", b"\x02\x01", b"\x02\x02", b"\x54\x01\x02\x01", b"AhE", b"hQVDUFYwM")


@given(st.sampled_from(HEADS), st.binary(max_size=700))
@settings(max_examples=300, deadline=None)
def test_any_bytes(head: bytes, rest: bytes) -> None:
    run(head + rest)


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_tlv_in_a_payment_code(rest: bytes) -> None:
    run(b64encode(b"\x85\x05CPV01" + rest))


@given(st.text(max_size=120))
@settings(max_examples=100, deadline=None)
def test_any_text(text: str) -> None:
    run(text.encode())


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_any_damage_to_a_good_code(code: bytes) -> None:
    run(code)


def test_every_truncation_of_the_vector_is_malformed() -> None:
    assert run(MOT).reason == "unverified"
    for n in range(len(MOT)):
        result = run(MOT[:n])
        assert result.reason == "malformed"
        assert result.medium == ("ride_code" if n else "unknown_code")


def test_the_simulated_codes_are_recognised() -> None:
    assert run(MOT).medium == "ride_code" and run(MOT).masked == "999900******0001"
    assert (run(CPM).medium, run(CPM).reason) == ("cpm", "unverified")
    assert (run(UNION).medium, run(UNION).reason) == ("union_code", "unverified")
    assert run(sim_codes.make("url")).reason == "unsupported"
    assert run(sim_codes.make("empty")).reason == "malformed"


@given(st.lists(st.binary(max_size=300), max_size=12), st.sets(st.integers(0, 12)))
@settings(max_examples=300, deadline=None)
def test_any_stream_leaves_the_framer_ready_for_the_next_code(
    chunks: list[bytes], gaps: set[int]
) -> None:
    framer = Framer()
    for i, chunk in enumerate(chunks):
        framer.feed(chunk)
        if i in gaps:
            framer.gap()
    framer.gap()
    while (item := framer.take()) is not None:
        kind, value = item
        if kind == CODE:
            assert 0 < len(value) <= MAX_CODE
        elif kind in (CUT, OVERSIZE):
            assert 0 < value <= MAX_CODE
    assert not framer.pending
    framer.feed(MOT)
    assert framer.take() == (CODE, MOT)
    assert framer.take() is None


@given(st.lists(st.sampled_from((MOT, MOT[:-1] + b"\r", MOT[:-1] + b"\n")), max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_any_slicing_of_ride_codes_gives_the_same_codes(sent: list[bytes], data: Any) -> None:
    stream = b"".join(sent)
    framer = Framer()
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, 500))
        framer.feed(stream[at : at + step])
        at += step
    assert [framer.take() for _ in sent] == [(CODE, code) for code in sent]
    assert framer.take() is None
