"""Folding of private constants: what is folded, what is left alone, and that it runs alike."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faretap.image import sources
from faretap.image.tighten import tighten


def fold(text: str, **others: str) -> str:
    all_sources = {"m.py": text.encode()} | {k + ".py": v.encode() for k, v in others.items()}
    return tighten(all_sources)["m.py"].decode()


def test_private_integers_are_folded_and_lines_stay() -> None:
    text = '"""Doc."""\n\n_A = 5\n_B = _A * 2 + 1  # why\n\ndef f():\n    return _B\n'
    assert fold(text) == (
        'from micropython import const; """Doc."""\n\n_A = const(5)\n'
        "_B = const(_A * 2 + 1)  # why\n\ndef f():\n    return _B\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "A = 5\n",  # public: another module may ask for it
        '_A = "text"\n',
        "_A = 1.5\n",
        "_A = True\n",
        "_A = len(x)\n",
        "_A = 5\n_A = 6\n",
        "_A = 5\ndef f():\n    global _A\n    _A = 6\n",
        "_A = 5\ndef f(_A):\n    return _A\n",
        "_A = 5\nfor _A in range(3):\n    pass\n",
        "_A = (\n    5\n)\n",
        "def f():\n    _A = 5\n    return _A\n",
        "this is no Python",
    ],
)
def test_left_alone(text: str) -> None:
    assert fold(text) == text


def test_a_name_that_another_module_asks_for_is_left_alone() -> None:
    assert fold("_A = 5\n", other="from m import _A\n") == "_A = 5\n"
    assert fold("_A = 5\n", other="import m\nprint(m._A)\n") == "_A = 5\n"


def test_the_application_still_compiles_to_the_same_behaviour(tmp_path: Path) -> None:
    """The folded link under real MicroPython: its own firmware test, run on the folded source."""
    folded = tighten(sources.application())
    assert any(b"const(" in text for text in folded.values())
    for path, text in folded.items():
        target = tmp_path / "firmware" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)
    tests = Path(__file__).parents[3] / "firmware" / "tests"
    shutil.copytree(tests, tmp_path / "firmware" / "tests")
    for module in ("test_frame", "test_journal", "test_pn532", "test_scanner"):
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("micropython")),
                *("-X", "heapsize=4M", "run_micropython.py", module),
            ],
            cwd=tmp_path / "firmware" / "tests",
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert " passed, 0 failed" in done.stdout, done.stdout + done.stderr


def test_what_was_made_before_is_taken_again_and_only_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARETAP_CACHE", str(tmp_path))
    source = {"a.py": b"_N = 3\n\n\ndef f():\n    return _N\n", "b.py": b"import a\n"}
    made = tighten(source)
    assert b"const(3)" in made["a.py"]
    (kept,) = (tmp_path / "tight").iterdir()
    kept.write_text(kept.read_text().replace("const(3)", "const(3) "))
    assert tighten(source)["a.py"] == made["a.py"].replace(b"const(3)", b"const(3) ")
    assert b"const(4)" in tighten({**source, "a.py": b"_N = 4\n"})["a.py"]
    kept.write_text("{}")
    assert tighten(source) == made
    kept.write_text("half of i")
    assert tighten(source) == made
    assert b"# \xff\n" in tighten({"a.py": b"# \xff\n_N = 3\n"})["a.py"]  # no UTF-8
