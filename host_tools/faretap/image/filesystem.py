"""littlefs images as MicroPython's VfsLfs2 mounts them.

Read and program size, cache and lookahead are VfsLfs2's defaults (extmod/vfs_lfsx.c: 32, 32,
4 × 32, 32), because a file kept inline must fit the reader's cache. On-disk version 2.0, which
every littlefs 2 reads.

Blocks are flash sectors of 4096 bytes where MicroPython mounts the partition itself. A slot is
written as a whole and only ever read on the device, so its blocks may be smaller than what is
erased at once: with 512 bytes, 60 small modules take 100 KB and not 300.
"""

from __future__ import annotations

from collections.abc import Mapping

from littlefs import LittleFS, LittleFSError, UserContext

from faretap.image.errors import ImageError

SECTOR_BLOCK = 4096
SLOT_BLOCK = 512
_GEOMETRY = {
    "read_size": 32,
    "prog_size": 32,
    "cache_size": 128,
    "lookahead_size": 32,
    "disk_version": 0x00020000,
}


def pack(files: Mapping[str, bytes], size: int, block: int, what: str = "file system") -> bytes:
    """An image of `size` bytes, in blocks of `block`, with `files` (path without leading slash ->
    content).

    The same files give the same bytes: they are written in sorted order, and carry no times.
    Raises ImageError if they do not fit.
    """
    context = UserContext(size)
    fs = _filesystem(context, size, block)
    fs.format()
    fs.mount()
    try:
        for path in sorted(files):
            folder = path.rpartition("/")[0]
            if folder:
                fs.makedirs(folder, exist_ok=True)
            with fs.open(path, "wb") as f:
                f.write(files[path])
    except (LittleFSError, OSError) as e:
        total = sum(len(data) for data in files.values())
        raise ImageError(
            f"The {what} does not fit: {len(files)} files with {total} bytes in {size} ({e})."
        ) from e
    fs.unmount()
    return bytes(context.buffer)


def unpack(image: bytes, block: int) -> dict[str, bytes]:
    """Every file of an image. Raises ImageError for something else than a littlefs image."""
    context = UserContext(buffer=bytearray(image))
    fs = _filesystem(context, len(image), block)
    found: dict[str, bytes] = {}
    try:
        fs.mount()
        for folder, _, files in fs.walk("/"):
            for name in files:
                path = f"{folder.rstrip('/')}/{name}"
                with fs.open(path, "rb") as f:
                    found[path.lstrip("/")] = f.read()
        fs.unmount()
    except (LittleFSError, OSError) as e:
        raise ImageError(f"This is not a littlefs image: {e}.") from e
    return found


def used(image: bytes, block: int) -> int:
    """How many bytes of an image its blocks in use take, wherever in it they lie."""
    fs = _filesystem(UserContext(buffer=bytearray(image)), len(image), block)
    fs.mount()
    blocks: int = fs.used_block_count
    fs.unmount()
    return blocks * block


def _filesystem(context: UserContext, size: int, block: int) -> LittleFS:
    return LittleFS(
        context=context, mount=False, block_size=block, block_count=size // block, **_GEOMETRY
    )
