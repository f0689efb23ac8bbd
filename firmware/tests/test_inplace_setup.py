"""Mapping the packed part, finding MicroPython's table of names, and what a damaged part does."""

import hashlib
import json
import os
import sys

import validator
from fakes import raises
from validator import inplace_names, inplace_setup

PRO, APP = 0x3FF10000, 0x3FF12000
DATA = 0x3F400000
UNUSED = 0x100


class Tables:
    """The flash tables of both processors; some reads go wrong now and then."""

    def __init__(self, used=5, taken=(), unsteady=0):
        self.words = {}
        for table in (PRO, APP):
            for page in range(64):
                self.words[table + 4 * page] = page + 0x80 if page < used else UNUSED
        for page, value in taken:
            self.words[PRO + 4 * page] = value
        self.unsteady = unsteady
        self.reads = 0
        self.written = {}

    def __getitem__(self, at):
        self.reads += 1
        if self.unsteady and self.reads % self.unsteady == 0:
            return 0x5A5A5A
        return self.words[at]

    def __setitem__(self, at, value):
        self.words[at] = value
        self.written[at] = value


def mapped(tables):
    """{page: page of the flash}, the same for both processors."""
    pages = [{}, {}]
    for at in tables.written:
        pages[at >= APP][(at & 0xFFF) // 4] = tables.written[at]
    assert pages[0] == pages[1]
    return pages[0]


def test_the_last_unused_pages_are_taken():
    tables = Tables()
    base = inplace_setup._map(tables, 0x220000 + 8192, 0x2E000)
    assert base == DATA + (59 << 16) + 8192
    assert mapped(tables) == {59: 0x22, 60: 0x23, 61: 0x24}


def test_a_part_that_does_not_begin_with_a_page():
    for at, size, pages in (
        (0x1F8000, 0x8000, 1),
        (0x1F8000, 0x8001, 2),
        (0x1FFFFF, 1, 1),
        (0x1FFFFF, 2, 2),
        (0x24C200, 0x54000 - 0x200, 6),
    ):
        tables = Tables()
        base = inplace_setup._map(tables, at, size)
        found = mapped(tables)
        assert len(found) == pages, (at, size)
        # Every byte is where it should be: from the first page on, and without a gap.
        for i in (0, size // 2, size - 1):
            page = (base + i - DATA) >> 16
            assert found[page] << 16 | (base + i) & 0xFFFF == at + i
        assert max(found) < 62


def test_pages_of_somebody_else_are_left_alone():
    tables = Tables(taken=((61, 0x12), (57, 0x13)))
    inplace_setup._map(tables, 0x220000, 0x30000)
    assert mapped(tables) == {58: 0x22, 59: 0x23, 60: 0x24}


def test_after_a_soft_reset_the_same_pages_are_used():
    tables = Tables()
    first = inplace_setup._map(tables, 0x220000, 0x30000)
    tables.written = {}
    assert inplace_setup._map(tables, 0x220000, 0x30000) == first
    other = inplace_setup._map(tables, 0x260000, 0x30000)
    assert other == first - 0x30000


def test_no_room_or_no_such_table():
    assert inplace_setup._map(Tables(used=60), 0x220000, 0x30000) == 0
    assert inplace_setup._map(Tables(used=0), 0x220000, 0x30000) == 0
    full = Tables(used=64)
    assert inplace_setup._map(full, 0x220000, 1) == 0
    assert not full.written


def test_a_value_that_is_read_wrong_is_asked_for_again():
    for unsteady in (3, 5, 7):
        tables = Tables(unsteady=unsteady)
        inplace_setup._map(tables, 0x220000, 0x30000)
        assert mapped(tables) == {59: 0x22, 60: 0x23, 61: 0x24}


class Words:
    """Memory with MicroPython's pointer to its newest table of names, on 32 bits."""

    def __init__(self, room=40, used=17, table=0x20100, distance=40):
        hashes = table + 24 + 4 * room
        self.words = {
            id(sys.modules) - distance: table,
            table + 8: room,
            table + 12: used,
            table + 16: hashes,
            table + 20: hashes + 2 * room,
        }
        self.table = table

    def __getitem__(self, at):
        return self.words.get(at, 0)


def last_table(words):
    return inplace_names.last_table(words, 4, 0x20000, 0x30000)


def test_the_table_of_names_proves_itself():
    for distance in (4, 40, 256):
        assert last_table(Words(distance=distance)) == id(sys.modules) - distance
    for distance in (0, 260, -4):
        assert last_table(Words(distance=distance)) == 0


def test_anything_else_is_no_table_of_names():
    wrong = ((8, 0), (8, 41), (8, 70000), (12, 0), (12, 41), (16, 0x20300), (20, 0x20300))
    for at, value in wrong:
        words = Words()
        words.words[words.table + at] = value
        assert last_table(words) == 0, (at, value)
    for table in (0x20104, 0x1FF00, 0x30000, 0x2FFF0):
        assert last_table(Words(table=table)) == 0
    two = Words()
    two.words[id(sys.modules) - 80] = two.table
    assert last_table(two) == 0


class Partition:
    TYPE_DATA = 1
    data = b""
    asked = None

    @staticmethod
    def find(kind, label):
        Partition.asked = label
        return [Partition()]

    def info(self):
        return (1, 0x40, 0x220000, 0x40000, "app_a", False)

    def readblocks(self, block, buf, offset):
        at = block * 4096 + offset
        buf[:] = self.data[at : at + len(buf)]


class StandIn:
    """The chip's modules, a folder as the slot's littlefs, and a table that maps nothing."""

    def __init__(self, packed=None, data=b""):
        self.packed = packed
        self.mounted = []
        self.mem32 = Tables(used=64)
        self.Partition = Partition
        Partition.data = data

    def mount(self, files, path, readonly=False):
        self.mounted.append((path, readonly))

    def __enter__(self):
        self.root = (os.getenv("TMPDIR") or "/tmp") + "/faretap-" + os.urandom(6).hex()
        os.mkdir(self.root)
        if self.packed:
            with open(self.root + "/packed.json", "w") as f:
                f.write(json.dumps(self.packed))
        self.saved = {}
        for name in ("esp32", "vfs", "machine"):
            self.saved[name] = sys.modules.get(name)
            sys.modules[name] = self
        self.path = validator.__path__
        return self

    def __exit__(self, *error):
        validator.__path__ = self.path
        for name in self.saved:
            if self.saved[name] is None:
                del sys.modules[name]
            else:
                sys.modules[name] = self.saved[name]
        if self.packed:
            os.remove(self.root + "/packed.json")
        os.rmdir(self.root)

    def start(self):
        return inplace_setup.start({"root": self.root, "slot": "b"})


def part(size):
    data = bytes(i * 7 % 251 for i in range(size))
    digest = hashlib.sha256(data).digest().hex()
    packed = {"at": 4608, "files": 0, "size": size, "sha256": digest, "map": True}
    return data, packed


def test_without_a_packed_part_nothing_happens():
    with StandIn() as stand_in:
        before = validator.__path__
        assert stand_in.start() is None
        assert not stand_in.mounted and validator.__path__ == before


def test_where_nothing_can_be_mapped_the_modules_come_from_there_all_the_same():
    for size in (1, 4095, 4096, 10000):
        data, packed = part(size)
        with StandIn(packed, bytes(4608) + data) as stand_in:
            assert stand_in.start() is None
            assert stand_in.mounted == [("/rom", True)]
            assert validator.__path__ == "/rom/validator"
            assert Partition.asked == "app_b"
            assert not stand_in.mem32.written


def test_a_chip_that_is_not_to_map_is_not_asked():
    data, packed = part(100)
    packed["map"] = False
    with StandIn(packed, bytes(4608) + data) as stand_in:
        assert stand_in.start() is None
        assert stand_in.mounted and not stand_in.mem32.reads


def test_a_damaged_part_is_not_mounted():
    data, packed = part(9000)
    for at in (0, 4095, 4096, 8999):
        damaged = bytearray(data)
        damaged[at] ^= 4
        with StandIn(packed, bytes(4608) + damaged) as stand_in:
            raises(OSError, stand_in.start)
            assert not stand_in.mounted


def test_forget():
    sys.modules["validator.no_such_thing"] = validator.no_such_thing = object()
    inplace_setup.forget("validator.no_such_thing")
    assert "validator.no_such_thing" not in sys.modules
    assert not hasattr(validator, "no_such_thing")
