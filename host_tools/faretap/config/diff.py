"""What differs between two configurations, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_NAMED_BY = ("index", "id", "name", "slot", "issuer")  # what tells entries of a list apart


@dataclass(frozen=True)
class Difference:
    """`old` or `new` is None where the key is not there."""

    path: str
    old: Any
    new: Any


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """In the order of their paths. Values of secret keys are never in it."""
    one, two = _flat(old), _flat(new)
    found = [
        Difference(path, one.get(path), two.get(path))
        for path in sorted({*one, *two})
        if one.get(path) != two.get(path)
    ]
    return [
        Difference(d.path, d.old and "secret", d.new and "another secret")
        if _secret(d.path)
        else d
        for d in found
    ]


def _secret(path: str) -> bool:
    return path == "token_key" or path.startswith("purse.soft_psam") and path.endswith("key")


def without_secrets(value: dict[str, Any]) -> dict[str, Any]:
    """The same, with secrets replaced by a word."""
    shown = {**value}
    if "token_key" in shown:
        shown["token_key"] = "secret"
    purse = shown.get("purse")
    soft = purse.get("soft_psam") if isinstance(purse, dict) else None
    if soft:
        hidden = [
            {k: "secret" if k.endswith("key") else v for k, v in each.items()}
            if isinstance(each, dict)
            else "secret"
            for each in (soft if isinstance(soft, list) else [soft])
        ]
        shown["purse"] = {**shown["purse"], "soft_psam": hidden}
    return shown


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        found: dict[str, Any] = {}
        for key, below in value.items():
            found |= _flat(below, f"{path}.{key}" if path else key)
        return found
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        found = {}
        for name, entry in zip(_names(value), value, strict=True):
            found |= _flat(entry, f"{path}[{name}]")
        return found
    return {path: value} if path else {}


def _names(entries: list[dict[str, Any]]) -> list[str]:
    """What to call each entry, so that one more at the top does not make all others differ."""
    for key in _NAMED_BY:
        names = [str(entry.get(key)) for entry in entries]
        if len(set(names)) == len(names) and "None" not in names:
            return [f"{key} {name}" for name in names]
    return [str(i) for i in range(len(entries))]
