"""Where the device's Python source is: the application (package `validator`) and the loader."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

import validator
from faretap.image.errors import ImageError


def application() -> dict[str, bytes]:
    """Every module of the application: "validator/…/x.py" -> source."""
    root = Path(next(iter(validator.__path__)))
    return read_tree(root, "validator")


def loader() -> dict[str, bytes]:
    """Every module of the loader: "boot.py", "main.py", "faretap_loader.py" … -> source."""
    packaged = Path(__file__).parents[1] / "_data" / "loader"
    root = packaged if packaged.is_dir() else Path(__file__).parents[3] / "firmware" / "loader"
    return read_tree(root, "")


def read_tree(root: Path, prefix: str) -> dict[str, bytes]:
    """The .py files under `root`, named by their path behind `prefix`, sorted."""
    found = {
        f"{prefix}/{path.relative_to(root).as_posix()}".lstrip("/"): path.read_bytes()
        for path in sorted(root.rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    if not found:
        raise ImageError(f"{root} holds no Python source: install faretap again.")
    return found


def closure(sources: Mapping[str, bytes], wanted: Iterable[str]) -> dict[str, bytes]:
    """The modules of `sources` that the modules named `wanted` ("validator.link.peer") need.

    Follows import statements, wherever they stand; a package brings its own __init__ only.
    """
    found: dict[str, bytes] = {}
    pending = list(wanted)
    while pending:
        name = pending.pop()
        for path in _files(name, sources):
            if path not in found:
                found[path] = sources[path]
                pending += _imports(sources[path], path)
    return dict(sorted(found.items()))


def _files(module: str, sources: Mapping[str, bytes]) -> list[str]:
    parts = module.split(".")
    paths = ["/".join(parts[: n + 1]) + "/__init__.py" for n in range(len(parts))]
    paths.append("/".join(parts) + ".py")
    return [path for path in paths if path in sources]


def _imports(source: bytes, path: str) -> list[str]:
    try:
        tree = ast.parse(source, path)
    except SyntaxError as e:
        raise ImageError(f"{path}:{e.lineno}: {e.msg}.") from e
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from validator.link import frames` may name a module or something in one.
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    return names
