"""The field machine in viper, for chips that we have no assembler for: program.py, run.

Elements are twenty limbs of 13 bits, lowest first, each in 16 bits, and less than 2p; Montgomery
form with R = 2^260. Twenty products of 26 bits fit a machine word of 32 bits with its sign, so a
column is summed without carries. Only SM2's and P-256's moduli: their p is -1 modulo 2^64, so that
Montgomery's factor is the limb itself, and few bits, so that multiples of p are shifts.

Everything is unrolled, because viper computes an index in more instructions than a product takes,
and it is one function, because a call costs more than a multiplication. Its first locals, two or
three by the chip, are the ones that viper keeps in registers, so they change their meaning on the
way. An expression `a[i] * b[j] + acc`, in this order, is what it needs the fewest moves for.
"""

from __future__ import annotations

from validator.crypto import program

LIMBS, BITS = 20, 13
ELEMENT = 2 * LIMBS
# The header before element 0: 40 column sums of 32 bits, then the limbs of Montgomery's factor,
# then the number of the modulus.
FACTOR, KIND, HEADER = 160, 200, 208
# p = -1 + the sum of sign * 2^bit
MODULI = (
    ((64, 1), (96, -1), (224, -1), (256, 1)),
    ((96, 1), (192, 1), (224, -1), (256, 1)),
)

_HEAD = """
import micropython

NAME = "viper"


@micropython.viper
def run(acc: int, a: ptr16, b: ptr16, code: ptr8) -> int:
    header = int(a)
    base = header + {HEADER}
    t = ptr32(header)
    q = ptr16(header + {FACTOR})
    kind = int(a[{KIND} // 2])
    pc = acc
    back = 0
    again = 0
    target = 0
    while True:
        op = int(code[pc])
        d = ptr16(base + int(code[pc + 1]) * {ELEMENT})
        a = ptr16(base + int(code[pc + 2]) * {ELEMENT})
        b = ptr16(base + int(code[pc + 3]) * {ELEMENT})
        n = int(code[pc + 3])
        pc += 4
"""


def source() -> str:
    """The module `field_kernel` for any chip that runs viper code."""
    lines = _HEAD.replace("{HEADER}", str(HEADER)).replace("{FACTOR}", str(FACTOR))
    lines = lines.replace("{KIND}", str(KIND)).replace("{ELEMENT}", str(ELEMENT))
    out = lines.strip("\n").split("\n")
    out += _indent(
        2, [f"if op <= {program.SQR}:", f"    if op == {program.END}:", "        return 0"]
    )
    out += _indent(3, [f"if op == {program.MUL}:", "    n = 1"])
    out += _indent(3, ["while n:", "    n -= 1"])
    out += _indent(4, [f"if op == {program.MUL}:"])
    out += _indent(5, _product())
    out += _indent(4, ["else:"])
    out += _indent(5, _square())
    for number, terms in enumerate(MODULI):
        out += _indent(4, [f"if kind == {number}:"])
        out += _indent(5, _reduction(terms))
    out += _indent(4, ["a = d"])
    for number, body in (
        (program.ADD, _add()),
        (program.SUB, _subtract()),
        (program.HALF, _halve()),
        (program.MOVE, [f"d[{i}] = a[{i}]" for i in range(LIMBS)]),
        (program.TEST, _test()),
        (program.CALL, _call()),
        (program.RET, _return()),
    ):
        out += _indent(2, [f"elif op == {number}:"])
        out += _indent(3, body)
    return "\n".join(out) + "\n"


def _indent(depth: int, lines: list[str]) -> list[str]:
    return ["    " * depth + line for line in lines]


def _product() -> list[str]:
    out = []
    for column in range(2 * LIMBS - 1):
        pairs = [(i, column - i) for i in range(LIMBS) if 0 <= column - i < LIMBS]
        for n, (i, j) in enumerate(pairs):
            out.append(f"acc = a[{i}] * b[{j}]" + (" + acc" if n else ""))
        out.append(f"t[{column}] = acc")
    return out


def _square() -> list[str]:
    out = []
    for column in range(2 * LIMBS - 1):
        cross = [(i, column - i) for i in range(LIMBS) if i < column - i < LIMBS]
        for n, (i, j) in enumerate(cross):
            out.append(f"acc = a[{i}] * a[{j}]" + (" + acc" if n else ""))
        if cross:
            out.append("acc = acc + acc")
        if column % 2 == 0:
            i = column // 2
            out.append(f"acc = a[{i}] * a[{i}]" + (" + acc" if cross else ""))
        out.append(f"t[{column}] = acc")
    return out


def _reduction(terms: tuple[tuple[int, int], ...]) -> list[str]:
    """d = the columns divided by 2^260, modulo p, less than 2p if the operands were."""
    out = ["acc = 0", "a = q"]
    mask = (1 << BITS) - 1
    for column in range(2 * LIMBS):
        if column < 2 * LIMBS - 1:
            out.append(f"acc = t[{column}] + acc")
        for bit, sign in terms:
            limb = column - bit // BITS
            if 0 <= limb < LIMBS:
                out.append(f"acc = a[{limb}] * {sign << bit % BITS} + acc")
        into = f"a[{column}]" if column < LIMBS else f"d[{column - LIMBS}]"
        out.append(f"{into} = acc & {mask}")
        out.append(f"acc = acc >> {BITS}")
    return out


def _carried(terms: str, into: str) -> list[str]:
    """Limb by limb with a carry; `terms` with {i} for the limb."""
    out = ["acc = 0"]
    for i in range(LIMBS):
        out.append("acc = " + terms.format(i=i) + " + acc")
        out.append(f"{into}[{i}] = acc & {(1 << BITS) - 1}")
        out.append(f"acc = acc >> {BITS}")
    return out


def _add() -> list[str]:
    # The sum is less than 4p; less 2p if that leaves anything. Element 0 is 2p.
    out = _carried("a[{i}] + b[{i}]", "q")
    out += ["b = ptr16(base)"] + _carried("q[{i}] - b[{i}]", "d")
    out += ["if acc < 0:"] + _indent(1, [f"d[{i}] = q[{i}]" for i in range(LIMBS)])
    return out


def _subtract() -> list[str]:
    out = _carried("a[{i}] - b[{i}]", "d")
    out += ["if acc < 0:"]
    return out + _indent(1, ["b = ptr16(base)", *_carried("d[{i}] + b[{i}]", "d")])


def _halve() -> list[str]:
    # Element 1 is p.
    out = ["if a[0] & 1:", f"    b = ptr16(base + {ELEMENT})"]
    out += _indent(1, _carried("a[{i}] + b[{i}]", "d"))
    out += ["    a = d"]
    for i in range(LIMBS - 1):
        out.append(f"acc = (a[{i + 1}] & 1) << {BITS - 1}")
        out.append(f"d[{i}] = (a[{i}] >> 1) | acc")
    return [*out, f"d[{LIMBS - 1}] = a[{LIMBS - 1}] >> 1"]


def _test() -> list[str]:
    # 0 and p are both zero.
    out = ["acc = 0", f"b = ptr16(base + {ELEMENT})", "n = 0"]
    for i in range(LIMBS):
        out.append(f"acc = acc | a[{i}]")
        out.append(f"n = n | (a[{i}] ^ b[{i}])")
    return [*out, "if acc == 0 or n == 0:", "    return 1"]


def _call() -> list[str]:
    return [
        "back = pc",
        "again = int(code[pc - 3])",
        "target = int(code[pc - 2]) | (n << 8)",
        "pc = target",
    ]


def _return() -> list[str]:
    return ["again -= 1", "if again:", "    pc = target", "else:", "    pc = back"]
