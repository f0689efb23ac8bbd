"""Functions that run from the packed part, in real MicroPython."""

from __future__ import annotations

from pathlib import Path

import pytest

from faretap.image import sources

from .inplace_bench import FIRMWARE, Bench

PROBE = {
    "validator/probe.py": b"""
from validator.sub import helper
from validator.sub.helper import Base, Circle
import asyncio

TABLE = {"a": lambda x: x * 3, "b": [lambda x: x + y for y in (1, 2)][1]}


def five():
    return 5


def default(a, b=7, *rest, c="text with several words", **more):
    return a, b, rest, c, sorted(more)


def counter(start):
    def step(by=1):
        nonlocal start
        start += by
        return start
    return step


def squares(n):
    for i in range(n):
        yield i * i


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def decorate(function):
    def inside(*args):
        return ("decorated", function(*args))
    return inside


@decorate
def decorated(x):
    return {k: [v for v in range(k)] for k in range(x)}


class Thing(Base):
    size = 4

    def __init__(self, x):
        super().__init__()
        self.x = x

    @staticmethod
    def fixed(x):
        return x - 1

    @classmethod
    def made(cls, x):
        return cls(x)

    @property
    def twice(self):
        return self.x * 2

    class Inner:
        def get(self):
            return "inner"

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.x = 0
        return False


def fails(n):
    try:
        with Thing(n) as thing:
            if n:
                raise ValueError("no %d" % thing.twice)
    finally:
        n += 1
    return n


async def worker(name, queue, n):
    for i in range(n):
        await asyncio.sleep_ms(0)
        queue.append((name, i))
    return name


async def everything(work=None):
    queue = []
    tasks = [asyncio.create_task(worker(name, queue, 4)) for name in "ab"]
    for _ in range(2):
        await asyncio.sleep_ms(0)
        if work:
            work()
    names = await asyncio.gather(*tasks)
    return names, len(queue)


def late():
    from validator.sub import late as module
    return module.answer(lambda: module.answer(int))
""",
    "validator/sub/__init__.py": b"from . import helper\n\n\ndef in_package():\n    return 1\n",
    "validator/sub/helper.py": b"""
class Base:
    def __init__(self):
        self.base = describe(self)


class Circle:
    def other(self):
        from validator import probe
        return probe.five()


def describe(x):
    return type(x).__name__ + " is a thing with a long description"
""",
    "validator/sub/late.py": b"""
from .helper import describe
from validator import probe


def answer(function):
    return describe(function()), probe.five(), [probe.deep(n) for n in range(3)]
""",
}

CHECKS = """
from validator import probe
from validator.sub import helper, in_package

def check():
    assert probe.five() == 5
    assert probe.default(1) == (1, 7, (), "text with several words", [])
    assert probe.default(1, 2, 3, c=4, z=5, y=6) == (1, 2, (3,), 4, ["y", "z"])
    assert [probe.TABLE[k](5) for k in "ab"] == [15, 7]
    step = probe.counter(10)
    assert (step(), step(5), step()) == (11, 16, 17)
    assert list(probe.squares(5)) == [0, 1, 4, 9, 16]
    assert probe.deep(40) == 40
    assert probe.decorated(3) == ("decorated", {0: [], 1: [0], 2: [0, 1]})
    thing = probe.Thing.made(6)
    assert (thing.twice, thing.fixed(3), thing.base) == (
        12, 2, "Thing is a thing with a long description")
    assert probe.Thing.Inner().get() == "inner"
    assert helper.Circle().other() == 5
    assert in_package() == 1
    assert probe.fails(0) == 1
    try:
        probe.fails(2)
        assert False
    except ValueError as e:
        assert e.args == ("no 4",)
    assert probe.asyncio.run(probe.everything(gc.collect)) == (["a", "b"], 8)
    assert probe.late()[1:] == (5, [0, 1, 2])
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))
    return Bench(tmp_path, PROBE)


def test_all_that_python_has_runs_from_there(bench: Bench) -> None:
    said = bench.run(
        CHECKS
        + """
check()
scribble()
check()
for f in (probe.five, probe.default, probe.counter, probe.squares, probe.deep, probe.decorate,
          probe.worker, probe.everything, probe.Thing.__init__, probe.Thing.Inner.get,
          probe.TABLE["a"], helper.describe, helper.Base.__init__, in_package, probe.late,
          sys.modules["validator.sub.late"].answer, type(code).adopt, type(code).finished):
    assert at_home(f), f
for _ in range(20):
    scribble()
    check()
print(code.functions, code.bytes, code.names)
"""
    )
    functions, size, names = map(int, said.split())
    assert functions > 40 and size > 1500 and names > 40


def test_it_is_the_packed_code_that_runs(bench: Bench) -> None:
    """The number in the packed part is changed after the import: the function returns it."""
    script = """
from validator import probe
assert probe.five() == 5
at = words[id(probe.five) + 24] - base
n = 0
while area[at + n] != 0x85:  # LOAD_CONST_SMALL_INT 5
    n += 1
area[at + n] = 0x86
print(probe.five())
"""
    assert bench.run(script).split() == ["6"]


def test_without_a_single_equal_byte_everything_stays_on_the_heap(bench: Bench) -> None:
    script = """
base_of = {}
for path in ("/validator/probe.mpy", "/validator/sub/helper.mpy"):
    crc, at, size, functions = files.find(path)
    # Modules are loaded from another copy than the one that is compared with.
    base_of[path] = bytes(area[at : at + size])
plain = bytes(area)
def readblocks(block, buf, offset):
    at = block * 4096 + offset
    buf[:] = plain[at : at + len(buf)]
files._readblocks = readblocks
for path in base_of:
    crc, at, size, functions = files.find(path)
    for i in range(at, at + size):
        area[i] ^= 0xFF
before = code.functions
from validator.sub import helper
in_package = sys.modules["validator.sub"].in_package
print(code.functions - before, at_home(helper.describe), at_home(in_package))
print(helper.describe(4))
"""
    said = bench.run(script).split("\n")
    assert said[:2] == ["1 False True", "int is a thing with a long description"]


def test_names_and_texts_are_not_on_the_heap(bench: Bench) -> None:
    script = """
import micropython
from validator import probe
# This script's own names are on the heap: they were there first.
for name in ("squ ares", "in_pac kage", "validator. sub.helper", "every thing"):
    text = str(bytes("".join(name.split(" ")), "utf8"), "utf8")
    assert id(text) & 7 == 2, name
    assert base <= uctypes.addressof(text) < base + len(area), name
text = probe.default(1)[3]
assert base <= uctypes.addressof(text) < base + len(area)
# What MicroPython knows keeps its one number.
for name in ("append", "sys", "__init__", "gather", "utf8"):
    text = str(bytes(name, "utf8"), "utf8")
    assert id(text) & 7 == 2
    assert not base <= uctypes.addressof(text) < base + len(area), name
# New names come after them, as many as one likes.
class Many:
    pass
for i in range(3000):
    setattr(Many, "name_%d" % i, i)
scribble()
assert [getattr(Many, "name_%d" % i) for i in range(3000)] == list(range(3000))
for name in ("name_3000", "counte", "five1"):
    assert not hasattr(Many, name)
from validator.sub import late
print("as it should be")
"""
    assert bench.run(script) == "as it should be\n"


def test_every_name_has_one_number(bench: Bench) -> None:
    """Each of the packed names, asked for twice in different ways, is the same object."""
    script = """
import struct
count, places, hashes, lengths, empty = packed["names"]
class Bag:
    pass
known = 0
for i in range(count):
    size = area[lengths + i]
    at = struct.unpack_from("<I", area, places + 4 * i)[0]
    data = bytes(area[at : at + size])
    text = str(data, "utf8")
    assert id(text) & 7 == 2, data
    known += not base <= uctypes.addressof(text) < base + len(area)
    setattr(Bag, text, i)
    assert getattr(Bag, str(data + b"!", "utf8")[:-1]) == i, data
    assert uctypes.bytearray_at(uctypes.addressof(text), size + 1) == data + b"\\0"
print(count, known, code.names)
"""
    count, known, names = map(int, bench.run(script).split())
    assert count == known + names and known > 10


# Firmware tests that take most of the application along, with generators, closures and tasks.
APPLICATION = (
    "test_tlv",
    "test_frame",
    "test_peer",
    "test_record",
    "test_journal",
    "test_phases",
    "test_poller",
    "test_scanner",
    "test_quickpass",
    "test_ui",
)


def test_the_application_passes_its_own_tests_in_place(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bench = Bench(tmp_path_factory.mktemp("application"), sources.application())
    script = f"""
sys.path.append({str(FIRMWARE / "tests")!r})
passed = 0
for name in {APPLICATION!r}:
    module = __import__(name)
    scribble()
    for key in sorted(k for k in dir(module) if k.startswith("test_")):
        gc.collect()
        try:
            getattr(module, key)()
            passed += 1
        except Exception as e:
            print("FAIL", name, key)
            sys.print_exception(e)
left = []
for name in sys.modules:
    if name.startswith("validator.") and name != "validator.inplace_setup":
        for key in dir(sys.modules[name]):
            function = getattr(sys.modules[name], key)
            if type(function) is type(scribble) and words[id(function)] == words[id(scribble)]:
                if not at_home(function):
                    left.append(key)
print(passed, code.functions, code.bytes, code.names, left)
"""
    said = bench.run(script, heap="6M")
    assert "FAIL" not in said, said[-4000:]
    counts, left = said.rstrip("\n").split("\n")[-1].rstrip("]").split("[")
    passed, functions, size, names = map(int, counts.split())
    assert passed > 100 and functions > 400 and size > 30000 and names > 1000
    # What could be taken is running at that time.
    assert not left, left


def test_a_file_that_is_no_module_is_read_where_it_stands(bench: Bench) -> None:
    bench.run("""
data = code.file("deep/data.bin")
assert data == bytes(range(256)) * 5
assert base <= uctypes.addressof(data) and uctypes.addressof(data) + len(data) <= base + len(area)
assert sys.modules["validator"].in_place is code
assert code.file("deep/none.bin") is None and code.file("deep") is None
""")
