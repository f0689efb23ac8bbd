"""Virtual boards with a flash of one's own, and an application small enough to follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faretap import boards
from faretap.flash.port import open_for_flashing
from faretap.image import app as app_images
from faretap.image.whole import Pieces, build_pieces
from faretap.virtual import VirtualProcess, spawn

# Obeys one word a line, so that a test says what happens to it, and when.
APPLICATION = b"""
import sys

def copy_to_b():
    from esp32 import Partition
    a, b = [Partition.find(Partition.TYPE_DATA, label="app_" + s)[0] for s in "ab"]
    buf = bytearray(4096)
    for n in range(a.ioctl(4, 0)):
        a.readblocks(n, buf)
        b.writeblocks(n, buf)

def main(boot):
    print("RUNNING", VERSION, boot["slot"], boot["tries"], boot["id"], boot["why"])
    while True:
        word = sys.stdin.readline().strip()
        if word == "healthy":
            boot["healthy"]()
        elif word == "update":
            boot["rewriting"]("b")
            copy_to_b()
            boot["activate"]("b")
            return
        elif word == "crash":
            raise ValueError("as told")
        elif word == "heap":
            import gc
            gc.collect()
            print("free", gc.mem_free())
        print("DONE", word)
"""

MakePieces = Callable[[str], Pieces]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_pieces() -> MakePieces:
    """Pieces for VIRTUAL with the small application, which calls itself by a version."""

    def make(version: str) -> Pieces:
        board = boards.load("VIRTUAL")
        source = {
            "validator/__init__.py": b"",
            "validator/app.py": b"VERSION = '%s'\n" % version.encode() + APPLICATION,
            "validator/ballast.py": b"X = '%s'\n" % (b"ballast " * 2000),
        }
        return build_pieces(board, app=app_images.build_app(board, source, version))

    return make


@pytest.fixture
def virtual(tmp_path: Path) -> Iterator[Callable[..., VirtualProcess]]:
    """Starts virtual boards that end with the test: `virtual()` or `virtual(flash_size=…)`."""
    started: list[VirtualProcess] = []

    def start(**settings: Any) -> VirtualProcess:
        state = tmp_path / "board"
        state.mkdir(exist_ok=True)
        process = spawn(state, unpaced=True, **settings)
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


class Console:
    """The board's console, as a monitor shows it."""

    def __init__(self, port: str) -> None:
        self._device = open_for_flashing(port, 115200)
        self._device.timeout = 0.02
        self.text = ""
        self._from = 0

    def expect(self, words: str, timeout: float = 20.0) -> str:
        """Wait for `words`; returns the rest of their line. Looks behind what it found before."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            at = self.text.find(words, self._from)
            end = self.text.find("\n", at)
            if at >= 0 and end >= 0:
                self._from = end
                return self.text[at + len(words) : end].strip()
            self.text += self._device.read(1000).decode("utf-8", "replace")
        raise AssertionError(f"{words!r} did not come; this did: {self.text[-2000:]}")

    def say(self, line: str) -> None:
        self._device.write(line.encode() + b"\n")

    def close(self) -> None:
        self._device.close()


@pytest.fixture
def console() -> Iterator[Callable[[str], Console]]:
    opened: list[Console] = []

    def open_console(port: str) -> Console:
        opened.append(Console(port))
        return opened[-1]

    yield open_console
    for one in opened:
        one.close()
