"""What an engineer does at a terminal: configuration, update and records, and the supply goes in
the middle of each. Every step is a command of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from faretap.cli.common import app
from faretap.config import samples
from faretap.session import Session
from faretap.virtual import VirtualProcess

RUN = CliRunner()
Faretap = Callable[..., Result]


@pytest.fixture
def faretap(bench: Session, board: VirtualProcess, monkeypatch: pytest.MonkeyPatch) -> Faretap:
    """`faretap("info")`, on a validator with the bench configuration."""
    bench.close()  # the port is the commands' now
    monkeypatch.setenv("FARETAP_PORT", board.port_url)

    def command(*arguments: Any) -> Result:
        return RUN.invoke(app, [str(argument) for argument in arguments])

    return command


def answer(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def cut(faretap: Faretap, operation: int, how: str) -> None:
    done = faretap("power", "cut", "--operation", operation, "--how", how)
    assert done.exit_code == 0 and f"operation {operation} from now, {how}" in done.stdout


def back(faretap: Faretap) -> None:
    assert answer(faretap("power", "status", "--json"))["power"] is False
    assert answer(faretap("power", "on", "--json"))["power"] is True


def test_a_configuration_by_hand(faretap: Faretap, tmp_path: Path) -> None:
    bundle = tmp_path / "second.bundle"
    bundle.write_bytes(samples.bench_bundle(version=2))
    cut(faretap, 12, "half")
    broken = faretap("config", "push", bundle)
    assert broken.exit_code != 0
    back(faretap)
    assert answer(faretap("config", "show", "--json"))["version"] == 1
    assert answer(faretap("tap", "--card", "tunion", "--via", "link", "--json"))["seq"]
    assert faretap("config", "push", bundle).exit_code == 0
    assert answer(faretap("config", "show", "--json"))["version"] == 2


def test_records_by_hand(faretap: Faretap, tmp_path: Path) -> None:
    for card in ("tunion", "tunion-student"):
        tapped = answer(faretap("tap", "--card", card, "--via", "link", "--json"))
    assert (tapped["seq"], tapped["outcome"]) == (2, "accepted")
    while answer(faretap("info", "--json"))["journal"]["erased_ahead"] < 2:
        pass  # idle time erases: nothing else is to be written than the record
    # The first part of a record is written, its end is not: DEBIT may have gone out. Which
    # operation that is depends on what idle time writes meanwhile, so others are met on the way.
    for seed in range(40):
        cut(faretap, 1 + seed % 4, "undone")
        rider = ("--card", "tunion", "--option", f"seed={900 + seed}")
        assert faretap("tap", *rider, "--via", "link", "--json").exit_code != 0
        back(faretap)
        read = answer(faretap("records", "--json"))
        if read[-1]["detail"] == {"state": "open"}:
            break
    count = len(read)
    assert count > 2
    pulled = answer(faretap("records", "pull", "--out", tmp_path, "--ack", "--json"))
    assert (pulled["new"], pulled["acked"], pulled["breaks"]) == (count, count, [])
    lines = [
        json.loads(line)
        for line in faretap("records", "export", pulled["file"]).stdout.splitlines()
    ]
    assert [line["outcome"] for line in lines[:2]] == ["accepted", "accepted"]
    assert (lines[-1]["outcome"], lines[-1]["detail"]) == ("retry", {"state": "open"})


def test_what_has_no_supply(faretap: Faretap, board: VirtualProcess) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FARETAP_PORT")
        assert faretap("power", "status").exit_code != 0
    assert faretap("power", "status", "--port", "/dev/ttyUSB0").exit_code != 0
    assert faretap("power", "cut", "--operation", "-1").exit_code != 0
    cut(faretap, 5, "done")
    assert "stays" in faretap("power", "cut", "--operation", "0").stdout
    assert "off" in faretap("power", "off").stdout
    assert "on" in faretap("power", "cycle").stdout
