"""Codes of the catalogue on a line that pauses, runs on, and has rubbish between them."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakes import FakeClock, FakeSerial  # type: ignore[import-not-found]
from fakes import run as run_coroutine
from faretap.sim.codes import CODES
from validator.qr.framing import CODE, CUT, MAX_CODE, Framer
from validator.qr.scanner import Scanner

NOW = 1893456000
MADE = {name: entry.make(NOW) for name, entry in CODES.items()}
SHOWN = {
    name: code
    for name, code in MADE.items()
    # Bytes behind the end that a binary code tells are none of it.
    if 0 < len(code) <= MAX_CODE and not name.endswith("-trailing")
}

# What an engine puts before the content; none of it is the code (validator.qr.prefix).
AHEAD = re.compile(rb"(\\\d{6}|\]Q[0-6]|\xef\xbb\xbf)*")

GAP_MS = 20
PATIENCE_MS = 300


def bare(code: bytes) -> bytes:
    """`code` without what stands before it."""
    return AHEAD.sub(b"", code, count=1)


def whole_or_cut(code: bytes) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """What the framer may give of `code`: itself, or that it ended too early."""
    code = bare(code)
    return [(CODE, code)], [(CUT, len(code))]


def decoded(code: bytes) -> bytes:
    """What Base64 text holds, or nothing."""
    try:
        return b64decode(code + b"=" * (-len(code) % 4 if b"=" not in code else 0), validate=True)
    except (Error, ValueError):
        return b""


def objects(data: bytes) -> list[int]:
    """Where each object of BER-TLV ends; empty if the data do not end with one."""
    ends, at = [], 0
    while at < len(data):
        tag = 1 if data[at] & 0x1F != 0x1F else 2
        size = data[at + tag] if at + tag < len(data) else 0
        assert size < 0x80  # the catalogue has no longer ones
        at += tag + 1 + size
        ends.append(at)
    return ends if at == len(data) else []


def binary_length(code: bytes) -> int:
    if code[0] >= 0x80:
        total = 3 + int.from_bytes(code[1:3], "big")
        return total if 332 <= total <= 364 else 0
    at = 2 if code[:1] == b"T" else 0
    if code[at : at + 2] not in (b"\x02\x01", b"\x02\x02") or code[at + 3] < 71:
        return 0
    at += 4 + code[at + 3]
    for _ in range(3):
        at += 1 + code[at] if at < len(code) else len(code)
    return at


def is_whole(code: bytes) -> bool:
    """Whether the lengths inside a code are those that it has."""
    if code[0] >= 0x80 or code[:1] in (b"\x02", b"T"):
        return binary_length(code) == len(code)
    data = decoded(code)
    if data[:2] == b"\x02\x11":
        return len(data) > 40 and len(data) == 106 + data[40]
    return data[:6] == b"\x85\x05CPV0" and objects(data) != []


def open_points(code: bytes) -> set[int]:
    """Where silence is taken for the end though the code goes on: nothing tells that it does."""
    letters = code.rstrip(b"=")
    if code[:1] == b"A":
        return {len(letters)} - {len(code)}
    if code[:1] == b"h":
        return {-(-end * 4 // 3) for end in objects(decoded(code))[1:]} - {len(code)}
    return set()


WHOLE = {name: code for name, code in SHOWN.items() if is_whole(code)}
# An ending that needs no silence: not where more objects or padding could follow.
ENDING = {
    name: code
    for name, code in WHOLE.items()
    if code[:1] not in (b"A", b"h") or code.endswith(b"=") or len(decoded(code)) % 3 == 0
}
ENDING = {name: code for name, code in ENDING.items() if code[:1] != b"h" or code.endswith(b"=")}


def items(framer: Framer) -> list[tuple[str, Any]]:
    out = []
    while (item := framer.take()) is not None:
        out.append(item)
    return out


def halves(code: bytes, at: int) -> list[tuple[str, Any]]:
    """What comes of a code with a pause of the line at `at`."""
    framer = Framer()
    framer.feed(code[:at])
    if framer.incomplete:
        framer.pause()
    else:
        framer.gap()
    framer.feed(code[at:])
    framer.gap()
    return items(framer)


def test_the_catalogue_has_enough_of_each() -> None:
    assert sum(name.endswith("-trailing") for name in MADE) < 10
    heads = [code[:1] for code in WHOLE.values()]
    assert len(WHOLE) > 150 and len(ENDING) > 150
    assert heads.count(b"A") > 15 and heads.count(b"h") >= 6
    assert heads.count(b"\x80") > 50 and heads.count(b"\x02") > 70
    assert any(code[:1] == b"A" and b"=" not in code for code in WHOLE.values())
    assert len(SHOWN) - len(WHOLE) > 15
    assert sum(bare(code) != code for code in SHOWN.values()) >= 16


def test_a_pause_at_any_place_of_any_code() -> None:
    for name, code in WHOLE.items():
        for at in range(1, len(code)):
            found = halves(code, at)
            if at not in open_points(code):
                assert found == [(CODE, code)], (name, at)
            elif code[at:].strip(b"="):
                assert found == [(CODE, code[:at]), (CODE, code[at:])], (name, at)
            else:
                assert found == [(CODE, code[:at])], (name, at)


def test_a_pause_in_a_code_of_digits_before_it_can_be_one() -> None:
    for name, least in (("", 19), ("-20", 19), ("-wechat", 18), ("-alipay", 16)):
        code = SHOWN["cpm-numeric" + name]
        for at in range(1, least):
            assert halves(code, at) == [(CODE, code)], (name, at)


def test_a_code_with_wrong_lengths_is_one_code_in_any_slicing() -> None:
    """One rider gets one answer."""
    for name, code in SHOWN.items():
        for size in (1, 46, 600):
            framer = Framer()
            for at in range(0, len(code), size):
                framer.feed(code[at : at + size])
            if name in ENDING:
                assert not framer.pending, name
            framer.gap()
            assert items(framer) in whole_or_cut(code), name
            assert framer.noise == 0


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_two_codes_back_to_back(data: Any) -> None:
    first = data.draw(st.sampled_from(sorted(ENDING)))
    # Line ends before a code are those of the one before.
    whole = [name for name in SHOWN if not SHOWN[name].startswith((b"\r", b"\n"))]
    second = data.draw(st.sampled_from(sorted(whole)))
    end = data.draw(st.sampled_from((b"", b"\r", b"\n", b"\r\n")))
    size = data.draw(st.integers(1, 200))
    line = ENDING[first] + end + SHOWN[second]
    framer = Framer()
    for at in range(0, len(line), size):
        framer.feed(line[at : at + size])
    framer.gap()
    found = items(framer)
    assert found[0] == (CODE, ENDING[first])
    assert found[1:] in whole_or_cut(SHOWN[second])


def scanner() -> tuple[Any, Any, Any]:
    clock = FakeClock()
    serial = FakeSerial(clock)
    return clock, serial, Scanner(serial, clock)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_pauses_that_the_patience_covers(data: Any) -> None:
    clock, serial, engine = scanner()
    sent, at_ms = [], 0
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(ENDING)))
        code = ENDING[name]
        allowed = sorted(set(range(1, len(code))) - open_points(code))
        cuts = sorted(data.draw(st.sets(st.sampled_from(allowed), max_size=5)))
        left = PATIENCE_MS - 1
        for start, end in zip([0, *cuts], [*cuts, len(code)], strict=True):
            serial.feed(code[start:end], at_ms * 1000)
            if end < len(code):
                pause = data.draw(st.integers(0, left))
                left -= pause
                at_ms += pause
        sent.append(code)
        at_ms += data.draw(st.sampled_from((0, 5, 100, 1000)))
    for code in sent:
        assert run_coroutine(engine.next(3000)) == code
    assert run_coroutine(engine.next(500)) is None
    assert engine.counters["codes"] == len(sent) and engine.counters["cut"] == 0


HEADS = (
    b"",
    b"\x80\x01\x49",
    b"\x02\x01\x07\x60",
    b"\x54\x01\x02",
    b"AhE",
    b"hQVDUFYwM",
    b"62",
    b"h",
)
PIECES = st.lists(st.tuples(st.binary(min_size=1, max_size=80), st.integers(0, 400)), max_size=12)


@given(st.sampled_from(HEADS), PIECES, st.sampled_from(sorted(ENDING)))
@example(b"hQVDUFYwM", [(b"WF" + b"\xff" * 60, 0)] * 10, "cpm")
@settings(max_examples=200, deadline=None)
def test_rubbish_is_over_soon_and_the_next_code_is_read_at_once(
    head: bytes, pieces: list[tuple[bytes, int]], name: str
) -> None:
    clock, serial, engine = scanner()
    at_ms = 0
    serial.feed(head)
    for piece, pause in pieces:
        at_ms += pause
        serial.feed(piece, at_ms * 1000)
    over = clock.ticks_ms() + at_ms + GAP_MS + PATIENCE_MS + 2
    while clock.ticks_ms() < over:
        run_coroutine(engine.next(over - clock.ticks_ms()))
    start = clock.ticks_ms()
    serial.feed(ENDING[name])
    assert run_coroutine(engine.next(1000)) == ENDING[name]
    assert clock.ticks_ms() - start < 2


@given(st.sampled_from(HEADS), st.text("AZaz09+/=!\r", max_size=700), st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_any_text_in_any_slicing_comes_to_an_end(head: bytes, text: str, size: int) -> None:
    line = head + text.encode()
    framer = Framer()
    for at in range(0, len(line), size):
        framer.feed(line[at : at + size])
    framer.gap()
    assert not framer.pending and not framer.incomplete
    codes = [value for kind, value in items(framer) if kind == CODE]
    rest = line
    for code in codes:
        assert code in rest
        rest = rest[rest.index(code) + len(code) :]
