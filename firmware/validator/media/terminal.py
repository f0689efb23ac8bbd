"""What a terminal tells a card about itself and the moment.

A terminal is a dict: "amount" in fen, "country" and "currency" (2 bytes BCD), "date" YYMMDD
(3 bytes BCD), "time" hhmmss (3 bytes BCD), "type" of terminal (1 byte), "random" -> n bytes,
"sequence" number of the tap; "unix" seconds and whether they are "trusted"; "rules" of the
operator (`validator.media.rules`), or None if there are none.
"""

from validator import entropy

_BEIJING = 8 * 3600


def make(unix, amount=0, sequence=0, trusted=True, rules=None):
    """The terminal at `unix` seconds UTC, asking for `amount` fen."""
    moment = when(unix)
    return {
        "amount": amount,
        "country": b"\x01\x56",
        "currency": b"\x01\x56",
        "date": moment[1:4],
        "time": moment[4:],
        "type": b"\x22",
        # The unpredictable number must come from a real random source, never from the clock.
        "random": entropy.random,
        "sequence": sequence,
        "unix": unix,
        "trusted": trusted,
        "rules": rules,
        # Places for what the caller adds: a dict that grows is made anew.
        "purse": None,
        "open": None,
    }


def when(unix):
    """YYYYMMDDhhmmss in Beijing at `unix` seconds UTC: 7 bytes of BCD."""
    seconds = unix + _BEIJING
    year, month, day = civil(seconds // 86400)
    rest = seconds % 86400
    date = bcd(year * 10000 + month * 100 + day, 4)
    return date + bcd(rest // 3600 * 10000 + rest % 3600 // 60 * 100 + rest % 60, 3)


def civil(days):
    """(year, month, day) of a day counted from 1970-01-01, which is 0. Days before are not asked.

    Counted in years that begin in March, so that the leap day comes last.
    """
    days += 719468  # from 0000-03-01
    era = days // 146097
    of_era = days % 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (1 if month <= 2 else 0), month, day


def bcd(number, size):
    """A number as `size` bytes of BCD, most significant first; what does not fit is cut off."""
    out = bytearray(size)
    for i in range(size - 1, -1, -1):
        out[i] = number % 10 | (number // 10 % 10) << 4
        number //= 100
    return bytes(out)
