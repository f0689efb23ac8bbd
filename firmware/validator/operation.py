"""What the operator's configuration makes of this validator: rules for each medium, fares, names.

`CHECKS` are the sections' own checks, for whoever takes a configuration in: what a medium would
refuse is refused before it is switched to. Media are imported when they are asked for, so that a
validator without keys does not carry the kernels.
"""

import sys

_MAX_FARE = 100000  # fen: no ride of a bus or taxi costs more, a mistyped fare may
_MAX_NAME = 32


def _load(name, section, more):
    """What the module `name` of the media makes of a section; it is forgotten again, 3 to 5 KB."""
    try:
        module = __import__("validator.media." + name, None, None, ("load",))
        return module.load(section, **more)
    finally:
        if sys.implementation.name == "micropython":  # others have no need, and have threads
            _forget(name)


def _forget(name):
    sys.modules.pop("validator.media." + name, None)
    media = sys.modules.get("validator.media")
    if hasattr(media, name):
        delattr(media, name)


def _cards(section, **more):
    return _load("rules", section, more)


def _codes(section, **more):
    return _load("code_rules", section, more)


def _purse(section, **more):
    return _load("purse_rules", section, more)


class OperationError(ValueError):
    """A section that cannot be taken: where, what it says, what would be right."""


def _fares(section):
    flat = section.get("flat", 0)
    types = section.get("types", {})
    if not isinstance(types, dict):
        raise OperationError("fares.types: an object of fares by passenger type expected")
    for name, fen in list(types.items()) + [("flat", flat)]:
        if not isinstance(fen, int) or isinstance(fen, bool) or not 0 <= fen <= _MAX_FARE:
            raise OperationError("fares.%s: %r: 0 to %d fen expected" % (name, fen, _MAX_FARE))
    return flat, types


def _identity(section):
    out = []
    for name in ("vehicle", "line", "stop"):
        text = section.get(name, "")
        if not isinstance(text, str) or len(text.encode()) > _MAX_NAME:
            what = "a text of up to %d bytes expected" % _MAX_NAME
            raise OperationError("identity.%s: %r: %s" % (name, text, what))
        out.append(text)
    return out


CHECKS = {
    "cards": _cards,
    "codes": _codes,
    "purse": _purse,
    "fares": _fares,
    "identity": _identity,
}


class Operation:
    """The configuration at work. `section(name)` returns a section, or None where there is none.

    cards, codes, purse   rules of the media, or None: then they only identify what they see
    flat, types           fares in fen: of a grown-up, and {passenger type: fen} of others
    vehicle, line, stop   for the record
    """

    def __init__(
        self, section, card_token=None, code_token=None, deny=None, service=False, riders=None
    ):
        """`card_token(source) -> bytes` and `code_token` make tokens, `deny(token) -> bool` looks
        them up. `riders` (media/riders.py) is what is known of riders; None: none rides. What a
        section's check would refuse raises its error."""
        fares = section("fares") or {}
        identity = section("identity") or {}
        self.flat, self.types = _fares(fares)
        self.vehicle, self.line, self.stop = _identity(identity)
        self.riders = riders
        self.cards = self.codes = self.purse = None
        seal = None
        found = section("cards")
        if found:
            self.cards = _cards(found, token=card_token, deny=deny, riders=riders)
            seal = self.cards["seal"]
        found = section("codes")
        if found:
            self.codes = _codes(
                found,
                token=code_token,
                deny=deny,
                seal=seal,
                card_token=card_token,
                riders=riders,
            )
        found = section("purse")
        if found:
            self.purse = _purse(
                found,
                token=card_token,
                deny=deny,
                service=service,
                identity=identity,
                fares=fares,
                seal=seal,
                riders=riders,
            )

    def fare(self, kind):
        """Fen that a passenger of this type pays; "" is a grown-up."""
        return self.types.get(kind, self.flat)

    async def restore(self, journal, sleep_ms):
        """What the newest records say of riders. To be awaited before the first is served: some
        20 ms on an ESP32."""
        if self.riders:
            more = (self.riders, journal, self, sleep_ms)
            try:
                from validator.media import riders_restore

                await riders_restore.restore(*more)
            finally:
                if sys.implementation.name == "micropython":
                    _forget("riders_restore")

    def prepare(self):
        """Idle work: what a tap would otherwise have to wait for."""
        if self.cards and self.cards["seal"]:
            self.cards["seal"].prepare()
        if self.codes:
            from validator.media import code_decision

            code_decision.prepare(self.codes)
