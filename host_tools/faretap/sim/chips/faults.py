"""Faults that a simulated part can be told to have, by the id of the fault catalogue.

    part.faults.arm("Q02", delay_ms=100)            # the next acknowledgement comes 100 ms late
    part.faults.arm("Q07", kind="dcs", times=3)     # three responses with a wrong checksum
    part.faults.arm("Q20", command=0x40, skip=2)    # not the first two chances, the third one

Every fault takes `times` (how often it strikes, 0 = until disarmed), `skip` (how many chances it
lets pass first), `every` (2 = every second chance), and `chance` (the probability, 1.0 = always)
with its `seed`; those that belong to a command also take `command` (its code, None = any).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """A fault that a part knows: one line of description, its options and their defaults.

    `choices` lists the values that an option of the same name may have.
    """

    text: str
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


class Faults:
    """What a part can suffer from (`known`), and what it suffers from now (`armed`).

    `on_arm(id)` is called after each arming, for faults that strike without waiting for a chance.
    `elsewhere` says of ids of the catalogue that this part cannot have, why not.
    """

    def __init__(
        self,
        known: Mapping[str, Fault],
        on_arm: Callable[[str], None] = lambda fault_id: None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self.known = known
        self.elsewhere = dict(elsewhere or {})
        self._on_arm = on_arm
        self._random: dict[str, random.Random] = {}
        self._chances: dict[str, int] = {}
        self._armed: dict[str, dict[str, Any]] = {}
        self.struck: dict[str, int] = {}

    def arm(self, fault_id: str, **options: Any) -> None:
        """Arm a fault, anew if it was armed. ValueError names what is wrong with id or options."""
        if fault_id in self.elsewhere:
            raise ValueError(f"{fault_id} cannot be armed here: {self.elsewhere[fault_id]}")
        if fault_id not in self.known:
            raise ValueError(f"no fault {fault_id}: this part knows {', '.join(self.known)}")
        known = self.known[fault_id]
        merged = {"times": 1, "skip": 0, "every": 1, "chance": 1.0, "seed": 1, **known.options}
        for name, value in options.items():
            if name not in merged:
                raise ValueError(f"{fault_id} has no option {name}: it takes {', '.join(merged)}")
            numbers = isinstance(merged[name], (int, float)) and name not in known.options
            if numbers and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ValueError(f"{fault_id} {name} is a number, not {value!r}")
            allowed = known.choices.get(name)
            if allowed is not None and value not in allowed:
                raise ValueError(
                    f"{fault_id} {name} is one of {', '.join(map(str, allowed))}, not {value}"
                )
            merged[name] = value
        if merged["every"] < 1:
            raise ValueError(f"{fault_id} every is 1 or more, not {merged['every']}")
        self._random[fault_id] = random.Random(merged["seed"])
        self._chances[fault_id] = 0
        self._armed[fault_id] = merged
        self._on_arm(fault_id)

    def disarm(self, fault_id: str | None = None) -> None:
        """Disarm one fault, or all of them."""
        if fault_id is None:
            self._armed.clear()
        else:
            self._armed.pop(fault_id, None)

    def armed(self) -> dict[str, dict[str, Any]]:
        return {fault_id: dict(options) for fault_id, options in self._armed.items()}

    def random(self, fault_id: str) -> random.Random:
        """The random numbers of an armed fault: from its `seed`, the same after each arming."""
        return self._random.setdefault(fault_id, random.Random(1))

    def take(self, fault_id: str, **context: Any) -> dict[str, Any] | None:
        """The options of `fault_id` if it strikes now, and count it; otherwise None.

        `context` names the occasion (`command=0x40`); an armed option of the same name that is
        not None must agree with it.
        """
        options = self._armed.get(fault_id)
        if options is None:
            return None
        for name, value in context.items():
            if options.get(name) not in (None, value):
                return None
        if options["skip"] > 0:
            options["skip"] -= 1
            return None
        self._chances[fault_id] += 1
        if self._chances[fault_id] % options["every"]:
            return None
        if options["chance"] < 1.0 and self._random[fault_id].random() >= options["chance"]:
            return None
        if options["times"] == 1:
            del self._armed[fault_id]
        elif options["times"] > 1:
            options["times"] -= 1
        self.struck[fault_id] = self.struck.get(fault_id, 0) + 1
        return dict(options)
