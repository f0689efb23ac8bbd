"""TOML out, differences, the page of the documentation."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.config import samples, source, toml
from faretap.config.diff import Difference, differences, without_secrets
from faretap.config.document import markdown
from faretap.config.errors import ConfigError

DOCS = Path(__file__).parents[3] / "docs"

_values = st.recursive(
    st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=6), _values))
def test_toml_reads_what_was_written(value: dict[str, Any]) -> None:
    assert tomllib.loads(toml.dump(value)) == value


def test_the_page_is_current() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == markdown()


def test_every_key_stands_in_the_page() -> None:
    page = markdown()
    for key in ("fdda_01_required", "`[[cards.ca_keys]]`", "`[display.texts.NAME]`", "`check`"):
        assert key in page


def test_the_sample_is_right_and_says_nothing_that_is_not(tmp_path: Path) -> None:
    text = files("faretap.config").joinpath("sample.toml").read_text(encoding="utf-8")
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    assert source.load(path).body()["fares"]["flat"] == 200
    # What is commented out is no other language: with its marks gone it is known keys.
    shown = [
        line.removeprefix("# ") if " = " in line or line.startswith(("# [[", "# [")) else line
        for line in text.splitlines()
    ]
    path.write_text("\n".join(shown), encoding="utf-8")
    try:
        source.load(path)
    except ConfigError as e:
        assert all(p.startswith("codes.alipay_keys[0]") for p in e.problems), e.problems


def test_differences_by_path() -> None:
    old = samples.bench_configuration()
    new = samples.bench_configuration(version=2, fares={"flat": 300}, token_key="00" * 16)
    new["cards"]["ca_keys"] = new["cards"]["ca_keys"][1:]
    found = differences(old, new)
    assert Difference("fares.flat", 200, 300) in found
    assert Difference("fares.types.student", 100, None) in found
    assert Difference("token_key", None, "another secret") in found
    gone = [d.path for d in found if d.path.startswith("cards")]
    assert gone and all(path.startswith("cards.ca_keys[index f1].") for path in gone)
    assert differences(old, old) == [] and differences({}, {}) == []
    assert differences({}, {"version": 1}) == [Difference("version", None, 1)]


def test_secrets_are_words() -> None:
    soft = {"terminal": "1" * 12, "key": "5a" * 16, "sm4_key": "6b" * 16}
    config = {"version": 1, "token_key": "7c" * 16, "purse": {"soft_psam": [soft]}}
    shown = repr(without_secrets(config))
    assert not any(digits in shown for digits in ("5a5a", "6b6b", "7c7c"))
    assert "1" * 12 in shown and config["purse"] == {"soft_psam": [soft]}
    other = {**config, "purse": {"soft_psam": [{**soft, "key": "5b" * 16}]}}
    assert differences(config, other) == [
        Difference("purse.soft_psam[0].key", "secret", "another secret")
    ]
