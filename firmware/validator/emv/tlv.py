"""BER-TLV as EMV uses it (EMV Book 3, annex B), from cards that may send anything.

Values are memoryviews into what was parsed: nothing is copied. Every malformed input ends in
TlvError; nesting and lengths are bounded.
"""

_MAX_DEPTH = 8
_MAX_OBJECTS = 256  # in one template; a command's answer has 256 bytes


class TlvError(ValueError):
    """Data that is no well-formed BER-TLV."""


# Tag and length that were read last. To return them as pairs would cost a tap 2 KB of garbage.
_seen = [0, 0]


def parse(data):
    """The data objects of `data`, one level: list of (tag, value).

    `tag` is an int of up to three bytes, such as 0x9F38; `value` a memoryview. A constructed value
    (see `is_constructed`) is parsed by another call. Zero bytes between objects are skipped.
    """
    view = memoryview(data)
    out = []
    i = _object(view, 0, 0)
    while i >= 0:
        end = i + _seen[1]
        out.append((_seen[0], view[i:end]))
        i = _object(view, end, len(out))
    return out


def only(data, *tags):
    """(tag, value) of the one object that `data` is to be, with one of these tags; else None."""
    view = memoryview(data)
    i = _object(view, 0, 0)
    if i < 0:
        return None
    tag = _seen[0]
    end = i + _seen[1]
    if _object(view, end, 1) >= 0 or tag not in tags:
        return None
    return tag, view[i:end]


def _object(view, i, before):
    """Read the head of the object at `i`, or behind zeros there: where its value begins, or -1 if
    there is none. Its tag and length stand in `_seen`; `before` is how many came before it."""
    end = len(view)
    while i < end and not view[i]:
        i += 1
    if i >= end:
        return -1
    i = _length(view, _tag(view, i, end), end)
    if _seen[1] > end - i:
        raise TlvError("value longer than its template")
    if before == _MAX_OBJECTS:
        raise TlvError("too many objects")
    return i


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
    _seen[0] = tag
    return i


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
    _seen[1] = length
    return i


def is_constructed(tag):
    """True if a tag's value consists of data objects."""
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def find(data, *path):
    """The value at `path`, a tag inside a tag and so on, or None.

    The PDOL of an application: find(fci, 0x6F, 0xA5, 0x9F38).
    """
    view = memoryview(data)
    for tag in path:
        at = -1
        length = count = 0
        i = _object(view, 0, 0)
        while i >= 0:  # to the end: a template that is malformed behind it is malformed
            if at < 0 and _seen[0] == tag:
                at = i
                length = _seen[1]
            count += 1
            i = _object(view, i + _seen[1], count)
        if at < 0:
            return None
        view = view[at : at + length]
    return view


def collect(data, into, depth=0):
    """Put every primitive object of `data`, at any depth, into the dict `into`: {tag: memoryview}.

    The same object may stand twice; with another value it is a TlvError (EMV Book 3, 10.2): only
    one of the two would be the one that the card's certificate covers.
    """
    if depth >= _MAX_DEPTH:
        raise TlvError("nested too deep")
    view = memoryview(data)
    count = 0
    i = _object(view, 0, 0)
    while i >= 0:
        tag = _seen[0]
        end = i + _seen[1]
        value = view[i:end]
        if is_constructed(tag):
            collect(value, into, depth + 1)
        elif tag not in into:
            into[tag] = value
        elif into[tag] != value:
            raise TlvError("two values of %X" % tag)
        count += 1
        i = _object(view, end, count)
    return into


def parse_dol(data):
    """A data object list (PDOL, CDOL, DDOL): list of (tag, length)."""
    view = memoryview(data)
    end = len(view)
    out = []
    i = 0
    while i < end:
        i = _tag(view, i, end)
        if i >= end:
            raise TlvError("length missing")
        out.append((_seen[0], view[i]))
        i += 1
    return out
