"""The riders' hands at a slot: present, pull away, show; and the supply gone in between."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faretap.errors import FaretapError
from faretap.link.client import CallError
from faretap.present import CARD_LOST, tap_on_link
from faretap.rack.scenario.plan import Ride
from faretap.rack.scenario.schema import medium_of
from faretap.rack.slot import Slot
from faretap.sim import cards, codes
from faretap.sim.cards import Card

_CUT_S = 1.5  # without an answer for so long, the supply went before there was one
_TAP_S = 0.5  # a tap on the wire takes about that long


class HeldCard:
    """A card in a rider's hand, for the link: it can leave at an APDU, and then it is gone."""

    def __init__(
        self,
        card: Card,
        lose_at: int | None = None,
        lose: str = "before",
        at_apdu: Callable[[int], None] = lambda n: None,
    ) -> None:
        self._card = card
        self._lose_at = lose_at
        self._after = lose == "after"
        self._at_apdu = at_apdu
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._card, name)

    def apdu(self, command: bytes) -> bytes:
        self._count += 1
        self._at_apdu(self._count)
        gone = self._lose_at is not None and self._count >= self._lose_at
        if gone and not (self._after and self._count == self._lose_at):
            raise CallError(CARD_LOST, "the card left", {"kind": "card_lost"})
        answer = self._card.apdu(command)
        if gone or getattr(self._card, "torn", False):
            raise CallError(CARD_LOST, "the card left", {"kind": "card_lost"})
        return answer


class Hands:
    """`folder` keeps the purses that are needed again; `traces` is a folder for the APDUs of
    cards, or None."""

    def __init__(self, slot: Slot, folder: Path, traces: Path | None = None) -> None:
        self._slot = slot
        self._folder = folder
        self._traces = traces
        self._traced: Path | None = None

    def way(self, ride: Ride) -> str:
        """How this one is presented: as planned, or as the slot can."""
        try:
            return self._slot.via(ride.via, ride.person.kind)
        except FaretapError:
            return self._slot.via(None, ride.person.kind)

    def here(self) -> bool:
        """Are the parts and the card of this machine, so that they can have files?"""
        spec = self._slot.spec
        return spec.made or bool(spec.wire)

    def purse(self, ride: Ride) -> Path:
        return self._folder / f"purse-{ride.person.number}.json"

    def present(
        self, ride: Ride, moment: int, *, first: bool = True, keep: bool = False, wait: float
    ) -> dict[str, Any]:
        """The summary of the tap. `first`: as planned; later the rider holds still. `keep`: the
        purse remembers. `moment`: for which a code is made."""
        way = self.way(ride)
        if ride.person.kind == "code":
            code = codes.make(medium_of(ride.person.medium)[1], at=moment, **ride.person.options)
            return self._slot.scan(code, via=way, timeout=wait)
        name, options = self._card(ride, way, keep, first)
        lose_at = ride.lose_at if first else None
        if way == "link":
            card = cards.make(name, **options)
            held = HeldCard(card, lose_at, ride.lose)
            return tap_on_link(self._slot.session, held, timeout=wait)
        if lose_at is not None and way == "wire":
            options["lose"] = ride.lose
        return self._slot.tap(name, via=way, lose_at_apdu=lose_at, options=options, timeout=wait)

    def present_and_cut(
        self, ride: Ride, moment: int, cut: Callable[[], None], *, keep: bool, wait: float
    ) -> dict[str, Any] | None:
        """The supply goes in the middle; the summary, if the rider saw one before. `cut` is
        called once in any case."""
        way = self.way(ride)
        done = False

        def cut_once() -> None:
            nonlocal done
            if not done:
                done = True
                cut()

        summary = None
        try:
            if ride.person.kind == "code" or ride.cut == 0 or way == "radio":
                summary = self.present(ride, moment, keep=keep, wait=wait)
            elif way == "link":
                summary = self._cut_on_link(ride, cut_once, keep)
            else:
                summary = self._cut_on_wire(ride, cut_once, keep)
        except FaretapError:
            if not done:
                raise
        finally:
            cut_once()
        return summary

    def _cut_on_link(
        self, ride: Ride, cut: Callable[[], None], keep: bool
    ) -> dict[str, Any] | None:
        def at_apdu(n: int) -> None:
            if n == ride.cut:
                cut()
            if ride.cut and n >= ride.cut:
                raise CallError(CARD_LOST, "the supply is gone", {"kind": "card_lost"})

        name, options = self._card(ride, "link", keep, False)
        card = HeldCard(cards.make(name, **options), at_apdu=at_apdu)
        summary: dict[str, Any] = tap_on_link(self._slot.session, card, timeout=_CUT_S)
        return summary

    def _cut_on_wire(
        self, ride: Ride, cut: Callable[[], None], keep: bool
    ) -> dict[str, Any] | None:
        """Nobody counts APDUs there: it goes after a share of the time that a tap takes."""
        name, options = self._card(ride, "wire", keep, False)
        session = self._slot.session
        session.forget_notifications()
        self._slot.present(name, **options)
        summary = session.wait_for("tap", 0.02 + _TAP_S * ride.cut_after)
        cut()
        with contextlib.suppress(FaretapError):
            self._slot.withdraw()
        return summary

    def _card(self, ride: Ride, way: str, keep: bool, first: bool) -> tuple[str, dict[str, Any]]:
        options = dict(ride.person.options)
        if ride.tear and first:
            options["tear"] = ride.tear
        mine = way == "link" or self.here()
        if keep and mine:
            options["state"] = str(self.purse(ride))
        name = medium_of(ride.person.medium)[1]
        if self._traces and mine:
            self._traced = self._traces / f"{ride.person.number:05}-{ride.visit}-{name}.apdu.jsonl"
            options["trace"] = str(self._traced)
        return name, options

    def all_was_well(self) -> None:
        """Nobody needs to know what the last card said."""
        if self._traced:
            self._traced.unlink(missing_ok=True)
            self._traced = None


def pause_until(moment: float) -> None:
    """The scenario's own pace, or a rider's window: there is nothing to observe."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)
