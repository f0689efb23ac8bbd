"""A new image into a running validator: riders go on, and cuts cost little."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from faretap import boards
from faretap.config.keys import public_bytes
from faretap.errors import FaretapError
from faretap.image import sources
from faretap.image.app import AppImage, build_app
from faretap.image.container import Container, make
from faretap.image.partitions import PartitionTable
from faretap.image.sign import sign
from faretap.image.whole import build_pieces
from faretap.link import LinkError
from faretap.present import tap
from faretap.session import Session, connect
from faretap.update import UpdateError, history, update
from faretap.update.rom import update_by_rom
from faretap.virtual import VirtualProcess

KEY = ec.generate_private_key(ec.SECP256R1())
MakeBoard = Callable[..., VirtualProcess]


def build(version: str, **changed: str) -> AppImage:
    source = sources.application()
    for name, text in changed.items():
        source[f"validator/{name}.py"] = text.encode()
    source["validator/version.py"] = f'VERSION = "{version}"\n'.encode()
    return build_app(boards.load("VIRTUAL"), source, version)


@pytest.fixture(scope="module")
def newer() -> Container:
    return sign(make(build("0.2.0")), KEY)


@pytest.fixture
def claimed(session: Session) -> Session:
    """A validator that knows the operator's key."""
    session.link.call("config.claim", {"public": public_bytes(KEY.public_key()).hex()})
    return session


def runs(session: Session, container: Container, slot: str) -> dict[str, Any]:
    info: dict[str, Any] = session.await_running(10.0)
    assert (info["hash"], info["slot"], info["mode"]) == (container.id, slot, "app")
    return info


def restart(session: Session, container: Container) -> None:
    session.forget_notifications()
    session.link.call("update.restart", {"id": container.id, "slot": "b"})
    assert session.wait_for("hello", 20.0)


def test_riders_go_on(claimed: Session, newer: Container) -> None:
    claimed.link.call("clock.set", {"unix": 1900000000})
    reports: list[Any] = []
    begun = threading.Event()

    def run() -> None:
        reports.append(update(claimed, newer, lambda done, total: begun.set(), restart=False))

    worker = threading.Thread(target=run)
    worker.start()
    assert begun.wait(20)
    taps = 0
    while worker.is_alive():
        taps += 1
        assert tap(claimed, "tunion", via="link" if taps % 2 else "wire")["seq"] == taps
    worker.join()
    assert taps > 1
    assert reports[0].slot == "b" and reports[0].sent > 0
    # Not before its time: the old one still serves.
    assert claimed.link.call("info")["version"] != "0.2.0"
    restart(claimed, newer)
    info = runs(claimed, newer, "b")
    assert info["version"] == "0.2.0" and info["journal"]["records"] == taps
    assert tap(claimed, "tunion", via="link")["seq"] == taps + 1
    ran = history(claimed)
    assert [entry["slot"] for entry in ran] == ["a", "b"]
    assert ran[1]["id"] == newer.id and ran[1]["version"] == "0.2.0"
    assert abs(ran[0]["unix"] - 1900000000) < 120
    report = update(claimed, newer)  # it runs already
    assert report.sent == 0 and not report.restarted
    assert update(claimed, newer, again=True).slot == "a"
    runs(claimed, newer, "a")


class _Cut(Exception):
    pass


def resumed(container: Container, told: list[int]) -> int:
    """Where the transfer went on: the head comes again, then what is missing."""
    return told[(container.packed().size - len(container.image)) // 2048]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_supply_goes_in_the_middle(
    board: VirtualProcess, newer: Container, share: float
) -> None:
    with connect(board.port_url, wait=10.0) as session, board.bench() as bench:
        session.link.call("config.claim", {"public": public_bytes(KEY.public_key()).hex()})

        def cut(done: int, total: int) -> None:
            if done >= share * total:
                bench.cycle()
                raise _Cut

        with pytest.raises((_Cut, FaretapError)):
            update(session, newer, cut)
    with connect(board.port_url, wait=10.0) as session:
        assert session.link.call("info")["slot"] == "a"
        assert tap(session, "tunion", via="link")["seq"] == 1
        first: list[int] = []
        report = update(session, newer, lambda done, total: first.append(done))
        assert resumed(newer, first) >= share * report.size - 3 * 4096
        runs(session, newer, "b")


def test_the_cable_goes_in_the_middle(
    board: VirtualProcess, cable: Callable[[str], Any], newer: Container
) -> None:
    line = cable(board.port_url)
    with connect(line.url, wait=10.0) as session:
        session.link.call("config.claim", {"public": public_bytes(KEY.public_key()).hex()})

        def pull(done: int, total: int) -> None:
            if done >= total // 6:
                line.pull()

        with pytest.raises(LinkError):
            update(session, newer, pull)
    with connect(board.port_url, wait=10.0) as session:
        first: list[int] = []
        report = update(session, newer, lambda done, total: first.append(done))
        assert resumed(newer, first) >= report.size // 6 - 3 * 4096
        runs(session, newer, "b")


class BadLine:
    """Spoils every so many writes of a session: lost, doubled, flipped, in another order."""

    def __init__(self, session: Session, often: int) -> None:
        self._device = session.link.device
        self._write = self._device.write
        self._often = often
        self._count = 0
        self._late = b""
        self.spoiled = 0
        self._device.write = self.write

    def write(self, data: bytes) -> int:
        self._count += 1
        out, self._late = bytes(data) + self._late, b""
        if self._count % self._often == 0 and len(data) > 20:
            self.spoiled += 1
            how = self.spoiled % 4
            if how == 0:
                out = out[: len(out) // 2]
            elif how == 1:
                out = out + out
            elif how == 2:
                out = out[:9] + bytes([out[9] ^ 0x10]) + out[10:]
            else:
                self._late, out = out, b""
        self._write(out)
        return len(data)

    def good(self) -> None:
        self._device.write = self._write


def test_a_bad_line(claimed: Session, newer: Container) -> None:
    line = BadLine(claimed, 150)
    assert update(claimed, newer, restart=False).sent > 0
    line.good()
    assert line.spoiled > 10
    restart(claimed, newer)
    runs(claimed, newer, "b")


def test_what_is_refused(session: Session, newer: Container) -> None:
    def reason(container: Container) -> str:
        with pytest.raises(UpdateError) as refused:
            update(session, container)
        assert refused.value.next_step
        return refused.value.reason

    assert reason(newer) == "no_key"
    assert reason(make(newer.app)) == "unsigned"
    session.link.call("config.claim", {"public": public_bytes(KEY.public_key()).hex()})
    assert reason(make(newer.app)) == "unsigned"
    assert reason(sign(newer, ec.generate_private_key(ec.SECP256R1()))) == "foreign"
    older = make(build("0.0.1"))
    assert reason(sign(older, KEY)) == "old"
    info = session.link.call("info")
    assert (info["slot"], info["boots"]) == ("a", 1)
    # The idle slot was not touched: it is as blank as it was.
    assert update(session, sign(older, KEY, downgrade=True)).slot == "b"
    runs(session, older, "b")


def test_another_boards_image(session: Session) -> None:
    bus = sign(make(build_app(boards.load("ESP32_BUS"))), KEY)
    with pytest.raises(UpdateError, match="for ESP32_BUS"):
        update(session, bus)


def test_an_image_that_does_not_run_is_left(claimed: Session) -> None:
    broken = build("0.3.0", app="def main(boot):\n    raise ValueError('as built')\n")
    with pytest.raises(UpdateError, match="went back to version .*app_b failed 3 times"):
        update(claimed, sign(make(broken), KEY))
    info = claimed.await_running(10.0)
    assert info["slot"] == "a"
    assert b"as built" in claimed.console
    assert history(claimed)[-1]["why"] == "app_b failed 3 times"
    assert tap(claimed, "tunion", via="link")["seq"] == 1


@pytest.fixture
def claimed_board(board: VirtualProcess) -> Iterator[VirtualProcess]:
    with connect(board.port_url, wait=10.0) as session:
        session.link.call("config.claim", {"public": public_bytes(KEY.public_key()).hex()})
    yield board


def test_by_the_rom_loader(claimed_board: VirtualProcess, newer: Container) -> None:
    url = claimed_board.port_url
    with connect(url) as session:
        tap(session, "tunion", via="link")
    with pytest.raises(FaretapError, match="not signed"):
        update_by_rom(url, make(newer.app), unsigned=True)
    with pytest.raises(UpdateError, match="older than"):
        update_by_rom(url, sign(make(build("0.0.1")), KEY))
    report = update_by_rom(url, newer)
    assert {piece.name for piece in report.pieces} == {"loader", "application"}
    with connect(url, wait=10.0) as session:
        info = runs(session, newer, "b")
        assert info["journal"]["records"] == 1
    # Back again by the link, into the other slot.
    older = sign(make(build("0.1.9")), KEY, downgrade=True)
    with connect(url, wait=10.0) as session:
        assert update(session, older).slot == "a"
        runs(session, older, "a")


def test_by_the_rom_loader_without_an_operators_key(
    board: VirtualProcess, newer: Container
) -> None:
    with pytest.raises(UpdateError, match="no operator key"):
        update_by_rom(board.port_url, newer)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(FaretapError, match="another key"):
        update_by_rom(board.port_url, newer, trust=other)
    update_by_rom(board.port_url, newer, trust=KEY.public_key())
    with connect(board.port_url, wait=10.0) as session:
        runs(session, newer, "b")


def test_back_by_the_rom_loader_where_that_was_signed(
    claimed_board: VirtualProcess, newer: Container
) -> None:
    url = claimed_board.port_url
    update_by_rom(url, newer)
    older = sign(make(build("0.1.9")), KEY, downgrade=True)
    update_by_rom(url, older)
    with connect(url, wait=10.0) as session:
        runs(session, older, "a")


def test_a_validator_with_an_earlier_map_is_left_as_it_is(
    make_board: MakeBoard, newer: Container
) -> None:
    """Its slots are smaller, and its map lacks what the new version looks for."""
    board = boards.load("VIRTUAL")
    table = PartitionTable(
        dataclasses.replace(part, size=0xA0000) if part.name in ("app_a", "app_b") else part
        for part in board.partitions
        if part.name != "riders"
    )
    early = dataclasses.replace(board, partitions=table)
    flash = bytearray(b"\xff" * board.flash_size)
    for piece in build_pieces(early, app=build_app(early)).pieces:
        flash[piece.offset : piece.offset + len(piece.data)] = piece.data
    process = make_board(flash=bytes(flash))
    with connect(process.port_url, wait=10.0) as session:
        session.link.call("config.claim", {"public": public_bytes(KEY.public_key()).hex()})
        with pytest.raises(UpdateError, match="has another flash map than version 0.2.0 of VIRT"):
            update(session, newer)
    # By the ROM loader too, where nothing runs that could say so.
    slot = table["app_a"]
    flash[slot.offset : slot.end] = b"\xff" * slot.size
    process = make_board(flash=bytes(flash))
    with pytest.raises(FaretapError, match="has another flash map than this version of VIRTUAL"):
        update_by_rom(process.port_url, newer, trust=KEY.public_key())
    after = (process.state / "flash.bin").read_bytes()
    assert after[0x8000:0x9000] == bytes(flash[0x8000:0x9000])
    assert after[table["vfs"].offset :] == bytes(flash[table["vfs"].offset :])
