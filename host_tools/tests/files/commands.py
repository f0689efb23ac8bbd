"""Every command of `faretap` that takes a file, as it is typed in a world (world.py).

The words of each; a word of READS or WRITES is what an attack replaces.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

import faretap.cli  # noqa: F401 - makes the commands
from faretap.cli.common import app

RECORDS = "24dcc399a2b4.records.jsonl"
PORT = "/dev/there-is-no-such-port"

COMMANDS: dict[str, str] = {
    "config check": "small.toml",
    "config check --vehicles": "small.toml --vehicles fleet.csv",
    "config show": "small.toml",
    "config show bundle": "small.ftc",
    "config diff": "small.toml small.ftc",
    "config sign": "small.toml --key op.pem --passphrase-file pass --out new.ftc",
    "config sign --vehicles": "small.toml --vehicles fleet.csv --key op.pem --out bundles",
    "config push": f"small.ftc --port {PORT} --claim op.pem.pub",
    "lists build": "tokens.txt --out new-list.ftl --version 3 --key op.pem "
    "--passphrase-file pass --exempt tokens.csv --token-key-file token.key",
    "lists build like": "tokens.txt --out new-list.ftl --version 3 --key op.pem --like old.ftl",
    "lists delta": "old.ftl new.ftl --out delta.ftl",
    "lists show": "new.ftl --trust op.pem.pub",
    "lists push": f"new.ftl --port {PORT}",
    "lists token": "6222020000000000 --key-file token.key",
    "image show": "bus.ftu --trust op.pem.pub",
    "image sign": "bus.ftu --key op.pem --passphrase-file pass --out signed.ftu",
    "update": f"bus.ftu --port {PORT}",
    "keys show": "op.pem.pub",
    "keys new": "--out new.pem --passphrase-file pass",
    "keys token": "--out new.key",
    "records verify": RECORDS,
    "records export": f"{RECORDS} --out export.jsonl",
    "records open": f"{RECORDS} --key acquirer.pem --out opened.json",
    "records ack": f"{RECORDS} --port {PORT}",
    "replay": "tap.jsonl --rules rules.json",
    "report show": "run/run.json --write report",
    "report diff": "run/run.json run",
    "code show": "code.bin",
    "code make": "mot --out made.bin --png made.png",
    "rack check": "--rack rack.toml",
    "scenario check": "day.scenario.toml",
    "scenario run": "day.scenario.toml --rack rack.toml",
}

WRITES = {
    *("new.ftc", "new-list.ftl", "delta.ftl", "signed.ftu", "new.pem", "new.key"),
    *("export.jsonl", "opened.json", "made.bin", "made.png"),
}
FOLDERS = {"bundles", "report"}
NO_FILES = {"6222020000000000", "mot", "1", "3", PORT}

ANYTHING = {"code.bin", "pass"}
"""Of which many contents are right."""

RIGHT = {
    *((pem, "no UTF-8") for pem in ("op.pem", "op.pem.pub", "acquirer.pem", "acquirer.pem.pub")),
    *(("rules.json", what) for what in ("year 1e15", "JSON list")),
}
"""(file, hostile content) that are right in their way: PEM may stand between anything."""

ELSEWHERE = {
    # Needs a board, a reader or a port: tests of their own.
    ("virtual", "state"), ("flash", "micropython"), ("tap", "trace"), ("update", "trust"),
    ("records pull", "directory"), ("config pull", "to"), ("image build", "to"),
    ("image build", "key"), ("image build", "passphrase_file"), ("card dump", "file"),
    ("rack scan", "file"), ("scenario run", "report"), ("rack flash", "image"),
    ("rack flash", "micropython"),
    ("keys show", "file"),
}  # fmt: skip


def words(name: str) -> list[str]:
    head = [w for w in name.split() if not w.startswith("--") and w not in ("bundle", "like")]
    return [*head, *COMMANDS[name].split()]


def reads(name: str) -> list[str]:
    """The files that it is given to read."""
    return [
        word
        for word in COMMANDS[name].split()
        if not word.startswith("-") and word not in WRITES | FOLDERS | NO_FILES
    ]


def writes(name: str) -> list[str]:
    return [word for word in COMMANDS[name].split() if word in WRITES]


def commands(of: typer.Typer = app, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(name, function) of every command there is."""
    for info in of.registered_commands:
        assert info.callback is not None
        name = info.name or info.callback.__name__.replace("_", "-")
        yield " ".join((*above, name)), info.callback
    for group in of.registered_groups:
        assert group.typer_instance is not None
        name = str(group.name or group.typer_instance.info.name)
        yield from commands(group.typer_instance, (*above, name))


def path_parameters(function: Callable[..., Any]) -> list[str]:
    hints = typing.get_type_hints(function)
    return [
        name for name in inspect.signature(function).parameters if _is_path(hints.get(name, str))
    ]


def _is_path(kind: Any) -> bool:
    return kind is Path or any(_is_path(each) for each in typing.get_args(kind))
