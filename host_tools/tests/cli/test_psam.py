"""faretap psam: what PSAMs a validator has, and one that is asked again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from faretap.cli import inspect
from faretap.cli.common import app
from faretap.link.client import Refused

WELL = {"slot": 0, "df": "8011", "serves": True, "fault": "", "tries": 15}
STOPPED = {"slot": 1, "df": "1001", "serves": False, "fault": "2 tries left \x1b[2J", "tries": 2}


class Link:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.refuses = False
        self.psams: list[dict[str, Any]] = [WELL, STOPPED]

    def call(self, method: str, params: Any = None) -> Any:
        self.asked.append((method, params))
        if self.refuses and method == "psam.release":
            raise Refused("psam.release", -32000, "the next try may be its last")
        return {"psam": self.psams} if method == "info" else {"tries": 15}


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Link:
    made = Link()

    class Session:
        link = made

    @contextlib.contextmanager
    def connect(port: str) -> Iterator[Session]:
        yield Session()

    monkeypatch.setattr(inspect, "connect", connect)
    return made


def test_each_is_listed(link: Link) -> None:
    told = CliRunner().invoke(app, ["psam", "--port", "x"])
    assert told.exit_code == 0
    first, second = told.output.splitlines()
    assert first == "slot 0, DF 8011: serves, 15 tries left"
    assert second.startswith("slot 1, DF 1001: 2 tries left") and "\x1b" not in second
    told = CliRunner().invoke(app, ["psam", "--port", "x", "--json"])
    assert [one["tries"] for one in json.loads(told.output)] == [15, 2]
    # Without a session a validator in service tells no more than whether it serves.
    link.psams = [{"slot": 0, "df": "8011", "serves": False}]
    assert "does not serve" in CliRunner().invoke(app, ["psam", "--port", "x"]).output
    link.psams = []
    assert CliRunner().invoke(app, ["psam", "--port", "x"]).exit_code == 0


def test_one_is_released(link: Link) -> None:
    CliRunner().invoke(app, ["psam", "--port", "x", "--release", "1", "--df", "1001"])
    CliRunner().invoke(app, ["psam", "--port", "x", "--release", "0"])
    assert [params for method, params in link.asked if method == "psam.release"] == [
        {"slot": 1, "df": "1001"},
        {"slot": 0},
    ]
    link.refuses = True
    assert CliRunner().invoke(app, ["psam", "--port", "x", "--release", "0"]).exit_code
