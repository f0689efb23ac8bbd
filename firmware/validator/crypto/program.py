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

What a curve runs is in formulas.py.
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
SPARE = Q_TABLE + JACOBIAN * POINTS
KEPT = SPARE + 16


def line(*steps):
    """Bytes of `(operation, d, a, b)` or shorter tuples, each padded to four."""
    out = bytearray()
    for step in steps:
        out.extend(bytes(step))
        out.extend(bytes(4 - len(step)))
    return bytes(out)


def bits(n):
    """How many bits the integer n > 0 has; MicroPython's integers do not say it themselves."""
    return len(bin(n)) - 2
