"""The commands of `faretap rack`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from faretap.cli import rack as rack_commands
from faretap.cli.rack import commands
from faretap.errors import FaretapError
from faretap.rack import scan as rack_scan
from faretap.rack.file import Rack, load
from faretap.rack.ports import Plugged
from faretap.shown import Screen

MakeRack = Callable[[str], Rack]

TWO = """
[[slot]]
name = "a"
board = "VIRTUAL"
port = "virtual:a"

[[slot]]
name = "b"
board = "ESP32_BUS"
port = "rfc2217://127.0.0.1:9"
limits = {start = 1}
"""


def _run(*arguments: str) -> Any:
    result = CliRunner().invoke(commands, arguments)
    if isinstance(result.exception, FaretapError):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rack_commands, "out", Screen(width=220))


def test_check_says_what_each_slot_can_do(make_rack: MakeRack) -> None:
    source = make_rack(TWO).source
    text = _run("check", "--rack", source).output.splitlines()
    assert text[0].split() == [
        *("a", "VIRTUAL", "virtual", "faults,", "flash_file,", "link,", "power_cut,"),
        *("scan_wire,", "two_slots,", "virtual,", "wire"),
    ]
    assert text[1].split() == ["b", "ESP32_BUS", "rfc2217", "link,", "two_slots"]
    rows = json.loads(_run("check", "--rack", source, "--json").output)
    assert rows[1] == {
        "slot": "b",
        "board": "ESP32_BUS",
        "kind": "rfc2217",
        "can": ["link", "two_slots"],
    }


def test_a_rack_that_is_not_there_is_named() -> None:
    with pytest.raises(FaretapError, match="There is no rack file nowhere.toml. `faretap rack sc"):
        _run("status", "--rack", "nowhere.toml")


def test_status_as_table_and_as_json(make_rack: MakeRack) -> None:
    rack = make_rack(TWO)
    rows = json.loads(_run("status", "-r", rack.source, "--json").output)
    assert [(row["slot"], row["state"]) for row in rows] == [("a", "on demand"), ("b", "missing")]
    table = _run("status", "-r", rack.source, "--once").output
    assert "rack bench" in table and "Nobody listens at rfc2217://127.0.0.1:9" in table
    only = json.loads(_run("status", "-r", rack.source, "--slot", "b", "--json").output)
    assert [row["slot"] for row in only] == ["b"]
    with pytest.raises(FaretapError, match="has no slot c. It has a, b"):
        _run("status", "-r", rack.source, "--slot", "c")


def test_quarantine_and_release(make_rack: MakeRack) -> None:
    rack = make_rack(TWO)
    _run("quarantine", "a", "--reason", "its [display] is dark", "-r", rack.source)
    assert load(rack.source).state.quarantined() == {"a": "its [display] is dark"}
    assert "its [display] is dark" in _run("status", "-r", rack.source, "--once").output
    _run("release", "a", "-r", rack.source)
    assert load(rack.source).state.quarantined() == {}
    with pytest.raises(FaretapError, match="The slot a is not in quarantine"):
        _run("release", "a", "-r", rack.source)
    with pytest.raises(FaretapError, match="exists for one command only"):
        _run("quarantine", "virtual-1", "--reason", "x", "-r", "virtual")


def test_flash_ends_with_a_line_per_slot_and_a_status(
    make_rack: MakeRack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path / "cache"))
    rack = make_rack(TWO.replace("virtual:a", "virtual"))
    result = _run("flash", "-r", rack.source, "--slot", "a", "--slot", "b")
    assert result.exit_code == 1
    a, b = result.stdout.strip().splitlines()
    assert a.split()[:2] == ["a", "failed"] and "made anew each time" in a
    assert b.split()[:2] == ["b", "failed"] and "ESP32_GENERIC" in b  # no MicroPython was given
    result = _run("flash", "-r", rack.source, "--slot", "a", "--json")
    (done,) = json.loads(result.stdout)
    assert result.exit_code == 1 and not done["ok"] and "made anew" in done["error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--micropython", "x.bin"), "--micropython x.bin is not BOARD=FILE"),
        (("--micropython", "ESP33=x.bin"), "ESP33"),
        (("--image", "none.ftu"), "none.ftu"),
    ],
)
def test_wrong_options_of_flash_are_named(
    arguments: tuple[str, ...], sentence: str, make_rack: MakeRack
) -> None:
    rack = make_rack(TWO)
    try:
        text = _run("flash", "-r", rack.source, "--slot", "a", *arguments).stdout
    except FaretapError as e:
        text = str(e)
    assert sentence in text


def test_scan_writes_what_is_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def who(port: str) -> dict[str, Any]:
        return {"board": "ESP32_BUS", "serial": "246f28000001"}

    here = [Plugged("/dev/ttyUSB0", "FT1", "1-1")]
    monkeypatch.setattr(rack_scan.scan, "__kwdefaults__",
                        {"board": None, "ports": lambda: here, "who": who})  # fmt: skip
    path = tmp_path / "rack.toml"
    assert _run("scan", "--out", str(path)).output == "added: esp32-bus-1\n"
    assert json.loads(_run("scan", "--out", str(path), "--json").output)["kept"] == ["esp32-bus-1"]
    here.clear()
    with pytest.raises(FaretapError, match="has no board|no board|ESP33"):
        _run("scan", "--out", str(path), "--board", "ESP33")
    assert _run("scan", "--out", str(path)).output == "missing: esp32-bus-1\n"
    with pytest.raises(FaretapError, match="No validator is plugged in"):
        _run("scan", "--out", str(tmp_path / "new.toml"))
    assert not (tmp_path / "new.toml").exists()
