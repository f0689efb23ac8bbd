"""Journal and record against anything that hypothesis thinks of."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flash_sim import HOW, FlashSim, PowerCut  # type: ignore[import-not-found]
from test_journal_power import mounted  # type: ignore[import-not-found]
from validator.media.reasons import MEDIA, OUTCOMES, REASONS
from validator.store.journal import JournalFull
from validator.store.record import RecordError, decode, encode

STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 420)),
    st.tuples(st.just("append"), st.integers(1, 60)),
    st.tuples(st.just("ack"), st.integers(0, 12)),
    st.tuples(st.just("prepare"), st.just(0)),
    st.tuples(st.just("after"), st.integers(0, 60000)),
    st.tuples(st.just("mount"), st.just(0)),
    st.tuples(st.sampled_from(HOW), st.integers(0, 5)),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(STEP, min_size=5, max_size=120))
def test_whatever_happens_no_returned_record_is_lost(steps: list[tuple[str, int]]) -> None:
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    kept: dict[int, bytes] = {}
    tried: dict[int, bytes] = {}
    acked = 0

    def check() -> None:
        entries = list(journal.read())
        seqs = [e[0] for e in entries]
        assert seqs == sorted(set(seqs))
        assert all(e[3] for e in entries)
        assert all(e[1] == tried[e[0]] for e in entries)
        assert {s for s in kept if s > acked} <= set(seqs)
        assert journal.next_seq > max([0, *kept])

    for what, n in steps:
        try:
            if what == "append":
                seq = journal.next_seq
                tried[seq] = bytes([seq & 0xFF]) * n
                room = journal.has_room(1, n)
                try:
                    assert journal.append(tried[seq]) == seq
                    kept[seq] = tried[seq]
                    assert room
                except JournalFull:
                    assert not room
            elif what == "ack":
                acked = max(acked, journal.next_seq - 1 - n)
                journal.ack(journal.next_seq - 1 - n)
            elif what == "prepare":
                journal.prepare()
            elif what == "after":
                journal.set_after(journal.next_seq - 1, n, n)
            elif what == "mount":
                journal = mounted(flash)
            else:
                flash.cut_at(n, what)
        except PowerCut:
            flash.power_on()
            journal = mounted(flash)
            check()
    flash.power_on()
    check()
    journal = mounted(flash)
    check()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=4 * 512), st.integers(0, 3 * 512))
def test_mount_of_any_flash_then_it_works(noise: bytes, at: int) -> None:
    flash = FlashSim(4, 512)
    journal = mounted(flash)
    for _ in range(9):
        journal.append(bytes(60))
    flash.data[at : at + len(noise)] = noise[: flash.size - at]
    journal = mounted(flash)
    before = [e[0] for e in journal.read()]
    assert before == sorted(set(before))
    journal.ack(journal.next_seq - 1)
    first = journal.next_seq
    for k in range(8):
        assert journal.append(b"after the damage") == first + k
    assert [e[0] for e in mounted(flash).read()][-8:] == list(range(first, first + 8))


U32 = st.integers(0, 0xFFFFFFFF)
MS = st.none() | st.integers(0, 65534)
RECORD = st.fixed_dictionaries(
    {
        "seq": U32,
        "time": U32,
        "test": st.booleans(),
        "clock_trusted": st.booleans(),
        "medium": st.sampled_from(MEDIA),
        "outcome": st.sampled_from(OUTCOMES),
        "reason": st.sampled_from(REASONS),
        "fare": U32,
        "token": st.none() | st.binary(min_size=8, max_size=8),
        "phases": st.fixed_dictionaries(
            {name: MS for name in ("detect", "select", "read", "verify", "decide")}
        ),
        "boot": st.integers(0, 0xFFFF),
        "uptime": U32,
        "vehicle": st.text(max_size=20),
        "line": st.text(max_size=20),
        "stop": st.text(max_size=20),
        "detail": st.dictionaries(
            st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=4
        ),
        "evidence": st.none() | st.binary(min_size=1, max_size=300),
        "last4": st.text(max_size=4),
        "code": st.none() | st.binary(min_size=12, max_size=12),
        "config": U32,
        "account": st.none() | st.binary(min_size=8, max_size=8),
        "other": st.dictionaries(st.integers(10, 255), st.binary(max_size=20), max_size=3),
    }
)


@given(RECORD)
def test_record_there_and_back(fields: dict[str, Any]) -> None:
    assert decode(encode(fields)) == {**fields, "version": 1}


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.binary(max_size=160).map(lambda b: b"\x01\x07" + b))
def test_decode_of_anything(data: bytes) -> None:
    try:
        fields = decode(data)
    except RecordError:
        return
    assert decode(encode(fields)) == fields


@settings(max_examples=300)
@given(RECORD, st.integers(0, 10**6), st.integers(1, 255))
def test_decode_of_a_damaged_record(fields: dict[str, Any], at: int, mask: int) -> None:
    body = bytearray(encode(fields))
    body[at % len(body)] ^= mask
    try:
        decode(bytes(body))
    except RecordError:
        pass
