"""What tests hold in their hands: a rider, the records, the supply, the reader's faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faretap.present import moment
from faretap.rack.slot import Slot
from faretap.records.model import Record, check_chain
from faretap.records.pull import pull
from faretap.sim import codes
from faretap.writing import write_text


class Rider:
    """Presents cards and codes at a slot. `traces`: folder for the APDUs of its cards, or None."""

    def __init__(self, slot: Slot, traces: Path | None = None) -> None:
        self._slot = slot
        self._traces = traces
        self._count = 0

    def tap(
        self,
        card: str,
        *,
        via: str | None = None,
        lose_at_apdu: int | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Present the card of that name until the validator has finished with it; the summary of
        the tap. `options` are the card's."""
        return self._slot.tap(
            card,
            via=via,
            lose_at_apdu=lose_at_apdu,
            options=self._traced(card, options),
            timeout=timeout,
        )

    def present(self, card: str, **options: Any) -> None:
        """Lay it on the reader and leave it there."""
        self._slot.present(card, **self._traced(card, options))

    def withdraw(self) -> None:
        self._slot.withdraw()

    def scan(
        self,
        code: str | bytes,
        *,
        at: int | None = None,
        via: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Show a code: its bytes, or the name of one that is made for the validator's time, or
        for `at`, with `fields` of it set."""
        if isinstance(code, str):
            made_at = moment(self._slot.session) if at is None else at
            code = codes.make(code, at=made_at, **fields)
        return self._slot.scan(code, via=via, timeout=timeout)

    def _traced(self, card: str, options: dict[str, Any]) -> dict[str, Any]:
        spec = self._slot.spec
        if self._traces is None or "trace" in options or not (spec.made or spec.wire):
            return options
        self._count += 1
        name = f"{self._count:04}-{self._slot.name}-{card}.apdu.jsonl"
        return {**options, "trace": str(self._traces / name)}


class Records:
    """The records that a validator wrote since the test began."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self.first = int(slot.session.link.call("records.info")["next"])

    def all(self) -> list[Record]:
        """Oldest first. The chain has to hold."""
        found = pull(self._slot.session.link, self.first)
        breaks = check_chain(found)
        assert not breaks, breaks[0].sentence()
        return found

    def last(self) -> Record:
        return self.all()[-1]

    def of(self, summary: dict[str, Any]) -> Record:
        """The record of that tap; it says what the summary says."""
        (record,) = (r for r in self.all() if r.seq == summary["seq"])
        assert (record.outcome, record.reason) == (summary["outcome"], summary["reason"])
        assert record.medium == summary["medium"] and record.fare_fen == summary["fare"]
        assert (record.token or "") == summary["token"]
        return record

    def dump(self, path: Path) -> None:
        """As JSON lines; those that cannot be read are left out."""
        found = pull(self._slot.session.link, self.first, on_problem=lambda e: None)
        lines = [json.dumps(record.to_json(), ensure_ascii=False) for record in found]
        write_text(path, "".join(line + "\n" for line in lines), durable=False)


class Supply:
    """The validator's power. After `on` and `cycle` it is ready again, and knows the time."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def cut(self) -> None:
        self._slot.power.cut()

    def on(self) -> None:
        self._slot.power.on()
        self._slot.session.forget_notifications()
        self._slot.reopen()

    def cycle(self) -> None:
        self._slot.power.cycle()
        self._slot.session.forget_notifications()
        self._slot.reopen()


class ReaderFaults:
    """Faults of the reader and of the scan engine that are played here, by their ids."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self.armed: list[str] = []

    def arm(self, q: str, *, seed: int = 1, **settings: Any) -> None:
        """`settings`: the fault's own, and times, skip, every, chance."""
        self._slot.fault(q, seed=seed, **settings)
        self.armed.append(q)

    def clear(self) -> None:
        self._slot.clear_faults()
        self.armed.clear()
