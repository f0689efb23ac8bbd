"""Whatever a rider holds under the scan engine: a result comes back, and nothing is raised."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import codes as sim_codes
from riders_bench import memory  # type: ignore[import-not-found]
from validator.media import code_rules, codes
from validator.media.code_replay import Presentation
from validator.media.phases import Phases
from validator.media.result import Result
from validator.qr.framing import CODE, CUT, MAX_CODE, OVERSIZE, Framer

NOW = 1893456000
MOT = sim_codes.make("mot", at=NOW)
CPM = sim_codes.make("cpm", at=NOW)
UNION = sim_codes.make("union", at=NOW)
ALIPAY = sim_codes.make("alipay", at=NOW)
VALID = [MOT, sim_codes.make("mot-custom", at=NOW), CPM, UNION, ALIPAY]
VALID.append(sim_codes.make("alipay-sm2-prefixed", at=NOW))
REASONS = ("bad_signature", "unknown_issuer", "malformed", "unsupported", "needs_online")


class StoppedClock:
    trusted = True

    def ticks_us(self) -> int:
        return 0

    ticks_ms = ticks_us

    def unix(self) -> int:
        return NOW

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


@cache
def loaded() -> dict[str, Any]:
    rules: dict[str, Any] = code_rules.load(sim_codes.configuration())
    return rules


def judged(code: bytes) -> Any:
    """The result under an operator's rules, for a code that was not made to be accepted."""
    clock = StoppedClock()
    rules = {**loaded(), "riders": memory(clock), "seen": Presentation()}
    result = codes.run(code, clock, Phases(clock), rules, 200)
    if result.outcome == "accepted":
        assert result.settled is not None and len(result.code) == 12
    else:
        assert result.reason in (*REASONS, "expired") and result.outcome == "declined"
        assert result.evidence is None and result.code is None and result.settled is None
    return result


def same_code(one: bytes, other: bytes) -> bool:
    """Whether all that is signed is the same: only what the formats leave free may differ."""
    if one[0] >= 0x80:
        free = 267 + one[197]
        return one[:free] + one[free + 1 :] == other[:free] + other[free + 1 :]
    if one[:1] == other[:1] == b"A":
        one, other = decoded(one), decoded(other)
        return one[:-65] + one[-64:] == other[:-65] + other[-64:]
    return bare(one) == bare(other)


def bare(code: bytes) -> bytes:
    """An Alipay code without a city's prefix."""
    return code[2:] if code[:2] in (b"\x54\x01", b"\x54\x02") else code


def decoded(text: bytes) -> bytes:
    return b64decode(text + b"=" * (-len(text) % 4))


@st.composite
def damaged(draw: Any) -> bytes:
    """A good code with some bytes changed, cut or put in."""
    code = bytearray(draw(st.sampled_from(VALID)))
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
    assert judged(head + rest).outcome == "declined"


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_of_a_ride_codes_length(data: Any) -> None:
    """Past the lengths, into the signatures."""
    n = data.draw(st.integers(0, 32))
    code = bytearray(data.draw(st.binary(min_size=332 + n, max_size=332 + n)))
    code[0] |= 0x80
    code[1:3] = (329 + n).to_bytes(2, "big")
    code[8] = 0x7F
    code[197] = n
    result = judged(bytes(code))
    assert (result.reason, result.detail["signature"]) == ("bad_signature", "certificate")
    code[3:120] = MOT[3:120]
    result = judged(bytes(code))
    assert (result.reason, result.detail["signature"]) == ("bad_signature", "issuer")
    code[120:197] = MOT[120:197]
    code[198 + n : 263 + n] = MOT[198:263]
    result = judged(bytes(code))
    assert result.detail["signature"] == ("issuer" if n else "user")


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_tlv_in_a_payment_code(rest: bytes) -> None:
    run(b64encode(b"\x85\x05CPV01" + rest))
    judged(b64encode(b"\x85\x05CPV01" + rest))


@given(st.text(max_size=120))
@settings(max_examples=100, deadline=None)
def test_any_text(text: str) -> None:
    run(text.encode())


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_any_damage_to_a_good_code(code: bytes) -> None:
    run(code)
    result = judged(code)
    if result.outcome == "accepted" and result.medium != "cpm":
        assert any(same_code(good, code) for good in VALID)


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
