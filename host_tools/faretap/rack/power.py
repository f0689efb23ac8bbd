"""Switching a slot's supply: by commands, by a port of a USB hub, or a simulated board's own."""

from __future__ import annotations

import time
from typing import Protocol

from faretap.rack.file import RackError, SlotSpec
from faretap.rack.run import CommandError, run


class PowerError(RackError):
    """The supply cannot be switched."""


class Supply(Protocol):
    def switch(self, on: bool) -> None: ...


class Commands:
    """The rack file's own commands. They see FARETAP_SLOT, the slot's name."""

    def __init__(self, spec: SlotSpec) -> None:
        assert spec.power is not None and spec.power.on and spec.power.off
        self._commands = {True: spec.power.on, False: spec.power.off}
        self._seconds = spec.limits.hook
        self._environment = {"FARETAP_SLOT": spec.name}

    def switch(self, on: bool) -> None:
        run(self._commands[on], self._seconds, self._environment)


class HubPort:
    """A port of a hub that uhubctl can switch."""

    def __init__(self, spec: SlotSpec) -> None:
        assert spec.power is not None
        self._where = ["-l", str(spec.power.hub), "-p", str(spec.power.port)]
        self._seconds = spec.limits.hook

    def switch(self, on: bool) -> None:
        command = ["uhubctl", *self._where, "-a", "on" if on else "off"]
        try:
            run(command, self._seconds, {})
        except CommandError as e:
            if "no program" in str(e):
                raise PowerError(
                    "uhubctl, which switches the ports of USB hubs, is not installed.",
                    "Install the package uhubctl, or switch by commands (power.on, power.off).",
                ) from e
            raise


class NoSupply:
    def __init__(self, spec: SlotSpec) -> None:
        self._name = spec.name

    def switch(self, on: bool) -> None:
        raise PowerError(
            f"The power of the slot {self._name} cannot be switched.",
            "Give it a table power in the rack file.",
        )


def supply_of(spec: SlotSpec) -> Supply:
    """Of a slot with a port of its own."""
    if spec.power is None:
        return NoSupply(spec)
    return HubPort(spec) if spec.power.hub else Commands(spec)


class Power:
    """What a slot's user switches."""

    def __init__(self, slot: Supply, seconds_off: float) -> None:
        self._slot = slot
        self._seconds_off = seconds_off

    def cut(self) -> None:
        self._slot.switch(False)

    def on(self) -> None:
        """Then `Slot.reopen()` waits until the validator is there again."""
        self._slot.switch(True)

    def cycle(self) -> None:
        self.cut()
        # Capacitors cannot be observed from here; a simulated board has none.
        if self._seconds_off:
            time.sleep(self._seconds_off)
        self.on()
