"""What a flash over another map or with --erase would lose, and that nobody loses it unasked."""

from __future__ import annotations

import functools
import struct
from binascii import crc32
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap import boards
from faretap.flash.errors import FlashError
from faretap.flash.losses import (
    FlashFile,
    Plan,
    Running,
    check_erase,
    check_version,
    plan,
    read_info,
)
from faretap.image.partitions import PartitionTable, parse_csv
from flash_sim import FlashSim  # type: ignore[import-not-found]
from validator.store import journal_format as fmt
from validator.store.journal import Journal

# The map that ESP32_BUS had with 4 MB: its journal is where the new map has its slot b.
OLD = parse_csv(
    """
nvs,      data, nvs,     0x9000,   0x6000,
phy_init, data, phy,     0xf000,   0x1000,
factory,  app,  factory, 0x10000,  0x1BC000,
vfs,      data, fat,     0x1CC000, 0x1C000,
app_a,    data, 0x40,    0x1E8000, 0x5C000,
app_b,    data, 0x41,    0x244000, 0x5C000,
config,   data, 0x42,    0x2A0000, 0x10000,
lists,    data, 0x43,    0x2B0000, 0x70000,
journal,  data, 0x44,    0x320000, 0xE0000,
"""
)
# What MicroPython's own image brings.
STOCK = parse_csv(
    """
nvs,      data, nvs,     0x9000,   0x6000,
phy_init, data, phy,     0xf000,   0x1000,
factory,  app,  factory, 0x10000,  0x1F0000,
vfs,      data, fat,     0x200000, 0x200000,
"""
)
BOARD = boards.load("ESP32_BUS")
NEW = BOARD.partitions
PORT = "/dev/ttyUSB7"


@functools.cache
def journal(size: int, records: int, acked: int) -> bytes:
    flash = FlashSim(size // 4096)
    log = Journal(flash)
    log.mount()
    log.prepare()
    for _ in range(records):
        log.append(bytes(300))
        log.prepare()
    if acked:
        assert log.ack(acked)
    return bytes(flash.data)


def flash_of(table: PartitionTable | None, records: int = 0, acked: int = 0) -> bytearray:
    """A flash of 8 MB with `table`, each of its partitions in use, and a journal."""
    data = bytearray(b"\xff" * BOARD.flash_size)
    for part in table or ():
        data[part.offset : part.end] = (part.name.encode() * part.size)[: part.size]
        if part.name == "journal":
            data[part.offset : part.end] = journal(part.size, records, acked)
    if table is not None:
        data[0x8000:0x8C00] = table.to_binary()
    return data


def ask(data: bytes | bytearray, **options: Any) -> Plan:
    options = {"erase": False, "force": False, **options}
    return plan(PORT, FlashFile(data), BOARD, **options)


def refused(data: bytes | bytearray, **options: Any) -> str:
    before = bytes(data)
    with pytest.raises(FlashError) as caught:
        ask(data, **options)
    assert bytes(data) == before
    text = str(caught.value)
    assert "\n" not in text and "--force" in text and PORT in text
    return text


def steps(data: bytearray, found: Plan) -> Iterator[None]:
    """What the flasher does before it writes the images; power may go at each yield."""
    if found.mark:
        data[0x8000:0x9000] = b"\xff" * 4096
        yield
        data[0x8000:0x9000] = found.mark
        yield
    for part in found.moved:
        data[part.offset : part.offset + part.size // 2] = b"\xff" * (part.size // 2)
        yield
        data[part.offset : part.end] = b"\xff" * part.size
        yield


def finished(data: bytearray, found: Plan) -> bytearray:
    for _ in steps(data, found):
        pass
    data[0x8000:0x8C00] = NEW.to_binary()
    data[0x8C00:0x9000] = b"\xff" * 0x400
    return data


def test_the_same_map_costs_nothing() -> None:
    assert ask(flash_of(NEW, 12)) == Plan()
    assert ask(flash_of(NEW, 12), force=True) == Plan()


@pytest.mark.parametrize(
    ("records", "acked", "text"),
    [(12, 0, "12 records"), (12, 11, "a record"), (1500, 20, "1,480 records")],
)
def test_a_map_that_moves_the_journal_waits_until_it_is_read(
    records: int, acked: int, text: str
) -> None:
    data = flash_of(OLD, records, acked)
    said = refused(data)
    assert f"has {text} that nobody has read, and another flash map loses them" in said
    assert f"faretap records pull --ack --port {PORT}" in said
    # What the validator says of itself changes nothing: a rider may have come since.
    assert text in refused(data, running=Running("0.1.0", 0))
    forced = ask(data, force=True)
    assert forced.unread == records - acked
    assert {"config", "lists", "journal", "riders", "app_b"} & {p.name for p in forced.moved}
    finished(data, forced)
    for part in NEW:
        if part.name in ("nvs", "phy_init"):
            assert data[part.offset : part.end] == flash_of(OLD)[part.offset : part.end]
        elif part.name not in ("factory", "vfs", "app_a"):
            assert data[part.offset : part.end].count(0xFF) == part.size, part.name
    assert ask(data) == Plan()


def test_an_update_never_brings_a_map() -> None:
    """It writes a slot by this version's map, which would be somebody else's place on another."""
    for force in (False, True):
        with pytest.raises(FlashError, match="has another flash map than this version of ESP32_B"):
            ask(flash_of(OLD, 12, 12), brings_map=False, force=force)
    assert ask(flash_of(NEW, 12), brings_map=False) == Plan()


@pytest.mark.parametrize(("records", "acked"), [(0, 0), (7, 7), (1500, 1500)])
def test_a_map_moves_where_all_is_read(records: int, acked: int) -> None:
    data = flash_of(OLD, records, acked)
    found = ask(data)
    assert found.unread == 0 and found.mark and found.moved
    finished(data, found)
    assert ask(data) == Plan()


@pytest.mark.parametrize("map_", [OLD, NEW])
def test_erase_waits_until_all_is_read(map_: PartitionTable) -> None:
    assert "12 records" in refused(flash_of(map_, 12), erase=True)
    assert "--erase loses them" in refused(flash_of(map_, 12), erase=True)
    assert ask(flash_of(map_, 12), erase=True, force=True) == Plan(unread=12)
    assert ask(flash_of(map_, 12, 12), erase=True) == Plan()
    assert ask(flash_of(map_), erase=True) == Plan()


def spoilt(kind: str, map_: PartitionTable) -> bytearray:
    data = flash_of(map_, 12)
    at = map_["journal"].offset
    if kind == "later format":
        head = b"FTJL" + bytes([fmt.VERSION + 1]) + data[at + 5 : at + 12]
        data[at : at + 16] = head + crc32(head).to_bytes(4, "little")
    elif kind == "headers":
        for sector in range(at, map_["journal"].end, 4096):
            if data[sector + 16 : sector + 64].strip(b"\xff"):
                data[sector + 16 : sector + 64] = b"\x55" * 48
    else:  # of a journal with another number of sectors
        part = map_["journal"]
        other = journal(part.size - 8 * 4096, 900, 0)
        data[part.offset : part.end] = other[40 * 4096 :].ljust(part.size, b"\xff")
    return data


@pytest.mark.parametrize("kind", ["later format", "headers", "another size"])
@pytest.mark.parametrize(("map_", "erase"), [(OLD, False), (OLD, True), (NEW, True)])
def test_a_journal_that_nobody_can_read(kind: str, map_: PartitionTable, erase: bool) -> None:
    data = spoilt(kind, map_)
    text = refused(data, erase=erase)
    assert "has a journal that cannot be read" in text and "may be in it" in text
    assert ask(data, erase=erase, force=True).unread is None
    # Who wrote it may know: then that counts.
    assert ask(data, erase=erase, running=Running("9.0.0", 0)).unread == 0
    assert "3 records" in refused(data, erase=erase, running=Running("9.0.0", 3))
    assert "cannot be read" in refused(data, erase=erase, running=Running("9.0.0", None))


def test_broken_off_anywhere_it_goes_on_without_asking_again() -> None:
    """Power goes at each step, and half-way through each; the same command ends it."""
    start = flash_of(OLD, 12, 12)
    start[0x400000:] = b"something" * 0x71C72 + b"\0" * (0x400000 - 9 * 0x71C72)
    count = sum(1 for _ in steps(bytearray(start), ask(start)))
    assert count > 10
    for cut in range(count):
        data = bytearray(start)
        for n, _ in enumerate(steps(data, ask(data))):
            if n == cut:
                break
        if cut:  # images of the run that was broken off stand over the old journal
            data[0x10000:0x400000:4096] = b"\xe9" * len(range(0x10000, 0x400000, 4096))
        again = ask(data)
        assert again.unread == 0
        finished(data, again)
        assert ask(data) == Plan()
        for part in NEW:
            if part.name not in ("nvs", "phy_init", "factory", "vfs", "app_a"):
                assert data[part.offset : part.end].count(0xFF) == part.size, (cut, part.name)


def test_what_was_forced_once_is_not_asked_again() -> None:
    """Records are being lost on purpose; whatever is left of them, the same command goes on, also
    without --force."""
    start = flash_of(OLD, 1500)
    count = sum(1 for _ in steps(bytearray(start), ask(start, force=True)))
    for cut in range(1, count):  # from the mark on
        for damage in (False, True):
            data = bytearray(start)
            for n, _ in enumerate(steps(data, ask(data, force=True))):
                if n == cut:
                    break
            if damage:  # an image over the newest sectors of the old journal
                data[0x330000:0x360000] = b"\xe9" * 0x30000
            finished(data, ask(data))
            assert ask(data) == Plan()


def test_what_was_agreed_to_is_not_more_than_was_asked() -> None:
    """A run that kept the journal was broken off: --erase afterwards still asks for it."""
    near = PartitionTable([p for p in NEW if p.name != "spare"])
    data = flash_of(near, 12)
    found = ask(data)
    assert found.unread == 0 and found.mark
    assert "journal" not in [p.name for p in found.moved]
    next(walk := steps(data, found))
    next(walk)
    assert data[0x8000:0x9000] == found.mark
    assert "12 records" in refused(data, erase=True)
    again = ask(data)
    finished(data, again)
    part = NEW["journal"]
    assert data[part.offset : part.end] == journal(part.size, 12, 0)


@pytest.mark.parametrize("wiped", ["blank", "garbage", "damaged", "stock"])
def test_a_table_that_is_gone(wiped: str) -> None:
    tables = {
        "blank": b"\xff" * 0xC00,
        "garbage": b"\x5a" * 0xC00,
        "damaged": NEW.to_binary()[:41] + b"\0" + NEW.to_binary()[42:],
        "stock": STOCK.to_binary(),
    }
    # The journal stands where the new map has it: it stays, and so does all the rest.
    data = flash_of(NEW, 12)
    data[0x8000:0x8C00] = tables[wiped]
    found = ask(data)
    assert found.moved == [] and found.unread == 0
    assert "12 records" in refused(data, erase=True)
    # It is where an earlier map has it.
    data = flash_of(OLD, 12)
    data[0x8000:0x8C00] = tables[wiped]
    assert "12 records" in refused(data)
    assert "12 records" in refused(data, erase=True)
    assert ask(data, force=True).unread == 12
    data = flash_of(OLD, 12, 12)
    data[0x8000:0x8C00] = tables[wiped]
    assert ask(data).unread == 0
    # It is where nobody knows it.
    data = bytearray(b"\xff" * BOARD.flash_size)
    data[0x8000:0x8C00] = tables[wiped]
    data[0x600000:0x6E0000] = journal(0xE0000, 12, 12)
    assert "no map that says where" in refused(data)
    assert "no map that says where" in refused(data, erase=True)
    assert ask(data, force=True).unread is None
    # There is none.
    data = bytearray(b"\xff" * BOARD.flash_size)
    data[0x8000:0x8C00] = tables[wiped]
    data[0x10000:0x18000] = b"firmware" * 4096
    found = ask(data)
    assert found.moved == [] and found.unread == 0
    assert bool(found.mark) == (wiped == "stock")


def test_what_stands_where_something_new_will_be_is_erased() -> None:
    data = flash_of(STOCK)
    found = ask(data)
    # What lies behind MicroPython's own table is blank.
    assert [p.name for p in found.moved] == ["app_b", "config", "tariff", "riders", "tickets"]
    finished(data, found)
    assert data[NEW["riders"].offset : NEW["riders"].end].count(0xFF) == NEW["riders"].size


def test_an_emulators_file_of_another_size() -> None:
    data = flash_of(OLD, 12)[: 4 << 20]
    assert "12 records" in refused(data)
    assert ask(data, force=True).unread == 12
    assert ask(b"short", force=True).unread in (0, None)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"journal", b"nvs", b"config", b"\x1b[2J", b"\xff\xfe", b"lists"]),
            st.integers(0, 255),
            st.integers(0, 0xFFFFFFFF) | st.sampled_from([0x320000, 0x500000, 0x7FF000]),
            st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 4096, 0x3000, 0xE0000]),
        ),
        max_size=6,
    ),
    st.binary(max_size=200),
    st.booleans(),
)
def test_whatever_stands_in_a_flash_is_answered(
    rows: list[tuple[bytes, int, int, int]], noise: bytes, erase: bool
) -> None:
    """A chip that was made to do harm gets a plan or a sentence, and nothing else."""
    data = bytearray(b"\xff" * 0x520000)
    data[0x320000:0x324000] = journal(0xE0000, 12, 0)[:0x4000]
    data[0x500000 : 0x500000 + len(noise)] = noise
    at = 0x8000
    for name, kind, offset, size in rows:
        data[at : at + 32] = struct.pack(
            "<HBBII16sI", 0x50AA, kind & 1, kind, offset, size, name, 0
        )
        at += 32
    try:
        found = ask(data, erase=erase)
    except FlashError as e:
        assert "\n" not in str(e) and "\x1b" not in str(e)
    else:
        assert all(part in list(NEW) for part in found.moved)


@pytest.mark.parametrize(
    ("info", "right"),
    [
        ({"version": "0.1.0", "journal": {"unacknowledged": 3}}, Running("0.1.0", 3)),
        ({"version": "0.1.0", "journal": {"fault": "x"}}, Running("0.1.0", None)),
        ({"version": "0.1.0", "mode": "safe"}, Running("0.1.0", None)),
        ({"version": 7, "journal": {"unacknowledged": True}}, Running("", None)),
        ({"version": "x", "journal": {"unacknowledged": -1}}, Running("x", None)),
        ({"version": "x", "journal": {"unacknowledged": 1e300}}, Running("x", None)),
        ({"version": "x", "journal": {"unacknowledged": 1 << 80}}, Running("x", None)),
        ({"version": "x", "journal": {"unacknowledged": "0"}}, Running("x", None)),
        ({"journal": []}, Running("", None)),
        ([], None),
        ("info", None),
        (None, None),
    ],
)
def test_what_a_validator_says_is_measured(info: object, right: Running | None) -> None:
    assert read_info(info) == right


@pytest.mark.parametrize(
    ("runs", "flashed", "newer"),
    [
        ("0.1.0", "0.1.0", False),
        ("0.1.0", "0.2.0", False),
        ("0.2.0", "0.1.9", True),
        ("0.10.0", "0.9.0", True),
        ("1.0", "1.0.0", False),
        ("1.0.1", "1.0", True),
        ("", "0.1.0", False),
        ("nonsense", "0.1.0", False),
        ("9" * 5000, "0.1.0", False),
        ("9.9.9\x1b[2J" + "x" * 9999, "0.1.0", True),
    ],
)
def test_a_newer_version_is_not_replaced_unasked(runs: str, flashed: str, newer: bool) -> None:
    check_version(PORT, None, flashed, False)
    check_version(PORT, Running(runs, 0), flashed, True)
    if not newer:
        check_version(PORT, Running(runs, 0), flashed, False)
        return
    with pytest.raises(FlashError) as caught:
        check_version(PORT, Running(runs, 0), flashed, False)
    text = str(caught.value)
    assert "which is newer than the" in text and "--force" in text
    assert "\x1b" not in text and len(text) < 300


def test_a_validator_that_says_it_has_records_is_not_disturbed_for_erase() -> None:
    with pytest.raises(FlashError, match="has a record that nobody has read"):
        check_erase(PORT, Running("0.1.0", 1), True, False)
    check_erase(PORT, Running("0.1.0", 1), True, True)
    check_erase(PORT, Running("0.1.0", 1), False, False)
    check_erase(PORT, Running("0.1.0", 0), True, False)
    check_erase(PORT, Running("0.1.0", None), True, False)
    check_erase(PORT, None, True, False)
