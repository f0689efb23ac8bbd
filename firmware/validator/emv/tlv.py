"""BER-TLV as EMV uses it (EMV Book 3, annex B), from cards that may send anything.

Values are memoryviews into what was parsed: nothing is copied. Every malformed input ends in
TlvError; nesting and lengths are bounded.
"""

_MAX_DEPTH = 8
_MAX_OBJECTS = 256  # in one template; a command's answer has 256 bytes


class TlvError(ValueError):
    """Data that is no well-formed BER-TLV."""


def parse(data):
    """The data objects of `data`, one level: list of (tag, value).

    `tag` is an int of up to three bytes, such as 0x9F38; `value` a memoryview. A constructed value
    (see `is_constructed`) is parsed by another call. Zero bytes between objects are skipped.
    """
    view = memoryview(data)
    end = len(view)
    out = []
    i = 0
    while i < end:
        if view[i] == 0:
            i += 1
            continue
        tag, i = _tag(view, i, end)
        length, i = _length(view, i, end)
        if length > end - i:
            raise TlvError("value longer than its template")
        if len(out) == _MAX_OBJECTS:
            raise TlvError("too many objects")
        out.append((tag, view[i : i + length]))
        i += length
    return out


def _tag(view, i, end):
    tag = view[i]
    i += 1
    if tag & 0x1F == 0x1F:
        for _ in range(2):
            if i >= end:
                raise TlvError("tag cut off")
            b = view[i]
            tag = (tag << 8) | b
            i += 1
            if not b & 0x80:
                break
        else:
            raise TlvError("tag too long")
    return tag, i


def _length(view, i, end):
    if i >= end:
        raise TlvError("length missing")
    length = view[i]
    i += 1
    if length & 0x80:
        n = length & 0x7F
        if not 1 <= n <= 2:
            raise TlvError("length of length")
        if end - i < n:
            raise TlvError("length cut off")
        length = 0
        for _ in range(n):
            length = (length << 8) | view[i]
            i += 1
    return length, i


def is_constructed(tag):
    """True if a tag's value consists of data objects."""
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def find(data, *path):
    """The value at `path`, a tag inside a tag and so on, or None.

    The PDOL of an application: find(fci, 0x6F, 0xA5, 0x9F38).
    """
    for tag in path:
        for t, value in parse(data):
            if t == tag:
                data = value
                break
        else:
            return None
    return data


def collect(data, into, depth=0):
    """Put every primitive object of `data`, at any depth, into the dict `into`: {tag: memoryview}.

    The same object may stand twice; with another value it is a TlvError (EMV Book 3, 10.2): only
    one of the two would be the one that the card's certificate covers.
    """
    if depth >= _MAX_DEPTH:
        raise TlvError("nested too deep")
    for tag, value in parse(data):
        if is_constructed(tag):
            collect(value, into, depth + 1)
        elif tag not in into:
            into[tag] = value
        elif into[tag] != value:
            raise TlvError("two values of %X" % tag)
    return into


def parse_dol(data):
    """A data object list (PDOL, CDOL, DDOL): list of (tag, length)."""
    view = memoryview(data)
    end = len(view)
    out = []
    i = 0
    while i < end:
        tag, i = _tag(view, i, end)
        if i >= end:
            raise TlvError("length missing")
        out.append((tag, view[i]))
        i += 1
    return out
