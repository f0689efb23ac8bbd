"""The file of an application image for updates, `.ftu`: a head, signed or not yet, and the image.

    container = make(build_app(board))
    Path("bus.ftu").write_bytes(container.to_bytes())
    container = read(Path("bus.ftu").read_bytes())    # ImageError for what is damaged

    bytes     what
    0-3       "FTU1"
    4-7       number of packed blocks, little endian
    8-        the packed blocks (validator/link/packed.py), as they are sent: first the head
              (validator/update_image.py) padded to whole blocks, then the image

The same image gives the same bytes, except for the signature.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from faretap.image.app import AppImage, read_app
from faretap.image.errors import ImageError
from faretap.link.transfer import BLOCK, Packed, pack_block
from faretap.reading import IMAGE, read_bytes
from validator import update_image as layout
from validator.link import packed

MAGIC = b"FTU1"
SIGNATURE = 64
_MOST = 8192  # blocks: what they unpack to is 16 MB
_BROKEN = "Build it again, or fetch it again."


@dataclass(frozen=True)
class Container:
    """`unsigned` is the part of the head that a signature covers, `signature` 64 bytes or empty,
    `blocks` the packed blocks of the image."""

    unsigned: bytes
    signature: bytes
    image: bytes
    blocks: tuple[bytes, ...]

    @property
    def head(self) -> layout.Head:
        return layout.Head(self.unsigned + (self.signature or bytes(SIGNATURE)))

    @property
    def board(self) -> str:
        return str(self.head.board)

    @property
    def version(self) -> str:
        return str(self.head.version)

    @property
    def id(self) -> str:
        """As the validator that runs it reports it in `hash`."""
        return str(self.head.id)

    @property
    def min_micropython(self) -> str:
        return str(self.head.micropython)

    @property
    def downgrade(self) -> bool:
        """It may replace a newer version."""
        return bool(self.head.downgrade)

    @property
    def app(self) -> AppImage:
        """The image with its files; each was checked when the container was read."""
        return read_app(self.image)

    def packed(self) -> Packed:
        """What is sent to a validator."""
        head = self.unsigned + (self.signature or bytes(SIGNATURE))
        head += bytes(-len(head) % BLOCK)
        blocks = [pack_block(head[at : at + BLOCK]) for at in range(0, len(head), BLOCK)]
        whole = head + self.image
        return Packed((*blocks, *self.blocks), len(whole), hashlib.sha256(whole).hexdigest())

    def to_bytes(self) -> bytes:
        blocks = self.packed().blocks
        return MAGIC + len(blocks).to_bytes(4, "little") + b"".join(blocks)


def make(app: AppImage, *, downgrade: bool = False) -> Container:
    """A container, not signed. Raises ImageError for names that do not fit its head."""
    names = {"board": app.manifest["board"], "version": app.version}
    for what, name in names.items():
        if not name.isascii() or not 0 < len(name) <= 24:
            raise ImageError(f"The {what} {name!r} must have 1 to 24 ASCII characters.")
    unsigned = layout.pack(
        app.manifest["board"],
        app.version,
        app.id,
        app.manifest["min_micropython"],
        app.data,
        downgrade,
    )
    data = app.data
    blocks = tuple(pack_block(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))
    return Container(unsigned, b"", data, blocks)


def read(data: bytes) -> Container:
    """Take a file apart and check all of it but the signature. Raises ImageError."""
    if data[:4] != MAGIC:
        raise ImageError("This is no application image for updates (.ftu).")
    blocks = _blocks(data)
    try:
        whole = b"".join(_unpack(block) for block in blocks)
        head = layout.Head(whole)
    except ValueError as e:
        raise ImageError(f"The image is damaged: {e}.", _BROKEN) from e
    start = layout.padded_size(head.blocks)
    image = whole[start:]
    signature = whole[head.signed : head.signed + SIGNATURE]
    container = Container(
        whole[: head.signed],
        b"" if signature == bytes(SIGNATURE) else signature,
        image,
        tuple(blocks[start // BLOCK :]),
    )
    _check(container)
    return container


def load(path: Path) -> Container:
    """The container in a file; ImageError names it."""
    data = read_bytes(path, IMAGE, ImageError)
    try:
        return read(data)
    except ImageError as e:
        raise ImageError(f"{path}: {e.cause}", e.next_step) from e


def _blocks(data: bytes) -> list[bytes]:
    count = int.from_bytes(data[4:8], "little")
    if count > _MOST:
        raise ImageError("The image is larger than any board's flash.", _BROKEN)
    blocks: list[bytes] = []
    at = 8
    try:
        while at < len(data) and len(blocks) <= count:
            _, behind = packed.sizes(data[at : at + packed.HEAD])
            end = at + packed.HEAD + behind
            blocks.append(data[at:end])
            at = end
    except (ValueError, struct.error) as e:
        raise ImageError(f"The image is damaged at byte {at}.", _BROKEN) from e
    if at != len(data) or len(blocks) != count:
        raise ImageError("The image is cut short, or something follows it.", _BROKEN)
    return blocks


def _unpack(block: bytes) -> bytes:
    size, behind = packed.sizes(block[: packed.HEAD])
    contents = block[packed.HEAD :]
    if behind != size:
        inflate = zlib.decompressobj(-packed.WBITS)
        try:
            contents = inflate.decompress(contents, BLOCK + 1)
        except zlib.error as e:
            raise ValueError(str(e)) from e
        if not inflate.eof or inflate.unused_data:
            raise ValueError("a block has another size than it says")
    if len(contents) != size or packed.head(size, behind, zlib.crc32(contents)) != block[:8]:
        raise ValueError("the check of a block is wrong")
    return contents


def _check(container: Container) -> None:
    """The head must say of the image what is in it: the validator believes the head."""
    head, image = container.head, container.image
    if hashlib.sha256(image).digest() != head.digest or len(image) != head.size:
        raise ImageError("The image is not the one that its head was made for.", _BROKEN)
    for n in range(head.blocks):
        digest = hashlib.sha256(image[n * BLOCK : (n + 1) * BLOCK]).digest()
        if not head.is_block(n, digest):
            raise ImageError(f"The head is wrong about block {n} of the image.", _BROKEN)
    app = container.app
    stated = (app.manifest["board"], app.version, app.id, app.manifest["min_micropython"])
    if stated != (head.board, head.version, head.id, head.micropython):
        raise ImageError("The head does not say what the image's manifest says.", _BROKEN)
