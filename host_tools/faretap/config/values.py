"""The kinds of values that a configuration has, each with the words for what is right.

    class Fares(Section):
        flat: Annotated[int, Number(0, 100000, "fen"), Means("The fare.")] = 0

Words and meaning stand once: error messages and docs/configuration.md both take them from there.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_UNIX = 0xFFFFFFFF


class Section(BaseModel):
    """A table of the configuration. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Means:
    """What a key is for, in one sentence or two."""

    text: str


def wrong(text: str) -> PydanticCustomError:
    """The error of a value; `text` is what would be right."""
    return PydanticCustomError("wrong", "{text}", {"text": text})


@dataclass(frozen=True)
class Right:
    """What is right for a value, in words."""

    words: str

    def check(self, value: Any) -> Any:
        """The value as it is kept; ValueError if it is not right."""
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def checked(value: Any) -> Any:
            if value is None:
                return None
            try:
                return self.check(value)
            except ValueError:
                raise wrong(self.words) from None

        return core_schema.no_info_after_validator_function(checked, handler(source))


class Number(Right):
    def __init__(self, least: int, most: int, unit: str = "") -> None:
        super().__init__(f"{least} to {most}" + (f" {unit}" if unit else ""))
        object.__setattr__(self, "bounds", (least, most))

    bounds: tuple[int, int]

    def check(self, value: Any) -> Any:
        least, most = self.bounds
        if not least <= value <= most:
            raise ValueError
        return value


class Text(Right):
    """UTF-8 of so many bytes, without control characters."""

    def __init__(self, most: int, least: int = 0) -> None:
        size = f"{least} to {most}" if least else f"up to {most}"
        super().__init__(f"text of {size} bytes")
        object.__setattr__(self, "bounds", (least, most))

    bounds: tuple[int, int]

    def check(self, value: Any) -> Any:
        least, most = self.bounds
        if not least <= len(value.encode()) <= most or not value.isprintable():
            raise ValueError
        return value


class Hex(Right):
    """Hex digits of one of these numbers of bytes; kept in lower case, without spaces."""

    def __init__(self, *sizes: int, words: str = "") -> None:
        if len(sizes) > 3:
            many = f"{min(sizes)} to {max(sizes)}"
        else:
            many = " or ".join(str(size) for size in sizes)
        super().__init__(words or f"hex digits of {many} byte{'' if sizes == (1,) else 's'}")
        object.__setattr__(self, "sizes", sizes)

    sizes: tuple[int, ...]

    def check(self, value: Any) -> Any:
        plain = re.sub(r"\s", "", value).lower()
        if not re.fullmatch(r"([0-9a-f]{2})*", plain) or len(plain) // 2 not in self.sizes:
            raise ValueError
        return plain


class Pattern(Right):
    def __init__(self, expression: str, words: str) -> None:
        super().__init__(words)
        object.__setattr__(self, "expression", expression)

    expression: str

    def check(self, value: Any) -> Any:
        if not re.fullmatch(self.expression, value):
            raise ValueError
        return value


def _unix(value: object) -> object:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise wrong("a time with its offset, such as 2030-01-01T04:00:00+08:00")
        return int(value.timestamp())
    return value


_TYPES = "normal, student, elderly, test, military, or a card type as two hex digits"

Fen = Annotated[int, Number(0, 100000, "fen")]
Fen30 = Annotated[int, Number(0, 0x3FFFFFFF, "fen")]
Seconds = Annotated[int, Number(0, 0x3FFFFFFF, "s")]
Institution = Annotated[str, Pattern(r"[0-9]{8}", "8 digits")]
Yymm = Annotated[str, Pattern(r"[0-9]{2}(0[1-9]|1[0-2])", "YYMM, such as 3512")]
Aid = Annotated[str, Hex(*range(5, 17))]
Moment = Annotated[
    int,
    BeforeValidator(_unix),
    Field(ge=0, le=MAX_UNIX),
    Right("a time with its offset, such as 2030-01-01T04:00:00+08:00, or unix seconds"),
]
File = Annotated[str, Pattern(r".+", "name of a file, seen from the configuration's")]
PassengerType = Annotated[
    str, Pattern(r"normal|student|elderly|test|military|[0-9a-f]{2}", _TYPES)
]
