"""What is wrong with a configuration: all of it, each with its path, its value, what is right."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from faretap.config.values import Right

_LONG = 60  # characters of a value that are shown


def problems(
    error: ValidationError, model: type[BaseModel], prefix: str = "", *, values: bool = True
) -> list[str]:
    """A sentence for each thing that `error` names. Without `values` none is shown: what stands in
    a file that a configuration names may be somebody's secret."""
    return [_sentence(found, model, prefix, values) for found in error.errors(include_url=False)]


def _sentence(found: Any, model: type[BaseModel], prefix: str, values: bool) -> str:
    loc = tuple(part for part in found["loc"] if part != "[key]")
    where = prefix + path(loc) if loc else prefix.rstrip(".: ") or "the configuration"
    kind = found["type"]
    if kind == "extra_forbidden":
        return f"{where}: there is no such key{_nearest(str(loc[-1]), loc[:-1], model)}."
    right = _right(found, loc, model)
    if kind == "missing":
        return f"{where}: missing; right would be {right}."
    value = found["input"]
    if not values or isinstance(value, BaseModel | dict):
        return f"{where}: right would be {right}."
    return f"{where}: {_shown(value, loc)}; right would be {right}."


def path(loc: Iterable[str | int]) -> str:
    """cards.ca_keys[0].modulus"""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _shown(value: object, loc: tuple[str | int, ...]) -> str:
    if "token_key" in loc or "soft_psam" in loc:
        return "a secret value"
    text = repr(value)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _right(found: Any, loc: tuple[str | int, ...], model: type[BaseModel]) -> str:
    kind = found["type"]
    if kind == "wrong":
        return str(found["ctx"]["text"])
    if kind in ("too_long", "too_short"):
        if kind == "too_short":
            return "at least one entry"
        return f"at most {found['ctx']['max_length']} entries"
    return describe(_annotation(loc, model)) or _plain(str(found["msg"]))


def _plain(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def describe(annotation: Any) -> str:
    """What may stand there, in words; "" if the annotation does not say."""
    if annotation is None:
        return ""
    if isinstance(annotation, FieldInfo):
        for item in annotation.metadata:
            if isinstance(item, Right):
                return item.words
        return describe(annotation.annotation)
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        for item in arguments[1:]:
            if isinstance(item, Right):
                return item.words
        return describe(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return describe(next(a for a in arguments if a is not type(None)))
    if origin is list:
        inner = arguments[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return "a list of tables"
        return f"a list: {describe(inner)}"
    if origin is dict:
        return f"a table: {describe(arguments[0])} = {describe(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a table"
    return {bool: "true or false", int: "a number", str: "text"}.get(annotation, "")


def _annotation(loc: tuple[str | int, ...], model: type[BaseModel]) -> Any:
    """The field or type at `loc`, or None."""
    here: Any = model
    for part in loc:
        here = step(here, part)
        if here is None:
            return None
    return here


def step(here: Any, part: str | int) -> Any:
    """One level down: the field `part` of a model, the entries of a list or dict."""
    here = bare(here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return field(here, str(part))
    arguments = typing.get_args(here)
    if typing.get_origin(here) is list:
        return arguments[0]
    if typing.get_origin(here) is dict:
        return arguments[1]
    return None


def field(model: type[BaseModel], name: str) -> FieldInfo | None:
    """By the name that it has in the file."""
    for key, info in model.model_fields.items():
        if name == (info.alias or key):
            return info
    return None


def bare(here: Any) -> Any:
    """A type without Annotated, without `| None`."""
    if isinstance(here, FieldInfo):
        return bare(here.annotation)
    origin = typing.get_origin(here)
    if origin is typing.Annotated:
        return bare(typing.get_args(here)[0])
    if origin in (typing.Union, types.UnionType):
        return bare(next(a for a in typing.get_args(here) if a is not type(None)))
    return here


def names(model: type[BaseModel]) -> list[str]:
    return [info.alias or key for key, info in model.model_fields.items()]


def _nearest(name: str, loc: tuple[str | int, ...], model: type[BaseModel]) -> str:
    here = bare(_annotation(loc, model)) if loc else model
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return ""
    known = names(here)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}"
    return f"; right would be one of {', '.join(known)}"
