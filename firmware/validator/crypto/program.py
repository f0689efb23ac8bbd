"""Programs of the field machine: straight lines of field operations, four bytes each.

Every kernel (field_py, field_viper, field_words with assembler) runs the same programs over a
memory of numbered field elements, so that a whole signature costs one call from Python:

    operation, destination, a, b

    END  0                 finished
    MUL  1  d = a * b      in the kernel's own form: Montgomery's where there is one
    SQR  2  d = a ** 2**b  b squarings, b >= 1
    ADD  3  d = a + b
    SUB  4  d = a - b
    HALF 5  d = a / 2
    MOVE 6  d = a
    TEST 7                 stop, with a result that is not 0, if element a is zero
    CALL 8                 run the subroutine at byte offset a + 256 * b, d times
    RET  9                 back to behind the CALL; calls do not nest

Numbers go in by `field.put(k, x)` and `MUL k, k, RR`, and come out by `MUL k, k, UNIT` and
`field.peek(k)`.

Point formulas are Jacobian, x = X/Z^2 and y = Y/Z^3, after the Explicit-Formulas Database
(dbl-2001-b, dbl-2009-l, madd, add), with Y doubled first so that fewer additions remain. An
addition of a point to itself or to its negative ends the program at its TEST; a doubling never
gives infinity, because the order of the curve is an odd prime.
"""

END, MUL, SQR, ADD, SUB, HALF, MOVE, TEST, CALL, RET = range(10)

# Elements 0 to 3 belong to the kernel.
ZERO = 4
RR = 5
UNIT = 6
ONE = 7  # 1 in the kernel's form
X1, Y1, Z1 = 8, 9, 10  # the running point
X2, Y2, Z2, ZZ2, ZZZ2 = 11, 12, 13, 14, 15  # the point that is added to it
T0, T1, T2, T3, T4, T5 = 16, 17, 18, 19, 20, 21
A, B = 22, 23  # of the curve's equation
G_TABLE = 24
Q_TABLE = 88
C1, C2 = 152, 153  # what x may be
SIZE = 154

WINDOW = 5
POINTS = 8  # odd multiples 1, 3 … 15 in a table
JACOBIAN = 5  # elements of a point in the table of a new key: X, Y, Z, Z^2, Z^3


def line(*steps):
    """Bytes of `(operation, d, a, b)` or shorter tuples, each padded to four."""
    out = bytearray()
    for step in steps:
        out.extend(bytes(step))
        out.extend(bytes(4 - len(step)))
    return bytes(out)


DOUBLE_HEAD_MINUS_3 = line(  # T0 = 3 X^2 + a Z^4 = 3 (X - Z^2) (X + Z^2)
    (SQR, T0, Z1, 1),
    (SUB, T1, X1, T0),
    (ADD, T0, X1, T0),
    (MUL, T1, T1, T0),
    (ADD, T0, T1, T1),
    (ADD, T0, T0, T1),
)
DOUBLE_HEAD_0 = line(
    (SQR, T1, X1, 1),
    (ADD, T0, T1, T1),
    (ADD, T0, T0, T1),
)
DOUBLE_TAIL = line(
    (ADD, Y1, Y1, Y1),
    (MUL, Z1, Y1, Z1),
    (SQR, T2, Y1, 1),  # 4 Y^2
    (MUL, T3, X1, T2),  # 4 X Y^2
    (SQR, X1, T0, 1),
    (SUB, X1, X1, T3),
    (SUB, X1, X1, T3),
    (SQR, T2, T2, 1),
    (HALF, T2, T2),  # 8 Y^4
    (SUB, T3, T3, X1),
    (MUL, T3, T0, T3),
    (SUB, Y1, T3, T2),
    (RET,),
)
ADD_TAIL = line(  # T0 = U2, T1 = S2, T4 = U1, T5 = S1
    (SUB, T0, T0, T4),  # H
    (TEST, 0, T0),
    (SUB, T1, T1, T5),  # R
    (MUL, Z1, Z1, T0),
    (SQR, T2, T0, 1),
    (MUL, T0, T0, T2),  # H^3
    (MUL, T2, T4, T2),  # V
    (SQR, X1, T1, 1),
    (SUB, X1, X1, T0),
    (SUB, X1, X1, T2),
    (SUB, X1, X1, T2),
    (SUB, T2, T2, X1),
    (MUL, T2, T1, T2),
    (MUL, T0, T5, T0),
    (SUB, Y1, T2, T0),
    (RET,),
)
ADD_AFFINE = (
    line(
        (SQR, T2, Z1, 1),
        (MUL, T0, X2, T2),
        (MUL, T1, Y2, Z1),
        (MUL, T1, T1, T2),
        (MOVE, T4, X1),
        (MOVE, T5, Y1),
    )
    + ADD_TAIL
)
ADD_JACOBIAN = (
    line(
        (SQR, T2, Z1, 1),
        (MUL, T0, X2, T2),
        (MUL, T1, Y2, Z1),
        (MUL, T1, T1, T2),
        (MUL, T4, X1, ZZ2),
        (MUL, T5, Y1, ZZZ2),
        (MUL, Z1, Z1, Z2),
    )
    + ADD_TAIL
)


def subroutines(minus_3):
    """`(code, double, add_affine, add_jacobian)`: the code and where each of the three begins."""
    double = (DOUBLE_HEAD_MINUS_3 if minus_3 else DOUBLE_HEAD_0) + DOUBLE_TAIL
    affine = len(double)
    jacobian = affine + len(ADD_AFFINE)
    return double + ADD_AFFINE + ADD_JACOBIAN, 0, affine, jacobian


def call(offset, times=1):
    return (CALL, times, offset & 255, offset >> 8)


def bits(n):
    """How many bits the integer n > 0 has; MicroPython's integers do not say it themselves."""
    return len(bin(n)) - 2


def power(target, base, exponent, table):
    """Code, without END, for `target = base ** exponent`, exponent > 0.

    Sliding window of four bits over the odd powers base^1 … base^15, which it puts into elements
    `table` to `table + 7`. `target` may be `base`.
    """
    steps = [(MOVE, table, base, 0), (SQR, target, base, 1)]
    for k in range(1, 8):
        steps.append((MUL, table + k, table + k - 1, target))
    i = bits(exponent) - 1
    started = False
    squarings = 0
    while i >= 0:
        if not exponent >> i & 1:
            squarings += 1
            i -= 1
            continue
        low = max(i - 3, 0)
        while not exponent >> low & 1:
            low += 1
        odd = exponent >> low & ((1 << (i - low + 1)) - 1)
        squarings += i - low + 1
        if started:
            steps.append((SQR, target, target, squarings))
            steps.append((MUL, target, target, table + odd // 2))
        else:
            steps.append((MOVE, target, table + odd // 2, 0))
            started = True
        squarings = 0
        i = low - 1
    if squarings:
        steps.append((SQR, target, target, squarings))
    return line(*steps)


def odd_multiples(table, double, add_jacobian):
    """Code for the Jacobian table of the running point: P, 3P … 15P with Z^2 and Z^3."""
    steps = [(MOVE, table, X1, 0), (MOVE, table + 1, Y1, 0), (MOVE, table + 2, Z1, 0)]
    steps += [(SQR, table + 3, Z1, 1), (MUL, table + 4, table + 3, Z1)]
    steps += [call(double), (MOVE, X2, X1, 0), (MOVE, Y2, Y1, 0), (MOVE, Z2, Z1, 0)]
    steps += [(SQR, ZZ2, Z1, 1), (MUL, ZZZ2, ZZ2, Z1)]
    steps += [(MOVE, X1, table, 0), (MOVE, Y1, table + 1, 0), (MOVE, Z1, table + 2, 0)]
    for k in range(1, POINTS):
        at = table + JACOBIAN * k
        steps += [
            call(add_jacobian),
            (MOVE, at, X1, 0),
            (MOVE, at + 1, Y1, 0),
            (MOVE, at + 2, Z1, 0),
        ]
        steps += [(SQR, at + 3, Z1, 1), (MUL, at + 4, at + 3, Z1)]
    return line(*steps)


def make_affine(table, spare, p):
    """Code that turns the Jacobian table into 2 * POINTS elements x, y at its beginning.

    One inversion for all (Montgomery's trick). Uses elements `spare` to `spare + 15`.
    """
    product = spare + 8  # product + k = Z_0 * … * Z_k
    steps = [(MOVE, product, table + 2, 0)]
    for k in range(1, POINTS):
        steps.append((MUL, product + k, product + k - 1, table + JACOBIAN * k + 2))
    code = line(*steps) + power(T0, product + POINTS - 1, p - 2, spare)
    steps.clear()
    for k in range(POINTS - 1, -1, -1):
        z = table + JACOBIAN * k + 2
        if k:
            steps += [(MUL, T1, T0, product + k - 1), (MUL, T0, T0, z)]
        else:
            steps += [(MOVE, T1, T0, 0)]
        steps += [(SQR, T2, T1, 1), (MUL, z - 2, z - 2, T2)]
        steps += [(MUL, T2, T2, T1), (MUL, z - 1, z - 1, T2)]
    for k in range(1, POINTS):
        steps += [(MOVE, table + 2 * k, table + JACOBIAN * k, 0)]
        steps += [(MOVE, table + 2 * k + 1, table + JACOBIAN * k + 1, 0)]
    return code + line(*steps)
