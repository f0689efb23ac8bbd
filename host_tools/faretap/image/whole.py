"""Everything that is written to a board, as pieces with their flash addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faretap import boards
from faretap.boards import Board
from faretap.image import micropython as releases
from faretap.image.app import AppImage, build_app
from faretap.image.errors import ImageError
from faretap.image.partitions import TABLE_OFFSET
from faretap.image.vfs import build_vfs


@dataclass(frozen=True)
class Piece:
    """`data` belongs at flash address `offset`."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Pieces:
    """What a cable writes, in the order in which it is written, and what it is made of."""

    pieces: tuple[Piece, ...]
    app: AppImage
    micropython: releases.MicroPython


def build_pieces(
    board: Board, micropython: Path | None = None, app: AppImage | None = None
) -> Pieces:
    """Build all that stands on `board`: MicroPython, partition table, loader, application.

    The vfs comes before the application: its request names the new image, so if the cable is
    pulled out between the two, the loader checks every file of app_a and starts no half of it.
    """
    release = releases.obtain(board, micropython)
    image = app or build_app(board)
    if image.manifest["board"] != board.name:
        raise ImageError(
            f"The application image is for {image.manifest['board']}, not for {board.name}."
        )
    table = board.partitions
    slot = table["app_a"]
    if len(image.data) != slot.size:
        raise ImageError(
            f"The application image has {len(image.data)} bytes; app_a has {slot.size}."
        )
    return Pieces(
        pieces=(
            Piece("bootloader", board.facts.bootloader_offset, release.bootloader),
            Piece("partition table", TABLE_OFFSET, table.to_binary()),
            Piece("MicroPython", table["factory"].offset, release.app),
            Piece("loader", table["vfs"].offset, build_vfs(board, image.id).data),
            Piece("application", slot.offset, image.data),
        ),
        app=image,
        micropython=release,
    )


def whole_flash(board: Board | str, micropython: Path | None = None) -> bytes:
    """The flash of a board that was erased and then flashed once; as many bytes as it has."""
    if isinstance(board, str):
        board = boards.load(board)
    flash = bytearray(b"\xff" * board.flash_size)
    for piece in build_pieces(board, micropython).pieces:
        flash[piece.offset : piece.offset + len(piece.data)] = piece.data
    return bytes(flash)
