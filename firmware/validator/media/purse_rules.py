"""What an operator decides about purses: T-Union and city cards.

`load(section, …)` turns the section "purse" of the configuration into the dict `rules`. All of it
is optional but what a mode needs:

    {"mode": "single" | "composite",          composite: board and alight
     "aids": ["A000000632010105", …],         by their first bytes
     "city": "2900", "institution": 8 bytes hex, "operator": "0001", "line": "0052",
     "station": 3, "direction": "up" | "down", "acquirer": 8 bytes hex (the institution),
     "terminal": 8 bytes hex (00 00 and the PSAM's terminal id), "vehicle": "31000123" (identity),
     "types": {"student": 100, "0a": 0},      fen by passenger type (fares.types)
     "stages": [[5, 200], [10, 300]],         composite: fen for up to so many stations
     "marked_amount": 500,                    composite: owed by whoever never alights
     "trip_s": 14400, "window_s": 5,          longest ride; the same card twice
     "types_unproven": false,                 concessions by a byte that nobody signs
     "torn_unproven": "ride" | "refuse",      a torn debit that only the card's word is for
     "psam": [{"slot": 0, "df": "8011", "form": "24", "aids": […], "key_index": 1}],
     "soft_psam": {"terminal": 6 bytes hex, "key": 16 bytes hex, "sm4_key": …, "form": "24",
                   "serial": number}}         test keys, never in service; or a list

Passenger types: normal, student, elderly, test, military, or the card type in hex. Form: bytes of
the PSAM's 8070 command in hex, 24, 1C or 14. A PSAM with DF 1001 is for city cards. key_index: of
a PSAM whose DF has no file 17.
"""

from hashlib import sha256

TUNION = b"\xa0\x00\x00\x06\x32"
CITY = b"\xa0\x00\x00\x00\x03\x86\x98\x07\x01"

_NAMES = (
    "mode aids city institution operator line station direction acquirer terminal vehicle types "
    "stages marked_amount trip_s window_s types_unproven torn_unproven psam soft_psam"
)
_FORMS = {"24": 36, "1C": 28, "14": 20}
_MOST = 1000000  # fen; no ride costs more


class PurseRulesError(ValueError):
    """A configuration that cannot be taken: where, what it says, what would be right."""


def load(
    section,
    token=None,
    deny=None,
    service=False,
    identity=None,
    fares=None,
    seal=None,
    riders=None,
):
    """The dict `rules`; PurseRulesError if the section is not right. Nothing is half taken.

    `token(source) -> bytes`, `deny(token) -> bool` and `seal` as in `media/rules.py`; `service`:
    the validator is in service; `identity` and `fares` are those sections of the configuration.
    """
    section = _object(section or {}, "purse", _NAMES)
    identity = identity or {}
    fares = fares or {}
    mode = _choice(section, "mode", ("single", "composite"), "single")
    institution = _hex(section, "institution", 8, bytes(8))
    vehicle = section.get("vehicle", identity.get("vehicle", ""))
    if not isinstance(vehicle, str):
        raise _wrong("vehicle", vehicle, "text")
    types = section.get("types", fares.get("types", {}))
    if not isinstance(types, dict):
        raise _wrong("types", types, "an object")
    for name in types:
        _number(types, name, 0, _MOST, 0, "types.")
    composite = mode == "composite"
    trusting = section.get("types_unproven", False)
    if not isinstance(trusting, bool):
        raise _wrong("types_unproven", trusting, "true or false")
    rules = {
        "aids": _aids(section, "aids", (TUNION, CITY), ""),
        "composite": composite,
        "city": _hex(section, "city", 2, bytes(2)),
        "institution": institution,
        "operator": _hex(section, "operator", 2, bytes(2)),
        "line": _hex(section, "line", 2, bytes(2)),
        "station": _number(section, "station", 0, 255, 0),
        "down": _choice(section, "direction", ("up", "down"), "up") == "down",
        "acquirer": _hex(section, "acquirer", 8, institution),
        "terminal": _hex(section, "terminal", 8, b""),
        # A name that is not ASCII or is longer stands for itself by its last bytes.
        "vehicle": (b" " * 8 + vehicle.encode())[-8:],
        # Without the operator's consent a card's type changes nothing: everybody is a grown-up.
        "types": types if trusting else {"normal": types["normal"]} if "normal" in types else {},
        "ride": _choice(section, "torn_unproven", ("ride", "refuse"), "ride") == "ride",
        "stages": _stages(section),
        "marked_amount": _number(section, "marked_amount", 0, _MOST, -1 if composite else 0),
        "trip_s": _number(section, "trip_s", 60, 86400, 14400),
        "window_s": _number(section, "window_s", 0, 3600, 5),
        "psam": _psam(section),
        "soft_psam": _soft(section, service),
        "psams": (),
        "service": bool(service),
        "token": token or _plain_token,
        "deny": deny or _nobody,
        "seal": seal,
        "riders": riders,
    }
    if composite and rules["marked_amount"] < 0:
        raise PurseRulesError("purse.marked_amount: missing: fen expected in composite mode")
    from validator.media.purse_torn import Torn

    rules["torn"] = Torn(riders, rules)
    return rules


def _psam(section):
    entries = section.get("psam", ())
    if not isinstance(entries, (list, tuple)):
        raise _wrong("psam", entries, "a list")
    out = []
    for i, entry in enumerate(entries):
        where = "psam[%d]." % i
        _object(entry, "purse.psam[%d]" % i, "slot df form aids key_index")
        df = _hex(entry, "df", 2, b"\x80\x11", where)
        city = df == b"\x10\x01"
        form = _choice(entry, "form", ("24", "1C", "14"), "1C" if city else "24", where)
        out.append(
            {
                "slot": _number(entry, "slot", 0, 7, 0, where),
                "df": df,
                "form": _FORMS[form],
                "key_index": _number(entry, "key_index", 0, 255, 1, where),
                "aids": _aids(entry, "aids", (CITY,) if city else (TUNION,), where),
            }
        )
    return tuple(out)


def _soft(section, service):
    entries = section.get("soft_psam", ())
    if isinstance(entries, dict):
        entries = (entries,)
    if not isinstance(entries, (list, tuple)):
        raise _wrong("soft_psam", "…", "an object, or a list of them")
    if entries and service:
        raise PurseRulesError("purse.soft_psam: not in service: a PSAM in a slot expected")
    out = []
    for entry in entries:
        _object(entry, "purse.soft_psam", "terminal key sm4_key form serial aids key_index")
        where = "soft_psam."
        form = _choice(entry, "form", ("24", "1C", "14"), "24", where)
        serial = None
        if "serial" in entry:
            serial = _number(entry, "serial", 0, 0x3FFFFFFF, 0, where)
        out.append(
            {
                "terminal": _hex(entry, "terminal", 6, None, where),
                "key": _hex(entry, "key", 16, None, where),
                "sm4_key": _hex(entry, "sm4_key", 16, b"", where) or None,
                "form": _FORMS[form],
                "serial": serial,
                "key_index": _number(entry, "key_index", 0, 255, 1, where),
                "aids": _aids(entry, "aids", (TUNION, CITY), where),
            }
        )
    return tuple(out)


def _stages(section):
    stages = section.get("stages", ())
    out = []
    try:
        for most, fen in stages:
            if not 0 <= fen <= _MOST or not (out[-1][0] if out else -1) < most <= 255:
                raise ValueError
            out.append((most, fen))
    except (TypeError, ValueError):
        raise _wrong("stages", stages, "[[stations, fen], …] with ascending stations")
    return tuple(out)


def _aids(entry, name, default, where):
    value = entry.get(name)
    if value is None:
        return default
    out = []
    try:
        for text in value:
            out.append(bytes.fromhex(text))
            if not 5 <= len(out[-1]) <= 16:
                raise ValueError
    except (TypeError, ValueError):
        raise _wrong(where + name, value, "a list of AIDs in hex, 5 to 16 bytes each")
    return tuple(out)


def _object(value, where, names):
    if not isinstance(value, dict):
        raise PurseRulesError("%s: an object expected" % where)
    for name in value:
        if name not in names.split():
            raise PurseRulesError("%s.%s: no such member: %s expected" % (where, name, names))
    return value


def _hex(entry, name, size, default, where=""):
    value = entry.get(name)
    if value is None:
        if default is None:
            raise _wrong(where + name, None, "%d bytes in hex" % size)
        return default
    try:
        if isinstance(value, str) and len(value) == 2 * size:
            return bytes.fromhex(value)
    except ValueError:
        pass
    if "key" in name:
        value = "…"  # an error text is no place for one
    raise _wrong(where + name, value, "%d bytes in hex" % size)


def _number(entry, name, least, most, default, where=""):
    value = entry.get(name, default)
    if value is default:
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(where + name, value, "%d to %d" % (least, most))
    return value


def _choice(entry, name, values, default, where=""):
    value = entry.get(name, default)
    if value not in values:
        raise _wrong(where + name, value, " or ".join(values))
    return value


def _wrong(name, value, right):
    return PurseRulesError("purse.%s: %r: %s expected" % (name, value, right))


def _plain_token(source):
    """Stands in where no token key is."""
    return sha256(source).digest()[:8]


def _nobody(token):
    return False
