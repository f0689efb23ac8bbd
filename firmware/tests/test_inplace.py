"""Function objects in a simulated memory are given their code in flash, and nothing else is."""

import struct

from validator.inplace import Code, _generator

WORD = 4
START, END = 0x10000, 0x30000
FLASH = 0x700000
FUNCTION, GENERATOR, OTHER = 0x501000, 0x502000, 0x503000
NAME = "validator.thing"
TABLE = 64

# The code of a module's functions in the order of its file, and how many are inside each. 0 is the
# module itself, 4 and 5 are inside 3, 6 is inside 5; 8 is the same code as 1.
CODE = (
    b"module body",
    b"\x10one-",
    b"\x10two",
    b"\x12outer",
    b"\x11leaf",
    b"\x11middle",
    b"\x11innermost",
    b"\x10generator",
    b"\x10one-",
)
INSIDE = (5, 0, 0, 2, 0, 1, 0, 0, 0)
LEFT_ALONE = (0,)


class Memory:
    """Words of memory, and the bytes that code is made of. Unknown words read as zero."""

    def __init__(self, area):
        self.words = {}
        self.bytes = {FLASH + i: area[i] for i in range(len(area))}
        self.written = []
        self.next = START + 0x100
        self.word = WORD

    def __getitem__(self, at):
        assert at % WORD == 0 or at not in range(START, END), hex(at)
        return self.words.get(at, 0)

    def __setitem__(self, at, value):
        self.written.append(at)
        self.words[at] = value

    def put(self, *words):
        """A new object of `words`, at an address that the collector would give it."""
        at = self.next
        self.next += (len(words) + 3) // 4 * 16
        for i, value in enumerate(words):
            self.words[at + WORD * i] = value
        return at

    def code(self, data):
        at = self.next
        self.next += (len(data) + 15) // 16 * 16
        for i, value in enumerate(data):
            self.bytes[at + i] = value
        return at

    def find(self, at, end, step, value):
        while at < end:
            if self.words.get(at, 0) == value:
                return at
            at += step
        return 0

    def same(self, one, other, n):
        for i in range(n):
            if self.bytes.get(one + i) != self.bytes.get(other + i):
                return 0
        return 1


class Files:
    def __init__(self, table=TABLE, path="/validator/thing.mpy"):
        self.table = table
        self.path = path

    def find(self, path):
        if path != self.path:
            raise OSError(2)
        return (1, 2, 3, self.table)


def make_area():
    """(area, place of each function's code)"""
    head = bytearray(TABLE) + struct.pack("<HH", len(CODE), 0)
    at = len(head) + 8 * len(CODE)
    places = []
    for k in range(len(CODE)):
        size = 0 if k in LEFT_ALONE else len(CODE[k])
        places.append(at)
        head += struct.pack("<IHBB", at, size, INSIDE[k], 0)
        at += len(CODE[k])
    return bytes(head) + b"".join(CODE), places


class Bench:
    """A module whose import is complete, in memory."""

    def __init__(self, files=None):
        self.area, self.places = make_area()
        self.memory = memory = Memory(self.area)
        memory.words[id(_generator)] = GENERATOR
        memory.words[id(Code.__init__)] = FUNCTION
        self.module = object()
        self.context = id(self.module)
        self.code = Code(
            memory, WORD, self.find, memory.same, files or Files(), self.area, FLASH, START, END
        )
        self.code.modules = {NAME: self.module}

    def find(self, at, end, step, value):
        # On 64 bits an address is longer than what machine code compares.
        assert value == self.context & 0xFFFFFFFF
        return self.memory.find(at, end, step, self.context)

    def function(self, data, kind=FUNCTION, table=0, context=None):
        """A function object with a copy of its code; returns where the code's address is."""
        copy = self.memory.code(data)
        return self.memory.put(kind, context or self.context, table, copy) + 3 * WORD

    def raw(self, data, table=0):
        """A child that no function object was made of yet; returns where its code's address is."""
        return self.memory.put(0x00020000, self.memory.code(data), table) + WORD

    def place(self, k):
        return FLASH + self.places[k]


def test_functions_and_generators_of_the_module_run_from_flash():
    b = Bench()
    one, two = b.function(CODE[1]), b.function(CODE[2])
    generator = b.function(CODE[7], GENERATOR)
    assert b.code.adopt(NAME) == 3
    assert b.memory[one] in (b.place(1), b.place(8))
    assert b.memory[two] == b.place(2)
    assert b.memory[generator] == b.place(7)
    assert (b.code.functions, b.code.bytes) == (3, len(CODE[1] + CODE[2] + CODE[7]))
    assert sorted(b.memory.written) == sorted((one, two, generator))


def test_every_instance_of_a_function_is_found():
    b = Bench()
    copy = b.memory.code(CODE[2])
    made = [b.memory.put(FUNCTION, b.context, 0, copy) + 3 * WORD for _ in range(5)]
    assert b.code.adopt(NAME) == 5
    assert {b.memory[at] for at in made} == {b.place(2)}


def test_functions_inside_functions():
    b = Bench()
    innermost = b.raw(CODE[6])
    middle = b.raw(CODE[5], b.memory.put(innermost - WORD))
    leaf = b.raw(CODE[4])
    outer = b.function(CODE[3], table=b.memory.put(leaf - WORD, middle - WORD))
    assert b.code.adopt(NAME) == 4
    assert [b.memory[at] for at in (outer, leaf, middle, innermost)] == [
        b.place(k) for k in (3, 4, 5, 6)
    ]


def test_a_child_that_was_taken_before_is_passed_over():
    b = Bench()
    middle = b.raw(CODE[5])
    leaf = b.raw(CODE[4])
    b.memory.words[leaf] = b.place(4)
    b.function(CODE[3], table=b.memory.put(leaf - WORD, middle - WORD))
    assert b.code.adopt(NAME) == 2
    assert b.memory[middle] == b.place(5)


def test_one_different_byte_and_the_copy_stays():
    for k in range(1, len(CODE)):
        for i in range(len(CODE[k])):
            b = Bench()
            changed = bytearray(CODE[k])
            changed[i] ^= 1
            at = b.function(changed)
            before = b.memory[at]
            assert b.code.adopt(NAME) == 0, (k, i)
            assert b.memory[at] == before and not b.memory.written


def test_the_body_of_the_module_stays():
    b = Bench()
    b.function(CODE[0])
    assert b.code.adopt(NAME) == 0


def test_other_modules_and_other_objects_are_left_alone():
    b = Bench()
    b.function(CODE[1], context=b.context + 16)
    b.function(CODE[1], kind=OTHER)
    # Same words, but not where an object can begin.
    b.memory.next += 8
    b.function(CODE[2])
    assert b.code.adopt(NAME) == 0
    assert not b.memory.written


def test_a_second_time_finds_nothing_left():
    b = Bench()
    b.function(CODE[1])
    assert b.code.adopt(NAME) == 1
    assert b.code.adopt(NAME) == 0
    assert b.code.functions == 1


def test_what_a_freed_object_says_is_not_believed():
    nonsense = (0, 1, 3, 0x11, START + 2, END - 1, END, 0x3FFFFFFC, -1, FLASH + 3)
    for address in nonsense:
        b = Bench()
        b.memory.put(FUNCTION, b.context, address, address)
        assert b.code.adopt(NAME) == 0, address
        # Its code is still there, but its table of children holds something else by now.
        b = Bench()
        b.function(CODE[3], table=address)
        b.function(CODE[3], table=b.memory.put(address, address))
        child = b.memory.put(address, address, address)
        b.function(CODE[3], table=b.memory.put(child, child))
        assert b.code.adopt(NAME) == 3, address
        assert len(b.memory.written) == 3


def test_code_at_the_very_end_of_memory():
    b = Bench()
    at = b.memory.put(FUNCTION, b.context, 0, END - len(CODE[1]) + 1) + 3 * WORD
    assert b.code.adopt(NAME) == 0
    for i, value in enumerate(CODE[1]):
        b.memory.bytes[END - len(CODE[1]) + i] = value
    b.memory.words[at] = END - len(CODE[1])
    assert b.code.adopt(NAME) == 1


def test_a_package_is_found_by_its_init_file():
    b = Bench(Files(path="/validator/thing/__init__.mpy"))
    b.function(CODE[1])
    assert b.code.adopt(NAME) == 1


def test_a_module_without_a_list_stays():
    b = Bench(Files(table=0))
    b.function(CODE[1])
    assert b.code.adopt(NAME) == 0


class Importer:
    """Imports as MicroPython does: a module is listed when its import begins."""

    def __init__(self, code, needs, fails=()):
        self.code = code
        self.needs = needs
        self.fails = fails
        self.adopted = []
        self.running = []
        code.adopt = self.adopt
        code.modules = {}

    def adopt(self, name):
        assert name not in self.running, name + " is still being imported"
        self.adopted.append(name)
        self.code.leave(name)

    def load(self, name):
        """inplace_scan.load, which only MicroPython can run."""
        code = self.code
        if name in code.modules:
            return
        before = code.unfinished()
        self.original(name)
        code.finished(before)

    def original(self, name):
        self.running.append(name)
        self.code.modules[name] = self
        for each in self.needs.get(name, ()):
            self.load(each)
        self.running.remove(name)
        if name in self.fails:
            del self.code.modules[name]
            raise ValueError(name)


def importer(needs, fails=()):
    return Importer(Bench().code, needs, fails)


def test_a_module_is_taken_once_and_only_when_it_is_complete():
    needs = {
        "validator.a": ("validator.b", "asyncio", "validator.c"),
        "validator.b": ("validator.d",),
        "validator.c": ("validator.b", "validator.a"),
        "validator.d": ("validator.a",),
    }
    i = importer(needs)
    i.load("validator.a")
    i.load("validator.b")
    assert i.adopted == ["validator.d", "validator.b", "validator.c", "validator.a"]


def test_an_import_that_fails_leaves_the_others_right():
    i = importer({"validator.a": ("validator.b",), "validator.e": ()}, ("validator.a",))
    try:
        i.load("validator.a")
    except ValueError:
        pass
    i.running = []
    i.load("validator.e")
    assert i.adopted == ["validator.b", "validator.e"]


def test_without_memory_a_module_stays_on_the_heap():
    i = importer({})
    for error in (MemoryError, OSError):

        def adopt(name, error=error):
            i.code.leave(name)
            raise error

        i.code.adopt = adopt
        i.load("validator." + error.__name__)
        assert "validator." + error.__name__ in i.code.modules


def test_copies_that_are_kept_are_let_go_after_the_next_import():
    i = importer({})
    i.code.kept = [bytearray(8)]
    i.load("validator.a")
    assert i.code.kept is None
