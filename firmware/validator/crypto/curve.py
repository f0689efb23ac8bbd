"""Short Weierstrass curves of prime order: points from bytes, and u1 * G + u2 * Q.

    key = SM2.key(bytes_33)        # PublicKey; KeyError_ for what is no point of the curve
    key.prepare()                  # a key that comes again: a table of 2 KB, then twice as fast
    SM2.matches(u1, u2, key, x)    # is the x of u1 * G + u2 * Q congruent to x modulo n?

Shapes: integers for scalars and coordinates; keys SEC 1, compressed (1 + size bytes, first byte
02 or 03), uncompressed (1 + 2 * size, 04) or bare (2 * size).
A curve makes its working memory (5 KB with words of 32 bits) and the table of G (2 KB) when it is
first used; `release` gives them back. Where the image's code runs from flash, what is constant in
them is read there (faretap/kernel/constants.py), and all curves have one working memory.
"""

import struct

import validator
from validator.crypto import field, recode
from validator.crypto.program import (
    C1,
    C2,
    END,
    G_TABLE,
    JACOBIAN,
    MUL,
    ONE,
    POINTS,
    Q_TABLE,
    RR,
    SIZE,
    SQR,
    SUB,
    T0,
    T1,
    T2,
    T3,
    T4,
    X1,
    Y1,
    Z1,
    A,
    B,
    bits,
    line,
)
from validator.crypto.recode import AFFINE, STRIDE

_DIGITS = 2 * 4 * STRIDE  # at least 4 * STRIDE + LONGEST
_PARTS = 4  # a table holds the multiples of P, 2^q P, 2^2q P, 2^3q P, q a quarter of the bits
_TABLE = _PARTS * AFFINE * POINTS  # elements
_PROGRAM = 3200  # bytes: a new key's table and the longest chain of two scalars
_SCALARS = T4 + 9  # elements that a division of scalars uses
_CONSTANTS = "<13H"  # at the end of a curve's constants: where its programs and numbers begin
_SIZE = 26

_work = []  # digits and program: one for all curves
_shared = []  # working memory of all whose constants are in flash, and the curve that has it


class KeyInvalid(ValueError):
    """Bytes that are no public key of this curve. `reason` is one word or two."""

    @property
    def reason(self):
        return self.args[0]


class PublicKey:
    """A point of `curve`, checked to be on it. `x`, `y` are integers."""

    def __init__(self, curve, x, y):
        self.curve = curve
        self.x = x
        self.y = y
        self.table = None

    def prepare(self):
        """Make the table that halves the time of later verifications. Returns the key."""
        if self.table is None:
            self.table = self.curve.table_of(self.x, self.y)
        return self

    def encoded(self):
        """x and y, big-endian, together 2 * size bytes."""
        size = self.curve.size
        return self.x.to_bytes(size, "big") + self.y.to_bytes(size, "big")


class Curve:
    """y^2 = x^3 + a x + b modulo `p`, with generator (gx, gy) of prime order `n`.

    `a` is 0 or -3; p is 3 modulo 4 and less than 2^256; the cofactor is 1.
    """

    def __init__(self, name, size, p, n, a, b, gx, gy, machine=None):
        self.name = name
        self.size = size  # bytes of a coordinate
        self.p = p
        self.n = n
        self.a = a % p
        self.b = b
        self.g = (gx, gy)
        self.machine = machine or field.Field
        self._quarter = (bits(n) + 3) // 4
        self.release()

    def release(self):
        """Give back what is this curve's alone; the next use makes it again."""
        self._field = self._scalars = self._elements = None
        self._code = b""

    @property
    def parameters(self):
        """a, b and the generator, as SM2 hashes them."""
        numbers = self.a, self.b, self.g[0], self.g[1]
        return b"".join([k.to_bytes(self.size, "big") for k in numbers])

    # Keys

    def key(self, data):
        """The public key in `data` (see above for its forms). Raises KeyInvalid."""
        size = self.size
        n = len(data)
        if n == 1 + size and data[0] in (2, 3):
            return self._decompress(int.from_bytes(data[1:], "big"), data[0] & 1)
        if n == 1 + 2 * size and data[0] == 4:
            data = data[1:]
        elif n != 2 * size:
            raise KeyInvalid("key format")
        return self.point(int.from_bytes(data[:size], "big"), int.from_bytes(data[size:], "big"))

    def point(self, x, y):
        """The public key (x, y). Raises KeyInvalid for coordinates off the curve."""
        if x >= self.p or y >= self.p:
            raise KeyInvalid("coordinate range")
        f = self._ready()
        f.put(T0, x)
        f.put(T3, y)
        f.run(self._code, self._check)
        if not f.zero(T3):
            raise KeyInvalid("off the curve")
        return PublicKey(self, x, y)

    def _decompress(self, x, odd):
        if x >= self.p:
            raise KeyInvalid("coordinate range")
        f = self._ready()
        f.put(T0, x)
        f.run(self._code, self._root)
        if not f.zero(T4):
            raise KeyInvalid("off the curve")
        y = f.peek(T3)
        if y & 1 != odd:
            y = self.p - y  # never p itself: y = 0 is a point of order 2, and there is none
        return PublicKey(self, x, y)

    # The field and its tables

    def _ready(self):
        f = self._field
        if f is None:
            if not _work:
                _work.extend((bytearray(_DIGITS), bytearray(_PROGRAM)))
            f = self._take() or self._make()
        if self._elements is not None and _shared[1] is not self:
            f.load(0, self._elements)
            _shared[1] = self
        return f

    def _take(self):
        """The constants that are in flash, and the memory for all curves; None without them."""
        code = getattr(validator, "in_place", None)
        data = code and code.file("crypto/" + self.name + ".bin")
        if not data:
            return None
        if not _shared:
            _shared.extend((self.machine(self.p, SIZE), None))
        head = struct.unpack_from(_CONSTANTS, data, len(data) - _SIZE)
        self._places(head)
        self._code = self._scalars_code = data
        self._division, at, end = head[10:]
        self._elements = memoryview(data)[at:end]
        self._divisor = memoryview(data)[end : len(data) - _SIZE]
        self._field = _shared[0]
        return self._field

    def _places(self, places):
        self._double, self._affine, self._jacobian, self._start, self._chain = places[:5]
        self._check, self._root, self._enter, self._next, self._table = places[5:10]

    def _make(self):
        from validator.crypto import formulas

        self._code, places = formulas.curve(self.a != 0, self.p, self._quarter)
        self._places(places)
        f = self.machine(self.p, SIZE)
        f.put(ONE, 1)
        f.put(A, self.a)
        f.put(B, self.b)
        f.run(line((MUL, ONE, ONE, RR), (MUL, A, A, RR), (MUL, B, B, RR), (END,)))
        self._field = f
        try:
            f.load(G_TABLE, self.table_of(self.g[0], self.g[1]))
        except MemoryError:
            self._field = None  # without the table it would say no to everybody
            raise
        return f

    def table_of(self, x, y):
        """The table of a point that comes again, as the kernel's `save` gives it."""
        f = self._ready()
        f.put(X1, x)
        f.put(Y1, y)
        f.run(self._code, self._enter)
        f.run(self._code, self._table)
        table = f.save(Q_TABLE, AFFINE * POINTS)
        for _ in range(1, _PARTS):
            f.run(self._code, self._next)
            table += f.save(Q_TABLE, AFFINE * POINTS)
        return table

    # Verification

    def matches(self, u1, u2, key, x):
        """Whether u1 * G + u2 * key has an x coordinate that is `x` modulo n, 0 <= x < n.

        u1, u2 are integers from 0 to n - 1. The point at infinity matches nothing.
        """
        f = self._ready()
        digits, program = _work
        length = self._quarter + 1
        streams = self._streams(digits, 0, u1, G_TABLE)
        if key.table is not None:
            f.load(Q_TABLE, key.table)
            streams += self._streams(digits, _PARTS, u2, Q_TABLE)
            start = head = self._start
        else:
            f.put(X1, key.x)
            f.put(Y1, key.y)
            start, head = self._start, self._chain
            scalar = u2.to_bytes(34, "little")
            used = recode.digits(scalar, 0, 4 * self._quarter, digits, _PARTS * STRIDE)
            length = max(length, used)
            streams += recode.stream(Q_TABLE, JACOBIAN, self._jacobian)
        program[:head] = self._code[:head]
        count = len(streams) // recode.STREAM
        end = recode.chain(program, head, streams, count, digits, length, self._double)
        if end == head:
            return False  # 0 * G + 0 * Q
        other = x + self.n
        f.put(C1, x)
        f.put(C2, other if other < self.p else x)
        program[end : end + len(_COMPARE)] = _COMPARE
        if f.run(program, start):
            from validator.crypto import textbook

            q = (key.x, key.y)
            point = textbook.sum_of_two(u1, self.g, u2, q, self.a, self.p)
            return point is not None and point[0] % self.n == x
        return f.zero(C1) or f.zero(C2)

    def _streams(self, digits, at, u, table):
        """Digits of the four quarters of `u`, and their stream descriptions."""
        scalar = u.to_bytes(34, "little")
        quarter = self._quarter
        streams = b""
        for part in range(_PARTS):
            recode.digits(scalar, part * quarter, quarter, digits, (at + part) * STRIDE)
            first = table + part * AFFINE * POINTS
            streams += recode.stream(first, AFFINE, self._affine)
        return streams

    def quotients(self, e, r, s):
        """(e / s, r / s) modulo n, for 0 <= e, r < n and 0 < s < n."""
        f = self._ready()
        elements = self._elements
        if elements is not None:
            f.load(0, self._divisor)
        else:
            f = self._scalars
            if f is None:
                from validator.crypto import formulas

                self._scalars_code = formulas.division(self.n)
                self._division = 0
                f = self._scalars = self.machine(self.n, _SCALARS)
        f.put(T0, e)
        f.put(T1, r)
        f.put(T2, s)
        # e * (1/s in the kernel's form) is plain again, so neither needs converting.
        f.run(self._scalars_code, self._division)
        quotients = f.peek(T0), f.peek(T1)
        if elements is not None:
            f.load(0, elements[: len(elements) // Q_TABLE * _SCALARS])
        return quotients


# C1 and C2 hold the two integers that x may be; each becomes 0 if X = x Z^2.
_COMPARE = line(
    (SQR, T2, Z1, 1),
    (MUL, C1, C1, RR),
    (MUL, C1, C1, T2),
    (SUB, C1, C1, X1),
    (MUL, C2, C2, RR),
    (MUL, C2, C2, T2),
    (SUB, C2, C2, X1),
    (END,),
)
