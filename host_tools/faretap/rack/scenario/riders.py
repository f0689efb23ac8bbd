"""Who a rider is: a card or account of their own, so that no two are one to a validator."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from faretap.lists.tokens import token_of
from faretap.rack.scenario.schema import medium_of
from faretap.sim import cards
from faretap.sim.cards.quickpass import invented_pan
from faretap.sim.codes import CODES

_FIRST = 700_000_000  # numbers of scenario riders, beside those that the catalogues use


def own_options(medium: str, number: int, options: dict[str, Any]) -> dict[str, Any]:
    """`options` and what makes the card or code that of rider `number` of a run.

    What the file says goes first, and a code's defect before that.
    """
    kind, name = medium_of(medium)
    own = _card(name, number) if kind == "card" else _code(name, number)
    if "pan" in options:
        own.pop("seed", None)
    return {**own, **options}


def expected_of(medium: str) -> str:
    """What the catalogue says, under the bench configuration. A code that is the same in all
    hands, such as a web address, may be taken for the one that the rider before showed."""
    kind, name = medium_of(medium)
    if kind == "card":
        return cards.CARDS[name].expected()
    same = "" if _code(name, 0) else "|declined too_soon"
    return CODES[name].outcome() + same


def is_purse(medium: str) -> bool:
    """Does the card keep money, so that each ride can be found in it?"""
    kind, name = medium_of(medium)
    return kind == "card" and cards.CARDS[name].purse is not None


def token(medium: str, options: dict[str, Any], key: bytes) -> bytes | None:
    """Under which a deny list names the rider; None if the medium has none."""
    kind, name = medium_of(medium)
    if kind == "card":
        number = getattr(cards.make(name, **options), "pan", None)
        return token_of(key, number) if number else None
    family = CODES[name].kind.partition("-")[0]
    if family in ("mot", "alipay"):
        return token_of(key, options["card"], "account")
    if family == "union":
        return token_of(key, options["user"].encode().hex(), "account")
    return token_of(key, options["pan"]) if "pan" in options else None


def window_s(medium: str, configuration: dict[str, Any]) -> int:
    """How long the same card or account does not ride again, under `configuration` (an operator's
    file)."""
    kind, _ = medium_of(medium)
    if kind == "code":
        return int(configuration["codes"].get("limits", {}).get("window_s", 0))
    if is_purse(medium):
        return int(configuration["purse"].get("window_s", 5))
    return int(configuration["cards"].get("limits", {}).get("window_s", 5))


@cache
def _takes_seed(name: str) -> bool:
    """Some cards that are no medium have nothing to tell them apart."""
    takes = inspect.signature(cards.CARDS[name].make).parameters
    return "seed" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values())


def _card(name: str, number: int) -> dict[str, Any]:
    return {"seed": _FIRST + number} if _takes_seed(name) else {}


def _code(name: str, number: int) -> dict[str, Any]:
    code = CODES[name]
    family = code.kind.partition("-")[0]
    serial = _FIRST + number
    own: dict[str, Any] = {}
    if family == "mot":
        own = {"card": f"9999{serial:015d}", "account": f"9999{serial:012d}"}
    elif family == "alipay":
        own = {"card": f"9999{serial:012d}", "user": f"2088{serial:012d}"}
    elif family == "union":
        # The code's own number is another one with each code: it follows from the time.
        own = {"user": f"{serial % 10**8:08d}"}
    elif code.kind == "cpm" and "example" not in name:
        own = {"pan": invented_pan("629998", serial)}
    defect = code.fields(0)
    return {key: value for key, value in own.items() if key not in defect}
