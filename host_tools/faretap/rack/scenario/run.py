"""A scenario on a rack: on slots that are open already, or in a process for each slot."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from faretap.rack.file import Rack, SlotSpec
from faretap.rack.results import Check, Run, SlotIdentity, as_expected
from faretap.rack.scenario import file
from faretap.rack.scenario.arrivals import NoLists, takes_lists
from faretap.rack.scenario.file import Loaded, ScenarioError
from faretap.rack.scenario.plan import Plan, make_plan
from faretap.rack.scenario.play import Player, PlayError, Say, options_of
from faretap.rack.slot import Slot
from faretap.rack.take import lacks
from faretap.rack.workers import Job, run_all

_HOURS = 6 * 3600.0
_LEAST_S = 300.0
_RIDER_S = 3.0


def play_on(
    slots: Sequence[Slot],
    loaded: Loaded,
    plan: Plan,
    *,
    traces: Mapping[str, Path] | None = None,
) -> Run:
    """Play it on open slots, one for each validator of the vehicle; a thread each. `traces`: by
    the slot's name, a folder for the APDUs of cards with which something was wrong."""
    if len(slots) != plan.scenario.validators:
        raise ScenarioError(f"{loaded.source} takes {plan.scenario.validators} slots.")
    with ThreadPoolExecutor(len(slots)) as pool:
        runs = [
            pool.submit(_play, slot, door, loaded, plan, traces=(traces or {}).get(slot.name))
            for door, slot in enumerate(slots)
        ]
        return together([run.result() for run in runs], plan)


def unsuited(slot: Slot, plan: Plan) -> str:
    """Why an open slot cannot play it; "" if it can."""
    if plan.scenario.deny:
        why = takes_lists(slot.session.link)
        if why:
            return f"the slot {slot.name} takes no deny lists: {why}"
    if slot.spec.configure == "keep" and slot.identity.get("life_cycle") == "service":
        return f"the validator in the slot {slot.name} is in service"
    return ""


def run_on_rack(
    rack: Rack,
    loaded: Loaded,
    *,
    short: bool = False,
    seed: int | None = None,
    names: Sequence[str] = (),
    everywhere: bool = False,
    on_say: Callable[[str, str, int, int], None] = lambda slot, text, done, total: None,
) -> Run:
    """A process for each slot. `names`: these slots; `everywhere`: the whole scenario on every
    slot that can, instead of one vehicle."""
    plan = make_plan(loaded.scenario, short=short, seed=seed)
    chosen = choose(rack, plan, names, everywhere)
    doors = [0] * len(chosen) if everywhere else list(range(len(chosen)))
    seconds = min(_HOURS, _LEAST_S + _RIDER_S * len(plan.rides))
    if plan.scenario.pace:
        seconds += plan.seconds / plan.scenario.pace
    jobs = [
        Job(
            spec.name,
            "faretap.rack.scenario.run:play_in_process",
            {"path": str(loaded.path), "short": short, "seed": plan.seed, "door": door},
            seconds=seconds,
        )
        for spec, door in zip(chosen, doors, strict=True)
    ]
    runs = []
    for done in run_all(rack, jobs, on_say):
        if done.result is not None:
            runs.append(Run.from_json(done.result, done.slot))
            continue
        lost = Run(plan.scenario.name, seed=plan.seed)
        lost.slots.append(SlotIdentity(done.slot, trouble=done.error))
        lost.checks.append(Check("the scenario was played", False, done.error, done.slot))
        runs.append(lost)
    return together(runs, plan, loaded.source)


def choose(
    rack: Rack, plan: Plan, names: Sequence[str] = (), everywhere: bool = False
) -> list[SlotSpec]:
    """Slots that can play it; ScenarioError says of each why not, if there are too few."""
    wanted = plan.scenario.validators
    if everywhere and wanted > 1:
        raise ScenarioError(
            f"{plan.scenario.name} is of a vehicle with {wanted} validators.",
            "Run it without --all.",
        )
    specs = [rack.slot(name) for name in names] or list(rack.slots)
    why = {spec.name: lacks(rack, spec, plan.needs) for spec in specs}
    able = [spec for spec in specs if why[spec.name] is None]
    if len(able) < (1 if everywhere else wanted) or (names and len(able) < len(specs)):
        reasons = "; ".join(f"{name} {text}" for name, text in why.items() if text)
        raise ScenarioError(
            f"{plan.scenario.name} needs {wanted} "
            + ("slot" if wanted == 1 else "slots")
            + f" of the rack {rack.name}; {len(able)} can play it."
            + (f" {reasons}." if reasons else "")
        )
    return able if everywhere else able[:wanted]


def play_in_process(
    rack: Rack, spec: SlotSpec, say: Say, *, path: str, short: bool, seed: int, door: int
) -> Any:
    """The job of a slot's process; a run as JSON."""
    loaded = file.load(Path(path))
    plan = make_plan(loaded.scenario, short=short, seed=seed)
    say("opening", 0, 0)
    with Slot(rack, spec, **options_of(plan)) as slot:
        why = unsuited(slot, plan)
        if why:
            raise NoLists(f"{plan.scenario.name} cannot be played: {why}.")
        return _play(slot, door, loaded, plan, say).to_json()


def _play(
    slot: Slot,
    door: int,
    loaded: Loaded,
    plan: Plan,
    say: Say = lambda text, done, total: None,
    *,
    traces: Path | None = None,
) -> Run:
    with tempfile.TemporaryDirectory(prefix="faretap-purses-") as folder:
        player = Player(
            slot, plan, Path(folder), door=door, source=loaded.source, say=say, traces=traces
        )
        try:
            return player.play()
        except PlayError as e:
            return e.run


def together(runs: Sequence[Run], plan: Plan, source: str = "") -> Run:
    """One run of those of several slots, with times from the first start on."""
    began = [run.started for run in runs if run.started]
    whole = Run(
        plan.scenario.name,
        seed=plan.seed,
        started=min(began, default=0.0),
        source=source or next((run.source for run in runs if run.source), ""),
    )
    ends = [0.0]
    for run in runs:
        later = run.started - whole.started if run.started else 0.0
        for tap in run.taps:
            tap.at = round(tap.at + later, 3)
        for event in run.events:
            event.at = round(event.at + later, 3)
        whole.slots += run.slots
        whole.taps += run.taps
        whole.events += run.events
        whole.checks += run.checks
        ends.append(later + (run.seconds or 0.0))
    whole.taps.sort(key=lambda tap: tap.at)
    whole.events.sort(key=lambda event: event.at)
    whole.seconds = round(max(ends), 3)
    if whole.seconds:
        whole.compressed = round(max(1.0, plan.seconds / whole.seconds), 2)
    whole.checks += _totals(whole, plan)
    return whole


def _totals(run: Run, plan: Plan) -> list[Check]:
    """How many ended how; only of the long form, whose number of riders is the file's."""
    found = []
    for outcome, (least, most) in plan.scenario.expect.items():
        wanted = str(least) if least == most else f"{least} to {most}"
        count = sum(as_expected(outcome, tap.outcome, tap.reason) for tap in run.taps)
        found.append(
            Check(
                f"{outcome}: {wanted}",
                least <= count <= most,
                "the short form has other numbers" if plan.short else f"{count} taps",
                skipped=plan.short,
            )
        )
    return found


__all__ = ["choose", "play_on", "run_on_rack", "together", "unsuited"]
