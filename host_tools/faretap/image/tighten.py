"""Smaller device code from the same source: private integer constants become `const()`.

On a plain ESP32 every name of a module's globals takes 8 bytes of the heap and its text some more,
and every use of it is a look-up on the tap path. MicroPython's compiler puts the value of
`_NAME = const(…)` in place of the name and forgets the name. The source stays plain, so that it
runs on CPython as it is.

Lines keep their numbers, for tracebacks.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from faretap.image.cache import cache_dir, kept_bytes, write_whole
from faretap.reading import SETTINGS, read_bytes

_OPERATORS = (
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.FloorDiv,
    ast.Mod,
    ast.LShift,
    ast.RShift,
    ast.BitOr,
    ast.BitAnd,
    ast.BitXor,
)
_IMPORT = b"from micropython import const; "


def tighten(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """All of `sources` (path -> Python text), each with its own private constants folded.

    A name that another module asks for stays as it is. Files that do not parse are left to the
    compiler, which says what is wrong with them. The result is kept by the hash of its sources.
    """
    try:
        plain = {path: text.decode() for path, text in sources.items()}
    except UnicodeDecodeError:
        return _tighten(sources)
    given = json.dumps(plain).encode()
    key = hashlib.sha256(read_bytes(Path(__file__), SETTINGS) + given).hexdigest()
    kept = cache_dir() / "tight" / f"{key}.json"
    try:
        found = json.loads(kept_bytes(kept))
        if list(found) == list(sources):
            return {path: text.encode() for path, text in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    made = _tighten(sources)
    write_whole(kept, json.dumps({path: text.decode() for path, text in made.items()}).encode())
    return made


def _tighten(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    trees: dict[str, ast.Module] = {}
    for path, text in sources.items():
        try:
            trees[path] = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
    wanted = _wanted_elsewhere(trees.values())
    return {
        path: _fold(text, trees[path], wanted) if path in trees else text
        for path, text in sources.items()
    }


def _wanted_elsewhere(trees: Iterable[ast.Module]) -> set[str]:
    """Private names that appear in an import or as an attribute anywhere."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return {name for name in found if name.startswith("_")}


def _fold(text: bytes, tree: ast.Module, wanted: set[str]) -> bytes:
    bound = _bindings(tree)
    lines = text.split(b"\n")
    known: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target = node.targets[0]
        if (
            not isinstance(target, ast.Name)
            or not target.id.startswith("_")
            or target.id in wanted
            or bound.get(target.id, 0) != 1
            or node.lineno != node.end_lineno
            or not _is_integer(node.value, known)
        ):
            continue
        known.add(target.id)
        line = lines[node.lineno - 1]
        start, end = node.value.col_offset, node.value.end_col_offset
        assert end is not None
        lines[node.lineno - 1] = line[:start] + b"const(" + line[start:end] + b")" + line[end:]
    if not known:
        return text
    return _IMPORT + b"\n".join(lines)


def _bindings(tree: ast.Module) -> dict[str, int]:
    """How often each name is bound anywhere in the module, as a variable or a parameter."""
    count: dict[str, int] = {}
    for node in ast.walk(tree):
        name = None
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            for each in node.names:
                count[each] = count.get(each, 0) + 2
        if name is not None:
            count[name] = count.get(name, 0) + 1
    return count


def _is_integer(node: ast.expr, known: set[str]) -> bool:
    """An expression of integers and constants before it, which MicroPython folds as well."""
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.Name):
        return node.id in known
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.Invert)) and _is_integer(node.operand, known)
    if isinstance(node, ast.BinOp):
        return (
            isinstance(node.op, _OPERATORS)
            and _is_integer(node.left, known)
            and _is_integer(node.right, known)
        )
    return False
