"""What the operator's configuration makes of this validator: rules for each medium, fares, names.

`CHECKS` are the sections' own checks, for whoever takes a configuration in: what a medium would
refuse is refused before it is switched to. Media are imported when they are asked for, so that a
validator without keys does not carry the kernels.
"""

import sys

from validator.media.reasons import MEDIA
from validator.store import record

_RECALL = 1024  # records: a ride code lives for minutes, a busy bus has some 600 riders an hour
_QUICKPASS = MEDIA.index("quickpass")
_RIDES = [MEDIA.index(name) for name in ("ride_code", "union_code", "alipay_code", "cpm")]
_TUNION = MEDIA.index("tunion")
_RIDES += (_QUICKPASS,)
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

    def __init__(self, section, card_token=None, code_token=None, deny=None, service=False):
        """`card_token(source) -> bytes` and `code_token` make tokens, `deny(token) -> bool` looks
        them up. What a section's check would refuse raises its error."""
        fares = section("fares") or {}
        identity = section("identity") or {}
        self.flat, self.types = _fares(fares)
        self.vehicle, self.line, self.stop = _identity(identity)
        self.cards = self.codes = self.purse = None
        seal = None
        found = section("cards")
        if found:
            self.cards = _cards(found, token=card_token, deny=deny)
            seal = self.cards["seal"]
        found = section("codes")
        if found:
            self.codes = _codes(
                found, token=code_token, deny=deny, seal=seal, card_token=card_token
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
            )

    def fare(self, kind):
        """Fen that a passenger of this type pays; "" is a grown-up."""
        return self.types.get(kind, self.flat)

    async def restore(self, journal, sleep_ms):
        """What riders did before the power went, out of the newest records. To be awaited before
        the first rider is served: some 0.5 ms a record on an ESP32."""
        count = 0
        contexts = None
        purse = self.purse
        if purse:
            from validator.store.purchase_read import Contexts

            contexts = Contexts()
        for seq, body, _, _, _ in journal.read(max(1, journal.next_seq - _RECALL), True):
            count += 1
            if not count & 15:
                await sleep_ms(0)  # the link goes on
            if not seq:
                if contexts:
                    contexts.add(body)
                continue
            medium = _TUNION if body[0] & record.SHORT else body[10]
            if medium == _TUNION:
                if not purse:
                    continue
            elif medium != _QUICKPASS and (body[11] or medium not in _RIDES):
                continue  # not accepted, or nothing to remember
            try:
                fields = record.decode(body, contexts.find if contexts else None)
            except record.RecordError:
                continue  # of a later firmware, which was rolled back
            rules = self.cards
            if purse and medium == _TUNION:
                purse["torn"].recall(seq, fields)
                if fields["outcome"] == "accepted" and fields["token"]:
                    # One card after another: the last few are all that its window can ask for.
                    last = purse["last"]
                    if len(last) >= 8:
                        last.clear()
                    last[fields["token"]] = fields["time"]
                continue
            if medium != _QUICKPASS:
                if self.codes and fields["code"]:
                    self.codes["replay"].restore((fields["code"],))
                rules = self.codes
            elif rules:
                rules["torn"].recall(seq, fields)
            if body[11] or not rules or not rules["riders"]:
                continue
            for token in (fields["token"], fields["account"]):
                if token:
                    rules["riders"].note(
                        token, fields["time"], fields["fare"], rules["cumulative_s"]
                    )

    def prepare(self):
        """Idle work: what a tap would otherwise have to wait for."""
        if self.cards and self.cards["seal"]:
            self.cards["seal"].prepare()
        if self.codes:
            from validator.media import code_decision

            code_decision.prepare(self.codes)
