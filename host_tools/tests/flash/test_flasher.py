"""The real esptool against the virtual board: what is written, what is not, and what is said."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faretap import boards
from faretap.errors import FaretapError, PortError
from faretap.flash import FlashError, flash
from faretap.flash.port import open_for_flashing
from faretap.image.partitions import PartitionTable
from faretap.image.whole import Pieces
from faretap.virtual import VirtualProcess
from flash_sim import FlashSim  # type: ignore[import-not-found]
from validator.store.journal import Journal

Virtual = Callable[..., VirtualProcess]
MakePieces = Callable[[str], Pieces]
KEPT = ("phy_init", "app_b", "config", "tariff", "riders", "journeys", "lists", "journal")


def pattern(name: str, size: int) -> bytes:
    return (name.encode() * size)[:size]


def used_flash(path: Path) -> None:
    """A flash that was in service: every partition holds something."""
    table = boards.load("VIRTUAL").partitions
    data = bytearray(pattern("old", 8 << 20))
    for part in table:
        data[part.offset : part.end] = pattern(part.name, part.size)
    data[0x8000:0x8C00] = table.to_binary()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def stands(path: Path, pieces: Pieces) -> bool:
    data = path.read_bytes()
    return all(data[p.offset : p.offset + len(p.data)] == p.data for p in pieces.pieces)


def test_flashing_twice_and_changed(
    virtual: Virtual, make_pieces: MakePieces, tmp_path: Path
) -> None:
    image = tmp_path / "board" / "flash.bin"
    used_flash(image)
    table = boards.load("VIRTUAL").partitions
    board = virtual()
    one, two = make_pieces("1"), make_pieces("2")
    seen: list[tuple[str, int, int]] = []
    called: list[str] = []
    before_start: list[bytes] = []

    def progress(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))
        if what == "writing" and done == total:  # the loader, which writes to NVS, runs later
            nvs = table["nvs"]
            before_start.append(image.read_bytes()[nvs.offset : nvs.end])

    def wait_hello(port: str) -> str:
        called.append(port)
        open_for_flashing(port, 115200).close()  # it is free
        return "hello"

    report = flash(
        board.port_url,
        "VIRTUAL",
        pieces=one,
        progress=progress,
        wait_hello=wait_hello,
        log=tmp_path / "log",
    )
    assert stands(image, one)
    data = image.read_bytes()
    for name in KEPT:
        part = table[name]
        assert data[part.offset : part.end] == pattern(name, part.size), name
    assert before_start == [pattern("nvs", table["nvs"].size)]
    assert [p.name for p in report.pieces] == [p.name for p in one.pieces]
    assert report.written == sum(len(p.data) for p in one.pieces if p.offset != 0x8000)
    assert (report.moved, report.unread) == ([], 0)
    assert (report.chip[:5], report.flash_size, report.app_id) == ("ESP32", 8 << 20, one.app.id)
    assert report.mac == board.bench().status()["mac"]
    assert report.hello == "hello" and called == [board.port_url]
    assert {"build", "ask", "connect", "compare", "write", "reset", "hello"} == set(report.seconds)

    # One bar, that only grows, over all pieces.
    moves = [(done, total) for what, done, total in seen if what == "writing"]
    assert moves[0] == (0, report.written) and moves[-1] == (report.written, report.written)
    assert moves == sorted(moves) and len(moves) >= len(one.pieces)

    logged = json.loads((tmp_path / "log").read_text())
    assert logged["micropython_sha256"] == one.micropython.sha256
    assert logged["written"] == report.written

    again = flash(board.port_url, "VIRTUAL", pieces=one)
    assert again.written == 0 and stands(image, one)
    assert "write" not in again.seconds

    changed = flash(board.port_url, "VIRTUAL", pieces=two)
    assert stands(image, two)
    assert 0 < changed.written < 64 * 1024
    assert [p.name for p in changed.pieces if p.written] == ["loader", "application"]

    erased = flash(board.port_url, "VIRTUAL", pieces=two, erase=True)
    assert stands(image, two) and erased.erased
    assert erased.written < report.written  # blank sectors are blank already
    data = image.read_bytes()
    for name in KEPT[1:]:
        part = table[name]
        assert data[part.offset : part.end].count(0xFF) == part.size, name


def test_over_another_map(virtual: Virtual, make_pieces: MakePieces, tmp_path: Path) -> None:
    """Refused while records are unread, and the board goes on; broken off while it is moved, then
    finished by the same command."""
    image = tmp_path / "board" / "flash.bin"
    used_flash(image)
    table = boards.load("VIRTUAL").partitions
    new = table["journal"]
    old = dataclasses.replace(new, offset=table["lists"].offset, size=0xE0000)
    lists = dataclasses.replace(table["lists"], offset=new.offset)
    data = bytearray(image.read_bytes())
    sim = FlashSim(old.size // 4096)
    log = Journal(sim)
    log.mount()
    seq = [log.append(bytes(200)) for _ in range(5)][-1]
    data[old.offset : old.end] = sim.data
    others = [p for p in table if p.name not in ("journal", "lists")]
    data[0x8000:0x8C00] = PartitionTable([*others, old, lists]).to_binary()
    image.write_bytes(data)
    pieces = make_pieces("1")
    board = virtual()
    with pytest.raises(FlashError, match="has 5 records that nobody has read, and another flash"):
        flash(board.port_url, "VIRTUAL", pieces=pieces)
    assert image.read_bytes() == bytes(data)
    assert board.bench().status()["boot"] == "run"  # as it was

    assert log.ack(seq)
    data[old.offset : old.end] = sim.data
    board.stop()
    image.write_bytes(data)
    board = virtual()
    moved: list[str] = []

    def pull(what: str, done: int, total: int) -> None:
        if what == "erasing journal":
            moved.append(what)
            board.stop()

    with pytest.raises(FlashError, match="went away"):
        flash(board.port_url, "VIRTUAL", pieces=pieces, progress=pull)
    assert moved
    board = virtual()
    assert board.bench().status()["state"] == "nothing to boot"  # nothing runs on half a map
    report = flash(board.port_url, "VIRTUAL", pieces=pieces)
    assert report.moved == ["journal"] and report.unread == 0  # the lists were done already
    assert report.pieces[-1].name == "partition table"
    assert stands(image, pieces)
    data = bytearray(image.read_bytes())
    for part in table:
        if part.name in ("journal", "lists"):
            assert data[part.offset : part.end].count(0xFF) == part.size
        elif part.name in KEPT:
            assert data[part.offset : part.end] == pattern(part.name, part.size)
    assert data[0x8C00:0x9000].count(0xFF) == 0x400
    again = flash(board.port_url, "VIRTUAL", pieces=pieces)
    assert again.written == 0 and again.moved == []


def test_a_chip_that_takes_for_ever_to_tell_what_it_holds(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faretap.flash.flasher._LOOK_S", -1.0)
    with pytest.raises(FlashError, match="what its flash holds is not known after"):
        flash(virtual().port_url, "VIRTUAL", pieces=make_pieces("1"))


def test_a_cable_pulled_out_in_the_middle(
    virtual: Virtual, make_pieces: MakePieces, tmp_path: Path
) -> None:
    board = virtual()
    pieces = make_pieces("1")
    moved: list[int] = []

    def pull(what: str, done: int, total: int) -> None:
        if what == "writing" and done > total // 2 and not moved:
            moved.append(done)
            board.stop()

    with pytest.raises(FlashError) as caught:
        flash(board.port_url, "VIRTUAL", pieces=pieces, progress=pull)
    assert moved
    assert "went away after" in str(caught.value) and "Plug it in" in str(caught.value)
    whole = sum(len(p.data) for p in pieces.pieces)
    again = flash(virtual().port_url, "VIRTUAL", pieces=pieces)
    assert 0 < again.written < whole
    assert stands(tmp_path / "board" / "flash.bin", pieces)


def test_another_kind_of_chip(virtual: Virtual, make_pieces: MakePieces) -> None:
    taxi = dataclasses.replace(boards.load("ESP32C3_TAXI"), name="ESP32C3_TAXI")
    with pytest.raises(FlashError) as caught:
        flash(virtual().port_url, taxi, pieces=make_pieces("1"))
    assert "is an ESP32, and ESP32C3_TAXI has an ESP32-C3." in str(caught.value)
    assert "Take --board ESP32_BUS or ESP32_BUS_4M or VIRTUAL." in str(caught.value)


def test_a_flash_too_small(virtual: Virtual, make_pieces: MakePieces) -> None:
    board = dataclasses.replace(boards.load("VIRTUAL"), flash_size=16 << 20)
    process = virtual()
    with pytest.raises(FlashError, match="has 8 MB of flash, and VIRTUAL needs 16 MB"):
        flash(process.port_url, board, pieces=make_pieces("1"))


def test_a_chip_with_its_memory_on_the_readers_pins(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An ESP32-PICO-V3-02: GPIO 16 and 17 are not to be had."""
    features = ["Wi-Fi", "Embedded Flash", "Embedded PSRAM"]
    monkeypatch.setattr("esptool.targets.esp32.ESP32ROM.get_chip_features", lambda self: features)
    board = virtual()
    before = (tmp_path / "board" / "flash.bin").read_bytes()
    with pytest.raises(FlashError) as caught:
        flash(board.port_url, "VIRTUAL", pieces=make_pieces("1"))
    text = str(caught.value)
    assert "has Embedded Flash on GPIO 16 and 17, where VIRTUAL has READER_RX, READER_TX" in text
    assert (tmp_path / "board" / "flash.bin").read_bytes() == before


def test_a_board_without_power(
    virtual: Virtual, make_pieces: MakePieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faretap.flash.flasher._ATTEMPTS", 1)
    process = virtual()
    with process.bench() as bench:
        bench.power(False)
    with pytest.raises(FlashError, match="No chip answers at rfc2217.*Hold BOOT"):
        flash(process.port_url, "VIRTUAL", pieces=make_pieces("1"))


def test_a_port_in_use(virtual: Virtual, make_pieces: MakePieces) -> None:
    process = virtual()
    monitor = open_for_flashing(process.port_url, 115200)
    try:
        with pytest.raises(FaretapError, match="in use"):
            flash(process.port_url, "VIRTUAL", pieces=make_pieces("1"))
    finally:
        monitor.close()


@pytest.mark.parametrize(
    ("port", "words"),
    [("/dev/there-is-no-such-port", "There is no port"), ("rfc2217://127.0.0.1:9", "")],
)
def test_an_absent_port(make_pieces: MakePieces, port: str, words: str) -> None:
    with pytest.raises(PortError) as caught:
        flash(port, "VIRTUAL", pieces=make_pieces("1"))
    assert words in str(caught.value) and port in str(caught.value)


def test_nothing_is_said_and_an_unwritable_log_spoils_nothing(
    virtual: Virtual,
    make_pieces: MakePieces,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from esp_pylib.logger import EspLog

    before: Any = EspLog.instance
    (tmp_path / "file").write_text("")
    report = flash(
        virtual().port_url, "VIRTUAL", pieces=make_pieces("1"), log=tmp_path / "file" / "log"
    )
    assert report.written
    assert EspLog.instance is before  # esptool's own log is as it was
    said = capsys.readouterr()
    assert said.out == said.err == ""
