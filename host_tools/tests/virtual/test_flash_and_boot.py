"""Flash, images, boot: what stands in flash decides, and survives."""

from __future__ import annotations

import importlib.util
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faretap.virtual import boot, esp_image, micropython_image, spawn
from faretap.virtual.flash import Flash, FlashError

MakeBoard = Any


def test_nor_rules(tmp_path: Path) -> None:
    flash = Flash(tmp_path / "flash.bin", 1 << 20)
    assert flash.size == 1 << 20 and flash.read(0, 4) == b"\xff" * 4
    flash.program(100, b"\xf0\x0f")
    flash.program(100, b"\x3c\xff")
    assert flash.read(100, 2) == b"\x30\x0f"
    flash.erase(0)
    assert flash.read(100, 2) == b"\xff\xff"
    for bad in (
        lambda: flash.read((1 << 20) - 1, 2),
        lambda: flash.program(1 << 20, b"x"),
        lambda: flash.erase(100),
        lambda: flash.erase(0, 100),
    ):
        with pytest.raises(FlashError):
            bad()
    flash.program(5000, b"kept")
    flash.close()
    again = Flash(tmp_path / "flash.bin", 4 << 20)
    assert again.size == 1 << 20 and again.read(5000, 4) == b"kept"
    assert again.jedec_id >> 16 == 0x14


def test_image_is_deterministic_and_esptool_accepts_it(tmp_path: Path) -> None:
    import esptool.bin_image

    one = micropython_image.build()
    micropython_image._compile.cache_clear()
    assert micropython_image.build() == one
    path = tmp_path / "app.bin"
    path.write_bytes(one[0x10000 - 0x1000 :])
    image = esptool.bin_image.LoadFirmwareImage("esp32", str(path))
    assert image.checksum == image.calculate_checksum()
    assert image.stored_digest == image.calc_digest
    assert image.chip_id == 0
    parsed = esp_image.parse(path.read_bytes())
    assert esp_image.version_of(parsed).startswith("v1.")
    assert parsed.segments[0][1][48:59] == b"micropython"
    assert {"_boot.mpy", "machine.mpy", "esp32.mpy"} <= set(micropython_image.unpack(parsed))


def test_any_damaged_byte_of_an_image_is_found() -> None:
    image = esp_image.build(0x40080000, [(esp_image.DROM, b"x" * 300), (0x40080000, b"code")])
    assert esp_image.parse(image + b"\xff" * 64).length == len(image)
    dice = random.Random(1)
    # The flash mode byte and the like are covered by the hash as well.
    for at in sorted(dice.sample(range(len(image)), 60)):
        damaged = bytearray(image)
        damaged[at] ^= 1 << dice.randrange(8)
        if at == 23 and not damaged[at] & 1:
            continue  # this bit says whether there is a hash at all
        with pytest.raises(esp_image.ImageError):
            esp_image.parse(bytes(damaged))
    for length in range(0, len(image), 13):
        with pytest.raises(esp_image.ImageError):
            esp_image.parse(image[:length])


def _with(flash: bytes, at: int, data: bytes) -> bytes:
    return flash[:at] + data + flash[at + len(data) :]


@pytest.mark.parametrize(
    ("at", "data", "said"),
    [
        (0, b"\xff" * (4 << 20), b"invalid header: 0xffffffff"),
        (0x1022, b"\x00", b"csum err"),
        (0x8000, b"\xff" * 0xC00, b"invalid magic number 0xffff"),
        (0x8004, b"\x01", b"MD5"),
        (0x10000 + 5000, b"\xa5\xa5", b"No bootable app partitions in the partition table"),
        (0x10000, b"\xff", b"No bootable app partitions in the partition table"),
    ],
)
def test_what_cannot_boot_says_why(
    tmp_path: Path, micropython_flash: bytes, at: int, data: bytes, said: bytes
) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(_with(micropython_flash, at, data))
    log = boot.look(Flash(path), boot.POWERON)
    assert log.application is None
    assert said in log.text.encode()


def test_factory_partition_is_wanted(tmp_path: Path, micropython_flash: bytes) -> None:
    table = struct.pack("<HBBII16sI", 0x50AA, 1, 2, 0x9000, 0x6000, b"nvs", 0)
    path = tmp_path / "flash.bin"
    path.write_bytes(_with(micropython_flash, 0x8000, table.ljust(0xC00, b"\xff")))
    log = boot.look(Flash(path), boot.POWERON)
    assert log.application is None and "No bootable app partitions" in log.text


def test_blank_board_tries_for_ever_and_runs_nothing(board: MakeBoard) -> None:
    bench = board(flash=b"\xff" * (4 << 20))
    console = bench.on()
    console.wait(b"invalid header: 0xffffffff")
    console.wait(b"invalid header: 0xffffffff")
    status = bench.bench.status()
    assert status["pid"] is None and status["state"] == "nothing to boot"


def test_blank_file_system_is_made(board: MakeBoard, micropython_flash: bytes) -> None:
    bench = board(flash=micropython_flash)
    console = bench.on()
    console.wait(b"Performing initial setup")
    console.wait(b">>> ")
    console.send(b"import os; os.listdir()\r")
    console.wait(b"['boot.py']")
    bench.bench.cycle()
    assert b"initial setup" not in console.wait(b">>> ")


def test_a_state_folder_may_be_relative(
    tmp_path: Path, make_flash: Callable[[dict[str, str]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("here/flash.bin").write_bytes(make_flash({"main.py": "import time\ntime.sleep(60)\n"}))
    with spawn(Path("here")) as process, process.bench() as bench:
        deadline = time.monotonic() + 8
        while bench.status()["state"] != "main.py":
            assert time.monotonic() < deadline, bench.status()
        assert bench.status()["panics"] == 0


def test_corrupted_file_system_is_told_and_nothing_runs(
    board: MakeBoard, micropython_flash: bytes
) -> None:
    bench = board(flash=_with(micropython_flash, 0x200000, b"garbage" * 2000))
    console = bench.on()
    console.wait(b"The filesystem appears to be corrupted.")
    console.wait(b"by firmware programming).")
    assert b">>>" not in console.quiet(0.2)
    assert bench.bench.status()["state"] == "corrupted"


def test_partitions_follow_nor_rules_and_bounds(board: MakeBoard) -> None:
    main = """
from esp32 import Partition
p = Partition.find(Partition.TYPE_DATA, label="journal")[0]
assert p.info() == (1, 0x44, 0x310000, 0xF0000, "journal", False)
assert p.ioctl(4, 0) == 240 and p.ioctl(5, 0) == 4096
b = bytearray(4)
p.writeblocks(3, b"\\xf0\\x0f\\x00\\xff", 254)
p.writeblocks(3, b"\\x3c\\xff\\xff\\x55", 254)
p.readblocks(3, b, 254)
assert b == b"\\x30\\x0f\\x00\\x55", b
p.ioctl(6, 3)
p.readblocks(3, b, 254)
assert b == b"\\xff\\xff\\xff\\xff"
p.writeblocks(5, bytes(range(256)) * 16)
page = bytearray(4096)
p.readblocks(5, page)
assert page == bytes(range(256)) * 16
small = Partition.find(Partition.TYPE_DATA, label="journal", block_size=512)[0]
small.writeblocks(41, b"s" * 512)
p.readblocks(5, page)
assert page[:512] == bytes(range(256)) * 2 and page[512:1024] == b"s" * 512
assert page[1024:] == bytes(range(256)) * 12
for bad in (lambda: p.readblocks(240, b), lambda: p.writeblocks(239, b, 4094),
            lambda: p.ioctl(6, 240), lambda: Partition("nothing"), lambda: p.set_boot()):
    try:
        bad()
        print("wrong: no error")
    except OSError as e:
        print("E", e.args[0])
print("done")
"""
    text = board(main).on().wait(b"done")
    assert b"wrong" not in text and b"Traceback" not in text
    assert [int(line[2:]) for line in text.split(b"\n") if line.startswith(b"E ")] == [
        -260,
        -260,
        -260,
        2,
        -261,
    ]


def test_nvs_on_the_board(board: MakeBoard) -> None:
    main = """
from esp32 import NVS
n = NVS("faretap")
try:
    print("was", n.get_i32("boots"))
except OSError as e:
    print("none", e.args)
    n.set_i32("boots", -7)
    n.set_blob("b", b"\\x00\\xffblob")
else:
    buf = bytearray(10)
    print("blob", bytes(buf[:n.get_blob("b", buf)]))
    n.erase_key("boots")
"""
    bench = board(main)
    console = bench.on()
    console.wait(b"none (-4354, 'ESP_ERR_NVS_NOT_FOUND')")
    console.wait(b">>> ")
    bench.bench.cycle()
    console.wait(b"was -7")
    console.wait(b"blob b'\\x00\\xffblob'")
    console.wait(b">>> ")
    bench.bench.cycle()
    console.wait(b"none")


def test_power_cuts_lose_no_nvs_value_that_was_reported(board: MakeBoard) -> None:
    main = """
from esp32 import NVS
n = NVS("c")
try:
    at = n.get_i32("n")
except OSError:
    at = 0
print("start", at)
while True:
    at += 1
    n.set_i32("n", at)
    n.set_blob("pad", bytes([at & 255]) * 60)
    print("now", at)
"""
    bench = board(main)
    console = bench.on()
    reported = 0
    dice = random.Random(3)
    for _ in range(6):
        start = int(console.wait(b"now").split(b"start ")[1].split()[0])
        assert start >= reported
        for _ in range(dice.randrange(30, 400)):
            console.wait(b"now")
        bench.bench.power(False)
        text = console.quiet(0.05)
        numbers = [int(w) for w in text.replace(b"now", b"").split()[:-1] if w.isdigit()]
        reported = max([start, *numbers])
        bench.on()
    assert reported > 100


class CutOff(Exception):
    """Power is gone."""


class CutDevice:
    """A partition that loses power at its n-th operation, which it does by half."""

    def __init__(self, sectors: int) -> None:
        self.data = bytearray(b"\xff" * sectors * 4096)
        self.left = -1

    def _strike(self) -> bool:
        self.left -= 1
        return self.left == 0

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        at = block * 4096 + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block: int, buf: bytes, offset: int) -> None:
        at = block * 4096 + offset
        cut = self._strike()
        for n, byte in enumerate(buf[: len(buf) // 2] if cut else buf):
            self.data[at + n] &= byte
        if cut:
            raise CutOff

    def ioctl(self, command: int, arg: int) -> int:
        if command == 4:
            return len(self.data) // 4096
        cut = self._strike()
        end = arg * 4096 + (2048 if cut else 4096)
        self.data[arg * 4096 : end] = b"\xff" * (end - arg * 4096)
        if cut:
            raise CutOff
        return 0


def test_nvs_log_survives_a_cut_at_every_flash_operation() -> None:
    path = micropython_image.modules_folder() / "_nvs.py"
    spec = importlib.util.spec_from_file_location("virtual_nvs", path)
    assert spec is not None and spec.loader is not None
    nvs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nvs)
    # 2 sectors: a bank of one, so that the log is copied over and over.
    cut = 1
    while True:
        device = CutDevice(2)
        device.left = cut
        done: dict[str, bytes] = {}
        doing: tuple[str, bytes | None] | None = None
        finished = False
        try:
            log = nvs.Log(device)
            for n in range(40):
                key, value = f"k{n % 5}", bytes([n]) * (n % 7 * 60)
                doing = (key, value)
                log.put("s", key, 2, value)
                done[key] = value
                if n % 9 == 8:
                    doing = (key, None)
                    log.erase("s", key)
                    del done[key]
                doing = None
            finished = True
        except CutOff:
            pass
        device.left = -1
        again = nvs.Log(device)
        found = {key: value for (_, key), (_, value) in again._values.items()}
        allowed = [done]
        if doing is not None:
            after = {**done, doing[0]: doing[1]}
            allowed.append({k: v for k, v in after.items() if v is not None})
        assert found in allowed, cut
        again.put("s", "after", 1, b"\1\0\0\0")
        assert nvs.Log(device).get("s", "after", 1) == b"\1\0\0\0"
        if finished:
            break
        cut += 1
    assert cut > 50
