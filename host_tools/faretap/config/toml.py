"""A configuration as TOML text: what a person reads, edits and gives back to `faretap config`."""

from __future__ import annotations

import json
from typing import Any

from faretap.shown import as_text


def dump(value: dict[str, Any]) -> str:
    """TOML of nested dicts, lists, texts, numbers and booleans."""
    return "\n".join(_table(value, "")).strip() + "\n"


def _table(table: dict[str, Any], path: str) -> list[str]:
    lines = []
    for key, value in table.items():
        if not isinstance(value, dict) and not _is_tables(value):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in table.items():
        below = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, dict):
            inner = _table(value, below)
            # A table of nothing but tables needs no line of its own.
            bare = bool(value) and all(
                isinstance(v, dict) or _is_tables(v) for v in value.values()
            )
            lines += inner if bare else ["", f"[{below}]", *inner]
        elif _is_tables(value):
            for entry in value:
                lines += ["", f"[[{below}]]", *_table(entry, below)]
    return lines


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _key(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return _text(value)


def _text(value: Any) -> str:
    # JSON's strings and integers are TOML's; DEL and characters beyond \uffff differ.
    return as_text(json.dumps(value, ensure_ascii=False))
