"""Scenarios: a timeline of riders as data, played on slots of a rack, and looked at afterwards.

    loaded = load("morning-peak")
    plan = make_plan(loaded.scenario, short=True)
    run = play_on([slot], loaded, plan)     # of .run; an open `faretap.rack.slot.Slot`
    run = run_on_rack(rack, loaded)         # or a process for each slot

`run` is a `faretap.rack.results.Run`, from which faretap.rack.report makes pages.
"""

from faretap.rack.scenario.file import Loaded, ScenarioError, check, find, load, shipped
from faretap.rack.scenario.plan import Plan, make_plan
from faretap.rack.scenario.schema import Scenario

__all__ = [
    "Loaded",
    "Plan",
    "Scenario",
    "ScenarioError",
    "check",
    "find",
    "load",
    "make_plan",
    "shipped",
]
