"""The operator's configuration: every section, key, range and default, once.

Errors (`problems.py`) and docs/configuration.md (`document.py`) are made from these classes: a
field's description is its meaning, its `Right` what may stand there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from faretap.config.curves import Point
from faretap.config.media import Cards, Codes, Purse
from faretap.config.values import (
    Fen,
    File,
    Hex,
    Means,
    Moment,
    Number,
    PassengerType,
    Pattern,
    Right,
    Seconds,
    Section,
    Text,
    wrong,
)
from validator.store.bundle import MAX_VERSION
from validator.ui import texts as device_texts

TEXTS = ("accepted", *(name for name in device_texts.RESULTS if name), "ready", "starting")


class Identity(Section):
    """Whose validator this is, and where it hangs. It stands in each record."""

    operator: Annotated[str, Text(32), Means("The operator's name.")] = ""
    vehicle: Annotated[str, Text(32), Means("The vehicle, unique in the fleet.")] = ""
    line: Annotated[str, Text(32), Means("The line that it runs on.")] = ""
    stop: Annotated[str, Text(32), Means("The stop, where a validator stands at one.")] = ""


class Fares(Section):
    """What a ride costs."""

    flat: Annotated[Fen, Means("The fare of a passenger without a type of their own.")] = 0
    types: Annotated[
        dict[PassengerType, Fen], Means("Fares by the passenger type that a medium names.")
    ] = {}


class Words(Section):
    """One sentence to the rider."""

    zh: Annotated[str, Text(60, 1), Means("In Chinese.")]
    en: Annotated[
        str, Text(60, 1), Means("In English; printable ASCII, words of up to 11 letters.")
    ]

    @model_validator(mode="after")
    def _fits_the_display(self) -> Words:
        if not self.en.isascii() or any(len(word) > 11 for word in self.en.split()):
            raise wrong("English in ASCII, with words of up to 11 letters: the display is narrow")
        return self


class Display(Section):
    """What riders read."""

    language: Annotated[
        Literal["zh", "en"], Right("zh or en"), Means("The language that comes first.")
    ] = "zh"
    texts: Annotated[
        dict[Annotated[str, Pattern("|".join(TEXTS), ", ".join(TEXTS))], Words],
        Means("Sentences in place of the built-in ones, by result or state."),
    ] = {}


class Clock(Section):
    """When the validator believes its clock."""

    trust_s: Annotated[
        Seconds,
        Means("How long the clock is trusted after it was set; 0: until the next start."),
    ] = 0


class Link(Section):
    """The line to a host."""

    baud_max: Annotated[
        int, Number(9600, 5000000, "baud"), Means("The highest rate that a host may agree on.")
    ] = 921600


class AccessKey(Section):
    """A key whose holder may open a session with a validator in service."""

    name: Annotated[str, Text(32, 1), Means("Who it is; each name once.")]
    public: Annotated[str | None, Point("p256"), Means("The public key, ECDSA.")] = None
    public_file: Annotated[File | None, Means("The same as a .pub file.")] = None
    rights: Annotated[
        list[Annotated[Literal["records", "change"], Right("records or change")]],
        Field(min_length=1),
        Means("What a session may do: read records, change things."),
    ]

    @model_validator(mode="after")
    def _one_key(self) -> AccessKey:
        if (self.public is None) == (self.public_file is None):
            raise wrong("either public or public_file")
        return self


class Access(Section):
    """Who may read records or change anything while the validator is in service."""

    keys: Annotated[list[AccessKey], Field(max_length=16), Means("The keys; 16 at most.")] = []

    @model_validator(mode="after")
    def _names_differ(self) -> Access:
        names = [key.name for key in self.keys]
        for name in names:
            if names.count(name) > 1:
                raise wrong(f"a name of its own for each key: {name} stands there twice")
        return self


class Configuration(Section):
    """The whole file. Every section is optional; what is left out has the defaults below, under
    which nobody is charged and nothing is accepted."""

    format: Annotated[Literal[1], Right("1"), Means("Of this file.")] = 1
    version: Annotated[
        int,
        Number(1, MAX_VERSION),
        Means("Goes up with each change: a validator takes no lower one than it has seen."),
    ]
    not_before: Annotated[
        Moment,
        Means("No validator takes it earlier; 0: at once. Needs a validator whose clock is set."),
    ] = 0
    life_cycle: Annotated[
        Literal["bench", "service"],
        Right("bench or service"),
        Means(
            "bench: simulated riders are let in, and every record is marked as test. "
            "service: neither injection nor debugging exists."
        ),
    ]
    serials: Annotated[
        list[Annotated[str, Hex(4, 5, 6, 7, 8)]] | None,
        Field(min_length=1, max_length=1000),
        Means(
            "The validators that it is for, by the serial that `faretap info` shows; "
            "left out: for all."
        ),
    ] = None
    identity: Identity = Identity()
    fares: Fares = Fares()
    cards: Annotated[Cards | None, Means("UnionPay QuickPass cards and phones.")] = None
    codes: Annotated[Codes | None, Means("Ride codes.")] = None
    purse: Annotated[Purse | None, Means("T-Union and city cards.")] = None
    display: Display = Display()
    clock: Clock = Clock()
    link: Link = Link()
    access: Access = Access()
    token_key: Annotated[
        str | None,
        Hex(16),
        Means(
            "Secret. The fleet's key for tokens: with the same one a rider has the same token on "
            "all validators, and deny lists fit them. Left out: each validator makes its own."
        ),
    ] = None
    token_key_file: Annotated[
        File | None, Means("The same from a file, as `faretap keys token` writes it.")
    ] = None
    operator_key: Annotated[
        str | None,
        Point("p256", 64),
        Means("The operator's next public key: later configurations are signed by it."),
    ] = None
    operator_key_file: Annotated[File | None, Means("The same as a .pub file.")] = None

    @model_validator(mode="after")
    def _sections_agree(self) -> Configuration:
        for name in ("token_key", "operator_key"):
            if getattr(self, name) is not None and getattr(self, name + "_file") is not None:
                raise wrong(f"either {name} or {name}_file")
        if self.life_cycle == "service" and self.purse and self.purse.soft_psam:
            raise wrong("no purse.soft_psam in service: its keys are test keys")
        return self
