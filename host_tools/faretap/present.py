"""Present a simulated card or code to a validator, on the link or on the wire."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

from faretap.errors import FaretapError
from faretap.link.client import CallError
from faretap.session import Session
from faretap.sim import cards
from faretap.sim.cards import Card

CARD_LOST = -32001
_LOOK_S = 0.05  # between looks whether the reader is free
_LINK_CODE = 600  # bytes: what the validator's scanner takes, and in hex what a call to it holds


class PresentError(FaretapError):
    """The rider could not be presented."""


def tap(
    session: Session,
    name: str,
    *,
    via: str = "wire",
    timeout: float = 8.0,
    lose_at_apdu: int | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Present the card of that name until the validator has finished with it; its summary of the
    tap: seq, medium, outcome, reason, token, masked, phases in ms.

    `lose_at_apdu` n pulls the card away when the n-th APDU (from 1) is under way.
    """
    options = dict(options or {})
    try:
        card = cards.make(name, **{k: v for k, v in options.items() if k != "lose"})
    except ValueError as e:
        raise PresentError(f"This card cannot be presented: {e}.") from e
    if via == "link":
        return tap_on_link(session, card, lose_at_apdu, timeout)
    if via != "wire":
        raise PresentError(f"There is no way {via!r} to present a card.", "Use wire or link.")
    bench = _bench(session)
    session.listen()
    await_free_reader(session, timeout)
    session.forget_notifications()
    if lose_at_apdu is not None:
        options["lose_at_apdu"] = lose_at_apdu
    bench.present(name, **options)
    try:
        summary = session.wait_for("tap", timeout)
    finally:
        bench.withdraw()
    if summary is None:
        raise PresentError(
            f"The validator did not react to {name} within {timeout:g} s.",
            "See the reader's state with `faretap info`; an unreadable card is ignored.",
        )
    return summary


def await_free_reader(session: Session, timeout: float) -> None:
    """Until the card before has left for the validator too: the same card, back within the grace
    of a removal, is the same presentation (Q21)."""
    deadline = time.monotonic() + timeout
    while (info := session.link.call("info")).get("reader", {}).get("state") == "removal":
        if time.monotonic() > deadline:
            raise PresentError(
                "The validator still sees the card before.", "Take every card off the reader."
            )
        time.sleep(_LOOK_S)
    if info["mode"] == "safe":
        raise PresentError(
            f"The validator is in safe mode: {info.get('why') or 'no reason given'}.",
            "Flash it again.",
        )


def tap_on_link(
    session: Session, card: Card, lose_at_apdu: int | None = None, timeout: float = 8.0
) -> dict[str, Any]:
    """The validator's firmware asks this host to transceive with `card`."""
    count = 0
    lock = threading.Lock()

    presentation = secrets.token_hex(4)

    def transceive(params: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        if params.get("presentation") != presentation:
            # A tap that another host began and did not live to end.
            raise CallError(CARD_LOST, "that card is not here", {"kind": "card_lost"})
        with lock:
            count += 1
            if lose_at_apdu is not None and count >= lose_at_apdu:
                raise CallError(CARD_LOST, "the card left", {"kind": "card_lost"})
            answer = card.apdu(bytes.fromhex(params["apdu"]))
            if not answer:
                raise CallError(CARD_LOST, "the card is silent", {"kind": "card_lost"})
            return {"rapdu": answer.hex()}

    session.link.serve("card.transceive", transceive)
    card.power_off()
    result: dict[str, Any] = session.link.call(
        "tap.link",
        {
            "uid": card.uid.hex(),
            "atqa": card.atqa,
            "sak": card.sak,
            "ats": card.ats.hex(),
            "presentation": presentation,
        },
        timeout=timeout,
        again=1.5,
    )
    return result


def moment(session: Session) -> int:
    """The time for which a code has to be made to be valid now: the validator's, if it has one."""
    clock = session.link.call("info").get("clock", {})
    return int(clock["unix"]) if clock.get("trusted") else int(time.time())


def scan(
    session: Session, code: bytes, *, via: str = "wire", timeout: float = 8.0
) -> dict[str, Any]:
    """Show a code to the scan engine (or hand it over on the link); the summary of the tap."""
    if via == "link":
        if len(code) > _LINK_CODE:
            raise PresentError(
                f"A code of {len(code)} bytes does not fit a call of at most {_LINK_CODE}.",
                "No known code is as long; show it on the wire to see it ignored.",
            )
        result: dict[str, Any] = session.link.call(
            "scan.link", {"hex": code.hex()}, timeout=timeout, again=1.5
        )
        return result
    if via != "wire":
        raise PresentError(f"There is no way {via!r} to show a code.", "Use wire or link.")
    bench = _bench(session)
    session.listen()
    session.forget_notifications()
    deadline = time.monotonic() + timeout
    # After a start, the validator sets the engine up first: what that reads meanwhile is dropped.
    while session.link.call("info").get("scanner", {}).get("state") == "silent":
        if time.monotonic() > deadline:
            raise PresentError(
                "The validator has no contact to its scan engine.", "See `faretap info`."
            )
        time.sleep(0.05)
    while not bench.scan(code):
        # The engine does not read the same code twice within a second, and takes its time to boot.
        if time.monotonic() > deadline:
            raise PresentError(
                "The scan engine does not read the code.",
                "See its state with `faretap info`; without power or set up it reads nothing.",
            )
        time.sleep(0.05)
    summary = session.wait_for("tap", timeout)
    if summary is None:
        raise PresentError(
            f"The validator did not react to the code of {len(code)} bytes within {timeout:g} s.",
            "A code of no bytes, or one longer than any known code, is ignored; "
            "`faretap log` tells what the scanner saw.",
        )
    return summary


def _bench(session: Session) -> Any:
    if session.bench is None:
        raise PresentError(
            f"At {session.port} nobody can play the reader chip on the wire.",
            "Present over the link (--via link), or use a virtual validator.",
        )
    return session.bench
