"""Where a ride code or payment code that is text ends: by what it holds.

    UnionPay's ride code    Base64 of 02 11 …: 106 bytes, and a custom field of byte 40's length
    EMVCo's payment code    Base64 of 85 05 "CPV01", and one BER-TLV object after another
    payment code in digits  16, 18 or 19 of them at least, by the first two

Only the bytes that tell lengths are decoded, where they stand: nothing is allocated. A character
that Base64 does not have is damage, and counts: its medium will find the code malformed.
"""

# As in framing.py.
_UNKNOWN = 0
_MORE = -1
_PERHAPS = -2

_UNION_FIXED = 106
_UNION_LENGTH = 40

# Base64 of 85 05 "CPV01", all of it that does not depend on what follows.
_CPM_HEAD = b"hQVDUFYwM"
_CPM_HEAD_SIZE = 7

_MAX = 600  # no text is longer


def begins(buf, at, n):
    """Whether the text of a known code begins at `at`: 1 yes, 0 no, -1 needs more bytes."""
    for i in range(at, min(n, at + 9)):
        b = buf[i]
        if buf[at] != 0x41:
            if b != _CPM_HEAD[i - at]:
                return _UNKNOWN
        elif i == at + 1 and b != 0x68:  # UnionPay's 02 11 is "Ah", then one of four letters
            return _UNKNOWN
        elif i == at + 2:
            return 1 if 0x45 <= b <= 0x48 else _UNKNOWN
    return 1 if n >= at + 9 else _MORE


def expected(buf, n):
    """`framing.expected` of text; n > 0."""
    if 0x30 <= buf[0] <= 0x39:
        return _digits(buf, n)
    if buf[0] not in (0x41, 0x68):
        return _UNKNOWN
    known = begins(buf, 0, n)
    if known <= 0:
        return known
    # Padding is the end whatever the lengths inside say: they are wrong then.
    i = 3
    while i < n and buf[i] != 0x3D:
        i += 4
    end = _union(buf, n) if buf[0] == 0x41 else _payment(buf, n)
    return i + 1 if i < n and not 0 < end <= i else end


def _digits(buf, n):
    # More digits would be another code, or nobody's: silence alone is the end.
    start = (buf[0] - 0x30) * 10 + buf[1] - 0x30 if n > 1 else 0
    if start == 62:
        least = 19
    elif 10 <= start <= 15:
        least = 18
    else:
        least = 16 if 25 <= start <= 30 else 0
    if n > 1 and n >= least:
        return _PERHAPS if least else _UNKNOWN
    for i in range(n):
        if not 0x30 <= buf[i] <= 0x39:
            return _UNKNOWN
    return _MORE


def _union(buf, n):
    if n < _letters(_UNION_LENGTH + 1):
        return _MORE
    size = _UNION_FIXED + _octet(buf, _UNION_LENGTH)
    end = _letters(size)
    if n < end:
        return _MORE
    if size % 3 == 0:
        return end
    if n == end:
        return _PERHAPS  # padding may follow
    return _padding(n, end) if buf[end] == 0x3D else end


def _payment(buf, n):
    # EMV QRCPS: 85 "CPV01", then templates, nobody says how many: padding or silence is the end,
    # or what is not Base64, or the beginning of the next code.
    have = n * 3 >> 2
    i = _CPM_HEAD_SIZE
    while True:
        end = _letters(i)
        if n <= end:
            return _PERHAPS if n == end and i > _CPM_HEAD_SIZE else _MORE
        b = buf[end]
        if b == 0x3D:
            return _padding(n, end)
        if b < 0x2B or b > 0x7A or 0x5B <= b <= 0x5D or begins(buf, end, n) > 0:
            return end
        if i >= have:
            return _MORE
        tag = _octet(buf, i)
        i += 1
        if tag == 0:
            continue  # filling between objects
        more = tag & 0x1F == 0x1F
        while more:
            if i >= have:
                return _MORE
            more = _octet(buf, i) & 0x80
            i += 1
        if i >= have:
            return _MORE
        size = _octet(buf, i)
        i += 1
        if size & 0x80:
            more = size & 0x7F
            if not 1 <= more <= 2:
                return _UNKNOWN
            size = 0
            while more:
                if i >= have:
                    return _MORE
                size = size << 8 | _octet(buf, i)
                i += 1
                more -= 1
        i += size
        if _letters(i) > _MAX:
            return _UNKNOWN


def _padding(n, end):
    """Base64 whose padding begins at `end`, and has not come to its last `=`."""
    return _MORE if n < (end + 3) // 4 * 4 else _UNKNOWN


def _letters(size):
    return (size * 4 + 2) // 3


def _octet(buf, i):
    """Byte `i` of what Base64 text holds."""
    at = i + i // 3
    return (_sextet(buf[at]) << 6 | _sextet(buf[at + 1])) >> 4 - i % 3 * 2 & 0xFF


def _sextet(b):
    if b >= 0x61:
        return b - 71
    if b >= 0x41:
        return b - 65
    if b >= 0x30:
        return b + 4
    return 62 if b == 0x2B else 63
