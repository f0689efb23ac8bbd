"""The record of one tap, as bytes. Pure: the host decodes with this same module.

    body = record.encode({"seq": 7, "time": 1893456000, "clock_trusted": True, "medium": "tunion",
                          "outcome": "declined", "reason": "unverified", "token": token, ...})
    fields = record.decode(body)

Version 1, little endian, 41 bytes and then optional fields; docs/records.md has the table. What is
known only after the record was made durable (how long commit and signal took) stands in an "after
word" of 5 bytes beside the record: `encode_after`, `decode_after`.
"""

import json
import struct

from validator.media.phases import PHASES
from validator.media.reasons import MEDIA, OUTCOMES, REASONS

VERSION = 1
SHORT = 0x80  # in the first byte of a purse's debit
MAX_SIZE = 1024  # bytes of one record, evidence included
TOKEN_SIZE = 8
AFTER_SIZE = 5

# Phases that are over when the record is made; the other two are in the after word.
BEFORE = PHASES[:5]

# Optional fields that hold text, and those that hold something else.
TEXTS = {1: "vehicle", 2: "line", 3: "stop", 6: "last4"}
_DETAIL = 4
_EVIDENCE = 5
_CODE = 7
_CONFIG = 8
_ACCOUNT = 9
_LAST = _ACCOUNT
CODE_SIZE = 12

_HEAD = "<BBIIBBBI8sHHHHHHI"
_HEAD_SIZE = 41
_TEST = 0x01
_CLOCK_TRUSTED = 0x02
_HAS_TOKEN = 0x04
_FLAGS = 0x07
_UNKNOWN_MS = 0xFFFF
_NO_TOKEN = b"\0" * TOKEN_SIZE


class RecordError(ValueError):
    """What was given is not a record (decode), or cannot become one (encode)."""


def encode(fields):
    """Bytes of a record; RecordError if a value does not fit or a name is not known.

    Required: seq, time (unix seconds), medium, outcome, reason. Otherwise: test and clock_trusted
    (False), fare in fen (0), token (8 bytes; empty or None: there is none), phases {name: ms or
    None} (unknown), boot and uptime in ms (0; both wrap), vehicle, line, stop (str), last4 (the
    card number's last digits), detail (dict for JSON), evidence (bytes), code (12 bytes: a ride
    code's digest, 8, and when it expires, unix seconds, 4), config (version of the configuration
    that it was made under), account (8 bytes: token of what the card says is its account), other
    {id: bytes}. Empty ones take no space.
    """
    token = fields.get("token")
    phases = fields.get("phases") or {}
    flags = 0
    if fields.get("test"):
        flags |= _TEST
    if fields.get("clock_trusted"):
        flags |= _CLOCK_TRUSTED
    if token:
        flags |= _HAS_TOKEN
        if len(token) != TOKEN_SIZE:
            raise RecordError("token: 8 bytes, not %d" % len(token))
    ms = [_to_ms(phases.get(name)) for name in BEFORE]
    head = struct.pack(
        _HEAD,
        VERSION,
        flags,
        _number(fields, "seq"),
        _number(fields, "time"),
        _code(MEDIA, fields, "medium"),
        _code(OUTCOMES, fields, "outcome"),
        _code(REASONS, fields, "reason"),
        _number(fields, "fare", 0),
        bytes(token) if token else _NO_TOKEN,
        ms[0],
        ms[1],
        ms[2],
        ms[3],
        ms[4],
        fields.get("boot", 0) & 0xFFFF,
        fields.get("uptime", 0) & 0xFFFFFFFF,
    )
    body = _with_optional(head, fields)
    if len(body) > MAX_SIZE:
        raise RecordError("%d bytes; a record has at most %d" % (len(body), MAX_SIZE))
    return body


def decode(data, find=None):
    """The fields of `encode`, each present, plus "version"; RecordError on anything else.

    A purse's debit has a version of its own, 2, and its number is not in it: "seq" is 0. What
    `find` is for says purchase_read.py.

    Names that are absent come as "" (vehicle, line, stop, last4), {} (detail, other), 0 (config),
    None (token, evidence, code, account, unknown phase). Optional fields of a later firmware are
    kept in "other" {id: bytes}.
    """
    data = bytes(data)
    if not data:
        raise RecordError("empty")
    if data[0] & SHORT:
        from validator.store import purchase_read

        return purchase_read.decode(data, find)
    if data[0] != VERSION:
        raise RecordError("record version %d; this software knows 1 and 2" % data[0])
    if not _HEAD_SIZE <= len(data) <= MAX_SIZE:
        raise RecordError("%d bytes; %d to %d expected" % (len(data), _HEAD_SIZE, MAX_SIZE))
    head = struct.unpack(_HEAD, data[:_HEAD_SIZE])
    flags = head[1]
    if flags & ~_FLAGS:
        raise RecordError("unknown flags 0x%02x" % flags)
    if not flags & _HAS_TOKEN and head[8] != _NO_TOKEN:
        raise RecordError("a token that the flags deny")
    phases = {}
    for i in range(len(BEFORE)):
        phases[BEFORE[i]] = None if head[9 + i] == _UNKNOWN_MS else head[9 + i]
    fields = {
        "version": head[0],
        "test": bool(flags & _TEST),
        "clock_trusted": bool(flags & _CLOCK_TRUSTED),
        "seq": head[2],
        "time": head[3],
        "medium": _name(MEDIA, head[4], "medium"),
        "outcome": _name(OUTCOMES, head[5], "outcome"),
        "reason": _name(REASONS, head[6], "reason"),
        "fare": head[7],
        "token": head[8] if flags & _HAS_TOKEN else None,
        "phases": phases,
        "boot": head[14],
        "uptime": head[15],
        "vehicle": "",
        "line": "",
        "stop": "",
        "last4": "",
        "detail": {},
        "evidence": None,
        "code": None,
        "config": 0,
        "account": None,
        "other": {},
    }
    _decode_optional(data, fields)
    return fields


def encode_after(commit_ms, signal_ms):
    """The after word: 5 bytes. None stands for unknown."""
    word = struct.pack("<HH", _to_ms(commit_ms), _to_ms(signal_ms))
    return word + bytes((crc8(word),))


def decode_after(word):
    """(commit ms, signal ms); (None, None) if the word was never written, or was torn."""
    if len(word) != AFTER_SIZE or crc8(word[:4]) != word[4]:
        return None, None
    commit, signal = struct.unpack("<HH", word[:4])
    return (
        None if commit == _UNKNOWN_MS else commit,
        None if signal == _UNKNOWN_MS else signal,
    )


def crc8(data):
    """CRC-8 with polynomial 0x07, initial value 0xFF. Erased flash (all 0xFF) does not pass."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x107 if crc & 0x80 else crc << 1
    return crc


def _to_ms(ms):
    if ms is None:
        return _UNKNOWN_MS
    # 65 seconds and more are all the same to a rider; 0xFFFF says unknown.
    return max(0, min(ms, _UNKNOWN_MS - 1))


def _number(fields, key, default=None):
    value = fields.get(key, default)
    if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
        # MicroPython's struct would cut it off in silence.
        raise RecordError("%s: 0 to 4294967295 expected, not %r" % (key, value))
    return value


def _code(names, fields, key):
    value = fields.get(key)
    try:
        return names.index(value)
    except ValueError:
        raise RecordError("%s: no such name: %r" % (key, value))


def _name(names, code, key):
    if code >= len(names):
        raise RecordError("%s: code %d is of a later firmware, or damage" % (key, code))
    return names[code]


def _with_optional(head, fields):
    parts = {}
    other = fields.get("other")
    if other:
        for key in other:
            if not _LAST < key <= 255:
                raise RecordError("other: id %r is taken or does not fit a byte" % key)
            parts[key] = bytes(other[key])
    for key in TEXTS:
        if fields.get(TEXTS[key]):
            parts[key] = fields[TEXTS[key]].encode()
    if fields.get("detail"):
        try:
            parts[_DETAIL] = json.dumps(fields["detail"], separators=(",", ":")).encode()
        except TypeError:
            raise RecordError("detail: JSON cannot carry it")
    if fields.get("evidence"):
        parts[_EVIDENCE] = bytes(fields["evidence"])
    if fields.get("code"):
        parts[_CODE] = bytes(fields["code"])
        if len(parts[_CODE]) != CODE_SIZE:
            raise RecordError("code: 12 bytes, not %d" % len(parts[_CODE]))
    if fields.get("config"):
        parts[_CONFIG] = struct.pack("<I", _number(fields, "config"))
    if fields.get("account"):
        parts[_ACCOUNT] = bytes(fields["account"])
        if len(parts[_ACCOUNT]) != TOKEN_SIZE:
            raise RecordError("account: 8 bytes, not %d" % len(parts[_ACCOUNT]))
    out = [head]
    for key in sorted(parts):
        if len(parts[key]) > MAX_SIZE:
            raise RecordError("field %d: %d bytes are too many" % (key, len(parts[key])))
        out.append(struct.pack("<BH", key, len(parts[key])))
        out.append(parts[key])
    return b"".join(out)


def _decode_optional(data, fields):
    seen = set()
    at = _HEAD_SIZE
    while at < len(data):
        if at + 3 > len(data):
            raise RecordError("a field's head is cut off at byte %d" % at)
        key, size = struct.unpack("<BH", data[at : at + 3])
        at += 3
        if at + size > len(data):
            raise RecordError(
                "field %d: %d bytes announced, %d there" % (key, size, len(data) - at)
            )
        if key in seen:
            raise RecordError("field %d stands there twice" % key)
        seen.add(key)
        value = data[at : at + size]
        at += size
        if key in TEXTS:
            fields[TEXTS[key]] = _text(value, key)
        elif key == _DETAIL:
            fields["detail"] = _detail(value)
        elif key == _EVIDENCE:
            fields["evidence"] = value
        elif key == _CODE and size == CODE_SIZE:
            fields["code"] = value
        elif key == _CONFIG and size == 4:
            fields["config"] = struct.unpack("<I", value)[0]
        elif key == _ACCOUNT and size == TOKEN_SIZE:
            fields["account"] = value
        else:
            if key <= _LAST:
                raise RecordError("field %d does not exist" % key)
            fields["other"][key] = value


def _text(value, key):
    try:
        return value.decode()
    except ValueError:
        raise RecordError("field %d is not UTF-8" % key)


def _detail(value):
    try:
        detail = json.loads(_text(value, _DETAIL))
    except (ValueError, RuntimeError):  # nested too deep: RecursionError is a RuntimeError
        raise RecordError("detail is not JSON")
    if not isinstance(detail, dict):
        raise RecordError("detail is not a JSON object")
    return detail
