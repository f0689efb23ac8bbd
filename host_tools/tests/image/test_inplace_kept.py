"""Tables that the first start of an image makes and later ones find, in real MicroPython."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .inplace_bench import SECTOR, Bench
from .test_inplace_run import CHECKS, PROBE

MARK = 40
# A start, and then as before it, but for what is in flash. `begin` is where that is in the slot.
EARLIER = """
from validator import inplace_kept, inplace_names
import hashlib
begin = -(-len(area) // 4096) * 4096
alive = []

def start_and_stop():
    pointer = inplace_names.last_table(words, 8, *heap())
    last = words[pointer]
    alive.append(last.to_bytes(8, "little"))  # the collector looks for addresses there as well
    names, tables, pieces = inplace_setup._names(packed, words, 8, area, base, *heap(), Slot())
    words[pointer] = last
    global total
    total = Slot.written
    Slot.erased = Slot.written = 0
    return tables[1]
"""
USE = (
    CHECKS
    + """
check()
scribble()
check()
kept = 0
for name in ("validator.probe", "validator.sub", "validator.sub.helper", "validator.sub.late"):
    kept += base + len(area) <= words[id(sys.modules[name]) + 16] < base + len(flash)
class Bag:
    pass
for i in range(300):  # names that come later
    setattr(Bag, "later_%d" % i, i)
scribble()
assert [getattr(Bag, "later_%d" % i) for i in range(300)] == list(range(300))
check()
print(kept, Slot.erased, Slot.written, code.names)
"""
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))
    return Bench(tmp_path, PROBE)


def start(bench: Bench, before: str = "") -> tuple[int, int, int, int]:
    """(modules whose numbers are in flash, sectors erased, bytes written, names) of a start."""
    kept, erased, written, names = map(int, bench.run(USE, before=before).split())
    return kept, erased, written, names


def test_made_at_the_first_start(bench: Bench) -> None:
    kept, erased, written, names = start(bench)
    assert kept == 4 and erased == -(-written // SECTOR) and written > 3000 and names > 40


def test_and_used_ever_after(bench: Bench) -> None:
    found = start(bench, EARLIER + "assert start_and_stop()\nassert start_and_stop()\n")
    kept, erased, written, names = found
    assert (kept, erased, written) == (4, 0, 0) and names > 40


def test_nothing_of_it_is_on_the_heap(bench: Bench) -> None:
    """The pools of names from before are collected, and what is in their place does no harm."""
    script = """
near = id(sys.modules)
found = [words[at] for at in range(near - 512, near, 8)]
found = [table for table in found if base + len(area) <= table < base + len(flash)]
assert len(found) == 1
table = found[0]
while base <= table < base + len(flash):
    print(words[table + 24])
    table = words[table]
assert not heap()[0] <= table < heap()[1]
"""
    names, loader = map(int, bench.run(script, before=EARLIER + "start_and_stop()\n").split())
    assert names == bench.packed.description["names"][0] and loader > 30


def test_what_is_damaged_is_made_anew(bench: Bench) -> None:
    written = start(bench, EARLIER)[2]
    places = [0, 31, 32, 34, MARK, MARK + 20]
    places += random.Random(7).sample(range(MARK, written), 4)
    for at in places:
        damage = f"""
assert start_and_stop()
whole = bytes(flash)
flash[begin + {at}] ^= 0x10
assert start_and_stop()
assert flash == whole
flash[begin + {at}] ^= 0x10
"""
        kept, erased, again, _ = start(bench, EARLIER + damage)
        assert kept == 4 and erased and again >= written, at


def test_power_that_fails_leaves_nothing_that_is_believed(bench: Bench) -> None:
    written = start(bench, EARLIER)[2]
    for left in (0, 1, 700, -MARK - 1, -MARK, -MARK + 33, -5):
        cut = f"""
start_and_stop()
uncut = Slot.writeblocks
left = {left} if {left} >= 0 else total + {left}
flash[begin : begin + 40] = bytes(40)
def writeblocks(self, block, data, offset):
    global left
    n = min(left, len(data))
    left -= n
    uncut(self, block, bytes(data)[:n], offset)
    if n < len(data):
        raise OSError(5)
Slot.writeblocks = writeblocks
"""
        kept, _, n, names = start(bench, EARLIER + cut)
        # This start does without.
        assert kept == 0 and names > 40 and (n == left or left < 0 and n >= written + left)
        restart = "assert not start_and_stop()\nSlot.writeblocks = uncut\n"
        kept, erased, n, _ = start(bench, EARLIER + cut + restart)
        assert kept == 4 and erased and n >= written


def test_flash_that_cannot_be_erased(bench: Bench) -> None:
    kept, _, n, names = start(bench, "Slot.ioctl = lambda self, op, block: -5\n")
    assert (kept, n) == (0, 0) and names > 40


def test_without_room_all_is_on_the_heap(bench: Bench) -> None:
    needed = start(bench)[2]
    for sectors in range(needed // SECTOR + 1):
        bench.write(bench.packed.data, sectors)
        kept, erased, written, names = start(bench)
        assert (kept, erased, written) == (0, 0, 0) and names > 40, sectors


def test_other_names_before_the_applications(bench: Bench) -> None:
    """Another loader: what was kept fits no more, and is made anew."""
    other = "assert start_and_stop()\nsetattr(Words, 'a_name_' + 'of_another_loader', 1)\n"
    kept, erased, written, _ = start(bench, EARLIER + other)
    assert kept == 4 and erased and written > 3000
    assert start(bench, EARLIER + other + "assert start_and_stop()\n")[:3] == (4, 0, 0)


def test_another_image_or_another_micropython(bench: Bench) -> None:
    """What another image left behind in the slot is not taken for this one's."""
    # As a MicroPython of another version would have signed it.
    signed = """
k = hashlib.sha256((packed["sha256"] + sys.version + "!").encode()).digest()
size = int.from_bytes(flash[begin + 32 : begin + 36], "little")
flash[begin + 40 : begin + 56] = k[:16]
flash[begin : begin + 32] = hashlib.sha256(flash[begin + 40 : begin + 40 + size]).digest()
"""
    for other in ("packed['sha256'] = '0' * 64\n", signed):
        kept, erased, written, _ = start(bench, EARLIER + "assert start_and_stop()\n" + other)
        assert kept == 4 and erased and written > 3000, other
