"""Options, markers, scenario files and reports: what the plugin tells pytest."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from faretap.errors import FaretapError

SUFFIX = ".scenario.toml"

CAPABILITIES = {
    "wire": "cards are presented to the reader chip",
    "radio": "cards are presented over the air",
    "power_cut": "its supply is switched",
    "two_slots": "it needs a second validator",
}
EVIDENCE: pytest.StashKey[list[Any]] = pytest.StashKey()
_FAILED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faretap", "validators under test")
    group.addoption(
        "--rack",
        default="virtual",
        metavar="FILE|virtual[:N]",
        help="the rack whose validators are tested (default: one virtual validator)",
    )
    group.addoption(
        "--rack-wait",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a test waits for a slot that others use (default: 600)",
    )
    group.addoption(
        "--bundles",
        type=Path,
        metavar="DIR",
        help="where failed tests leave link log, console, APDUs, records and flash "
        "(default: bundles in pytest's temporary folder)",
    )
    group.addoption("--short", action="store_true", help="play the short forms of scenario files")
    group.addoption(
        "--reports",
        type=Path,
        metavar="DIR",
        help="where played scenarios leave their reports",
    )


def pytest_configure(config: pytest.Config) -> None:
    for name, text in CAPABILITIES.items():
        config.addinivalue_line("markers", f"{name}: {text}; skipped on slots that cannot")
    config.addinivalue_line(
        "markers",
        "configuration(**members): members of the bench configuration that are others here",
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"rack: {config.getoption('--rack')}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if not file_path.name.endswith(SUFFIX):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)  # type: ignore[no-any-return]


class ScenarioFile(pytest.File):
    """A scenario file: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield ScenarioItem.from_parent(self, name=self.path.name.removesuffix(SUFFIX))


class ScenarioFailed(Exception):
    """A run with something wrong in it."""


class ScenarioItem(pytest.Item):
    """Plays the file on slots that can."""

    def runtest(self) -> None:
        from faretap.testing.playing import play_file

        run = play_file(self.config, self.path, self.config.getoption("--short"), item=self)
        if not run.ok:
            raise ScenarioFailed(summary(run))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, (ScenarioFailed, FaretapError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"scenario {self.name}"


def summary(run: Any) -> str:
    """What went wrong, a line each."""
    lines = [f"{run.name}, seed {run.seed}: {len(run.taps)} taps"]
    for tap in run.failed_taps[:20]:
        notes = f" ({'; '.join(tap.notes)})" if tap.notes else ""
        lines.append(
            f"{tap.rider} at {tap.slot}, {tap.at:.1f} s: {tap.result}, not {tap.expected}{notes}"
        )
    if len(run.failed_taps) > 20:
        lines.append(f"and {len(run.failed_taps) - 20} more")
    lines += [f"failed: {check.name}: {check.text}" for check in run.failed_checks]
    return "\n".join(lines)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # While the slot is still open: its fixtures end after this report.
    if report.failed and report.when in ("setup", "call") and not item.stash.get(_FAILED, False):
        item.stash[_FAILED] = True
        for evidence in item.stash.get(EVIDENCE, []):
            where = leave(item.config, item.nodeid, evidence)
            report.sections.append(("validator", f"what {evidence.slot.name} left: {where}"))
    return report


def leave(config: pytest.Config, test: str, evidence: Any) -> Path:
    """The bundle of a test that failed; its folder."""
    from faretap.testing.bundle import folder_for

    parent = config.getoption("--bundles")
    if parent is None:
        parent = scratch(config) / "bundles"
    where: Path = evidence.leave(folder_for(Path(parent), f"{test} {evidence.slot.name}"))
    return where


def scratch(config: pytest.Config) -> Path:
    """pytest's temporary folder of this process."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    return factory.getbasetemp()
