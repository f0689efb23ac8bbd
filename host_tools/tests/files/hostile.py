"""Files that nobody should give a command: makers by name. `good` is what stands there else."""

from __future__ import annotations

import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

Maker = Callable[[Path, bytes], None]


def _same(data: bytes) -> Maker:
    return lambda path, good: _put(path, data)


def _data(make: Callable[[bytes], bytes]) -> Maker:
    return lambda path, good: _put(path, make(good))


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


def _sparse(path: Path, size: int) -> None:
    _put(path, b"")
    os.truncate(path, size)


def _flipped(seed: int) -> Maker:
    def make(good: bytes) -> bytes:
        chosen = random.Random(seed)
        data = bytearray(good)
        for _ in range(1 + seed % 3):
            if data:
                data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        return bytes(data)

    return _data(make)


def _link(path: Path, to: str) -> None:
    path.symlink_to(to)


# Never a right file, whatever it is for.
NEVER: dict[str, Maker] = {
    "/dev/zero": lambda path, good: _link(path, "/dev/zero"),
    "/dev/null": lambda path, good: _link(path, "/dev/null"),
    "folder": lambda path, good: path.mkdir(),
    "pipe": lambda path, good: os.mkfifo(path),
    "none": lambda path, good: None,
    "link to nothing": lambda path, good: _link(path, "nowhere"),
    "link to itself": lambda path, good: _link(path, path.name),
    "9 GB": lambda path, good: _sparse(path, 9 << 30),
    "100 MB": lambda path, good: _sparse(path, 100 << 20),
    "/proc/kmsg": lambda path, good: _link(path, "/proc/kmsg"),
}

# Wrong for every kind but those of which anything is right.
MOSTLY: dict[str, Maker] = {
    "binary": _same(bytes(range(256)) * 40),
    "NUL": _data(lambda good: good[: len(good) // 2] + b"\0" + good[len(good) // 2 :]),
    "no UTF-8": _data(lambda good: b"\xff\xfe\xfd" + good + b"\xff\xfe\xfd"),
    "UTF-16": _same("a = 1\n".encode("utf-16")),
    "deep arrays": _same(b"x=" + b"[" * 20000 + b"]" * 20000),
    "deep JSON": _same(b"[" * 100000),
    "deep objects": _same(b'{"a":' * 50000 + b"1" + b"}" * 50000),
    "deep tables": _same(b"x=" + b"{a=" * 3000 + b"1" + b"}" * 3000),
    "dots": _same(b"a." * 100000 + b"a=1\n"),
    "dots in tables": _same((b"[" + b"a." * 30 + b"b]\n") * 3000),
    "huge number": _same(b"version=" + b"9" * 5000 + b"\n"),
    "huge JSON number": _same(b'{"faretap_run":' + b"9" * 100000 + b"}"),
    "long line": _same(b"x" * 900000),
    "many lines": _same(b"k=1\n" * 200000),
    "quotes": _same(b'"' * 300001),
    "triple quotes": _same(b'x="""' + b'\\"' * 100000),
    "surrogate": _same(b'x="\\uD800"\n\xed\xa0\x80'),
    "zip bomb": _same(b"FTU1\x01\0\0\0" + zlib.compress(bytes(30 << 20))),
    "empty run": _same(b'{"faretap_run":1,"name":"x","started":NaN}'),
    "year 1e15": _same(b'{"faretap_run":1,"name":"x","started":1e15}'),
    "years": _same(b"version = 1\nx = 99999-01-01\n"),
    "escapes": _same(b"\x1b[2J\x1b]0;x\x07 = 1\n"),
    "JSON null": _same(b"null\n"),
    "JSON list": _same(json.dumps([{}, [], 1, None, "x"]).encode()),
}

# May be right still; never a fault.
PERHAPS: dict[str, Maker] = {
    "empty": _same(b""),
    "newline": _same(b"\n"),
    "half": _data(lambda good: good[: len(good) // 2]),
    "all but one byte": _data(lambda good: good[:-1]),
    "twice": _data(lambda good: good + good),
    "BOM": _data(lambda good: b"\xef\xbb\xbf" + good),
    "CRLF": _data(lambda good: good.replace(b"\n", b"\r\n")),
    **{f"flipped {seed}": _flipped(seed) for seed in range(12)},
}


SHORT = {
    *("/dev/zero", "folder", "pipe", "none", "9 GB", "binary", "NUL", "UTF-16", "deep arrays"),
    *("deep JSON", "huge number", "JSON list", "empty", "half", "flipped 1", "flipped 2"),
}
"""Of a file that another command was given all of them as."""
