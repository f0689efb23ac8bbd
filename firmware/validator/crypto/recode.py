"""Scalars to programs: signed windows, and the chain of doublings and additions they call for.

Viper where there is one; the same functions are ordinary Python elsewhere.
"""

# mypy: ignore-errors
# Viper gives names and types a meaning that no checker knows.

try:
    import micropython
except ImportError:
    from validator.crypto import stand_in as micropython
    from validator.crypto.stand_in import ptr8

from validator.crypto.program import JACOBIAN

AFFINE = 2
STRIDE = 72  # digits of one stream: a quarter of a scalar
LONGEST = 260  # digits of the last of five streams: a whole scalar
STREAM = 4  # bytes that describe one stream: its table's first element, elements a point, call


@micropython.viper
def digits(scalar, first: int, bits: int, out, at: int) -> int:
    """Width-5 NAF of the `bits` bits of little-endian `scalar` from bit `first` on.

    Digits -15 … 15, odd or 0, as bytes modulo 256 from `out[at]` on, up to four more than `bits`
    (least significant first), where all are 0 before. `scalar` needs two bytes behind its last.
    Returns how many digits matter: one more than the position of the highest that is not 0.
    """
    s = ptr8(scalar)
    d = ptr8(out)
    i = 0
    carry = 0
    used = 0
    while i < bits or carry:
        k = first + i
        left = bits - i
        word = 0
        if left > 0:
            word = ((s[k >> 3] | (s[(k >> 3) + 1] << 8)) >> (k & 7)) & 31
            if left < 5:
                word = word & ((1 << left) - 1)
        if (word & 1) == carry:
            i += 1
            continue
        word += carry
        carry = word >> 4
        d[at + i] = (word - (carry << 5)) & 255
        i += 1
        used = i
        i += 4
    return used


@micropython.viper
def chain(out, at: int, streams, count: int, naf, length: int, double: int) -> int:
    """Write the program of a multi-scalar multiplication into `out` from byte `at` on.

    `streams` holds STREAM bytes for each of `count` streams of digits, `naf` their digits, which
    are 0 afterwards, STRIDE for each; the last of five may be longer. `length` is how many
    positions there are, `double` the offset of the doubling subroutine. Returns the offset behind
    what was written, or `at` if every digit is 0. No END is written.
    """
    o = ptr8(out)
    s = ptr8(streams)
    d = ptr8(naf)
    pc = at
    started = 0
    doublings = 0
    i = length - 1
    while i >= 0:
        if started:
            doublings += 1
        j = 0
        if i >= 72:
            j = 4
        while j < count:
            digit = int(d[j * 72 + i])
            if digit:
                d[j * 72 + i] = 0
                minus = 0
                if digit > 127:
                    minus = 1
                    digit = 256 - digit
                size = int(s[j * 4 + 1])
                element = s[j * 4] + (digit >> 1) * size
                while doublings:
                    times = doublings
                    if times > 255:
                        times = 255
                    o[pc] = 8
                    o[pc + 1] = times
                    o[pc + 2] = double & 255
                    o[pc + 3] = double >> 8
                    pc += 4
                    doublings -= times
                target = 11
                parts = size
                if not started:  # the running point becomes this one
                    target = 8
                    if size == 5:
                        parts = 3
                k = 0
                while k < parts:
                    o[pc] = 6
                    o[pc + 1] = target + k
                    o[pc + 2] = element + k
                    o[pc + 3] = 0
                    if minus and k == 1:
                        o[pc] = 4
                        o[pc + 2] = 4
                        o[pc + 3] = element + 1
                    pc += 4
                    k += 1
                if started:
                    o[pc] = 8
                    o[pc + 1] = 1
                    o[pc + 2] = s[j * 4 + 2]
                    o[pc + 3] = s[j * 4 + 3]
                    pc += 4
                elif size == 2:
                    o[pc] = 6
                    o[pc + 1] = 10
                    o[pc + 2] = 7
                    o[pc + 3] = 0
                    pc += 4
                started = 1
            j += 1
        i -= 1
    if not started:
        return at
    while doublings:
        times = doublings
        if times > 255:
            times = 255
        o[pc] = 8
        o[pc + 1] = times
        o[pc + 2] = double & 255
        o[pc + 3] = double >> 8
        pc += 4
        doublings -= times
    return pc


def stream(table, size, add):
    """The STREAM bytes of one stream. `size` is AFFINE or JACOBIAN."""
    assert size in (AFFINE, JACOBIAN)
    return bytes((table, size, add & 255, add >> 8))
