"""What an operator decides about cards, and what the validator remembers of riders.

`load(config)` turns an operator's configuration into the dict `rules` that a tap works with;
`NEUTRAL` is one without keys, under which every card is declined. All of `config` is optional:

    {"ca_keys": [{"rid": "A000000333", "index": "F1", "modulus": hex, "exponent": "03",
                  "check": hex, "expires": "4912"}],      check: SHA-1, as the scheme publishes it
     "aids": ["A000000333010101", …],                     by their first bytes
     "acquirer": {"modulus": hex, "exponent": "010001"},  RSA, evidence is encrypted for it
     "limits": {"tap": 5000, "cumulative": 20000, "cumulative_s": 86400, "cvm": 30000,
                "window_s": 5},                           fen and seconds; cumulative 0: none
     "fdda_01_required": false,                           take no dynamic signature of version 00
     "torn_unproven": "ride" or "refuse",                 electronic cash torn before all of it was
                                                          signed, and the card says that it paid
     "terminal": {"serial": "FARETAP1", "capabilities": "000840", "version": "0030"}}
"""

from hashlib import sha1, sha256

from validator.emv import certificates, oda, rsa
from validator.media.quickpass_torn import Torn

RID = "A000000333"
_MAX_CA_KEYS = 32

_LIMITS = {"tap": 5000, "cumulative": 0, "cumulative_s": 86400, "cvm": 30000, "window_s": 5}


class RulesError(ValueError):
    """A configuration that cannot be taken: where, what it says, what would be right."""


def load(config, token=None, deny=None, seal=None, riders=None):
    """The dict `rules`; RulesError if `config` is not right. Nothing of it is half taken.

    `token(source) -> bytes` makes the rider's token, `deny(token) -> bool` looks it up in the deny
    list, `seal` encrypts evidence (`validator.media.evidence.Seal`; made from "acquirer" if there
    is one). `riders` is what is known of riders, for limits and the same-card window
    (`validator.media.riders.Riders`); None: nobody rides for whom there are such.
    """
    limits = _dict(config, "limits")
    terminal = _dict(config, "terminal")
    if seal is None and config.get("acquirer"):
        from validator.media.evidence import Seal

        acquirer = _dict(config, "acquirer")
        try:
            exponent = int.from_bytes(_hex(acquirer, "exponent", "acquirer", "010001"), "big")
            seal = Seal(_hex(acquirer, "modulus", "acquirer"), exponent)
        except rsa.RsaError as e:
            raise RulesError("acquirer: %s: RSA with 2048 bits or more expected" % e)
    serial = terminal.get("serial", "FARETAP1")
    if not isinstance(serial, str) or len(serial) != 8:
        raise RulesError("terminal.serial: %r: 8 characters expected" % (serial,))
    unproven = config.get("torn_unproven", "ride")
    if unproven not in ("ride", "refuse"):
        raise RulesError("torn_unproven: %r: ride or refuse expected" % (unproven,))
    aids = config.get("aids")
    rules = {
        "ca_keys": _ca_keys(config.get("ca_keys", ())),
        "issuers": oda.IssuerCache(),
        "aids": None if aids is None else tuple([_bytes(a, "aids") for a in aids]),
        "seal": seal,
        "fdda_01_required": bool(config.get("fdda_01_required", False)),
        "token": token or _plain_token,
        "deny": deny or _nobody,
        "riders": riders,
        "torn": Torn(riders),
        "torn_unproven": unproven,
        "serial": serial.encode(),
        "capabilities": _hex(terminal, "capabilities", "terminal", "000840"),
        "version": _hex(terminal, "version", "terminal", "0030"),
    }
    for name in limits:
        if name not in _LIMITS:
            raise RulesError("limits.%s: no such limit" % name)
    for name in _LIMITS:
        value = limits.get(name, _LIMITS[name])
        if not isinstance(value, int) or not 0 <= value <= 0x3FFFFFFF:
            raise RulesError("limits.%s: %r: 0 to 1073741823 expected" % (name, value))
        rules[name] = value
    if riders:
        from validator.media.riders import QUICKPASS

        seconds = rules["cumulative_s"] if rules["cumulative"] else 0
        riders.cumulative[QUICKPASS] = seconds
    return rules


def _ca_keys(entries):
    keys = {}
    for i, entry in enumerate(entries):
        where = "ca_keys[%d]" % i
        if i >= _MAX_CA_KEYS:
            raise RulesError("%s: %d keys at most" % (where, _MAX_CA_KEYS))
        rid = _hex(entry, "rid", where)
        index = _hex(entry, "index", where)
        modulus = _hex(entry, "modulus", where)
        exponent = _hex(entry, "exponent", where, "03")
        if rid != bytes.fromhex(RID):
            raise RulesError("%s.rid: %s: %s expected" % (where, rid.hex(), RID))
        if len(index) != 1:
            raise RulesError("%s.index: one byte expected" % where)
        h = sha1(rid)
        h.update(index)
        h.update(modulus)
        h.update(exponent)
        if h.digest() != _hex(entry, "check", where):
            # One wrong digit in a typed key, or somebody's own key under a scheme's name.
            raise RulesError("%s.check: is that of another key" % where)
        if index[0] in keys:
            raise RulesError("%s.index: %s stands there twice" % (where, index.hex()))
        try:
            key = rsa.PublicKey(modulus, rsa.exponent(exponent))
            expires = _expiry(entry, where)
        except rsa.RsaError as e:
            raise RulesError("%s: %s" % (where, e))
        keys[index[0]] = (key, expires)
    return keys


def _expiry(entry, where):
    text = entry.get("expires", "")
    if text == "":
        return None
    data = _bytes(text, where + ".expires")
    if len(data) != 2:
        raise RulesError("%s.expires: %r: YYMM expected" % (where, text))
    return certificates.months(data[0], data[1])


def _dict(config, name):
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RulesError("%s: an object expected" % name)
    return value


def _hex(entry, name, where, default=None):
    if not isinstance(entry, dict):
        raise RulesError("%s: an object expected" % where)
    value = entry.get(name, default)
    if value is None:
        raise RulesError("%s.%s: missing" % (where, name))
    return _bytes(value, "%s.%s" % (where, name))


def _bytes(text, where):
    try:
        if not isinstance(text, str):
            raise ValueError
        return bytes.fromhex(text)
    except ValueError:
        raise RulesError("%s: %r: hex digits expected" % (where, text))


def _plain_token(source):
    """Stands in where no token key is: good enough to know a card again within the hour."""
    return sha256(source).digest()[:8]


def _nobody(token):
    return False


NEUTRAL = load({})
