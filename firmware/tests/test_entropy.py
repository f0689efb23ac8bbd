"""Random bytes: what goes in counts, what comes out never repeats, a stuck source is found."""

import os

from fakes import raises
from test_state import FakeNvs
from validator import entropy
from validator.entropy import Pool


class Source:
    """As `os.urandom` would be if its register started the same at each boot."""

    def __init__(self):
        self.count = 0

    def __call__(self, n):
        self.count += 1
        return bytes((self.count * 7 + i * self.count) & 255 for i in range(n))


def outputs(pool, count=20):
    return [pool.take(4) for _ in range(count)]


def test_each_thing_that_goes_in_changes_all_that_comes_out():
    plain = outputs(Pool(Source()))
    assert plain == outputs(Pool(Source())), "the source alone is no secret here"

    def stirred(pool):
        pool.stir(b"chip")

    def timed(pool):
        pool.tick(123456)

    def prepared(pool):
        pool.take(30)
        pool.tick(5)
        pool.prepare()

    seen = [plain]
    for change in (stirred, timed, prepared):
        pool = Pool(Source())
        change(pool)
        made = outputs(pool)
        for other in seen:
            assert not set(made) & set(other)
        seen.append(made)


def test_nothing_comes_out_twice():
    pool = Pool()
    made = []
    for n in (1, 4, 4, 16, 31, 32, 33, 64, 100, 4) * 20:
        data = pool.take(n)
        assert len(data) == n and isinstance(data, bytes)
        made.append(data)
        pool.prepare()
    whole = b"".join(made)
    pieces = [whole[at : at + 8] for at in range(0, len(whole) - 8, 8)]
    assert len(set(pieces)) == len(pieces)
    assert 0.4 < sum(bin(b).count("1") for b in whole) / (8 * len(whole)) < 0.6


def test_a_source_that_is_stuck():
    for stuck in (lambda n: bytes(n), lambda n: b"\xff" * n, lambda n: bytes(range(n))):
        pool = Pool(stuck)
        outputs(pool)
        assert "repeats" in pool.fault
    # In the middle of the day, too.
    source = Source()
    pool = Pool(source)
    outputs(pool)
    assert not pool.fault
    pool._source = lambda n: bytes(range(n))
    outputs(pool)
    assert pool.fault
    for _ in range(10):
        pool = Pool()
        outputs(pool, 100)
        assert not pool.fault


def test_a_tap_takes_what_was_made_before():
    calls = []

    def source(n):
        calls.append(n)
        return os.urandom(n)

    pool = Pool(source)
    for _ in range(50):
        pool.prepare()
        before = len(calls)
        pool.take(4)
        pool.take(8)
        assert len(calls) == before


def test_a_boot_builds_on_the_one_before():
    real = entropy.pool
    made = set()
    try:
        flash = {}
        for _ in range(5):
            entropy.pool = Pool(Source())  # the same noise at each boot
            nvs = FakeNvs(flash)
            before = flash.get("seed")
            entropy.begin(nvs, b"chip", b"1900000000")
            assert flash["seed"] != before and len(flash["seed"]) == 32
            data = entropy.random(16)
            assert data not in made and data not in flash["seed"]
            made.add(data)
        # An NVS that cannot be read or written is no reason to have no random numbers.
        nvs = FakeNvs({})
        nvs.fault = -0x1105
        entropy.pool = Pool(Source())
        entropy.begin(nvs, b"chip")
        assert len(entropy.random(16)) == 16
        entropy.pool = Pool(lambda n: bytes(n))
        entropy.begin(FakeNvs({}), b"chip")
        assert entropy.pool.fault
    finally:
        entropy.pool = real


def test_nobody_asks_anything_else_for_random_bytes():
    """Only for measuring, and for the software PSAM's test keys."""
    try:
        from pathlib import Path
    except ImportError:
        return  # MicroPython has no such module
    root = Path(entropy.__file__).parent
    asking = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "urandom" in path.read_text() or "import random" in path.read_text()
    )
    assert asking == ["calls_bench.py", "entropy.py", "sam/soft.py"]
    raises(AttributeError, lambda: entropy.seed)
