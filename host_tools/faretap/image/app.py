"""The application image: what stands in a slot, app_a or app_b.

A littlefs with /validator/**.mpy, /devices.json (the board's) and /manifest.json:
{format, board, chip, version, min_micropython, files: {path: SHA-256}, id}. The id is the first
16 hex digits of the SHA-256 over the list of files, so two images with the same id are the same.

For a chip the littlefs is small: it holds the modules that begin, and /packed.json, which says
where behind it the packed part is, with all modules (inplace.py).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faretap import kernel
from faretap.boards import Board
from faretap.image import filesystem, inplace, sources
from faretap.image.compiler import compile_all
from faretap.image.errors import ImageError
from faretap.image.tighten import tighten
from faretap.kernel import constants
from validator.version import VERSION

FORMAT = 1
MIN_MICROPYTHON = "1.24"
MAPPED = ("esp32",)  # chips whose flash the firmware maps: validator/inplace_setup.py
# What is imported before the packed part is in use.
_FIRST = tuple(
    f"validator/{name}.mpy" for name in ("__init__", "app", "inplace_setup", "inplace_files")
)


@dataclass(frozen=True)
class AppImage:
    """`data` is the slot's whole content; `files` are the files in it, the manifest included.

    `used`: how many bytes of the slot an image that was built takes: littlefs, packed part and
    the tables of the first start (docs/memory.md). None: the image was read back.
    """

    data: bytes
    manifest: dict[str, Any]
    files: dict[str, bytes]
    used: int | None = None

    @property
    def spare(self) -> float:
        """The share of the slot that is left, 0 to 1, of an image that was built."""
        assert self.used is not None
        return 1 - self.used / len(self.data)

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    @property
    def version(self) -> str:
        return str(self.manifest["version"])


def build_app(
    board: Board,
    source: Mapping[str, bytes] | None = None,
    version: str = VERSION,
    size: int | None = None,
) -> AppImage:
    """Compile the application for `board`. The same source gives the same bytes.

    `source` ("validator/x.py" -> text) replaces the installed application, `size` (bytes) the
    slot's. Raises ImageError, one sentence with file and line, for source that does not compile.
    """
    text = sources.application() if source is None else source
    crypto = any(name.startswith("validator/crypto/") for name in text)
    if crypto:
        left_out = kernel.unused(board.arch)
        text = {name: code for name, code in text.items() if name not in left_out}
    packed = not board.virtual and b"inplace_setup" in text.get("validator/app.py", b"")
    without = inplace.WITHOUT_MAP if packed else inplace.WITHOUT_PACKED
    if not packed or board.chip not in MAPPED:
        text = {name: code for name, code in text.items() if name not in without}
    compiled = compile_all(tighten(text), board.arch)
    files = {name.removesuffix(".py") + ".mpy": code for name, code in compiled.items()}
    if crypto:
        files["validator/crypto/field_kernel.mpy"] = kernel.build(board.arch)
        if packed and board.chip in MAPPED:
            files |= constants.files()
    files["devices.json"] = board.devices_json
    slot = board.partitions["app_a"].size if size is None else size
    if packed:
        return _in_two_parts(board, files, version, slot)
    manifest = make_manifest(board, files, version)
    files["manifest.json"] = _json(manifest)
    data = filesystem.pack(files, slot, filesystem.SLOT_BLOCK, _what(board))
    return AppImage(data, manifest, files, filesystem.used(data, filesystem.SLOT_BLOCK))


def _in_two_parts(board: Board, files: dict[str, bytes], version: str, slot: int) -> AppImage:
    """A small littlefs, and the modules packed behind it."""
    modules = {path: data for path, data in files.items() if path.startswith("validator/")}
    packed = inplace.pack(modules, board.chip in MAPPED)
    first = {p: data for p, data in files.items() if p not in modules or p in _FIRST}
    at = 16 * filesystem.SLOT_BLOCK
    while True:
        # Where the packed part begins is written in front of it: try until it fits.
        first["packed.json"] = _json({**packed.description, "at": at})
        manifest = make_manifest(board, first, version)
        first["manifest.json"] = _json(manifest)
        try:
            front = filesystem.pack(first, at, filesystem.SLOT_BLOCK)
            break
        except ImageError:
            del first["manifest.json"]
            at += 8 * filesystem.SLOT_BLOCK
    sector = filesystem.SECTOR_BLOCK
    behind = (at + len(packed.data) + sector - 1) // sector * sector
    if slot - behind < packed.room and files.keys() & constants.files().keys():
        # The tables that the first start makes save more memory than these constants do.
        rest = {path: data for path, data in files.items() if path not in constants.files()}
        return _in_two_parts(board, rest, version, slot)
    if at + len(packed.data) > slot:
        raise ImageError(
            f"The {_what(board)} does not fit: {len(files)} files with "
            f"{sum(len(data) for data in files.values())} bytes in {slot}."
        )
    data = inplace.join(front, packed.data, slot, filesystem.SLOT_BLOCK)
    return AppImage(data, manifest, {**files, **first}, behind + packed.room)


def _what(board: Board) -> str:
    return f"application for {board.name}"


def make_manifest(board: Board, files: Mapping[str, bytes], version: str) -> dict[str, Any]:
    """The manifest of `files` (path -> content, without the manifest itself)."""
    hashes = {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)}
    listing = "".join(f"{digest}  {path}\n" for path, digest in hashes.items())
    head = f"{FORMAT} {board.name} {board.chip} {version} {MIN_MICROPYTHON}\n"
    return {
        "format": FORMAT,
        "board": board.name,
        "chip": board.chip,
        "version": version,
        "min_micropython": MIN_MICROPYTHON,
        "files": hashes,
        "id": hashlib.sha256((head + listing).encode()).hexdigest()[:16],
    }


def read_app(data: bytes) -> AppImage:
    """Read an application image back, and check every file of it. Raises ImageError."""
    files = filesystem.unpack(data, filesystem.SLOT_BLOCK)
    try:
        manifest = json.loads(files["manifest.json"])
        hashes = dict(manifest["files"])
        for name in ("id", "version", "board", "min_micropython"):
            if not isinstance(manifest[name], str):
                raise TypeError(f"{name} is no text")
    except (KeyError, ValueError, TypeError, RecursionError) as e:
        raise ImageError(f"The application image has no usable manifest ({e}).") from e
    for path, digest in hashes.items():
        if path not in files:
            raise ImageError(f"The application image lacks {path}.")
        if hashlib.sha256(files[path]).hexdigest() != digest:
            raise ImageError(f"The application image is damaged: {path} is not what it should be.")
    if "packed.json" in files:
        try:
            packed = json.loads(files["packed.json"])
            files |= inplace.unpack(data[packed["at"] :], packed)
        except (KeyError, ValueError, TypeError, IndexError, struct.error, RecursionError) as e:
            raise ImageError("The application image is damaged: what runs in place.") from e
    return AppImage(data, manifest, files)


def _json(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()
