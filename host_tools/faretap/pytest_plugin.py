"""The pytest plugin: tests on the validators of a rack.

    pytest --rack rack.toml
    pytest --rack virtual:4 -n 2 mine.scenario.toml

Fixtures: `validator`, `rider`, `records`, `power`, `reader_faults`, `slot`, `another_slot`,
`play`; markers: `radio`, `wire`, `power_cut`, `two_slots`, `configuration`. docs/scenarios.md
describes them.
"""

from faretap.testing.fixtures import (
    another_slot,
    another_validator,
    play,
    power,
    rack,
    reader_faults,
    records,
    rider,
    slot,
    validator,
)
from faretap.testing.hooks import (
    pytest_addoption,
    pytest_collect_file,
    pytest_configure,
    pytest_report_header,
    pytest_runtest_makereport,
)

__all__ = [
    "another_slot",
    "another_validator",
    "play",
    "power",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_report_header",
    "pytest_runtest_makereport",
    "rack",
    "reader_faults",
    "records",
    "rider",
    "slot",
    "validator",
]
