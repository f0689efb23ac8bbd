"""Each option that an error, a help text or a document names exists on the command it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import faretap
import faretap.cli  # all commands
from faretap.cli.common import app

HOST = Path(faretap.__file__).parent
ROOT = HOST.parent.parent
OTHER_PROGRAMS = re.compile(r"pytest|python|pip |esptool|esp-emu|uhubctl|qemu|git |--[a-z]+:")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NAMED = re.compile(r"(?<![\w/.`-]{2})`?faretap((?:\s+[a-z][a-z-]*)+)")

# Whose errors a module's sentences are, where they name an option without a command.
OF = {
    "flash/errors.py": ("flash", "rack flash", "update"),
}
# Not faretap's: pytest's options, and those of programs that it starts.
OTHERS = ("testing", "virtual/process.py", "virtual/__main__.py", "rack/report")


def commands() -> dict[str, set[str]]:
    """{"rack flash": {"--rack", …}}."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, path: str) -> None:
        names = {"--help"}
        for parameter in command.params:
            names.update(parameter.opts, parameter.secondary_opts)
        found[path] = names
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{path} {name}".strip())

    walk(typer.main.get_command(app), "")
    return found


COMMANDS = commands()
# Of the pytest plugin.
PLUGIN = set(OPTION.findall((HOST / "testing" / "hooks.py").read_text(encoding="utf-8")))
EVERYWHERE = COMMANDS[""]


def command_of(words: str) -> str:
    """The command that those words begin with."""
    path = ""
    for word in words.split():
        longer = f"{path} {word}".strip()
        if longer not in COMMANDS:
            break
        path = longer
    return path


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Strings of a module, but for the declarations of its own options."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    declared = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "typer.Option"
        for argument in call.args
    }
    inside = {
        id(part)
        for whole in ast.walk(tree)
        if isinstance(whole, ast.JoinedStr)
        for part in ast.walk(whole)
        if part is not whole
    }
    for node in ast.walk(tree):
        if id(node) in declared or id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else " X " for p in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def wrong_in(text: str, default: tuple[str, ...] | None) -> list[str]:
    """Options that are not there. `default`: the commands meant where none is named before one;
    None: any."""
    found = []
    named: list[tuple[int, str]] = [
        (m.start(), command_of(m[1])) for m in NAMED.finditer(text) if command_of(m[1])
    ]
    for option in OPTION.finditer(text):
        # `in back ticks` an option may stand alone: behind a command that was closed.
        alone = text[option.start() - 1 : option.start()] == "`"
        before = [path for at, path in named if at < option.start()] if not alone else []
        if option[0] in EVERYWHERE:
            continue
        if before:
            meant: tuple[str, ...] = (before[-1],)
        elif default is not None:
            meant = default
        elif any(option[0] in names for names in COMMANDS.values()):
            continue
        else:
            meant = ("any command",)
        for path in meant:
            if option[0] not in COMMANDS.get(path, ()):
                found.append(f"{option[0]} of {path}")
    return found


def modules() -> list[Path]:
    paths = sorted(HOST.rglob("*.py"))
    return [p for p in paths if not p.relative_to(HOST).as_posix().startswith(OTHERS)]


def test_what_the_modules_say() -> None:
    wrong = []
    for path in modules():
        name = path.relative_to(HOST).as_posix()
        for line, text in texts(path):
            wrong += [f"{name}:{line}: {what}" for what in wrong_in(text, OF.get(name))]
    assert wrong == []


@pytest.mark.parametrize("name", list(OF))
def test_the_table_of_modules_is_of_use(name: str) -> None:
    assert any(OPTION.search(text) for _, text in texts(HOST / name))
    assert set(OF[name]) <= set(COMMANDS)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_what_the_documents_say(path: Path) -> None:
    """Line by line: a command in it, else any command."""
    wrong = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if OTHER_PROGRAMS.search(line):
            continue
        found = wrong_in(OPTION.sub(lambda m: "" if m[0] in PLUGIN else m[0], line), None)
        wrong += [f"{path.name}:{number}: {what}" for what in found]
    assert wrong == []


def test_that_a_wrong_one_would_be_seen() -> None:
    assert wrong_in("Flash it: faretap rack flash --slot X --bauds 3.", None) == [
        "--bauds of rack flash"
    ]
    assert wrong_in("take a lower --bauds", ("flash",)) == ["--bauds of flash"]
    assert wrong_in("--nothing-of-the-kind", None) == ["--nothing-of-the-kind of any command"]
    assert wrong_in("faretap flash --baud 115200 and faretap bench --baud 1", None) == []
