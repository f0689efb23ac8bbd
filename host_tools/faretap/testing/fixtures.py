"""The fixtures. Each test has a slot for itself, with the bench configuration in force."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faretap.testing.hooks import CAPABILITIES, EVIDENCE

if TYPE_CHECKING:
    from faretap.rack.file import Rack
    from faretap.rack.results import Run
    from faretap.rack.slot import Slot
    from faretap.session import Session
    from faretap.testing.bundle import Evidence
    from faretap.testing.hands import ReaderFaults, Records, Rider, Supply

# Whatever a rack takes is imported where it is used: pytest loads plugins for every test run.

# What a test needs of its slot because of the fixtures that it uses.
_FIXTURES = {"power": "power_cut", "reader_faults": "faults", "another_slot": "two_slots",
             "another_validator": "two_slots"}  # fmt: skip


@pytest.fixture(scope="session")
def rack(pytestconfig: pytest.Config) -> Rack:
    """The rack of --rack."""
    from faretap.testing.playing import rack_of

    return rack_of(pytestconfig)


@pytest.fixture
def slot(request: pytest.FixtureRequest, rack: Rack, tmp_path: Path) -> Iterator[Slot]:
    """A slot that can do what the test needs, opened for it alone: power on, firmware known,
    bench configuration, clock set. Needs come from markers and from the fixtures that it uses."""
    yield from _slot(request, rack, tmp_path, ())


@pytest.fixture
def another_slot(
    request: pytest.FixtureRequest, rack: Rack, slot: Slot, tmp_path: Path
) -> Iterator[Slot]:
    """A second one."""
    yield from _slot(request, rack, tmp_path, (slot.name,))


@pytest.fixture
def validator(slot: Slot) -> Session:
    """The session with the validator of `slot`. Where an emulator's supply is cut, it has another
    one afterwards: `slot.session`."""
    return slot.session


@pytest.fixture
def another_validator(another_slot: Slot) -> Session:
    return another_slot.session


@pytest.fixture
def rider(request: pytest.FixtureRequest, slot: Slot) -> Rider:
    """`rider.tap("quickpass-debit")`, `rider.scan("mot")`, `rider.present(…)`, `withdraw()`."""
    from faretap.testing.hands import Rider

    return Rider(slot, _evidence_of(request, slot).traces)


@pytest.fixture
def records(slot: Slot) -> Records:
    """What the validator wrote since the test began: `records.all()`, `records.of(summary)`."""
    from faretap.testing.hands import Records

    return Records(slot)


@pytest.fixture
def power(slot: Slot) -> Supply:
    """`power.cut()`, `power.on()`, `power.cycle()`."""
    from faretap.testing.hands import Supply

    return Supply(slot)


@pytest.fixture
def reader_faults(slot: Slot) -> Iterator[ReaderFaults]:
    """`reader_faults.arm("Q16", seed=1, until="reset")`; cleared at the end."""
    from faretap.testing.hands import ReaderFaults

    faults = ReaderFaults(slot)
    yield faults
    if faults.armed:
        faults.clear()


@pytest.fixture
def play(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Callable[..., Run]:
    """`play("morning-peak", short=True)`: a scenario on slots of its own."""

    def played(path: Path | str, short: bool = False, seed: int | None = None) -> Run:
        from faretap.testing.playing import play_file

        return play_file(pytestconfig, path, short, seed=seed, item=request.node)

    return played


def needs_of(request: pytest.FixtureRequest) -> set[str]:
    node: Any = request.node
    found = {name for name in CAPABILITIES if node.get_closest_marker(name)}
    found |= {need for name, need in _FIXTURES.items() if name in request.fixturenames}
    return found


def _slot(
    request: pytest.FixtureRequest, rack: Rack, tmp_path: Path, skip: tuple[str, ...]
) -> Iterator[Slot]:
    from faretap.testing.bundle import Evidence
    from faretap.testing.playing import in_turn, take_slot

    needs = needs_of(request)
    changes: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("configuration"))):
        changes.update(marker.kwargs)
    options: dict[str, Any] = {"changes": changes} if changes else {}
    with contextlib.ExitStack() as stack:
        if not skip:
            stack.enter_context(in_turn(request.config, rack, needs))
        opened = stack.enter_context(take_slot(request.config, rack, needs, skip=skip, **options))
        evidence = Evidence(opened, tmp_path / f"evidence-{opened.name}")
        request.node.stash.setdefault(EVIDENCE, []).append(evidence)
        try:
            yield opened
        finally:
            request.node.stash[EVIDENCE].remove(evidence)


def _evidence_of(request: pytest.FixtureRequest, slot: Slot) -> Evidence:
    found: Evidence = next(e for e in request.node.stash[EVIDENCE] if e.slot is slot)
    return found
