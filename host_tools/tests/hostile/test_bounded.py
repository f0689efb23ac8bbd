"""JSON is measured before it is parsed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faretap.bounded import DEPTH, loads

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(-1e9, 1e9),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_usual_comes_through(value: object) -> None:
    assert loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "[" * (DEPTH + 1) + "]" * (DEPTH + 1),
        "9" * 200_000,
        str(10**40),
        "1e999",
        "-Infinity",
        "[NaN]",
        '"' + "\\" * 200_000,
        '"' + "a" * 300_000 + '"',
        "\x00",
        "",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_not_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_brackets_in_text_are_text() -> None:
    assert loads(json.dumps({"a": '\\"' + "[" * 1000})) == {"a": '\\"' + "[" * 1000}


def test_the_deepest_is_taken() -> None:
    assert loads("[" * DEPTH + "]" * DEPTH)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_value_error(data: bytes) -> None:
    try:
        loads(data)
    except ValueError:
        pass
