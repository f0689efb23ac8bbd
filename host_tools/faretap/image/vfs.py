"""The image of the vfs partition: the loader, and what safe mode needs to speak the link.

    /boot.py, /main.py            plain source, because MicroPython looks for these names
    /lib/faretap_*.mpy            the loader
    /lib/validator/**.mpy         the link and what it needs, found only when no slot is mounted
    /board.json                   which board this is, and where its link is
    /slot.json                    the cable's request: which slot to start, and its image's id

A slot is mounted at /app, which stands before /lib in sys.path: /lib/validator serves safe mode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from faretap.boards import Board
from faretap.image import filesystem, sources
from faretap.image.compiler import compile_all
from faretap.image.tighten import tighten

PLAIN = ("boot.py", "main.py")
SAFE_MODE = ("validator.board", "validator.hal", "validator.version")


@dataclass(frozen=True)
class VfsImage:
    """`data` is the partition's whole content; `files` are the files in it."""

    data: bytes
    files: dict[str, bytes]


# What safe mode has no use for: bulk data.
_BULK = {
    f"validator/link/{name}.py" for name in ("__init__", "packed", "receive", "send", "transfer")
}


def build_vfs(
    board: Board,
    app_id: str | None = None,
    slot: str = "a",
    loader: Mapping[str, bytes] | None = None,
    application: Mapping[str, bytes] | None = None,
    size: int | None = None,
) -> VfsImage:
    """Build the vfs partition for `board`. The same source gives the same bytes.

    `app_id` (16 hex digits) and `slot` ("a", "b") make the request to start that image; without an
    id the loader goes on with the slot that it has. `loader` and `application` (name -> source)
    replace the installed ones, `size` (bytes) the partition's. Raises ImageError.
    """
    loader = sources.loader() if loader is None else loader
    application = sources.application() if application is None else application
    link = [
        path.removesuffix(".py").replace("/", ".")
        for path in application
        if path.startswith("validator/link/") and path not in _BULK
    ]
    safe = sources.closure(application, [*SAFE_MODE, *link])
    compiled = compile_all(tighten({**loader, **safe}), board.arch)
    files = {
        f"lib/{name.removesuffix('.py')}.mpy": code
        for name, code in compiled.items()
        if name not in PLAIN
    }
    # boot.py and main.py were compiled all the same: a mistake in them must not reach a board.
    files |= {name: loader[name] for name in PLAIN if name in loader}
    link_to = json.loads(board.devices_json)["link"]
    files["board.json"] = _json({"board": board.name, "chip": board.chip, "link": link_to})
    if app_id is not None:
        files["slot.json"] = _json({"id": app_id, "slot": slot})
    where = board.partitions["vfs"].size if size is None else size
    what = f"vfs partition of {board.name}"
    return VfsImage(filesystem.pack(files, where, filesystem.SECTOR_BLOCK, what), files)


def _json(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()
