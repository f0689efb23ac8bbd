"""How the slots of a rack are, without disturbing anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from faretap.errors import FaretapError, PortError
from faretap.link import LinkError
from faretap.rack.file import Rack, SlotSpec
from faretap.rack.locks import Held, holder_of
from faretap.rack.ports import NotFound
from faretap.rack.slot import Slot, SlotError, devices_of
from faretap.session import NotReady

_WAIT_S = 2.0
_AT_ONCE = 16

STATES = ("ready", "on demand", "in use", "quarantine", "missing", "trouble")


@dataclass(frozen=True)
class Row:
    """A slot now. `text` says why it is in that state; the rest is empty where nobody answers."""

    slot: str
    board: str
    state: str
    text: str = ""
    port: str = ""
    present: tuple[str, ...] = ()
    version: str = ""
    hash: str = ""
    serial: str = ""
    life_cycle: str = ""
    taps: int | None = None
    heap_free: int | None = None
    uptime_s: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rows(rack: Rack, slots: Sequence[SlotSpec] | None = None) -> list[Row]:
    """All slots, asked at once."""
    wanted = rack.slots if slots is None else slots
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda spec: row(rack, spec), wanted))


def row(rack: Rack, spec: SlotSpec) -> Row:
    """A slot in quarantine is asked too: the reason stands beside what it says now."""
    quarantine = rack.state.quarantined().get(spec.name)
    port = "" if spec.made else spec.port

    def made(state: str, text: str = "", **more: Any) -> Row:
        if quarantine is not None:
            state, text = "quarantine", quarantine
        return Row(
            spec.name, spec.board, state, text, **{"port": port, "present": spec.present, **more}
        )

    if spec.made:
        holder = holder_of(devices_of(rack, spec))
        if holder:
            return made("in use", f"by {holder}")
        return made("on demand", "it is started by those who use it")
    slot = Slot(rack, spec, configure="keep", force=quarantine is not None)
    try:
        with contextlib.closing(slot.look(_WAIT_S)):
            info = slot.identity
            return made(
                "ready",
                port=slot.port,
                version=str(info.get("version", "")),
                hash=str(info.get("hash", "")),
                serial=str(info.get("serial", "")),
                life_cycle=str(info.get("life_cycle", "")),
                taps=info.get("taps"),
                heap_free=info.get("heap_free"),
                uptime_s=info["uptime_ms"] // 1000 if "uptime_ms" in info else None,
            )
    except Held as e:
        return made("in use", f"by {e.holder}")
    except (NotFound, PortError) as e:
        return made("missing", e.cause)
    except (SlotError, NotReady, LinkError) as e:
        return made("trouble", e.cause)
    except FaretapError as e:
        return made("trouble", str(e))
