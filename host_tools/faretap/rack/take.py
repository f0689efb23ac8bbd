"""The first free slot of a rack that can do what a test needs."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from faretap.errors import FaretapError
from faretap.rack.file import Rack, RackError, SlotSpec
from faretap.rack.locks import Held
from faretap.rack.slot import Slot

_LOOK_S = 0.25  # between looks whether a slot became free


class NoSlot(RackError):
    """None of the slots. `why` says it of each; `impossible`: waiting would not help."""

    def __init__(self, rack: Rack, why: dict[str, str], impossible: bool) -> None:
        reasons = "; ".join(f"{name} {text}" for name, text in why.items()) or "it has none"
        super().__init__(f"No slot of the rack {rack.name} can be taken: {reasons}.")
        self.why = why
        self.impossible = impossible


def take(
    rack: Rack,
    needs: Collection[str] = (),
    wait: float = 600.0,
    skip: Collection[str] = (),
    **options: Any,
) -> Slot:
    """An open slot; its user closes it. NoSlot after `wait` seconds without a free one, or at once
    if none will ever do.

    A slot that cannot be opened is put into quarantine with the reason, and the next is taken:
    what is wrong with it is for people to see. `options` are those of `Slot`.
    """
    deadline = time.monotonic() + wait
    while True:
        why: dict[str, str] = {}
        busy = False
        for spec in rack.slots:
            reason = "is not wanted" if spec.name in skip else lacks(rack, spec, needs)
            if reason is None:
                try:
                    return Slot(rack, spec, **options).open()
                except Held as e:
                    busy = True
                    reason = f"is in use ({e.cause.rstrip('.')})"
                except FaretapError as e:
                    rack.state.quarantine(spec.name, str(e))
                    reason = f"is in quarantine: {e}".rstrip(".")
            why[spec.name] = reason
        if not busy or time.monotonic() >= deadline:
            raise NoSlot(rack, why, not busy)
        time.sleep(_LOOK_S)


def lacks(rack: Rack, spec: SlotSpec, needs: Collection[str]) -> str | None:
    """Why the slot will not do; None if it will."""
    reason = rack.state.quarantined().get(spec.name)
    if reason is not None:
        return f"is in quarantine: {reason}".rstrip(".")
    missing = sorted(set(needs) - rack.capabilities(spec))
    return f"has no {', '.join(missing)}" if missing else None
