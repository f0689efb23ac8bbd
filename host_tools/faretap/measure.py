"""What `faretap bench` measures, on any port, with the firmware's own clock where it counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from faretap import address, measure_media, measure_store
from faretap.errors import FaretapError
from faretap.link import Refused
from faretap.link.port import native_usb
from faretap.measure_crypto import bundle, crypto
from faretap.measure_reader import reader
from faretap.present import moment, scan, tap
from faretap.session import Session
from faretap.sim import codes

PHASES = ("detect", "select", "read", "verify", "decide", "commit", "signal")
_CHANNEL = 1
_BLOCK = 100  # bytes of payload to the validator: two of them fit its window

Say = Callable[[str], None]


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: list[float]) -> dict[str, float]:
    """{"p50", "p95", "max", "n"} of some times."""
    return {
        "p50": round(statistics.median(values), 3),
        "p95": round(percentile(values, 0.95), 3),
        "max": round(max(values), 3),
        "n": len(values),
    }


def round_trip(session: Session, count: int = 50) -> dict[str, float]:
    """Time of a ping, in ms."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        session.link.call("ping")
        times.append((time.perf_counter() - start) * 1000)
    return spread(times)


def to_validator(session: Session, size: int = 24000) -> dict[str, Any]:
    """Payload rate of blocks towards the validator, as a share of the line rate."""
    link = session.link
    link.call("bench.sink")
    payload = bytes(range(_BLOCK))
    blocks = size // _BLOCK
    start = time.perf_counter()
    for i in range(blocks):
        link.send_block(_CHANNEL, i & 0xFF, payload)
    counted = link.call("bench.sink", timeout=10.0)
    seconds = time.perf_counter() - start
    return {
        "bytes": counted["bytes"],
        "lost_blocks": blocks - counted["blocks"],
        "seconds": round(seconds, 3),
        "share": round(counted["bytes"] * 10 / seconds / int(link.device.baudrate), 3),
    }


def from_validator(session: Session, size: int = 64 * 1024) -> dict[str, Any]:
    """Payload rate of blocks from the validator, as a share of the line rate."""
    link = session.link
    got = 0

    def block(channel: int, sequence: int, payload: bytes) -> None:
        nonlocal got
        if channel == _CHANNEL:
            got += len(payload)

    before, link.on_block = link.on_block, block
    try:
        start = time.perf_counter()
        sent = link.call("bench.source", {"bytes": size}, timeout=60.0, again=60.0)["bytes"]
        seconds = time.perf_counter() - start
    finally:
        link.on_block = before
    return {
        "bytes": got,
        "lost_bytes": sent - got,
        "seconds": round(seconds, 3),
        "share": round(got * 10 / seconds / int(link.device.baudrate), 3),
    }


def boot(session: Session, timeout: float = 30.0) -> dict[str, Any]:
    """Reset the validator by its EN line (or by a call, where there is none) until its hello."""
    device = session.link.device
    session.forget_notifications()
    # A chip's own USB has no EN line, and takes DTR for somebody who listens.
    by_line = not (address.kind(session.port) == "socket" or native_usb(str(device.port)))
    if by_line:
        device.rts = True
        session.forget_notifications()
        start = time.perf_counter()
        device.rts = False
    else:
        start = time.perf_counter()
        session.link.call("reset")
    hello = session.wait_for("hello", timeout)
    seconds = time.perf_counter() - start
    if hello is None:
        raise FaretapError(
            f"The validator did not say hello within {timeout:g} s of a reset.",
            "See what it prints: faretap log --port PORT.",
        )
    session.await_running(timeout)
    return {
        "seconds": round(seconds, 3),
        "by": "EN line" if by_line else "call",
        "application_ms": hello.get("boot_ms"),
        "version": hello.get("version"),
    }


def taps(session: Session, via: str, count: int, say: Say) -> dict[str, Any]:
    """Phase times in ms by the validator's clock, p50 over `count` taps of each medium."""
    out: dict[str, Any] = {}
    for name in ("tunion", "quickpass-debit", "quickpass-phone"):
        say(f"{count} taps of {name} on the {via}")
        out[name] = _phases([tap(session, name, via=via) for _ in range(count)])
    say(f"{count} scans of mot on the {via}")
    # Another account each time: a code is good for one ride.
    made = [codes.make("mot", at=moment(session), account=f"{n:016}") for n in range(count)]
    out["mot"] = _phases([scan(session, code, via=via) for code in made])
    return out


def _phases(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    table = {p: statistics.median(s["phases"].get(p) or 0 for s in summaries) for p in PHASES}
    table["total"] = statistics.median(
        sum(s["phases"].get(p) or 0 for p in PHASES) for s in summaries
    )
    return {
        "ms": table,
        "n": len(summaries),
        "outcomes": sorted({s["outcome"] for s in summaries}),
    }


def everything(
    session: Session,
    *,
    count: int = 10,
    bauds: tuple[int, ...] = (),
    configure: bool = False,
    store: bool = False,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """All measurements. `bauds` are rates to try beside the one at which the link stands;
    `configure` claims the validator for the test operator first, so that riders are accepted;
    `store` measures list, records and update as well, at the highest of the rates."""
    info = session.await_running()
    report: dict[str, Any] = {
        "port": session.port,
        "board": info["board"],
        "version": info["version"],
        "hash": info["hash"],
        "micropython": info["micropython"],
    }
    say("boot to hello")
    report["boot"] = boot(session)
    report["link"] = {}
    first = int(session.link.device.baudrate)
    for baud in (first, *(b for b in bauds if b != first)):
        say(f"the link at {baud} baud")
        try:
            got = session.link.set_baud(baud)
        except Refused as e:
            report["link"][str(baud)] = {"refused": e.message}
            continue
        if got != baud:
            report["link"][str(baud)] = {"refused": "the line carries nothing at this rate"}
            continue
        report["link"][str(baud)] = {
            "round_trip_ms": round_trip(session),
            "to_validator": to_validator(session),
            "from_validator": from_validator(session),
        }
    session.link.set_baud(first)
    if configure:
        say("the bench configuration")
        measure_media.provision(session)
    if session.await_running()["life_cycle"] == "bench":
        report["own"] = measure_media.everything(session, count, say)
    say("cryptography")
    report["crypto"] = crypto(session)
    report["bundle"] = bundle(session)
    report["taps"] = {}
    for via in ("wire", "link") if session.bench else ("link",):
        report["taps"][via] = taps(session, via, count, say)
    if session.bench:
        report["reader"] = reader(session, min(count, 5), say)
    if store:
        session.link.raise_baud(max(first, *bauds) if bauds else first)
        report["store"] = measure_store.store(
            session, say, lambda: float(from_validator(session, 256 * 1024)["share"])
        )
    info = session.link.call("info")
    report["heap_free"] = info["heap_free"]
    report["damaged_frames"] = session.link.damaged + info["link"]["damaged"]
    report["repeated_calls"] = session.link.repeats
    return report
