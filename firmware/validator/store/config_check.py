"""What must hold of a configuration whatever media it speaks of; loaded when one comes in.

The host's schema says all of this better, and earlier. Here it keeps a validator from running what
another tool made up.
"""

FORMAT = 1

# Members, with the type each has.
_MEMBERS = {
    "format": int,
    "version": int,
    "not_before": int,
    "life_cycle": str,
    "serials": list,
    "identity": dict,
    "fares": dict,
    "cards": dict,
    "codes": dict,
    "purse": dict,
    "display": dict,
    "clock": dict,
    "link": dict,
    "access": dict,
    "token_key": str,
    "operator_key": str,
}
_WORDS = {int: "a number", str: "a text", list: "a list", dict: "an object"}
_RIGHTS = ("records", "change")
_MAX_KEYS = 16


def check(section, names, parsed):
    """ValueError if something is not right. `section(name)` gives a member, None if it is absent;
    `parsed` is the bundle's head."""
    for name in names:
        kind = _MEMBERS.get(name)
        if kind is None:
            raise ValueError("%s: this firmware knows no such section" % name)
        value = section(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError("%s: %s expected" % (name, _WORDS[kind]))
    if section("format") != FORMAT:
        raise ValueError("format: %r: %d expected" % (section("format"), FORMAT))
    if section("version") != parsed[0] or (section("not_before") or 0) != parsed[1]:
        raise ValueError("version, not_before: not those that the head says")
    life_cycle = section("life_cycle")
    if life_cycle not in ("bench", "service"):
        raise ValueError("life_cycle: %r: bench or service expected" % life_cycle)
    if life_cycle == "service" and (section("purse") or {}).get("soft_psam"):
        raise ValueError("purse.soft_psam: test keys are not for service")
    language = (section("display") or {}).get("language", "zh")
    if language not in ("zh", "en"):
        raise ValueError("display.language: %r: zh or en expected" % (language,))
    _number(section("clock"), "clock", "trust_s", 0, 0x3FFFFFFF)
    _number(section("link"), "link", "baud_max", 9600, 5000000)
    _access(section("access") or {})
    if section("token_key") is not None and len(_hex(section("token_key"), "token_key")) != 16:
        raise ValueError("token_key: 16 bytes in hex expected")
    if section("operator_key") is not None:
        _key(section("operator_key"), "operator_key", (64,))


def _number(values, name, key, least, most):
    value = (values or {}).get(key, least)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("%s.%s: %r: %d to %d expected" % (name, key, value, least, most))


def _access(values):
    keys = values.get("keys", ())
    if len(keys) > _MAX_KEYS:
        raise ValueError("access.keys: %d at most" % _MAX_KEYS)
    names = set()
    for i, entry in enumerate(keys):
        where = "access.keys[%d]." % i
        name = entry["name"]
        if not isinstance(name, str) or not name or name in names:
            raise ValueError("%sname: %r: a name of its own expected" % (where, name))
        names.add(name)
        _key(entry["public"], where + "public", (33, 65))
        for right in entry["rights"]:
            if right not in _RIGHTS:
                raise ValueError("%srights: %r: records or change expected" % (where, right))


def _key(text, where, sizes):
    from validator.crypto import signed

    data = _hex(text, where)
    try:
        if len(data) not in sizes:
            raise ValueError("key format")
        signed.point(data)
    except ValueError as e:
        raise ValueError("%s: no P-256 public key: %s" % (where, e))


def _hex(text, where):
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        raise ValueError("%s: hex digits expected" % where)
