"""What an operator decides about ride codes, and what the validator remembers of them.

`load(section)` turns a configuration's "codes" into the dict `rules` that `codes.run` works with.
All of it is optional; what is left out accepts nobody. ("remember" of earlier configurations has
no effect: codes are kept in flash.)

    {"roots": [hex of a 144-byte root file, …],               MoT, JT/T 1179; 8 at most
     "accepted": [{"issuer": "99990000", "platform": "99990001", "certificate": "99990000"}],
                                   MoT; without "platform": every platform of the issuer;
                                   "certificate": whose certificate it is, if not the issuer's
     "id_rules": [{"issuer": "99990000", "platform": "99990001", "ids": "local"}],
                                   SM2 user ids, "local" or "default"; "platform" as above
     "union_keys": [{"index": "0001", "key": hex of 33 or 65 bytes}],            SM2
     "alipay_keys": [{"id": 9, "algorithm": "secp256k1" or "sm2", "key": hex}],
     "skew_s": 60,                 a code may be made this far in the validator's future
     "limits": {"tap": 5000, "cumulative": 0, "cumulative_s": 86400, "window_s": 0},
                                   fen and seconds, by account; 0: no such limit, save for "tap"
     "cpm": {"first_ride_risk": false, "cap": 500, "again_s": 86400, "aids": ["A000000333"]}}
                                   one ride of up to "cap" fen that nobody authorised, then none
                                   for "again_s"; without "aids": whatever the application

A root file's structure and its signature by itself are checked here; its expiry with each code,
because that needs a clock. Once `rules` are loaded, nothing of this module is used any more.
"""

from hashlib import sha256

from validator.media.code_replay import Presentation

_MAX_ROOTS = 8
_MAX_ENTRIES = 64  # of any other list
_TABLES = 2  # roots that get a table of 2 KB each
_ROOT = 144
_RID = b"\xa0\x00\x00\x06\x32"

_LIMITS = {"tap": 5000, "cumulative": 0, "cumulative_s": 86400, "window_s": 0}


class RulesError(ValueError):
    """A configuration that cannot be taken: where, what it says, what would be right."""


def load(section, token=None, deny=None, seal=None, card_token=None, riders=None):
    """The dict `rules`; RulesError if `section` is not right. Nothing of it is half taken.

    `token(source) -> bytes` makes a rider's token, `card_token` that of a payment code's card
    number, `deny(token) -> bool` looks it up in the deny list, `seal` encrypts a code as evidence
    (`validator.media.evidence.Seal`; None: records carry none). `riders` is what is known of codes
    and accounts (`validator.media.riders.Riders`); None: nobody rides.
    """
    _object(section, "codes")
    payment = _object(section.get("cpm", {}), "codes.cpm")
    risk = payment.get("first_ride_risk", False)
    if not isinstance(risk, bool):
        raise RulesError("codes.cpm.first_ride_risk: %r: true or false expected" % (risk,))
    aids = payment.get("aids")
    if aids is not None:
        aids = [_hex(aid, "codes.cpm.aids") for aid in _list(aids, "codes.cpm.aids")]
    token = token or _plain_token
    rules = {
        "accepted": _pairs(section, "accepted", _certificate),
        "local": _pairs(section, "id_rules", _local),
        "skew_s": _number(section, "skew_s", 60, "codes", 86400),
        "risk": risk,
        "cap": _number(payment, "cap", 500, "codes.cpm"),
        "again_s": _number(payment, "again_s", 86400, "codes.cpm"),
        "aids": aids,
        "token": token,
        "card_token": card_token or token,
        "deny": deny or _nobody,
        "seal": seal,
        "riders": riders,
    }
    limits = _object(section.get("limits", {}), "codes.limits")
    for name in limits:
        if name not in _LIMITS:
            raise RulesError("codes.limits.%s: no such limit" % name)
    for name in _LIMITS:
        rules[name] = _number(limits, name, _LIMITS[name], "codes.limits")
    rules["accounts"] = bool(rules["cumulative"] or rules["window_s"])
    if riders:
        from validator.media.riders import CODES, PAYMENT

        seconds = rules["cumulative_s"] if rules["cumulative"] else 0
        riders.cumulative[CODES] = riders.cumulative[PAYMENT] = seconds
    rules["union_keys"] = _keys(section, "union_keys", _union_key)
    rules["alipay_keys"] = _keys(section, "alipay_keys", _alipay_key)
    rules["roots"] = {}
    roots = _list(section.get("roots", ()), "codes.roots", _MAX_ROOTS)
    if roots:
        from validator.media.code_chain import Issuers

        rules["issuers"] = Issuers()
    for i, text in enumerate(roots):
        where = "codes.roots[%d]" % i
        index, root = _root(_hex(text, where), where)
        if index in rules["roots"]:
            raise RulesError("%s: index %02x stands there twice" % (where, index))
        if i < _TABLES:
            root[0].prepare()
        rules["roots"][index] = root
    rules["seen"] = Presentation()
    _load_media(rules)
    return rules


def _load_media(rules):
    # A rider is not to wait for a module that the file system has to bring.
    from validator.media import code_decision  # noqa: F401

    if rules["union_keys"]:
        from validator.crypto import sm2  # noqa: F401
        from validator.media import union_code  # noqa: F401
    if rules["alipay_keys"]:
        from validator.crypto import ecdsa, sm2  # noqa: F401
        from validator.media import alipay_code  # noqa: F401
    if rules["risk"]:
        from validator.media import cpm  # noqa: F401


# -- what the section holds ---------------------------------------------------------------------


def _root(data, where):
    """(index, (key, "YYMM")) of a root file."""
    from validator.crypto import sm2
    from validator.crypto.curves import SM2

    if len(data) != _ROOT:
        raise RulesError("%s: %d bytes: a root file has %d" % (where, len(data), _ROOT))
    if data[0] != 0x21 or data[5:10] != _RID or data[13:16] != b"\x04\x11\x40":
        raise RulesError("%s: no SM2 root file (21 … A000000632 … 04 11 40)" % where)
    expiry = data[12:13].hex() + data[11:12].hex()
    if not expiry.isdigit() or not 1 <= int(expiry[2:]) <= 12:
        raise RulesError("%s: expiry %s: MMYY expected" % (where, data[11:13].hex()))
    key = _point(SM2, data[16:80], where)
    if not sm2.verify(key, data[:80], data[80:]):
        raise RulesError("%s: its signature is not its own key's: damaged, or no root" % where)
    return data[10], (key, expiry)


def _pairs(section, name, value):
    """{"issuer and platform" or "issuer" alone: value(entry)}."""
    out = {}
    for where, entry in _entries(section, name):
        pair = _institution(entry, "issuer", where)
        if "platform" in entry:
            pair += _institution(entry, "platform", where)
        if pair in out:
            raise RulesError("%s: %s stands there twice" % (where, pair))
        out[pair] = value(entry, where)
    return out


def _certificate(entry, where):
    return _institution(entry, "certificate" if "certificate" in entry else "issuer", where)


def _local(entry, where):
    ids = entry.get("ids")
    if ids not in ("local", "default"):
        raise RulesError("%s.ids: %r: local or default expected" % (where, ids))
    return ids == "local"


def _institution(entry, name, where):
    text = entry.get(name)
    if not isinstance(text, str) or len(text) != 8 or not text.isdigit():
        raise RulesError("%s.%s: %r: 8 digits expected" % (where, name, text))
    return text


def _keys(section, name, value):
    """{number: key}."""
    out = {}
    for where, entry in _entries(section, name):
        number, curve = value(entry, where)
        if number in out:
            raise RulesError("%s: stands there twice" % where)
        data = _hex(entry.get("key"), where + ".key")
        if len(data) not in (33, 65):
            raise RulesError("%s.key: %d bytes: 33 or 65 expected" % (where, len(data)))
        out[number] = _point(curve, data, where + ".key")
    return out


def _union_key(entry, where):
    from validator.crypto.curves import SM2

    index = _hex(entry.get("index"), where + ".index")
    if len(index) != 2:
        raise RulesError("%s.index: %s: 2 bytes expected" % (where, index.hex()))
    return index[0] << 8 | index[1], SM2


def _alipay_key(entry, where):
    from validator.crypto.curves import SECP256K1, SM2

    number = _number(entry, "id", None, where, 255)
    algorithm = entry.get("algorithm")
    if algorithm not in ("secp256k1", "sm2"):
        raise RulesError("%s.algorithm: %r: secp256k1 or sm2 expected" % (where, algorithm))
    if algorithm == "sm2":
        return 0x200 | number, SM2
    return 0x100 | number, SECP256K1


def _point(curve, data, where):
    try:
        return curve.key(data)
    except ValueError as e:
        raise RulesError("%s: %s: a public key on %s expected" % (where, e, curve.name))


# -- JSON ---------------------------------------------------------------------------------------


def _entries(section, name):
    """(where, entry) of a list of objects."""
    where = "codes." + name
    out = []
    for i, entry in enumerate(_list(section.get(name, ()), where)):
        at = "%s[%d]" % (where, i)
        out.append((at, _object(entry, at)))
    return out


def _object(value, where):
    if not isinstance(value, dict):
        raise RulesError("%s: %r: an object expected" % (where, value))
    return value


def _list(value, where, most=_MAX_ENTRIES):
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise RulesError("%s: a list of %d entries at most expected" % (where, most))
    return value


def _hex(text, where):
    try:
        if not isinstance(text, str):
            raise ValueError
        return bytes.fromhex(text)
    except ValueError:
        raise RulesError("%s: %r: hex digits expected" % (where, text))


def _number(entry, name, default, where, most=0x3FFFFFFF, least=0):
    value = entry.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        what = "%d to %d expected" % (least, most)
        raise RulesError("%s.%s: %r: %s" % (where, name, value, what))
    return value


def _plain_token(source):
    """Stands in where no token key is: good enough to know an account again within the hour."""
    return sha256(source).digest()[:8]


def _nobody(token):
    return False
