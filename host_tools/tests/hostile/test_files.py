"""Files that others share, hold, or made: what is written goes where it was meant, or nowhere."""

from __future__ import annotations

import csv
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from faretap import writing
from faretap.rack.locks import Claim
from faretap.reading import FileError
from faretap.records import export

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.name == "nt", reason="pipes and locks of POSIX"),
]


def test_a_pipe_whose_reader_is_slow(tmp_path: Path) -> None:
    """More than a pipe holds waits for it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    number = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(number, True)
    data = bytes(range(256)) * 4096
    came: list[bytes] = []

    def read() -> None:
        while piece := os.read(number, 1000):
            came.append(piece)

    reader = threading.Thread(target=read)
    out = threading.Thread(target=lambda: writing.write_bytes(pipe, data))
    out.start()
    while out.is_alive() and not _full(number):
        pass
    reader.start()
    out.join(20)
    reader.join(20)
    os.close(number)
    assert b"".join(came) == data


def _full(number: int) -> bool:
    import fcntl
    import termios

    held = bytearray(4)
    fcntl.ioctl(number, termios.FIONREAD, held)
    return int.from_bytes(held, "little") >= 65536


def test_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="cannot be written"):
        writing.write_bytes(tmp_path / "pipe", b"x")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="a system without names of open files")
def test_a_file_that_is_open_already(tmp_path: Path) -> None:
    """As /dev/stdout after >>: what stands in it stays, and its name goes on being its own."""
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    with log.open("ab") as file:
        writing.write_bytes(Path(f"/dev/fd/{file.fileno()}"), b"export\n")
        file.write(b"after\n")
    assert log.read_bytes() == b"before\nexport\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_file_that_went_away_while_it_was_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had it removed it as empty: what is added to it would be in no file."""
    path = tmp_path / "a.records.jsonl"
    lock = writing._lock

    def late(number: int) -> None:
        path.unlink()
        lock(number)

    monkeypatch.setattr(writing, "_lock", late)
    with pytest.raises(FileError, match="Another process"), writing.Appending(path) as out:
        out.write(b"a record\n")


def test_two_add_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.records.jsonl"
    with writing.Appending(path) as out:
        out.write(b"a record\n")
        with pytest.raises(FileError, match="Another process"), writing.Appending(path):
            raise AssertionError("both have it")
    assert path.read_bytes() == b"a record\n"


def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_LOCK_S", 0.1)
    lock = tmp_path / "rack.state.lock"
    with writing.locked(lock), pytest.raises(FileError, match="holds"), writing.locked(lock):
        raise AssertionError("both have it")
    with writing.locked(lock):
        pass


@pytest.mark.parametrize("kind", ["hard link", "link", "pipe"])
def test_a_lock_is_no_other_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of locks is everybody's: a note in a lock must not go into a file of ours."""
    from faretap.errors import FaretapError

    monkeypatch.setenv("FARETAP_LOCKS", str(tmp_path / "locks"))
    Claim({"device": "The port"}, "me").release()
    lock = next((tmp_path / "locks").iterdir())
    lock.unlink()
    mine = tmp_path / "mine"
    mine.write_bytes(b"precious")
    {"hard link": lock.hardlink_to, "link": lock.symlink_to}.get(kind, lambda to: os.mkfifo(lock))(
        mine
    )
    with pytest.raises(FaretapError, match="lock"):
        Claim({"device": "The port"}, "me")
    assert mine.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", "＋1", "－1", "＠A1"],
    ids=repr,
)
def test_no_cell_is_a_formula(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row: dict[str, Any] = {"validator": "aa", "line": text, "fare_fen": -5}
    monkeypatch.setattr(export, "rows", lambda numbered, serial: iter([row]))
    (cells,) = csv.DictReader(io.StringIO("".join(export.csv_lines([], "aa"))))
    assert cells["line"] == "'" + text
    assert cells["fare_fen"] == "-5"
