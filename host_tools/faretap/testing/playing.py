"""A scenario file as a test: slots taken, played, looked at."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faretap.rack.file import Rack
from faretap.rack.file import load as load_rack
from faretap.rack.locks import Claim, Held
from faretap.rack.report import report as write_report
from faretap.rack.results import Run
from faretap.rack.scenario.file import SUFFIX, load
from faretap.rack.scenario.plan import make_plan
from faretap.rack.scenario.play import options_of
from faretap.rack.scenario.run import play_on, unsuited
from faretap.rack.slot import Slot
from faretap.rack.take import NoSlot, take
from faretap.testing.bundle import Evidence
from faretap.testing.hooks import leave

_LOOK_S = 0.1  # between looks whether it is our turn


def rack_of(config: pytest.Config) -> Rack:
    return load_rack(config.getoption("--rack"))


def take_slot(config: pytest.Config, rack: Rack, needs: Any = (), **options: Any) -> Slot:
    """An open slot; the test is skipped with the reason where none can do what it needs."""
    try:
        return take(rack, needs, wait=config.getoption("--rack-wait"), **options)
    except NoSlot as e:
        if e.impossible and not _broken(rack):
            pytest.skip(e.cause)
        raise


@contextlib.contextmanager
def in_turn(config: pytest.Config, rack: Rack, needs: Any) -> Iterator[None]:
    """Who takes more than one slot takes them while nobody else does: two that hold one each
    would wait for ever."""
    if "two_slots" not in needs or rack.path is None:
        yield
        return
    deadline = time.monotonic() + config.getoption("--rack-wait")
    while True:
        try:
            claim = Claim({"more than one slot": "The turn to take two slots"}, "another test")
            break
        except Held:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_LOOK_S)
    with claim:
        yield


def _broken(rack: Rack) -> bool:
    """Slots that were found unusable are a failure of the rack, not a lack of it."""
    return bool(rack.state.quarantined())


def play_file(
    config: pytest.Config,
    path: Path | str,
    short: bool,
    *,
    seed: int | None = None,
    item: pytest.Item | None = None,
) -> Run:
    """Play it on slots of the rack; with `item`, a bundle is left if something is wrong."""
    loaded = load(path)
    plan = make_plan(loaded.scenario, short=short, seed=seed)
    rack = rack_of(config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_turn(config, rack, plan.needs))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faretap-play-")))
        slots: list[Slot] = []
        for _ in range(plan.scenario.validators):
            taken = [slot.name for slot in slots]
            slot = take_slot(config, rack, plan.needs, skip=taken, **options_of(plan))
            slots.append(stack.enter_context(slot))
            why = unsuited(slot, plan)
            if why:
                pytest.skip(f"{plan.scenario.name} cannot be played: {why}")
        evidence = [Evidence(slot, folder / slot.name) for slot in slots]
        try:
            traces = {each.slot.name: each.traces for each in evidence}
            run = play_on(slots, loaded, plan, traces=traces)
        except BaseException:
            _leave_all(config, item, evidence)
            raise
        if not run.ok:
            _leave_all(config, item, evidence)
    reports = config.getoption("--reports")
    if reports is not None:
        write_report(run, Path(reports) / Path(loaded.source).name.removesuffix(SUFFIX))
    return run


def _leave_all(config: pytest.Config, item: pytest.Item | None, evidence: list[Evidence]) -> None:
    if item is None:
        return
    for each in evidence:
        where = leave(config, item.nodeid, each)
        item.add_report_section("call", "validator", f"what {each.slot.name} left: {where}")
