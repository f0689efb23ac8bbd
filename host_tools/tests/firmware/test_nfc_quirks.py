"""The table of quirks in docs/readers.md: complete, and true about its tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# The catalogue has no Q18 and Q19.
QUIRKS = [f"Q{n:02d}" for n in (*range(1, 18), *range(20, 39))]
CHIPS = [p.name for p in (ROOT / "firmware/validator/nfc").glob("*.py") if p.stem != "__init__"]


def rows() -> dict[str, list[str]]:
    """Quirk -> the tests that its row names."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs/readers.md").read_text().splitlines():
        match = re.match(r"\| (Q\d\d) \|", line)
        if match:
            assert match[1] not in found, match[1]
            found[match[1]] = re.findall(r"`(test_\w+)`", line)
    return found


@cache
def defined() -> dict[str, list[Path]]:
    """Name of each test function in the tree -> the files that have it."""
    found: dict[str, list[Path]] = {}
    for folder in ("firmware/tests", "host_tools/tests"):
        for path in (ROOT / folder).rglob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found.setdefault(node.name, []).append(path)
    return found


def test_every_quirk_has_its_row() -> None:
    assert list(rows()) == QUIRKS


def test_the_table_names_tests_that_exist() -> None:
    there = defined()
    missing = [name for names in rows().values() for name in names if name not in there]
    assert missing == []


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_row_names_tests_of_the_firmware_by_its_quirk(quirk: str) -> None:
    there = defined()
    named = rows()[quirk]
    assert named, quirk
    for name in named:
        assert quirk.lower() in name.split("_"), name
        files = [p for p in there[name] if p.parent.name in ("tests", "firmware")]
        assert files, f"{name} tests a simulator, not the firmware"


@pytest.mark.parametrize("module", CHIPS)
def test_q32_no_module_holds_an_ecp_frame(module: str) -> None:
    tree = ast.parse((ROOT / "firmware/validator/nfc" / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bytes):
                assert b"\x6a\x01" not in node.value and b"\x6a\x02" not in node.value, module
            elif isinstance(node.value, int):
                assert node.value not in (0x6A, 0x6A01, 0x6A02), module
