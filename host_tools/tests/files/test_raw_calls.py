"""Every file goes through `faretap.reading` and `faretap.writing`: nobody opens one by hand."""

from __future__ import annotations

import ast
from pathlib import Path

import faretap

ROOT = Path(faretap.__file__).parent

RAW = {
    *("open", "fdopen", "mkstemp", "NamedTemporaryFile"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "replace", "rename"),
}

ALLOWED = {
    # What these two are for.
    "reading.py": {"open", "fdopen"},
    "writing.py": {"open", "fdopen", "replace", "rename"},
    # The terminal, or nowhere; a worker's own output.
    "cli/__init__.py": {"open"},
    "rack/worker.py": {"fdopen"},
    # A chip's memory, mapped; locks; a pseudo-terminal; folders of a process of its own.
    "virtual/flash.py": {"open"},
    "virtual/board.py": {"open"},
    "virtual/chip.py": {"write_bytes"},
    "virtual/micropython_image.py": {"read_bytes", "write_bytes"},
    "rack/scratch.py": {"open"},
    "rack/locks.py": {"open"},
    "image/compiler.py": {"read_bytes", "write_bytes"},
    # What the kernel says of USB devices.
    "devices.py": {"read_text"},
    # The modules of the firmware, as they are installed.
    "image/sources.py": {"read_bytes"},
    # A log of a process that writes it itself.
    "rack/emulator.py": {"open"},
}


def raw_calls(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            found.add("open")
        if isinstance(node.func, ast.Attribute) and node.func.attr in RAW:
            at = node.func.value
            of = ast.unparse(at)
            if node.func.attr == "open" and not _is_path(of):
                continue  # a port, a card reader, a slot
            if node.func.attr == "replace" and (not isinstance(at, ast.Name) or not _is_path(of)):
                continue  # a text's
            if "files(" in of or isinstance(at, ast.Constant):
                continue  # what is installed with the package
            if of in ("reading", "writing"):
                continue
            found.add(node.func.attr)
    return found


def _is_path(text: str) -> bool:
    last = text.rpartition(".")[2].lower()
    return text == "os" or any(
        word in last
        for word in ("path", "file", "folder", "fresh", "log", "note", "lock", "state")
    )


def test_nobody_opens_a_file_by_hand() -> None:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        more = raw_calls(path) - ALLOWED.get(name, set())
        if more:
            found[name] = more
    assert not found, str(found)


def test_the_allowed_ones_need_it() -> None:
    for name, allowed in ALLOWED.items():
        assert raw_calls(ROOT / name) >= allowed, name
