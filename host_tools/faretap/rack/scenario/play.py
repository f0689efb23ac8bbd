"""A scenario played at one validator: steps in, `faretap.rack.results.Run` out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faretap.config import samples
from faretap.errors import FaretapError
from faretap.link.client import Refused
from faretap.present import PresentError
from faretap.rack.results import Check, Event, Run, SlotIdentity, Tap
from faretap.rack.scenario import arrivals, riders
from faretap.rack.scenario.file import ScenarioError, merged
from faretap.rack.scenario.hands import Hands, pause_until
from faretap.rack.scenario.limits import limit_checks
from faretap.rack.scenario.plan import Change, Clear, Cut, Deny, Fault, Plan, Ride, Step
from faretap.rack.scenario.truth import Gap, Truth
from faretap.rack.slot import Slot

_DEAD_S = 2.0  # how long a rider waits at a reader of which it is known that it may be dead
_WINDOW_S = 60  # nobody waits for a longer window
_SECOND_S = 1.1  # the validator counts whole seconds

Say = Callable[[str, int, int], None]


class Player:
    """Plays `plan` at `slot`, which is open and has the plan's configuration."""

    def __init__(
        self,
        slot: Slot,
        plan: Plan,
        folder: Path,
        *,
        door: int = 0,
        source: str = "",
        say: Say = lambda text, done, total: None,
        traces: Path | None = None,
    ) -> None:
        self._slot = slot
        self._plan = plan
        self._scenario = plan.scenario
        self._steps = plan.of_door(door)
        self._total = sum(isinstance(step, Ride) for step in self._steps)
        self._say = say
        self._hands = Hands(slot, folder, traces)
        self._changes = self._scenario.configuration
        self._allowed: dict[int, str] = {}  # what riders may see besides, by fault
        # When a rider was here last: the scenario's time, the host's.
        self._here: dict[int, tuple[float, float]] = {}
        self._served = 0
        self._told = -1  # unix seconds that the validator's clock was last set to
        self.run = Run(self._scenario.name, seed=plan.seed, started=time.time(), source=source)
        self.truth = Truth(slot, folder)

    def play(self) -> Run:
        """All of it, and what is found afterwards. FaretapError if the validator is lost."""
        run = self.run
        slot = self._slot
        identity = SlotIdentity.of(
            slot.name, slot.identity, via=" ".join(slot.spec.present), port=slot.port
        )
        run.slots.append(identity)
        self.truth.begin()
        self._begun = time.monotonic()
        run.started = time.time()
        self._start = self._scenario.start or int(run.started)
        try:
            for step in self._steps:
                self._do(step)
            run.seconds = round(time.monotonic() - self._begun, 3)
            self._finish()
        except FaretapError as e:
            identity.trouble = str(e)
            run.seconds = round(time.monotonic() - self._begun, 3)
            run.checks.append(Check("the scenario went to its end", False, str(e), slot.name))
            raise PlayError(run, e) from e
        finally:
            if run.seconds:
                run.compressed = round(max(1.0, self._plan.seconds / run.seconds), 2)
        return run

    # -- steps -------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        if self._scenario.pace:
            pause_until(self._begun + step.at / self._scenario.pace)
        if isinstance(step, Ride):
            self._ride(step)
            self._served += 1
            self._say(f"{step.stop or 'riders'}", self._served, self._total)
            if self._served % self._scenario.collect_every == 0:
                self.truth.bring_home()
        elif isinstance(step, Fault):
            settings = {"seed": step.seed, **step.fault.settings}
            self._slot.fault(step.fault.q, **settings)
            self._event("fault", f"{step.fault.q} {_words(step.fault.settings)}".strip())
            if step.fault.allow:
                self._allowed[id(step.fault)] = step.fault.allow
        elif isinstance(step, Clear):
            self._slot.fault(step.fault.q, clear=True)
            self._event("fault", f"{step.fault.q} is over")
            self._allowed.pop(id(step.fault), None)
        elif isinstance(step, Cut):
            self._cut()
            self._back_again()
        elif isinstance(step, Deny):
            text = arrivals.deny_list(self._slot.session, step)
            self._event("configuration", text)
        else:
            self._change(step)

    def _change(self, step: Change) -> None:
        self._changes = merged(self._changes, step.change.configuration)
        self._slot.configure(**arrivals.changes(self._changes))
        self._told = -1
        self.truth.restarted()
        self._event("configuration", _words(step.change.configuration))

    def _event(self, kind: str, text: str) -> None:
        self.run.events.append(Event(self._now(), kind, text, self._slot.name))

    def _now(self) -> float:
        return round(time.monotonic() - self._begun, 3)

    # -- a rider -----------------------------------------------------------------------------

    def _ride(self, ride: Ride) -> None:
        self._await_window(ride)
        try:
            self._rides(ride)
        finally:
            self._here[ride.person.number] = (ride.at, time.monotonic())

    def _await_window(self, ride: Ride) -> None:
        """Who comes again after the window comes after it in truth, too: the validator counts it
        with its own ticks, whatever its clock is set to."""
        before = self._here.get(ride.person.number)
        if before is None:
            return
        at, real = before
        configuration = samples.bench_configuration(**arrivals.changes(self._changes))
        window = riders.window_s(ride.person.medium, configuration)
        if 0 < window <= min(ride.at - at, _WINDOW_S):
            pause_until(real + window + _SECOND_S)

    def _rides(self, ride: Ride) -> None:
        moment = self._tell_time(ride.at)
        keep = ride.person.number in self._plan.keeps
        besides: list[str] = []
        if ride.cut is not None:
            summary = self._cut_during(ride, moment, keep)
            if summary is not None:
                self._note(ride, summary, f"retry card_lost|{ride.expect}", ["the supply went"])
                if summary["outcome"] != "retry":
                    return
            else:
                # Nothing was seen. It may have been recorded all the same: then the rider has
                # ridden.
                besides = ["declined too_soon", "declined replayed"]
            moment = self._tell_time(ride.at)
        torn = ride.lose_at is not None or bool(ride.tear)
        for attempt in range(self._scenario.patience):
            last = attempt == self._scenario.patience - 1
            allowed = [ride.expect, *besides, *self._allowed.values()]
            if torn and attempt == 0:
                allowed.insert(0, "retry")
            elif self._allowed and not last:
                allowed.append("retry")
            expected = "|".join(allowed)
            began = time.monotonic()
            try:
                summary = self._hands.present(
                    ride,
                    moment,
                    first=attempt == 0 and ride.cut is None,
                    keep=keep,
                    wait=self._patience(),
                )
            except (PresentError, Refused) as e:
                self._nothing(ride, expected, e)
                if last or "nothing" not in expected or "nothing" in ride.expect:
                    return
                continue
            wall = (time.monotonic() - began) * 1000
            notes = ["pulled away"] if torn and attempt == 0 else []
            self._note(ride, summary, expected, notes, wall)
            if summary["outcome"] != "retry":
                return

    def _patience(self) -> float:
        if any("nothing" in allow for allow in self._allowed.values()):
            return _DEAD_S
        return self._slot.spec.limits.tap

    def _note(
        self,
        ride: Ride,
        summary: dict[str, Any],
        expected: str,
        notes: list[str],
        wall: float | None = None,
    ) -> None:
        if ride.visit > 1:
            notes = [*notes, f"visit {ride.visit}"]
        tap = Tap.of(
            summary,
            at=self._now(),
            slot=self._slot.name,
            rider=ride.person.name,
            expected=expected,
            wall_ms=None if wall is None else round(wall, 1),
            stop=ride.stop,
            via=self._hands.way(ride),
            notes=notes,
        )
        if tap.ok:
            self._hands.all_was_well()
        else:
            tap.notes.append(f"rider {ride.person.number} with {ride.person.medium}")
        self.run.taps.append(tap)
        self.truth.saw(ride, summary)

    def _nothing(self, ride: Ride, expected: str, error: FaretapError) -> None:
        tap = Tap(
            self._now(),
            self._slot.name,
            ride.person.name,
            ok="nothing" in expected,
            expected=expected,
            stop=ride.stop,
            via=self._hands.way(ride),
            notes=[f"did not react: {error.cause}"],
        )
        self.run.taps.append(tap)

    def _tell_time(self, at: float) -> int:
        """The scenario's time to the validator, if that is not the host's; the time it has."""
        if self._scenario.pace == 1 and self._scenario.start is None:
            return int(time.time())
        moment = self._start + int(at)
        if moment != self._told:
            self._slot.session.link.call("clock.set", {"unix": moment})
            self._told = moment
        return moment

    # -- the supply --------------------------------------------------------------------------

    def _cut_during(self, ride: Ride, moment: int, keep: bool) -> dict[str, Any] | None:
        summary = self._hands.present_and_cut(
            ride, moment, self._cut, keep=keep, wait=self._patience()
        )
        gap = Gap(ride, summary, self.truth.next_seq)
        self._back_again()
        self.truth.cut(gap)
        return summary

    def _cut(self) -> None:
        self._slot.power.cut()
        self._event("power", "off")

    def _back_again(self) -> None:
        self._slot.power.on()
        self._slot.reopen()
        self._event("power", "on")
        self._told = -1
        self.truth.restarted()
        self._allowed.clear()  # what a fault had done is undone by it

    # -- afterwards --------------------------------------------------------------------------

    def _finish(self) -> None:
        slot = self._slot
        if "faults" in slot.spec.capabilities() and self._scenario.fault:
            slot.clear_faults()
        slot.session.tell_time(always=True)
        self._say("records", self._total, self._total)
        self.run.checks += self.truth.checks()
        self.run.checks += limit_checks(self._scenario.limits, self.run.taps, slot.name)


class PlayError(ScenarioError):
    """The validator was lost on the way. `run` is what there was before."""

    def __init__(self, run: Run, error: FaretapError) -> None:
        super().__init__(error.cause, error.next_step)
        self.run = run


def options_of(plan: Plan) -> dict[str, Any]:
    """How a slot for the plan is opened: keywords of `faretap.rack.slot.Slot`."""
    return {"changes": arrivals.changes(plan.scenario.configuration)}


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


__all__ = ["PlayError", "Player", "options_of"]
