"""Names and texts stay in flash: MicroPython is given a table of them before modules are imported.

Every name that a module brings would be copied to the heap, and be listed in a table that doubles
each time it is full. The image builder lists all names of the application in sorted order; this
module makes a table (py/qstr.h: qstr_pool_t) of their addresses in flash and appends it to
MicroPython's own, which finds the names there and copies nothing.

A name that MicroPython knows already must not get a second number: its place in the table is given
the text before it, with which it cannot be confused, and the order stays.
"""

import struct
import sys

_HEADER = 6  # words: previous table, names before | sorted, room, names, hashes, lengths
_SEARCHED = 64  # words before sys.modules among which MicroPython's pointer to the table is
_LATER = 24  # half of the room in the table that MicroPython makes for the next name


def install(words, word, area, base, names, pointer):
    """Returns how many names are in flash now; 0 if this MicroPython is not as expected.

    `words`, `word`, `area`, `base` as `inplace.Code` has them; `pointer` as `last_table` returns
    it. `names` is (count, and where in the area these are: places, hashes, lengths, an empty
    text).
    """
    count, places, hashes, lengths, empty = names
    if not count:
        return 0
    import uctypes

    room = bytearray(word * (_HEADER + count))
    table = uctypes.addressof(room)
    view = memoryview(area)
    known = base + empty
    new = probe = text_size = 0
    for i in range(count):
        size = area[lengths + i]
        at = struct.unpack_from("<I", area, places + 4 * i)[0]
        if not _interned(str(view[at : at + size], "utf8")):
            known = base + at
            new += 1
            probe = at
            text_size = size
        words[table + word * (_HEADER + i)] = known
    if not new:
        return 0
    old = words[pointer]
    sorted_bit = 1 << (8 * word - 1)
    words[table] = old
    words[table + 2 * word] = _LATER
    words[table + 3 * word] = count
    words[table + 4 * word] = base + hashes
    words[table + 5 * word] = base + lengths
    # Between here and the end no new name may come up.
    words[table + word] = (words[old + word] & sorted_bit - 1) + words[old + 3 * word] | sorted_bit
    words[pointer] = table
    found = str(view[probe : probe + text_size], "utf8")
    if not _interned(found) or uctypes.addressof(found) != base + probe:
        words[pointer] = old
        return 0
    return new


def _interned(text):
    # Such an object is no address but a number, marked by its low bits (py/obj.h, REPR_A).
    return id(text) & 7 == 2


def last_table(words, word, start, end):
    """Where MicroPython's pointer to its newest table of names is; 0 if that is not certain.

    It is a little before sys.modules (py/mpstate.h). A table proves itself by its two inner
    addresses.
    """
    found = 0
    near = id(sys.modules)
    for at in range(near - _SEARCHED * word, near, word):
        table = words[at]
        if table % (4 * word) or not start <= table < end - _HEADER * word:
            continue
        room = words[table + 2 * word]
        hashes = table + (_HEADER + room) * word
        if (
            room <= 65536
            and 0 < words[table + 3 * word] <= room
            and words[table + 4 * word] == hashes
            and words[table + 5 * word] == hashes + 2 * room
        ):
            if found:
                return 0
            found = at
    return found
