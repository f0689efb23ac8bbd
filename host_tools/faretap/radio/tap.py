"""Tap by radio: a card model on a reader's antenna, which lies on the validator's."""

from __future__ import annotations

import time
from typing import Any

from faretap.present import PresentError
from faretap.present import await_free_reader as await_free_reader
from faretap.radio.emulator import Emulator, Presentation, Presenting, check, open_emulator
from faretap.session import Session
from faretap.sim import cards
from faretap.sim.cards import Card

_LOOK = 0.25


def present_by_radio(device_path: str, card: Card, timeout: float) -> Presentation:
    """Play the card on the PN532 at `device_path` until a reader has had it, or for `timeout`
    seconds. RadioError, or ReaderError if there is no such reader."""
    check(card)
    with open_emulator(device_path) as emulator:
        return emulator.present(card, timeout=timeout, until_released=True)


def tap(
    session: Session,
    emulator: Emulator,
    name: str,
    *,
    timeout: float = 8.0,
    lose_at_apdu: int | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Present the card of that name until the validator has finished with it; its summary of the
    tap, as `faretap.present.tap` gives it."""
    options = dict(options or {})
    lose = options.pop("lose", "before")
    try:
        card = cards.make(name, **options)
    except ValueError as e:
        raise PresentError(f"This card cannot be presented: {e}.") from e
    check(card)
    session.listen()
    await_free_reader(session, timeout)
    session.forget_notifications()
    deadline = time.monotonic() + timeout
    summary: dict[str, Any] | None = None
    with Presenting(
        emulator, card, timeout=timeout, lose_at_apdu=lose_at_apdu, lose=lose
    ) as presenting:
        while summary is None and time.monotonic() < deadline and presenting.error is None:
            summary = session.wait_for("tap", min(_LOOK, max(0.0, deadline - time.monotonic())))
    if summary is None:
        went = presenting.went
        seen = (
            "its reader never found the card"
            if went is None or not went.activations
            else (f"its reader found the card and gave {went.commands} commands")
        )
        raise PresentError(
            f"The validator did not react to {name} within {timeout:g} s: {seen}.",
            "Lay the reader flat on the validator's antenna, one to three cm away, and see "
            "`faretap info`.",
        )
    return summary


def tap_by_radio(
    session: Session,
    device_path: str,
    name: str,
    *,
    timeout: float = 8.0,
    lose_at_apdu: int | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`tap` with the PN532 at `device_path`, opened for this one."""
    with open_emulator(device_path) as emulator:
        return tap(
            session,
            emulator,
            name,
            timeout=timeout,
            lose_at_apdu=lose_at_apdu,
            options=options,
        )
