"""The process: it starts once, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faretap.virtual import BoardError, spawn

MakeBoard = Any


def _gone(pid: int) -> bool:
    """Whether a process ends soon. A zombie has ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_interpreter_dies_with_the_board(board: MakeBoard, number: signal.Signals) -> None:
    bench = board("print('up')\nwhile True: pass")
    bench.on().wait(b"up\n")
    pid = bench.bench.status()["pid"]
    os.kill(bench.process.pid, number)
    assert _gone(pid) and _gone(bench.process.pid)


def test_the_board_dies_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from faretap.virtual import spawn\n"
            "b = spawn(Path(sys.argv[1])); print(b.pid, flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert _gone(pid)
    parent.stdout.close()


def test_a_folder_has_one_board(tmp_path: Path) -> None:
    with spawn(tmp_path), pytest.raises(BoardError, match="running already.*folder of its own"):
        spawn(tmp_path)
    with spawn(tmp_path):
        pass


def test_a_port_has_one_board(tmp_path: Path) -> None:
    with spawn(tmp_path / "one") as first:
        port = int(first.port_url.rsplit(":", 1)[1])
        with pytest.raises(BoardError, match="Cannot listen on 127.0.0.1.*take another port"):
            spawn(tmp_path / "two", port=port)


def test_damaged_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "flash.bin").write_bytes(b"short")
    with pytest.raises(BoardError, match="no flash chip's size"):
        spawn(tmp_path)
    (tmp_path / "flash.bin").unlink()
    (tmp_path / "board.json").write_text("{}")
    with pytest.raises(BoardError, match="MAC address"):
        spawn(tmp_path)


def test_an_idle_board_uses_no_processor(board: MakeBoard) -> None:
    bench = board("import sys\nprint('up')\nsys.stdin.buffer.read(1)")
    bench.on().wait(b"up\n")
    pids = [bench.process.pid, bench.bench.status()["pid"]]

    def ticks() -> int:
        total = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total

    before = ticks()
    assert bench.console.quiet(1.0) == b""
    assert ticks() - before <= 2  # of 100
