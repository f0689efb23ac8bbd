"""The packed part of a slot: what is in it, that it fits together, and that it comes out again."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from faretap import boards
from faretap.image import ImageError, filesystem, inplace, mpy
from faretap.image.app import build_app, read_app
from faretap.image.compiler import compile_one
from faretap.kernel import build as build_kernel

TEXT = b'''
"""A module."""
NAME = "some_name"

def outer(a, b=4):
    def middle():
        return [x + a for x in b]
    return middle, lambda: "a text that is longer than names are"

class Thing:
    def method(self):
        yield self.attribute

    async def later(self):
        await outer(1)
'''
VIPER = b"""
import micropython
@micropython.viper
def fast(x: int) -> int:
    return x + 1

@micropython.native
def native(x):
    return [y for y in x]

def plain(x):
    return fast(x)
"""
SOURCE = {
    "validator/__init__.py": b"",
    "validator/version.py": b'VERSION = "9"\n',
    "validator/inplace_setup.py": b"def start(boot):\n    pass\n",
    "validator/inplace_files.py": b"",
    "validator/inplace.py": b"",
    "validator/deep/er/__init__.py": b"",
    "validator/deep/er/long.py": TEXT,
    "validator/app.py": b"from validator import inplace_setup\n",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))


def compiled(text: bytes = TEXT, arch: str = "xtensawin") -> bytes:
    return compile_one("validator/x.py", text, arch)


class TestMpy:
    def test_functions_are_where_they_are_said_to_be(self) -> None:
        module = mpy.read(compiled())
        found = mpy.in_order(module.body)
        # module, outer, middle, its comprehension, lambda, class, method, later
        assert [len(f.inner) for f in found] == [2, 2, 1, 0, 0, 2, 0, 0]
        assert {f.kind for f in found} == {mpy.BYTECODE}
        ends = [f.at + f.size for f in found]
        assert all(f.at > end for f, end in zip(found[1:], ends, strict=False))
        assert ends[-1] == len(compiled())

    def test_names_and_texts(self) -> None:
        texts = mpy.read(compiled()).texts
        assert {b"outer", b"middle", b"some_name", b"attribute", b"validator/x.py"} <= set(texts)
        assert b"a text that is longer than names are" in texts
        module = mpy.read(compiled())
        for text, place in zip(module.texts, module.places, strict=True):
            assert compiled()[place : place + len(text) + 1] == text + b"\0"
        assert b"append" not in texts, "names that every MicroPython has are numbers in the file"

    @pytest.mark.parametrize("arch", ["xtensawin", "rv32imc", "x64"])
    def test_machine_code(self, arch: str) -> None:
        found = mpy.in_order(mpy.read(compiled(VIPER, arch)).body)
        kinds = [mpy.BYTECODE, mpy.VIPER, mpy.NATIVE, mpy.NATIVE, mpy.BYTECODE]
        assert [f.kind for f in found] == kinds

    @pytest.mark.parametrize("arch", ["xtensawin", "rv32imc", "x64"])
    def test_the_kernel_that_the_builder_writes(self, arch: str) -> None:
        assert any(f.kind == mpy.VIPER for f in mpy.in_order(mpy.read(build_kernel(arch)).body))

    def test_constants_of_every_kind(self) -> None:
        text = b"X = (1, 2.5, b'bytes', 'text', None, (True, 1 << 70, ...), 3j)\ndef f(): pass\n"
        assert len(mpy.in_order(mpy.read(compiled(text)).body)) == 2

    def test_every_module_of_the_application_is_read_to_its_end(self) -> None:
        image = build_app(boards.load("ESP32S3_BUS"))
        modules = [data for path, data in image.files.items() if path.endswith(".mpy")]
        assert sum(len(mpy.in_order(mpy.read(data).body)) for data in modules) > 500

    def test_what_is_not_a_whole_mpy(self) -> None:
        whole = compiled()
        for n in range(len(whole)):
            with pytest.raises(ImageError):
                mpy.read(whole[:n])
        with pytest.raises(ImageError, match="behind its end"):
            mpy.read(whole + b"\0")
        with pytest.raises(ImageError, match="not a .mpy"):
            mpy.read(b"M\5" + whole[2:])


def files() -> dict[str, bytes]:
    return {
        "validator/__init__.mpy": compile_one("validator/__init__.py", b"", "xtensawin"),
        "validator/x.mpy": compiled(),
        "validator/deep/fast.mpy": compiled(VIPER),
        "validator/deep/numbers.bin": bytes(range(256)) * 3,
    }


def lookup(data: bytes, count: int, path: str) -> tuple[int, int, int] | None:
    """(place, size, functions), found as one would without the device's code."""
    for n in range(count):
        crc, at, size, functions = struct.unpack_from("<IIII", data, 16 * n)
        if crc == crc32(path.encode()):
            return at, size, functions
    return None


class TestPacked:
    def test_every_file_is_in_one_piece(self) -> None:
        packed = inplace.pack(files(), mapped=True)
        count = packed.description["files"]
        assert count == 6  # four files, two folders
        for path, content in files().items():
            found = lookup(packed.data, count, "/" + path)
            assert found is not None
            assert packed.data[found[0] : found[0] + found[1]] == content
        for folder in ("/validator", "/validator/deep"):
            assert lookup(packed.data, count, folder) == (0, 0, 0)
        crcs = [struct.unpack_from("<I", packed.data, 16 * n)[0] for n in range(count)]
        assert crcs == sorted(crcs)

    def test_lists_of_functions(self) -> None:
        packed = inplace.pack(files(), mapped=True)
        for path, content in files().items():
            found = lookup(packed.data, packed.description["files"], "/" + path)
            assert found is not None
            at = found[2]
            if not path.endswith(".mpy"):
                assert at == 0 and not found[0] % 4
                continue
            functions = mpy.in_order(mpy.read(content).body)
            assert struct.unpack_from("<HH", packed.data, at) == (len(functions), 0)
            for k, function in enumerate(functions):
                place, size, inner, unused = struct.unpack_from(
                    "<IHBB", packed.data, at + 4 + 8 * k
                )
                assert (inner, unused) == (len(function.inner), 0)
                assert place == found[0] + function.at
                if k == 0 or function.kind != mpy.BYTECODE:
                    assert size == 0
                else:
                    code = content[function.at : function.at + function.size]
                    assert packed.data[place : place + size] == code

    def test_names_are_sorted_whole_and_hashed_as_micropython_does(self) -> None:
        packed = inplace.pack(files(), mapped=True)
        count, places, hashes, lengths, empty = packed.description["names"]
        assert hashes % 2 == 0 and packed.data[empty] == 0
        at = struct.unpack_from(f"<{count}I", packed.data, places)
        names = [packed.data[n : packed.data.index(b"\0", n)] for n in at]
        assert names == sorted(set(names)) and b"" not in names
        wanted = {b"outer", b"validator.deep.fast", b"fast", b"/rom/validator/x.mpy"}
        assert wanted <= set(names)
        assert list(packed.data[lengths : lengths + count]) == [len(name) for name in names]
        found = struct.unpack_from(f"<{count}H", packed.data, hashes)
        for name, value in zip(names, found, strict=True):
            n = 5381
            for byte in name:
                n = ((n << 5) + n ^ byte) % 2**64
            assert value == (n % 0x10000 or 1)

    def test_same_files_same_bytes(self) -> None:
        one = inplace.pack(files(), mapped=True)
        assert inplace.pack(dict(reversed(files().items())), mapped=True) == one

    def test_it_comes_out_as_it_went_in(self) -> None:
        packed = inplace.pack(files(), mapped=True)
        assert inplace.unpack(packed.data + b"\xff" * 100, packed.description) == files()

    def test_where_nothing_is_mapped_it_holds_no_more_than_files(self) -> None:
        plain = inplace.pack(files(), mapped=False)
        assert inplace.unpack(plain.data, plain.description) == files()
        assert plain.description["names"][0] == 0
        content = sum(len(data) for data in files().values())
        assert len(plain.data) < content + 60 * len(files())

    def test_damage_is_found_anywhere(self) -> None:
        packed = inplace.pack(files(), mapped=True)
        for at in range(0, len(packed.data), 7):
            data = bytearray(packed.data)
            data[at] ^= 1
            with pytest.raises(ImageError, match="damaged"):
                inplace.unpack(bytes(data), packed.description)
        with pytest.raises(ImageError, match="damaged"):
            inplace.unpack(packed.data[:-1], packed.description)
        for broken in ({}, {"size": "x"}, {**packed.description, "names": 5}):
            with pytest.raises(ImageError, match="not described"):
                inplace.unpack(packed.data, broken)

    def test_paths_with_the_same_crc_are_refused(self) -> None:
        seen: dict[int, str] = {}
        for n in range(400_000):
            path = f"v/{hashlib.sha256(b'%d' % n).hexdigest()[:12]}.mpy"
            crc = crc32(b"/" + path.encode())
            if crc in seen:
                break
            seen[crc] = path
        else:
            pytest.fail("no two paths agree")
        empty = compile_one("x.py", b"", "xtensawin")
        with pytest.raises(ImageError, match="same CRC-32"):
            inplace.pack({path: empty, seen[crc]: empty}, mapped=False)


class TestImage:
    def test_a_small_littlefs_and_the_packed_part_behind_it(self) -> None:
        board = boards.load("ESP32_BUS")
        image = build_app(board, SOURCE, version="1.2.3")
        assert len(image.data) == board.partitions["app_a"].size
        front = filesystem.unpack(image.data, filesystem.SLOT_BLOCK)
        assert sorted(front) == [
            "devices.json",
            "manifest.json",
            "packed.json",
            "validator/__init__.mpy",
            "validator/app.mpy",
            "validator/inplace_files.mpy",
            "validator/inplace_setup.mpy",
        ]
        manifest = json.loads(front["manifest.json"])
        assert manifest["files"] == {
            name: hashlib.sha256(data).hexdigest()
            for name, data in front.items()
            if name != "manifest.json"
        }
        packed = json.loads(front["packed.json"])
        data = image.data[packed["at"] : packed["at"] + packed["size"]]
        assert packed["at"] % filesystem.SLOT_BLOCK == 0
        assert hashlib.sha256(data).hexdigest() == packed["sha256"]
        assert image.data[packed["at"] + packed["size"] :].strip(b"\xff") == b""

    def test_it_is_read_back_whole(self) -> None:
        image = build_app(boards.load("ESP32_BUS"), SOURCE)
        again = read_app(image.data)
        assert again.files == image.files and again.id == image.id
        assert "validator/deep/er/long.mpy" in again.files
        packed = json.loads(image.files["packed.json"])
        data = bytearray(image.data)
        data[packed["at"] + packed["size"] // 2] ^= 1
        with pytest.raises(ImageError, match="damaged"):
            read_app(bytes(data))

    def test_a_change_in_the_packed_part_changes_the_id(self) -> None:
        board = boards.load("ESP32_BUS")
        changed = {**SOURCE, "validator/version.py": b'VERSION = "8"\n'}
        assert build_app(board, SOURCE).id != build_app(board, changed).id
        assert (
            build_app(board, SOURCE).data == build_app(board, dict(reversed(SOURCE.items()))).data
        )

    def test_chips_whose_flash_is_not_mapped_have_packed_modules_all_the_same(self) -> None:
        for name in ("ESP32S3_BUS", "ESP32C3_TAXI"):
            found = build_app(boards.load(name), SOURCE).files
            assert json.loads(found["packed.json"])["map"] is False
            assert "validator/inplace.mpy" not in found
            assert "validator/inplace_files.mpy" in found
        assert json.loads(build_app(boards.load("ESP32_BUS"), SOURCE).files["packed.json"])["map"]

    def test_the_virtual_board_and_other_applications_have_one_littlefs(self) -> None:
        plain = {**SOURCE, "validator/app.py": b"pass\n"}
        for name, source in (("VIRTUAL", SOURCE), ("ESP32_BUS", plain)):
            found = build_app(boards.load(name), source).files
            assert "packed.json" not in found
            assert "validator/inplace_setup.mpy" in found
            assert "validator/inplace_files.mpy" not in found

    def test_constants_of_curves_where_the_first_starts_tables_fit_too(self) -> None:
        board = boards.load("ESP32_BUS")
        kernel_and_curve = {"validator/crypto/curve.py": b"pass\n"}
        source = {**SOURCE, **kernel_and_curve}
        constants = {path for path in build_app(board, source).files if path.endswith(".bin")}
        assert "validator/crypto/sm2.bin" in constants and len(constants) == 5
        with_them = without = 0
        for size in range(0xA000, 0x18000, 0x1000):
            image = build_app(board, source, size=size)
            packed = json.loads(image.files["packed.json"])
            part = {p: data for p, data in image.files.items() if p.startswith("validator/")}
            again = inplace.pack(part, mapped=True)
            assert again.description["sha256"] == packed["sha256"]
            if constants <= image.files.keys():
                with_them += 1
                assert -(-(packed["at"] + packed["size"]) // 4096) * 4096 + again.room <= size
            else:
                without += 1
                assert not constants & image.files.keys() and not with_them
            assert read_app(image.data).files == image.files
        assert with_them and without
        assert not [p for p in build_app(boards.load("ESP32S3_BUS"), source).files if ".bin" in p]

    def test_too_much_is_said(self) -> None:
        big = {f"validator/m{n}.py": b"X = b'%s'\n" % (b"%d" % n * 5000) for n in range(20)}
        with pytest.raises(ImageError, match="does not fit: 29 files with .* bytes in 65536"):
            build_app(boards.load("ESP32_BUS"), {**SOURCE, **big}, size=65536)

    def test_micropython_mounts_both_parts(self, tmp_path: Path) -> None:
        """The littlefs as the loader mounts it, and the packed part as the application does."""
        source = {**SOURCE, **device_modules()}
        image = build_app(boards.load("ESP32_BUS"), source)
        (tmp_path / "slot").write_bytes(image.data)
        loader = Path(__file__).parents[3] / "firmware" / "loader"
        script = f"""
import json, os, sys, vfs
sys.path.append({str(loader)!r})
from faretap_loader import SlotBlocks, check
with open("slot", "rb") as f:
    slot = f.read()
class Partition:
    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        buf[:] = slot[at : at + len(buf)]
    def ioctl(self, op, arg):
        return {{4: len(slot) // 4096, 5: 4096}}.get(op, 0)
vfs.mount(vfs.VfsLfs2(SlotBlocks(Partition())), "/app", readonly=True)
with open("/app/manifest.json") as f:
    manifest = json.load(f)
print(repr(check("/app", manifest, "ESP32_BUS", (1, 24, 0), False)))
sys.path.insert(0, "/app")
from validator.inplace_files import Files
with open("/app/packed.json") as f:
    packed = json.load(f)
files = Files(Partition().readblocks, packed["at"], packed["files"])
vfs.mount(files, "/rom", readonly=True)
sys.modules["validator"].__path__ = "/rom/validator"
import validator.deep.er.long as long
print(long.NAME, long.__file__, os.stat("/rom/validator/version.mpy")[6])
"""
        (tmp_path / "script.py").write_text(script)
        micropython = Path(sys.executable).with_name("micropython")
        done = subprocess.run(
            [micropython, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stdout + done.stderr
        size = len(image.files["validator/version.mpy"])
        assert done.stdout.split("\n")[:2] == [
            "''",
            f"some_name /rom/validator/deep/er/long.mpy {size}",
        ]


def device_modules() -> dict[str, bytes]:
    firmware = Path(__file__).parents[3] / "firmware"
    names = ("inplace_files", "inplace_setup")
    return {f"validator/{n}.py": (firmware / "validator" / f"{n}.py").read_bytes() for n in names}
