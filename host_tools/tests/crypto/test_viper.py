"""The viper kernel, compiled as an image has it, under real MicroPython on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faretap.kernel import NAME, build, source, unused

FIRMWARE = Path(__file__).parents[3] / "firmware"
MICROPYTHON = Path(sys.executable).with_name("micropython")

OPERATIONS = """
import random
from validator.crypto.curves import P256, SM2
from validator.crypto.field import NAME, Field
from validator.crypto.field_py import Field as Plain
from validator.crypto.program import *

assert NAME == "viper"
random.seed(7)


def number(p):
    x = 0
    for _ in range(9):
        x = x << 30 | random.getrandbits(30)
    return random.choice((x, x, 0, 1, p - 1, p - 2, (1 << random.randrange(256)) - 1)) % p


steps = ((MUL, 12, 10, 11), (SQR, 12, 10, 1), (SQR, 12, 10, 3), (ADD, 12, 10, 11))
steps += ((SUB, 12, 10, 11), (SUB, 12, 11, 10), (HALF, 12, 10), (MOVE, 12, 10))
steps += ((MUL, 12, 12, 10), (ADD, 12, 12, 12), (SUB, 10, 10, 12), (HALF, 12, 12))
count = 0
for p in (SM2.p, P256.p):
    fast, plain = Field(p, SIZE), Plain(p, SIZE)
    for _ in range(400):
        x, y, z = number(p), number(p), number(p)
        chosen = [random.choice(steps) for _ in range(12)]
        code = line(*[(MUL, k, k, RR) for k in (10, 11, 12)]) + line(*chosen)
        code += line(*[(MUL, k, k, UNIT) for k in (10, 11, 12)]) + line((END,))
        found = []
        for field in (fast, plain):
            field.put(10, x)
            field.put(11, y)
            field.put(12, z)
            assert field.run(code) == 0
            found.append([field.peek(k) for k in (10, 11, 12)])
            zero = line((MUL, 10, 10, RR), (SUB, 13, 10, 10), (TEST, 0, 13), (END,))
            assert field.run(zero) == 1 and field.zero(13)
            twice = line((ADD, 13, 10, 10), (SUB, 13, 13, 10), (SUB, 13, 13, 10))
            assert field.run(twice + line((TEST, 0, 13), (END,))) == 1
            # x + (p - x): in the viper kernel p itself, which is zero too.
            field.put(10, x)
            field.put(11, p - x)
            assert field.run(line((ADD, 13, 10, 11), (TEST, 0, 13), (END,))) == 1
        assert found[0] == found[1], (chosen, x, y, z)
        count += 1
assert isinstance(Field(P256.n, 30), Plain)
print("operations", count)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crypto package with the kernel of this machine's image, and its tests beside it."""
    root = tmp_path_factory.mktemp("viper")
    shutil.copytree(FIRMWARE / "validator" / "crypto", root / "validator" / "crypto")
    (root / "validator" / "__init__.py").write_text("")
    for name in unused("x64"):
        (root / name).unlink()
    (root / NAME).with_suffix(".mpy").write_bytes(build("x64"))
    (root / "operations.py").write_text(OPERATIONS)
    tests = root / "tests"
    tests.mkdir()
    for path in (FIRMWARE / "tests").glob("*.py"):
        if path.stem in ("fakes", "run_micropython") or "crypto" in path.stem:
            shutil.copy(path, tests)
    return root


def run(where: Path, *args: str) -> str:
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=2M", *args],
        cwd=where, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_operations_are_those_of_integers(tree: Path) -> None:
    assert run(tree, "operations.py").strip() == "operations 800"


@pytest.mark.parametrize("module", ["hashes", "sm2", "ecdsa"])
def test_the_firmware_tests_pass_on_it(tree: Path, module: str) -> None:
    said = run(tree / "tests", "run_micropython.py", f"test_crypto_{module}")
    assert " passed, 0 failed" in said


def test_it_is_what_every_other_chip_gets() -> None:
    assert source("armv7m") == source("x64")
    assert build("armv7m")[:2] == b"M\6"
    compile(source("x64"), "field_kernel.py", "exec")
