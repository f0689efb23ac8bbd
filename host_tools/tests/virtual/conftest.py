"""Boards with hand-made flash, and a small console client for them."""

from __future__ import annotations

import hashlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from littlefs import LittleFS

from faretap.virtual import VirtualProcess, spawn
from faretap.virtual.micropython_image import build

PARTITIONS = [
    (1, 0x02, 0x9000, 0x6000, b"nvs"),
    (1, 0x01, 0xF000, 0x1000, b"phy_init"),
    (0, 0x00, 0x10000, 0x1F0000, b"factory"),
    (1, 0x81, 0x200000, 0x10000, b"vfs"),
    (1, 0x44, 0x310000, 0xF0000, b"journal"),
]


def table() -> bytes:
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, address, size, label, 0)
        for kind, subtype, address, size, label in PARTITIONS
    )
    return (rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()).ljust(0xC00, b"\xff")


def file_system(files: dict[str, str]) -> bytes:
    fs = LittleFS(block_size=4096, block_count=16, disk_version=0x00020000)
    for name, text in files.items():
        with fs.open(name, "wb") as f:
            f.write(text.encode())
    return bytes(fs.context.buffer)


def flash_image(files: dict[str, str] | None) -> bytearray:
    """4 MB with MicroPython, the table above, and a file system, or none at all."""
    flash = bytearray(b"\xff" * (4 << 20))
    micropython = build()
    flash[0x1000 : 0x1000 + len(micropython)] = micropython
    flash[0x8000:0x8C00] = table()
    if files is not None:
        fs = file_system(files)
        flash[0x200000 : 0x200000 + len(fs)] = fs
    return flash


class Console:
    """A bare RFC 2217 client: what pyserial does, without its waits."""

    def __init__(self, url: str) -> None:
        host, port = url.split("//")[1].split(":")
        self._socket = socket.create_connection((host, int(port)), 5)
        self._socket.sendall(b"\xff\xf1")  # telnet NOP: a serial client
        self._raw = b""
        self.text = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data.replace(b"\xff", b"\xff\xff"))

    def control(self, code: int) -> None:
        """8/9: DTR on/off, 11/12: RTS on/off."""
        self._socket.sendall(bytes([0xFF, 0xFA, 44, 5, code, 0xFF, 0xF0]))

    def baud(self, rate: int) -> None:
        self._socket.sendall(b"\xff\xfa\x2c\x01" + struct.pack(">I", rate) + b"\xff\xf0")

    def wait(self, wanted: bytes, timeout: float = 8.0) -> bytes:
        """All text up to and with `wanted`; what follows stays for the next call."""
        deadline = time.monotonic() + timeout
        while wanted not in self.text:
            left = deadline - time.monotonic()
            if left <= 0 or not self._receive(left):
                raise AssertionError(f"no {wanted!r} in {self.text[-2000:]!r}")
        at = self.text.index(wanted) + len(wanted)
        got, self.text = self.text[:at], self.text[at:]
        return got

    def quiet(self, seconds: float) -> bytes:
        """All text until nothing comes for `seconds`."""
        while self._receive(seconds):
            pass
        got, self.text = self.text, b""
        return got

    def _receive(self, timeout: float) -> bool:
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return False
        if not data:
            return False
        self._raw += data
        while self._raw:
            at = self._raw.find(b"\xff")
            if at < 0:
                self.text += self._raw
                self._raw = b""
                break
            self.text += self._raw[:at]
            rest = self._raw[at:]
            if rest[1:2] == b"\xff":
                self.text += b"\xff"
                length = 2
            elif rest[1:2] == b"\xfa":
                end = rest.find(b"\xff\xf0")
                length = end + 2 if end >= 0 else len(rest) + 1
            else:
                length = 3
            if len(rest) < length:
                self._raw = rest
                break
            self._raw = rest[length:]
        return True


class Bench:
    """A running board with a console and a bench connection, switched off at first."""

    def __init__(self, process: VirtualProcess) -> None:
        self.process = process
        self.url = process.port_url
        self.bench = process.bench()
        self.bench.power(False)
        self.console = Console(self.url)
        # A serial client once it holds the port; from then on nothing that is printed is lost.
        while self.bench.status()["serial_client"] is None:
            pass

    def on(self) -> Console:
        self.bench.power(True)
        return self.console

    def close(self) -> None:
        self.console.close()
        self.bench.close()
        self.process.stop()


MakeBoard = Callable[..., Bench]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[MakeBoard]:
    """`board(main, unpaced=True, flash=None, files={}, **spawn options)` -> Bench."""
    running: list[Bench] = []

    def make(
        main: str = "",
        *,
        files: dict[str, str] | None = None,
        flash: bytes | None = None,
        unpaced: bool = True,
        **options: Any,
    ) -> Bench:
        state = tmp_path / f"board{len(running)}"
        state.mkdir()
        content = flash if flash is not None else flash_image({"main.py": main, **(files or {})})
        # A board is on from its start until the bench switches it off, and must not have begun
        # to use what it is given before the test does.
        (state / "flash.bin").write_bytes(b"\xff" * len(content))
        running.append(Bench(spawn(state, unpaced=unpaced, **options)))
        with (state / "flash.bin").open("r+b") as f:
            f.write(content)
        return running[-1]

    yield make
    for each in running:
        each.close()


@pytest.fixture(scope="session")
def micropython_flash() -> bytes:
    return bytes(flash_image(None))


@pytest.fixture
def make_flash() -> Callable[[dict[str, str]], bytes]:
    return lambda files: bytes(flash_image(files))


@pytest.fixture
def open_console() -> Callable[[str], Console]:
    return Console
