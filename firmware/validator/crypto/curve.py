"""Short Weierstrass curves of prime order: points from bytes, and u1 * G + u2 * Q.

    key = SM2.key(bytes_33)        # PublicKey; KeyError_ for what is no point of the curve
    key.prepare()                  # a key that comes again: a table of 2 KB, then twice as fast
    SM2.matches(u1, u2, key, x)    # is the x of u1 * G + u2 * Q congruent to x modulo n?

Shapes: integers for scalars and coordinates; keys SEC 1, compressed (1 + size bytes, first byte
02 or 03), uncompressed (1 + 2 * size, 04) or bare (2 * size).
A curve makes its working memory (5 KB with words of 32 bits) and the table of G (2 KB) when it is
first used; `release` gives them back.
"""

from validator.crypto import field, recode, textbook
from validator.crypto.program import (
    ADD,
    C1,
    C2,
    END,
    G_TABLE,
    JACOBIAN,
    MOVE,
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
    UNIT,
    X1,
    Y1,
    Z1,
    A,
    B,
    bits,
    call,
    line,
    make_affine,
    odd_multiples,
    power,
    subroutines,
)
from validator.crypto.recode import AFFINE, STRIDE

_PARTS = 4  # a table holds the multiples of P, 2^q P, 2^2q P, 2^3q P, q a quarter of the bits
_TABLE = _PARTS * AFFINE * POINTS  # elements
_SPARE = Q_TABLE + JACOBIAN * POINTS
_KEPT = _SPARE + 16
_PROGRAM = 3200  # bytes: a new key's table and the longest chain of two scalars

_work = []  # digits and program: one for all curves


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
        self.parameters = b"".join([k.to_bytes(size, "big") for k in (self.a, b, gx, gy)])
        self.machine = machine or field.Field
        self._field = None
        self._scalars = None
        self._quarter = (bits(n) + 3) // 4

    def release(self):
        """Give the working memory back; the next use makes it again."""
        self._field = self._scalars = None
        self._code = b""

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
        if self._field is None:
            self._write_code()
            if not _work:
                _work.extend((bytearray(2 * _PARTS * STRIDE), bytearray(_PROGRAM)))
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
        return self._field

    def _write_code(self):
        """The fixed programs, one behind the other: the subroutines, with a new key's table behind
        them, then what `_check` and the other offsets name."""
        code, self._double, self._affine, self._jacobian = subroutines(self.a != 0)
        self._start = len(code)
        enter = line((MUL, X1, X1, RR), (MUL, Y1, Y1, RR), (MOVE, Z1, ONE))
        multiples = odd_multiples(Q_TABLE, self._double, self._jacobian)
        code += enter + multiples
        self._chain = len(code)

        right_side = line((SQR, T1, T0, 1), (ADD, T1, T1, A), (MUL, T2, T1, T0), (ADD, T2, T2, B))
        self._check = len(code)
        code += line((MUL, T0, T0, RR), (MUL, T3, T3, RR)) + right_side
        code += line((SQR, T3, T3, 1), (SUB, T3, T3, T2), (END,))

        self._root = len(code)
        code += line((MUL, T0, T0, RR)) + right_side
        code += power(T3, T2, (self.p + 1) // 4, Q_TABLE)
        code += line((SQR, T4, T3, 1), (SUB, T4, T4, T2), (MUL, T3, T3, UNIT), (END,))

        # Tables: the point is kept aside, its multiples made; it is doubled for the next part.
        self._table = len(code)
        code += enter + line((MOVE, _KEPT, X1), (MOVE, _KEPT + 1, Y1), (MOVE, _KEPT + 2, Z1))
        table = multiples + make_affine(Q_TABLE, _SPARE, self.p) + line((END,))
        code += table
        self._next_table = len(code)
        code += line((MOVE, X1, _KEPT), (MOVE, Y1, _KEPT + 1), (MOVE, Z1, _KEPT + 2))
        code += line(call(self._double, self._quarter))
        code += line((MOVE, _KEPT, X1), (MOVE, _KEPT + 1, Y1), (MOVE, _KEPT + 2, Z1)) + table
        self._code = code

    def table_of(self, x, y):
        """The table of a point that comes again, as the kernel's `save` gives it."""
        f = self._field or self._ready()
        f.put(X1, x)
        f.put(Y1, y)
        f.run(self._code, self._table)
        table = f.save(Q_TABLE, AFFINE * POINTS)
        for _ in range(1, _PARTS):
            f.run(self._code, self._next_table)
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
        f = self._scalars
        if f is None:
            f = self._scalars = self.machine(self.n, T4 + 9)
            self._scalars_code = (
                line((MUL, T2, T2, RR))
                + power(T2, T2, self.n - 2, T4)
                + line((MUL, T0, T0, T2), (MUL, T1, T1, T2))
                + line((END,))
            )
        f.put(T0, e)
        f.put(T1, r)
        f.put(T2, s)
        # e * (1/s in the kernel's form) is plain again, so neither needs converting.
        f.run(self._scalars_code)
        return f.peek(T0), f.peek(T1)


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
