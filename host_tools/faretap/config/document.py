"""docs/configuration.md out of the schema: a table for each section."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from faretap.config.problems import bare, describe
from faretap.config.schema import Configuration
from faretap.config.values import Means


def markdown() -> str:
    """The whole page."""
    parts = [files(__package__).joinpath("configuration.md").read_text(encoding="utf-8").strip()]
    for name, model in _sections():
        title = f"## `[{name}]`" if name else "## The file"
        if name.endswith("[]"):
            title = f"## `[[{name[:-2]}]]`"
        parts.append(f"{title}\n\n{_paragraph(model)}\n\n{_rows(model)}")
    return "\n\n".join(parts) + "\n"


def _sections() -> list[tuple[str, type[BaseModel]]]:
    found: list[tuple[str, type[BaseModel]]] = []

    def walk(name: str, model: type[BaseModel]) -> None:
        found.append((name, model))
        for key, info in model.model_fields.items():
            below = f"{name.replace('[]', '')}.{info.alias or key}".lstrip(".")
            kind, suffix = _below(info)
            if kind is not None:
                walk(below + suffix, kind)

    walk("", Configuration)
    return found


def _below(info: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """The model of a table, of a list of tables ("[]") or of a table of tables (".NAME")."""
    kind: Any = bare(info)
    if get_origin(kind) is list and _is_model(bare(get_args(kind)[0])):
        return bare(get_args(kind)[0]), "[]"
    if get_origin(kind) is dict and _is_model(bare(get_args(kind)[1])):
        return bare(get_args(kind)[1]), ".NAME"
    return (kind, "") if _is_model(kind) else (None, "")


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _rows(model: type[BaseModel]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, info in model.model_fields.items():
        kind, _ = _below(info)
        means = [item.text for item in info.metadata if isinstance(item, Means)]
        text = means[0] if means else _paragraph(kind) if kind else ""
        cells = (f"`{info.alias or key}`", describe(info), _default(info), text)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if value is None or value in ([], {}, "") or isinstance(value, BaseModel):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
