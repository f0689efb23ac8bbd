"""The command `faretap` as a process of its own, and boards for it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from faretap.image.whole import whole_flash
from faretap.virtual import VirtualProcess, spawn

COMMAND = str(Path(sys.executable).with_name("faretap"))

# Each command is a process of its own, but not each imports everything anew: it is forked off one
# that has. What is there then is no garbage of theirs to look for.
NURSERY = """
import gc, json, os, signal, sys
import faretap.config.samples, faretap.flash.flasher, faretap.image.whole, faretap.virtual.process
import rich.traceback, typer.rich_utils
from faretap.cli import main
gc.collect()
gc.freeze()
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if not pid:
        signal.alarm(60)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(job["streams"], 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["faretap", *job["arguments"]]
        main()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)

    def sentence(self) -> str:
        """The one line on stderr of a command that failed, without its `error:`."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert self.status == 1, (self.status, self.err)
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        assert self.out == ""
        text = lines[0].removeprefix("error: ")
        for word in ("Traceback", "fault of faretap", "Errno", "None", "Exception"):
            assert word not in text, text
        assert text[0].isalnum() or text[0] in "-/", text
        assert text.endswith((".", "!", "?")), text
        return text


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Its cache is its own: what a user flashed before is not to be found there."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("FARETAP_")}
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**mine, "FARETAP_CACHE": cache, "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start("log", "--port", url)`: a running command; it ends with the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [COMMAND, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def nursery(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.communicate()


@pytest.fixture
def run(nursery: subprocess.Popen[str], tmp_path: Path) -> Callable[..., Done]:
    """`run("info", "--port", url)` -> Done."""

    def whole(*arguments: str) -> Done:
        assert nursery.stdin is not None and nursery.stdout is not None
        streams = [tmp_path / "stdout", tmp_path / "stderr"]
        job = {"arguments": arguments, "streams": [str(path) for path in streams]}
        nursery.stdin.write(json.dumps(job) + "\n")
        nursery.stdin.flush()
        status = int(nursery.stdout.readline())
        out, err = (path.read_text() for path in streams)
        return Done(status, out, err)

    return whole


@pytest.fixture(scope="session")
def flash_image() -> bytes:
    return whole_flash("VIRTUAL")


@pytest.fixture
def make_board(tmp_path: Path, flash_image: bytes) -> Iterator[Callable[..., VirtualProcess]]:
    """`make_board(flash=..., **options of spawn)`: each call is a board of its own."""
    with contextlib.ExitStack() as running:
        count = 0

        def make(flash: bytes | None = flash_image, **options: Any) -> VirtualProcess:
            nonlocal count
            state = tmp_path / f"board{count}"
            count += 1
            state.mkdir()
            if flash is not None:
                (state / "flash.bin").write_bytes(flash)
            return running.enter_context(spawn(state, unpaced=True, **options))

        yield make


@pytest.fixture
def board(make_board: Callable[..., VirtualProcess]) -> VirtualProcess:
    return make_board()


MACHINES = {
    0: b"Generic ESP32 module with ESP32\0",
    9: b"Generic ESP32S3 module with Octal-SPIRAM with ESP32S3\0",
    5: b"ESP32C3 module with ESP32C3\0",
}
DROM = {0: 0x3F400020, 9: 0x3C000020, 5: 0x3C000020}


def esp_image(chip_id: int, body: bytes) -> bytes:
    """One ESP image with one segment, from ESP-IDF's esp_app_format.h."""
    header = struct.pack("<BBBBIB3s", 0xE9, 1, 2, 0x2F, 0x40081000, 0xEE, b"\0\0\0")
    header += struct.pack("<HBHH4sB", chip_id, 0, 0, 0xFFFF, b"\0\0\0\0", 1)
    body = body.ljust(-(-len(body) // 4) * 4, b"\0")
    image = header + struct.pack("<II", DROM[chip_id], len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    image += b"\0" * (15 - len(image) % 16) + bytes((checksum,))
    return image + hashlib.sha256(image).digest()


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Path]:
    """`release(chip_id, spoil=None)`: a file as micropython.org offers it, with bootloader, table
    and firmware; with the byte at `spoil` damaged."""

    def make(chip_id: int, spoil: int | None = None) -> Path:
        first = 0x1000 if chip_id == 0 else 0

        def entry(kind: int, subtype: int, offset: int, size: int, name: bytes) -> bytes:
            return struct.pack("<HBBLL16sL", 0x50AA, kind, subtype, offset, size, name, 0)

        rows = entry(1, 2, 0x9000, 0x6000, b"nvs") + entry(0, 0, 0x10000, 0x1F0000, b"factory")
        table = rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()
        about = struct.pack("<IIII", 0xABCD5432, 0, 0, 0) + b"v1.26.1".ljust(32, b"\0")
        about = (about + b"micropython".ljust(32, b"\0")).ljust(256, b"\0")
        data = esp_image(chip_id, b"second stage" * 90).ljust(0x8000 - first, b"\xff")
        data = (data + table.ljust(0xC00, b"\xff")).ljust(0x10000 - first, b"\xff")
        data += esp_image(
            chip_id, about + b"MicroPython v1.26.1 on 2025-09-11\0" * 9 + MACHINES[chip_id]
        )
        if spoil is not None:
            data = data[:spoil] + bytes([data[spoil] ^ 0x40]) + data[spoil + 1 :]
        path = tmp_path / f"MICROPYTHON-{chip_id}.bin"
        path.write_bytes(data)
        return path

    return make
