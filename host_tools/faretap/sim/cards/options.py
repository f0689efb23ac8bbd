"""Options of cards that come from elsewhere: scenario files, and clients of a virtual board.

Whoever may choose a card's options may choose what the card is like, and nothing else: no file, no
process, no address. So the names and types are listed, and what is not on the list is refused. The
two options that name files, `state` and `trace`, are for callers in this process only.
"""

from __future__ import annotations

from typing import Any

FILES = ("state", "trace")

_TEXT = 512  # characters
_NUMBER = 1 << 31

_TEXTS = """
    aid aip app_version begins blocked boarded card_expires city city_number code ctq damage ddol
    decision df drop end expiry forge issuer issuer_expires label log pan par proof psam_form
    sdad_in start tear trick zero
"""
_NUMBERS = """
    algorithm application_type atc balance ca_index card_type claims_ca counter lies not_ready
    overdraft seed template
"""
_FLAGS = """
    boasts enabled fci_has_file_15 has_composite interoperable late listed oda_online
    refuses_nothing secretive signs_refusals sm2 top_bit wrong_mac2 zero
"""
_KINDS = ((_TEXTS, str), (_NUMBERS, int), (_FLAGS, bool))

OPTIONS: dict[str, tuple[type, ...]] = {
    name: tuple(kind for names, kind in _KINDS if name in names.split())
    for names, _ in _KINDS
    for name in names.split()
}
"""What each may be."""

_CALLED = {str: "text", int: "a whole number", bool: "true or false"}


def check(options: dict[str, Any]) -> None:
    """ValueError names what is not to be chosen from elsewhere."""
    for name, value in options.items():
        if name in FILES:
            raise ValueError(f"the option {name} names a file, which is not chosen from here")
        kinds = OPTIONS.get(name)
        if kinds is None:
            raise ValueError(f"no option {name[:40]!r}: there are {', '.join(sorted(OPTIONS))}")
        if type(value) not in kinds:
            called = " or ".join(_CALLED[kind] for kind in kinds)
            raise ValueError(f"the option {name} is {called}, not {str(value)[:40]!r}")
        if isinstance(value, str) and len(value) > _TEXT:
            raise ValueError(f"the option {name} has more than {_TEXT} characters")
        if isinstance(value, int) and not -_NUMBER <= value < _NUMBER:
            raise ValueError(f"the option {name} is a number beyond 32 bits")
