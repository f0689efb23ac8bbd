"""The real esptool on the virtual board."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import serial.rfc2217
from esptool import cmds

from faretap.virtual.flash import Flash
from faretap.virtual.rom import SerialLoader, _slip

MakeBoard = Any


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyserial's RFC 2217 client renegotiates the whole line, 100 ms, each time a read timeout is
    set, which esptool does twice a command."""

    def set_timeout(self: Any, value: float | None) -> None:
        self._timeout = value

    monkeypatch.setattr(
        serial.rfc2217.Serial, "timeout", property(lambda self: self._timeout, set_timeout)
    )


def test_chip_id_with_default_options(board: MakeBoard) -> None:
    bench = board("print('running')")
    bench.console.close()
    while bench.bench.status()["serial_client"]:
        pass
    bench.bench.power(True)
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--port", bench.url, "chip-id"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ESP32-D0WD-V3" in done.stdout and "40MHz" in done.stdout
    assert bench.bench.status()["mac"] in done.stdout
    assert bench.bench.status()["boot"] == "run"


def test_write_verify_read_erase(board: MakeBoard, tmp_path: Path, quick: None) -> None:
    bench = board(flash=b"\x00" * (4 << 20))
    bench.console.close()
    while bench.bench.status()["serial_client"]:
        pass
    bench.bench.power(True)
    image = bench.process.state / "flash.bin"
    content = os.urandom(20000) + bytes(30000) + os.urandom(5001)
    file, back = tmp_path / "in.bin", tmp_path / "out.bin"
    file.write_bytes(content)

    rom = cmds.detect_chip(bench.url, connect_attempts=1)
    try:
        with cmds.run_stub(rom) as stub:
            stub.change_baud(921600)
            cmds.attach_flash(stub)
            assert stub.flash_id() >> 16 == 0x16
            # MicroPython's place: erased in whole sectors, verified by MD5, nothing else touched.
            cmds.write_flash(stub, [(0x11000, str(file))])
            cmds.verify_flash(stub, [(0x11000, str(file))])
            cmds.read_flash(stub, 0x10F00, len(content) + 0x200, str(back))
            assert back.read_bytes() == bytes(0x100) + content + b"\xff" * 0x100
            cmds.erase_region(stub, 0x11000, 0x1000)
            flash = image.read_bytes()
            assert flash[0x11000:0x12000] == b"\xff" * 4096
            assert flash[0x12000 : 0x11000 + len(content)] == content[4096:]
            assert flash[0x20000:] == bytes(len(flash) - 0x20000)
            cmds.erase_flash(stub)
            assert image.read_bytes().count(0xFF) == 4 << 20
            cmds.reset_chip(stub, "hard-reset")
            assert bench.bench.status()["boot"] == "run"
    finally:
        rom._port.close()


def test_write_without_stub(board: MakeBoard, tmp_path: Path, quick: None) -> None:
    bench = board(flash=b"\x00" * (4 << 20))
    bench.console.close()
    while bench.bench.status()["serial_client"]:
        pass
    bench.bench.power(True)
    file = tmp_path / "in.bin"
    file.write_bytes(os.urandom(3000))
    rom = cmds.detect_chip(bench.url, connect_attempts=1)
    try:
        cmds.attach_flash(rom)
        cmds.write_flash(rom, [(0x300000, str(file))], no_compress=True)
        cmds.write_flash(rom, [(0x310000, str(file))], compress=True)
    finally:
        rom._port.close()
    flash = (bench.process.state / "flash.bin").read_bytes()
    assert flash[0x300000:0x301000] == file.read_bytes().ljust(4096, b"\xff")
    assert flash[0x310000:0x311000] == file.read_bytes().ljust(4096, b"\xff")


class Loader:
    """A SerialLoader with its answers, decoded."""

    def __init__(self, path: Path) -> None:
        self.raw = b""
        self.rates: list[int] = []
        self.reboots = 0
        self.flash = Flash(path / "flash.bin", 1 << 20)
        self.rom = SerialLoader(
            self.flash, b"\2\3\4\5\6\7", self._send, self.rates.append, self._boot
        )

    def _send(self, data: bytes) -> None:
        self.raw += data

    def _boot(self) -> None:
        self.reboots += 1

    def frames(self) -> list[bytes]:
        raw, self.raw = self.raw, b""
        parts = [p for p in raw.split(b"\xc0") if p]
        return [p.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb") for p in parts]

    def command(self, code: int, data: bytes, checksum: int = 0) -> bytes:
        head = bytes([0, code]) + len(data).to_bytes(2, "little") + checksum.to_bytes(4, "little")
        self.rom.receive(_slip(head + data))
        (answer,) = self.frames()
        return answer


def test_frames_in_any_slicing(tmp_path: Path) -> None:
    loader = Loader(tmp_path)
    sync = _slip(b"\0\x08\x24\0\0\0\0\0\x07\x07\x12\x20" + b"\x55" * 32)
    read = _slip(b"\0\x0a\x04\0\0\0\0\0" + (0x40001000).to_bytes(4, "little"))
    for size in (1, 2, 3, 7, 1000):
        loader.raw = b""
        stream = b"noise" + sync + b"\xc0\xc0" + read
        for at in range(0, len(stream), size):
            loader.rom.receive(stream[at : at + size])
        frames = loader.frames()
        assert len(frames) == 9
        assert frames[-1][4:8] == (0x00F01D83).to_bytes(4, "little")


def test_loader_refuses_what_a_chip_refuses(tmp_path: Path) -> None:
    loader = Loader(tmp_path)
    past = b"".join(n.to_bytes(4, "little") for n in (8192, 1, 8192, (1 << 20) - 4096))
    assert loader.command(0x02, past)[8] == 1
    block = b"\4\0\0\0" + bytes(12) + b"abcd"
    assert loader.command(0x03, block, 0)[8:10] == b"\1\7"  # checksum
    assert loader.command(0xD0, b"")[8:10] == b"\1\5"  # a stub's command
    assert loader.command(0x0A, b"\1")[8] == 1  # too short
    assert loader.command(0x13, b"".join(n.to_bytes(4, "little") for n in (1 << 20, 1, 0, 0)))[8]
    assert loader.command(0x0F, (460800).to_bytes(4, "little") + bytes(4))[8] == 0
    assert loader.rates == [460800]
    loader.rom.receive(b"\xc0" + b"x" * 300_000)  # no frame is that long
    assert loader.command(0x0B, bytes(24))[8] == 0
    assert loader.flash.read(0, 4096) == b"\xff" * 4096
