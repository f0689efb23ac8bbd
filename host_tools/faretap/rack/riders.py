"""Riders at a slot: their cards and codes, presented by whatever way the slot has."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from faretap.present import scan as show_code
from faretap.present import tap as present_card
from faretap.rack.file import RackError, SlotSpec
from faretap.rack.lines import WireBench
from faretap.session import Session

if TYPE_CHECKING:
    from faretap.radio import Emulator


class SlotError(RackError):
    """A slot that cannot be used, or cannot do what is asked. `slot` is its name."""

    def __init__(self, slot: str, cause: str, next_step: str = "") -> None:
        super().__init__(cause, next_step)
        self.slot = slot


class Riders:
    """The hands of an open slot."""

    name: str
    spec: SlotSpec
    session: Session
    _radio: tuple[Emulator, contextlib.ExitStack] | None = None

    def via(self, wanted: str | None = None, what: str = "card") -> str:
        """How a card (or "code") is presented here; SlotError if it cannot be so."""
        can = self.spec.capabilities()
        wire = "wire" if what == "card" else "scan_wire"
        ways = [
            way for way in ("wire", "radio", "link") if (wire if way == "wire" else way) in can
        ]
        if what == "code" and "radio" in ways:
            ways.remove("radio")
        if wanted is None and ways:
            return ways[0]
        if wanted not in ways:
            raise SlotError(
                self.name,
                f"The slot {self.name} cannot present a {what}"
                + (f" by {wanted}." if wanted else "."),
                f"It can by: {', '.join(ways)}." if ways else "",
            )
        return wanted

    def tap(
        self,
        card: str,
        *,
        via: str | None = None,
        lose_at_apdu: int | None = None,
        options: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Present a card until the validator has finished with it; its summary of the tap."""
        wait = self.spec.limits.tap if timeout is None else timeout
        way = self.via(via)
        if way == "radio":
            return self._tap_by_radio(card, options, lose_at_apdu, wait)
        return present_card(
            self.session,
            card,
            via=way,
            timeout=wait,
            lose_at_apdu=lose_at_apdu,
            options=options,
        )

    def scan(
        self, code: bytes, *, via: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Show a code; the validator's summary of the tap."""
        wait = self.spec.limits.tap if timeout is None else timeout
        return show_code(self.session, code, via=self.via(via, "code"), timeout=wait)

    def present(self, card: str, **options: Any) -> None:
        """Lay a card on the reader and leave it there; nothing waits for the validator."""
        self._hands("present a card that stays").present(card, **options)

    def withdraw(self) -> None:
        self._hands("take a card away").withdraw()

    def fault(self, name: str, **settings: Any) -> None:
        """Arm a fault of the parts that are played, by its id ("Q20")."""
        self._hands("give the reader a fault").fault(name, **settings)

    def clear_faults(self) -> None:
        bench = self._hands("clear faults")
        if isinstance(bench, WireBench):
            bench.clear_faults()
        else:
            bench.call("fault", clear=True)

    def _hands(self, what: str) -> Any:
        if self.session.bench is None:
            raise SlotError(
                self.name,
                f"The slot {self.name} cannot {what}: nobody plays its reader.",
                "That takes a virtual or emulated validator, or adapters (table wire).",
            )
        return self.session.bench

    def _tap_by_radio(
        self, card: str, options: dict[str, Any] | None, lose_at_apdu: int | None, wait: float
    ) -> dict[str, Any]:
        from faretap import radio

        assert self.spec.radio is not None
        if self._radio is None:
            # Kept open: to begin with, such a reader takes longer than a tap.
            opened = contextlib.ExitStack()
            self._radio = (opened.enter_context(radio.open_emulator(self.spec.radio)), opened)
        try:
            return radio.tap(
                self.session,
                self._radio[0],
                card,
                timeout=wait,
                lose_at_apdu=lose_at_apdu,
                options=options,
            )
        except radio.RadioError:
            self._close_radio()
            raise

    def _close_radio(self) -> None:
        if self._radio is not None:
            with contextlib.suppress(Exception):
                self._radio[1].close()
            self._radio = None
