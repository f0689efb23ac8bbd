"""The programs of a curve: point formulas, powers and tables, written for program.py's machine.

    code, places = curve(a != 0, p, quarter)     # `places` as curve.py's `_places` takes it
    code = division(n)

An image for a chip whose flash is mapped has them ready (faretap/kernel/constants.py).

Point formulas are Jacobian, x = X/Z^2 and y = Y/Z^3, after the Explicit-Formulas Database
(dbl-2001-b, dbl-2009-l, madd, add), with Y doubled first so that fewer additions remain. An
addition of a point to itself or to its negative ends the program at its TEST; a doubling never
gives infinity, because the order of the curve is an odd prime.
"""

from validator.crypto.program import (
    ADD,
    CALL,
    END,
    HALF,
    JACOBIAN,
    KEPT,
    MOVE,
    MUL,
    ONE,
    POINTS,
    Q_TABLE,
    RET,
    RR,
    SPARE,
    SQR,
    SUB,
    T0,
    T1,
    T2,
    T3,
    T4,
    T5,
    TEST,
    UNIT,
    X1,
    X2,
    Y1,
    Y2,
    Z1,
    Z2,
    ZZ2,
    ZZZ2,
    A,
    B,
    bits,
    line,
)

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


def curve(minus_3, p, quarter):
    """`(code, places)`: a curve's fixed programs, one behind the other, and where they begin. The
    subroutines come first, with a new key's table behind them. `quarter` is a quarter of the
    scalars' bits."""
    code, double, affine, jacobian = subroutines(minus_3)
    start = len(code)
    enter = line((MUL, X1, X1, RR), (MUL, Y1, Y1, RR), (MOVE, Z1, ONE))
    multiples = odd_multiples(Q_TABLE, double, jacobian)
    code += enter + multiples
    chain = len(code)

    right_side = line((SQR, T1, T0, 1), (ADD, T1, T1, A), (MUL, T2, T1, T0), (ADD, T2, T2, B))
    check = len(code)
    code += line((MUL, T0, T0, RR), (MUL, T3, T3, RR)) + right_side
    code += line((SQR, T3, T3, 1), (SUB, T3, T3, T2), (END,))

    root = len(code)
    code += line((MUL, T0, T0, RR)) + right_side
    code += power(T3, T2, (p + 1) // 4, Q_TABLE)
    code += line((SQR, T4, T3, 1), (SUB, T4, T4, T2), (MUL, T3, T3, UNIT), (END,))

    # Tables: the point is kept aside, its multiples made; it is doubled for the next part.
    keep = line((MOVE, KEPT, X1), (MOVE, KEPT + 1, Y1), (MOVE, KEPT + 2, Z1))
    first = len(code)
    code += enter + keep + line((END,))
    following = len(code)
    code += line((MOVE, X1, KEPT), (MOVE, Y1, KEPT + 1), (MOVE, Z1, KEPT + 2))
    code += line(call(double, quarter)) + keep
    table = len(code)
    code += multiples + make_affine(Q_TABLE, SPARE, p) + line((END,))
    places = double, affine, jacobian, start, chain, check, root, first, following, table
    return code, places


def division(n):
    """The program of `Curve.quotients`."""
    code = line((MUL, T2, T2, RR)) + power(T2, T2, n - 2, T4)
    return code + line((MUL, T0, T0, T2), (MUL, T1, T1, T2), (END,))
