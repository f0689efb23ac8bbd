"""An update by the ROM loader: only the idle slot and the loader's request are written.

The reset lines are needed, the validator need not run. While it does, it says which slot is idle
and whose signature it trusts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from faretap import address, boards
from faretap.errors import FaretapError
from faretap.flash.flasher import FlashReport, Progress, flash
from faretap.image.container import Container
from faretap.image.micropython import MicroPython
from faretap.image.sign import public_key, verify
from faretap.image.vfs import build_vfs
from faretap.image.whole import Piece, Pieces
from faretap.link.port import FAST_BAUD
from faretap.session import connect
from faretap.update.errors import UpdateError
from faretap.update.link import NEXT_STEPS
from validator import update_image as layout


def update_by_rom(
    port: str,
    container: Container,
    *,
    trust: ec.EllipticCurvePublicKey | None = None,
    unsigned: bool = False,
    progress: Progress = lambda what, done, total: None,
    wait_hello: Callable[[str], Any] | None = None,
    baud: int = FAST_BAUD,
) -> FlashReport:
    """Write `container` into the idle slot of the validator at `port`, and start it.

    What a validator checks over the link is checked here: board, MicroPython, version, and the
    signature, by the key that the validator names, else by `trust`. `unsigned` takes an image for
    a validator that has no operator key. Raises UpdateError, ImageError, FlashError, PortError.
    """
    if address.kind(port) == "socket":
        raise UpdateError(
            "This port has no reset lines.", "Update it over the link: faretap update --via link."
        )
    progress("asking what runs", 0, 0)
    state = _state(port)
    check(container, state, trust, unsigned)
    board = boards.load(container.board)
    slot = str(state.get("idle") or "a")
    table = board.partitions
    pieces = Pieces(
        pieces=(
            # The request first, as the flasher does: half an image is never started.
            Piece("loader", table["vfs"].offset, build_vfs(board, container.id, slot).data),
            Piece("application", table[f"app_{slot}"].offset, container.image),
        ),
        app=container.app,
        micropython=MicroPython(b"", b"", str(state.get("micropython", "")), "", "as it is"),
    )
    return flash(
        port,
        board,
        pieces=pieces,
        progress=progress,
        wait_hello=wait_hello,
        baud=baud,
        force=container.downgrade,  # signed as such; there is nothing else that it may lose
    )


def check(
    container: Container,
    state: dict[str, Any],
    trust: ec.EllipticCurvePublicKey | None,
    unsigned: bool,
) -> None:
    """UpdateError or ImageError unless the validator in that state may get that image."""
    key = public_key(bytes.fromhex(state["key"])) if state.get("key") else trust
    if key is not None:
        verify(container, key)
    elif not unsigned:
        raise UpdateError(
            "Nobody can tell whose image this is: "
            + ("the validator has no operator key." if state else "the validator does not run."),
            "Name the operator's public key with --trust; or take it as it is with --unsigned.",
            "no_key",
        )
    if not state:
        return
    try:
        container.head.check_fit(
            state["board"], state["micropython"], state["version"], state["size"]
        )
    except layout.Refused as e:
        raise UpdateError(f"The image is not written: {e}.", NEXT_STEPS[e.reason], e.reason) from e


def _state(port: str) -> dict[str, Any]:
    """What the validator says of itself; {} if it does not run, or not that far."""
    try:
        with connect(port) as session:
            info: dict[str, Any] = session.link.call("info")
            state: dict[str, Any] = session.link.call("update.state")
    except FaretapError:
        return {}
    return {**state, "micropython": info["micropython"]}
