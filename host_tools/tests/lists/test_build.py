"""Lists of any size: everybody listed is found, nearly nobody else, on a validator too."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap import boards
from faretap.lists import DenyList, Layout, ListFileError, build, delta, plan, room
from faretap.lists.builder import MAX_FALSE, pack_block, signer
from flash_sim import FlashSim  # type: ignore[import-not-found]
from validator.store import list_format, list_merge
from validator.store.list_load import Load
from validator.store.lists import Lists

KEY = ec.generate_private_key(ec.SECP256R1())
NUMBERS = KEY.public_key().public_numbers()
OPERATOR = NUMBERS.x.to_bytes(32, "big") + NUMBERS.y.to_bytes(32, "big")
SIGN = signer(KEY)
FOUR_MB = boards.load("ESP32_BUS_4M").partitions["lists"].size
EIGHT_MB = boards.load("ESP32_BUS").partitions["lists"].size
SIXTEEN_MB = boards.load("ESP32S3_BUS").partitions["lists"].size


def tokens(count: int, seed: int) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(8) for _ in range(count)]


def made(listed: list[bytes], version: int = 1, size: int = FOUR_MB, **more: Any) -> bytes:
    return build(listed, version=version, sign=SIGN, space=room(size), issued=0, **more)


def loaded(lists: Any, data: bytes) -> Any:
    async def pause() -> None:
        pass

    async def load() -> Any:
        loading = Load(lists, len(data), hashlib.sha256(data).digest(), pause)
        for at in range(loading.begin(), len(data), 2048):
            await loading.write(at, memoryview(data)[at : at + 2048])
        return await loading.finish()

    return asyncio.run(load())


def validator(size: int, *files: bytes) -> Any:
    lists = Lists(FlashSim(size // 4096), OPERATOR)
    lists.mount()
    for data in files:
        loaded(lists, data)
    return lists


@pytest.mark.parametrize(
    ("count", "size"),
    [
        (0, FOUR_MB),
        (1, FOUR_MB),
        (700, FOUR_MB),
        (50_000, FOUR_MB),
        (200_000, EIGHT_MB),
        (500_000, SIXTEEN_MB),
    ],
)
def test_all_that_are_listed_are_found(count: int, size: int) -> None:
    listed = tokens(count, count)
    data = made(listed, 7, size)
    lists = validator(size, data)
    assert all(map(lists.contains, listed[:: max(1, count // 20000)]))
    header = lists.active
    layout = Layout(header.buckets, header.width, header.cell)
    assert layout.false_positive(count) <= MAX_FALSE
    assert count - 20 <= header.entries <= count
    if count <= 100_000:
        parsed = DenyList.parse(data)
        assert parsed.signed_by(KEY.public_key())
        assert all(map(parsed.contains, listed[::10]))
    strangers = tokens(20000, count + 1)
    assert sum(map(lists.contains, strangers)) <= 3
    # Two reads, of 8 bytes and of one block.
    flash = lists.flash
    flash.reads = flash.read_bytes = 0
    for token in strangers[:100]:
        lists.contains(token)
    assert flash.reads <= 200 and flash.read_bytes <= 100 * (8 + 400)


def test_false_positives_are_as_rare_as_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faretap.lists.builder.MAX_FALSE", 1)
    listed = tokens(2000, 5)
    layout = Layout(32, 2_000_000, 2)  # one in 32,000
    parsed = DenyList.parse(made(listed, layout=layout))
    strangers = tokens(400_000, 6)
    found = sum(map(parsed.listed, strangers))
    want = layout.false_positive(2000) * len(strangers)
    assert 0.4 * want < found < 2 * want


def test_more_than_there_is_room_for() -> None:
    with pytest.raises(ListFileError, match="do not fit"):
        plan(58_000, room(FOUR_MB))
    with pytest.raises(ListFileError, match="do not fit"):
        plan(520_000, room(SIXTEEN_MB))


def test_changes_arrive_as_the_full_list_would() -> None:
    old = tokens(30_000, 8)
    new = old[500:] + tokens(500, 9)
    first = made(old)
    layout = DenyList.parse(first).layout
    spared = [t[:3] + bytes([t[3] ^ 1]) + t[4:] for t in new[:3]]
    second = made(new, 2, layout=layout, exempt=spared)
    changes = delta(DenyList.parse(first), DenyList.parse(second))
    assert len(changes) < 6000 < len(second) // 10
    lists = validator(FOUR_MB, first, changes)
    at = lists.base(1) + lists.body_at
    assert lists.flash.data[at : at + len(second) - 192] == second[192:]
    assert all(map(lists.contains, new)) and not any(map(lists.contains, old[:500]))
    assert not any(map(lists.contains, spared))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_changes(data: st.DataObject) -> None:
    pool = tokens(60, 3)
    some = st.sets(st.sampled_from(pool))
    layout = Layout(16, data.draw(st.sampled_from([70_000, 4_000_000, 16_000_000])), 2)
    before = made(sorted(data.draw(some)), 1, layout=layout)
    files = [before]
    for version in (2, 3):
        listed = data.draw(some)
        after = made(
            sorted(listed),
            version,
            layout=layout,
            exempt=sorted(data.draw(some) - listed),
        )
        files.append(delta(DenyList.parse(before), DenyList.parse(after)))
        before = after
    lists = validator(16 * 4096, *files)
    parsed = DenyList.parse(before)
    for token in pool:
        assert lists.contains(token) == parsed.contains(token)
    assert all(map(lists.contains, listed))


@pytest.fixture(autouse=True)
def _narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "any_changes" in request.node.name:
        monkeypatch.setattr("faretap.lists.builder.MAX_FALSE", 1)


@given(
    st.lists(st.integers(0, 0xFFFFFF), unique=True, max_size=40).map(sorted),
    st.sampled_from([2, 3]),
    st.integers(0, 0xFFFFFF),
)
def test_blocks(values: list[int], cell: int, other: int) -> None:
    block = pack_block(values, cell)
    assert block == list_merge.pack(values, cell)
    assert list_merge.unpack(block, cell) == values
    for value in (*values, other):
        assert list_format.holds(block, 0, len(block), cell, value) == (value in values)


@given(st.binary(max_size=60), st.sampled_from([2, 3]), st.integers(0, 0xFFFFFF))
def test_a_lookup_in_anything_ends(block: bytes, cell: int, value: int) -> None:
    list_format.holds(block, 0, len(block), cell, value)


def test_listed_and_exempt() -> None:
    token = bytes(range(8))
    with pytest.raises(ListFileError, match="both listed and exempt"):
        made([token], exempt=[token])
    with pytest.raises(ListFileError, match="no token"):
        made([b"short"])
    with pytest.raises(ListFileError, match="Version"):
        made([token], 0)


@settings(max_examples=60)
@given(st.data())
def test_damage_of_a_file_is_noticed(data: st.DataObject) -> None:
    sound = bytearray(SOUND)
    at = data.draw(st.integers(0, len(sound) - 1))
    sound[at] ^= data.draw(st.integers(1, 255))
    try:
        parsed = DenyList.parse(bytes(sound))
    except ListFileError:
        return
    assert not parsed.signed_by(KEY.public_key())


SOUND = made(tokens(50, 4))
