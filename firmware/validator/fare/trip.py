"""What stands on a purse about a ride: composite record (file 1A) and trip record (file 1E).

Layouts after JT/T 978. All functions are pure; times are 7 bytes BCD, YYYYMMDDhhmmss.
"""

RECORD_SIZE = 128
BUS = b"\x27\x02"

IDLE, BOARDED, ALIGHTED = 0, 1, 2
IN, OUT, SINGLE = 3, 4, 6  # trip types

# Offsets in the composite record. Boarding and alighting are each: city 2, institution 8,
# operator 2, line 2, station 1, bus number 8, terminal 8, time 7.
_VALID = 3
_MODE = 4
_LOCK = 5
_STATE = 14
_BOARD = 15
_MARKED = 53
_DIRECTION = 57
_ALIGHT = 58
_AMOUNT = 96
_MILEAGE = 100
_LOCAL = 102
_ROUTE = 14  # city to line
_STATION = 14
_BUS = 15
_TIME = 31
_PLACE = 38


def locked(record):
    return record[_LOCK] != 0


def boarded(record):
    return record[_VALID] == 1 and record[_STATE] == BOARDED


def marked(record):
    """What a rider owes who has boarded and not alighted, fen."""
    return int.from_bytes(record[_MARKED : _MARKED + 4], "big")


def station(record):
    """Where the rider boarded."""
    return record[_BOARD + _STATION]


def ours(record, place, when, seconds):
    """Whether the open ride of a record began on this line and bus, not longer ago."""
    there = record[_BOARD : _BOARD + _PLACE]
    if there[:_ROUTE] != place[:_ROUTE] or there[_BUS : _BUS + 8] != place[_BUS : _BUS + 8]:
        return False
    since = elapsed(there[_TIME:], when)
    return since is not None and 0 <= since <= seconds


def place(rules, terminal):
    """31 bytes: where and who this validator is. `terminal` is the PSAM's id, 6 bytes."""
    return b"".join(
        (
            rules["city"],
            rules["institution"],
            rules["operator"],
            rules["line"],
            bytes((rules["station"],)),
            rules["vehicle"],
            rules["terminal"] or b"\0\0" + terminal,
        )
    )


def board(record, where, when, owed, down):
    """The composite record of somebody who boards; `owed` is marked. The local part stays."""
    out = bytearray(record)
    out[:3] = BUS + b"\x7d"
    out[_VALID] = 1
    out[_MODE] = 1  # composite, not pre-authorised
    out[_STATE] = BOARDED
    out[_BOARD:_MARKED] = where + when
    out[_MARKED:_DIRECTION] = owed.to_bytes(4, "big")
    out[_DIRECTION] = 0xBA if down else 0xAB
    out[_ALIGHT:_LOCAL] = bytes(_LOCAL - _ALIGHT)
    return bytes(out)


def alight(record, where, when, amount):
    """The composite record of somebody who alights and pays `amount`."""
    out = bytearray(record)
    out[_STATE] = ALIGHTED
    out[_ALIGHT:_AMOUNT] = where + when
    out[_AMOUNT:_MILEAGE] = amount.to_bytes(4, "big")
    return bytes(out)


def trip(kind, where, when, amount, after, acquirer):
    """48 bytes for file 1E; `after` is the balance that the purse will have, fen."""
    return b"".join(
        (
            bytes((kind,)),
            where[_BUS + 8 : _TIME],
            b"\x02",  # bus
            where[_ROUTE - 2 : _ROUTE],
            bytes((0, where[_STATION], 0, 0, 0)),
            amount.to_bytes(4, "big"),
            (after & 0xFFFFFFFF).to_bytes(4, "big"),
            when,
            where[:2],
            acquirer,
            bytes(6),
        )
    )


def elapsed(earlier, later):
    """Seconds between two times in BCD; None if one is not a time."""
    a = _moment(earlier)
    b = _moment(later)
    return None if a is None or b is None else (b[0] - a[0]) * 86400 + b[1] - a[1]


def _moment(when):
    """(days, seconds of the day) or None."""
    text = bytes(when).hex()
    if not text.isdigit():
        return None
    year = int(text[2:4])
    month = int(text[4:6])
    day = int(text[6:8])
    if not 1 <= month <= 12 or not 1 <= day <= 31 or text[:2] != "20":
        return None
    if month < 3:
        month += 12
        year -= 1
    days = 365 * year + year // 4 + (153 * month - 457) // 5 + day
    return days, int(text[8:10]) * 3600 + int(text[10:12]) * 60 + int(text[12:14])
