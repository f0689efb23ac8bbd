"""An update over the link, while the validator serves riders.

    report = update(session, container, progress)

Cut off in the middle, it is called again with the same container, and goes on where it was.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from faretap.image.container import Container
from faretap.link import NoAnswer, Refused, transfer
from faretap.link.port import DEFAULT_BAUD
from faretap.session import Session
from faretap.shown import shown
from faretap.update.errors import UpdateError

Progress = Callable[[int, int], None]

_NO_SUCH_CALL = -32601
_START_S = 60.0  # from the restart to the validator's hello; three failed starts take 10

# What to do about each reason for which a validator refuses an image.
NEXT_STEPS = {
    "damaged": "Run the command again; if that does not help, build the image again.",
    "unsigned": "Sign it: faretap image sign IMAGE --key KEY.",
    "foreign": "Sign it with the key that this validator was claimed with: "
    "faretap image sign IMAGE --key KEY.",
    "no_key": "Give it the operator's key (faretap config push --claim KEY.pub), "
    "or update it by cable: faretap update --via rom.",
    "not_for_me": "Build the image for this board: faretap image build --board BOARD.",
    "micropython": "Flash the newer MicroPython by cable: faretap flash.",
    "old": "To go back on purpose: faretap image sign IMAGE --key KEY --downgrade.",
    "too_large": "Build it for the board that this validator is.",
}


@dataclass(frozen=True)
class Report:
    """What was done. `sent` and `size` in bytes of the image and its head: what stood there
    already was not sent. Times in seconds."""

    board: str
    version: str
    id: str
    slot: str
    before: str
    sent: int
    size: int
    seconds: float
    restarted: bool

    @property
    def rate(self) -> float:
        """Bytes of the image a second; 0 if nothing was sent."""
        return self.sent / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "rate": round(self.rate)}


def update(
    session: Session,
    container: Container,
    progress: Progress = lambda done, total: None,
    *,
    restart: bool = True,
    again: bool = False,
) -> Report:
    """Send `container` into the idle slot, and start it there unless `restart` is false: then the
    next start of the validator does. `again` also sends what runs already.

    Raises UpdateError if the validator refuses the image or does not stay with it, LinkError.
    """
    state = _state(session)
    if state["id"] == container.id and not again:
        return _report(state, container, state["slot"], 0, 0.0, False)
    if state["board"] != container.board:
        raise UpdateError(
            f"The image is for {container.board}, and the validator is a {state['board']}.",
            NEXT_STEPS["not_for_me"],
            "not_for_me",
        )
    _check_map(state, container)
    first = -1
    start = time.monotonic()

    def counted(done: int, total: int) -> None:
        nonlocal first, start
        if first < 0 and done > 0:
            first, start = done, time.monotonic()
        progress(done, total)

    packed = container.packed()
    try:
        result = transfer.send(session, "image", packed, counted)
    except Refused as e:
        reason = str(e.data.get("kind", "")) if isinstance(e.data, dict) else ""
        raise UpdateError(
            f"The validator refused the image: {e.message}.", NEXT_STEPS.get(reason, ""), reason
        ) from e
    seconds = time.monotonic() - start
    sent = packed.size - max(first, 0)
    slot = str(result.get("slot", ""))
    if slot != state["idle"]:
        raise UpdateError(
            f"The validator took the image and says that it is in slot {shown(slot) or '?'}, "
            f"not {state['idle']}.",
            "See what runs: faretap update --history.",
        )
    if restart:
        _restart(session, container, slot)
    return _report(state, container, slot, sent, seconds, restart)


def _check_map(state: dict[str, Any], container: Container) -> None:
    """UpdateError if the validator's flash map is another than the image was made for: it finds
    its partitions by name, and some would not be there. Boards of others are not known here."""
    from faretap import boards

    if container.board not in boards.names():
        return
    slot = boards.load(container.board).partitions["app_a"].size
    if state.get("size") != slot:
        raise UpdateError(
            f"The validator has another flash map than version {container.version} of "
            f"{container.board} needs.",
            f"Flash it by cable, which brings the new one: faretap flash --board "
            f"{container.board}.",
            "map",
        )


def history(session: Session) -> list[dict[str, Any]]:
    """Which image ran when, oldest first: {"unix", "before", "boot", "slot", "id", "version",
    "why"}. `unix` is None if the clock was never set; with `before` it is an upper limit."""
    found: list[dict[str, Any]] = _call(session, "update.history")
    return found


def _state(session: Session) -> dict[str, Any]:
    state: dict[str, Any] = _call(session, "update.state")
    return state


def _call(session: Session, method: str) -> Any:
    try:
        return session.link.call(method)
    except Refused as e:
        if e.code != _NO_SUCH_CALL:
            raise
        raise UpdateError(
            "What runs on the validator takes no updates over the link (safe mode, or an older "
            "version).",
            "Update it by cable: faretap update --via rom, or faretap flash.",
        ) from e


def _report(
    state: dict[str, Any],
    container: Container,
    slot: str,
    sent: int,
    seconds: float,
    restarted: bool,
) -> Report:
    return Report(
        board=container.board,
        version=container.version,
        id=container.id,
        slot=slot,
        before=state["version"],
        sent=sent,
        size=container.packed().size,
        seconds=round(seconds, 3),
        restarted=restarted,
    )


def _restart(session: Session, container: Container, slot: str) -> None:
    """Restart, and see that the image stays."""
    link = session.link
    link.set_baud(DEFAULT_BAUD)  # at which it starts
    boots = link.call("info").get("boots")
    link.call("update.restart", {"id": container.id, "slot": slot}, timeout=_START_S)
    deadline = time.monotonic() + _START_S
    info: dict[str, Any] = {}
    while time.monotonic() < deadline and info.get("boots", boots) == boots:
        # Not its hello alone: that may get lost, and is said once.
        with contextlib.suppress(NoAnswer):
            info = link.call("info", timeout=1.0, again=0.3)
    if not info:
        raise UpdateError(
            f"The image is in place, but the validator does not answer for {_START_S:g} s.",
            "See what it prints: faretap log.",
        )
    if (info["hash"], info["slot"]) != (container.id, slot):
        why = info.get("why") or _last_why(session)
        raise UpdateError(
            f"The validator went back to version {info['version']}{': ' + why if why else ''}.",
            "The image does not run on it; see what it prints: faretap log.",
        )


def _last_why(session: Session) -> str:
    try:
        return str(history(session)[-1]["why"])
    except (UpdateError, IndexError):
        return ""
