"""The packed part of a slot: modules in one piece, from which a chip runs functions in place.

A .mpy that lies in a littlefs is scattered over its blocks. Here each one lies in one piece,
together with what the device needs to use it where it is (firmware/validator/inplace*.py):

    files       CRC-32 of the path, place, size, place of the list of functions: 16 bytes each,
                in order of the CRC; folders have the place 0
    functions   of each module, in the order of the file: how many (u16), u16 unused, and for each
                place, size (u32, u16; size 0: leave it alone), inner functions (u8), u8 unused
    names       in sorted order: where the text is (u32), its hash (u16), its length (u8)
    texts       of names that are in no file, each between zeros
    content     of the files; names in modules end with a zero, too

All numbers are little-endian, places count from the beginning of the packed part. What only a chip
with a map uses is left out for others.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from littlefs import UserContext

from faretap.image import filesystem, mpy
from faretap.image.errors import ImageError

ROOT = "/rom"  # where the device mounts it
# Modules that an image does without where its flash is not mapped, or nothing is packed.
WITHOUT_MAP = frozenset(f"validator/inplace{name}.py" for name in ("", "_kept", "_names", "_scan"))
WITHOUT_PACKED = WITHOUT_MAP | {"validator/inplace_files.py"}
_ENTRY = struct.Struct("<IIII")
_FUNCTION = struct.Struct("<IHBB")
_LONGEST_NAME = 255
_KEPT = 4096  # heads, and the names that MicroPython has before the application's, some 3 KB


@dataclass(frozen=True)
class Packed:
    """`data` is the packed part, `description` what packed.json says of it, but for its place.

    `room` is how many bytes behind it the first start needs for tables (0: none), from the next
    sector on: firmware/validator/inplace_kept.py.
    """

    data: bytes
    description: dict[str, Any]
    room: int


def pack(files: Mapping[str, bytes], mapped: bool) -> Packed:
    """Pack `files` ("validator/x.mpy" -> content). The same files give the same bytes.

    Other files than modules are for `inplace.Code.file`. Raises ImageError for .mpy files that are
    none, and for paths that the device could not tell apart.
    """
    modules = {path: mpy.read(files[path]) for path in sorted(files) if path.endswith(".mpy")}
    others = sorted(set(files) - set(modules))
    paths = _paths(files)
    at = _ENTRY.size * len(paths)
    lists = dict.fromkeys(modules, 0)
    if mapped:
        for path, module in modules.items():
            lists[path] = at
            at += 4 + _FUNCTION.size * len(mpy.in_order(module.body))
    names = _names(modules) if mapped else []
    table = at
    hashes = table + 4 * len(names)
    lengths = hashes + 2 * len(names)
    at = lengths + len(names)
    inside = {text for module in modules.values() for text in module.texts}
    # Paths are here in any case, for `unpack`.
    own = sorted({name for name in names if name not in inside} | _stored(files))
    texts = b"\0" + b"".join(name + b"\0" for name in own)
    empty = at
    places = {name: at + texts.index(b"\0" + name + b"\0") + 1 for name in own}
    at += len(texts)
    contents = {}
    for path, module in modules.items():
        contents[path] = at
        for text, place in zip(module.texts, module.places, strict=True):
            places.setdefault(text, at + place)
        at += len(files[path])
    fill = -at % 4  # machine code reads words
    at += fill
    for path in others:
        contents[path] = at
        at += (len(files[path]) + 3) // 4 * 4
    data = bytearray()
    for path in paths:
        if path in files:
            functions = lists.get(path, 0)
            data += _ENTRY.pack(_crc(path), contents[path], len(files[path]), functions)
        else:
            data += _ENTRY.pack(_crc(path), 0, 0, 0)
    if mapped:
        for path, module in modules.items():
            data += _functions(module, contents[path])
    data += b"".join(struct.pack("<I", places[name]) for name in names)
    data += b"".join(struct.pack("<H", name_hash(name)) for name in names)
    data += bytes(len(name) for name in names)
    data += texts + b"".join(files[path] for path in modules) + bytes(fill)
    data += b"".join(files[path] + bytes(-len(files[path]) % 4) for path in others)
    assert len(data) == at
    description = {
        "files": len(paths),
        "map": mapped,
        "names": [len(names), table, hashes, lengths, empty],
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    numbers = sum(2 * module.names for module in modules.values())
    room = _KEPT + 4 * len(names) + 8 * len(paths) + numbers if mapped else 0
    return Packed(bytes(data), description, room)


def join(front: bytes, packed: bytes, size: int, block: int) -> bytes:
    """A slot of `size` bytes: the littlefs `front`, and right behind it the packed part.

    The device mounts the whole slot, so the littlefs is told that it has all blocks. It is never
    written there, and does not use those behind its own.
    """
    image = front + packed + b"\xff" * (size - len(front) - len(packed))
    context = UserContext(buffer=bytearray(image))
    fs = filesystem._filesystem(context, len(front), block)
    fs.mount()
    fs.fs_grow(size // block)
    fs.unmount()
    grown = bytes(context.buffer)
    if grown[len(front) :] != image[len(front) :]:
        raise ImageError("The littlefs grew into the packed part.")
    return grown


def unpack(data: bytes, description: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a packed part: path -> content. Raises ImageError if it is damaged.

    The paths are among the texts.
    """
    try:
        size, count = int(description["size"]), int(description["files"])
        empty = int(description["names"][4])
        digest = str(description["sha256"])
    except (KeyError, IndexError, ValueError, TypeError) as e:
        raise ImageError(f"The packed part is not described ({e}).") from e
    data = data[:size]
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise ImageError("The packed part of the application image is damaged.")
    entries = [_ENTRY.unpack_from(data, _ENTRY.size * n) for n in range(count)]
    first = min((at for _, at, _, _ in entries if at), default=size)
    texts = data[empty + 1 : first].split(b"\0")
    prefix = f"{ROOT}/".encode()
    paths = (text.removeprefix(prefix).decode() for text in texts if text.startswith(prefix))
    known = {_crc(path): path for path in paths}
    return {known[crc]: data[at : at + length] for crc, at, length, _ in entries if at}


def name_hash(name: bytes) -> int:
    """py/qstr.c: qstr_compute_hash, of two bytes."""
    n = 5381
    for byte in name:
        n = (n * 33 ^ byte) & 0xFFFFFFFF
    return n & 0xFFFF or 1


def _crc(path: str) -> int:
    return crc32(b"/" + path.encode())


def _folders(paths: Iterable[str]) -> set[str]:
    parts = [path.split("/") for path in paths]
    return {"/".join(p[:n]) for p in parts for n in range(1, len(p))}


def _paths(files: Iterable[str]) -> list[str]:
    """Files and folders, as the device looks for them. MicroPython asks for x, then x.py, then
    x.mpy: none of these may be taken for something else."""
    files = list(files)
    stored = sorted({*files, *_folders(files)}, key=_crc)
    asked = set(stored)
    for path in files:
        stem = path.removesuffix(".mpy")
        asked |= {stem, f"{stem}.py", path}
    for folder in _folders(files):
        asked |= {f"{folder}/__init__.py", f"{folder}/__init__.mpy"}
    if len({_crc(path) for path in asked}) != len(asked):
        raise ImageError("Two paths have the same CRC-32: rename the module that came last.")
    return stored


def _functions(module: mpy.Module, place: int) -> bytes:
    found = mpy.in_order(module.body)
    out = struct.pack("<HH", len(found), 0)
    for function in found:
        # A module's own code runs once, and is gone then.
        usable = function.kind == mpy.BYTECODE and function is not module.body
        size = function.size if usable and function.size < 0x10000 else 0
        inner = len(function.inner)
        if inner > 255 and function is not module.body:
            raise ImageError(f"A function holds {inner} others; 255 is the limit.")
        out += _FUNCTION.pack(place + function.at, size, min(inner, 255), 0)
    return out


def _stored(paths: Iterable[str]) -> set[bytes]:
    return {f"{ROOT}/{path}".encode() for path in paths}


def _names(modules: Mapping[str, mpy.Module]) -> list[bytes]:
    """Every text that MicroPython makes a name of, or looks for among the names."""
    found = {text for module in modules.values() for text in module.texts} | _stored(modules)
    for path in modules:
        dotted = path.removesuffix(".mpy").removesuffix("/__init__").replace("/", ".")
        found |= {dotted.encode(), dotted.rpartition(".")[2].encode()}
    return sorted(name for name in found if 0 < len(name) <= _LONGEST_NAME and b"\0" not in name)
