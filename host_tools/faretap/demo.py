"""The main job, end to end: a validator from bare flash to recorded taps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faretap.config import samples
from faretap.errors import FaretapError
from faretap.flash.flasher import flash
from faretap.present import moment, scan, tap
from faretap.records.pull import pull
from faretap.session import connect
from faretap.sim import codes
from faretap.virtual import spawn

RIDERS = (
    ("card", "tunion"),
    ("card", "quickpass-debit"),
    ("card", "quickpass-sdad"),
    ("code", "mot"),
    ("code", "mot-wrong-user-key"),
)

Event = Callable[[str, dict[str, Any]], None]


def run(event: Event, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Everything that the demo does; `event(kind, data)` hears of each step as it happens, and
    `progress(what, done, total)` of the flashing. Returns the same as one object."""
    report: dict[str, Any] = {"riders": []}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faretap-demo-") as folder:
        with spawn(Path(folder)) as board:
            event("started", {"port": board.port_url, "state": "bare flash"})
            flashed = flash(board.port_url, "VIRTUAL", progress=progress)
            report["flash"] = flashed.as_dict()
            event("flashed", report["flash"])
            with connect(board.port_url, wait=10.0) as validator:
                validator.tell_time(always=True)
                validator.forget_notifications()
                samples.provision(validator.link)
                if validator.wait_for("hello", 20.0) is None:
                    raise FaretapError("The validator did not come back with its configuration.")
                report["info"] = validator.link.call("info")
                event("running", report["info"])
                for kind, name in RIDERS:
                    if kind == "card":
                        summary = tap(validator, name)
                    else:
                        summary = scan(validator, codes.make(name, at=moment(validator)))
                    rider = {
                        "kind": kind,
                        "name": name,
                        "tap": summary,
                        "screen": validator.link.call("screen"),
                    }
                    report["riders"].append(rider)
                    event("tapped", rider)
                records = pull(validator.link, 0)
        event("records", {"records": records})
    report["records"] = [r.to_json() for r in records]
    report["seconds"] = round(time.perf_counter() - started, 2)
    return report
