"""The field machine with Python integers: the textbook form. Right everywhere, fast nowhere.

It runs the programs of program.py as every kernel does, with plain residues for the kernel's form,
and is what the others are measured and tested against.
"""

from validator.crypto.program import (
    ADD,
    CALL,
    END,
    HALF,
    MOVE,
    MUL,
    RET,
    RR,
    SQR,
    SUB,
    TEST,
    UNIT,
    ZERO,
)

NAME = "py"


class Field:
    """A memory of `size` elements modulo the odd prime `p`, and what runs programs over it."""

    def __init__(self, p, size):
        self.p = p
        self._memory = [0] * size
        self._memory[ZERO] = 0
        self._memory[RR] = self._memory[UNIT] = 1

    def put(self, k, x):
        """Element k = the integer x, 0 <= x < p, not yet in the kernel's form."""
        self._memory[k] = x

    def peek(self, k):
        """Element k as it stands: what `MUL k, k, UNIT` left is a plain integer."""
        return self._memory[k]

    def zero(self, k):
        return self._memory[k] == 0

    def save(self, first, count):
        """A copy of `count` elements, for `load`."""
        return tuple(self._memory[first : first + count])

    def load(self, first, saved):
        self._memory[first : first + len(saved)] = saved

    def run(self, code, start=0):
        """Run the program at byte offset `start`. 0, or 1 if a TEST ended it."""
        p = self.p
        m = self._memory
        pc = start
        back = again = target = 0
        while True:
            op, d, a, b = code[pc], code[pc + 1], code[pc + 2], code[pc + 3]
            pc += 4
            if op == MUL:
                m[d] = m[a] * m[b] % p
            elif op == SQR:
                x = m[a]
                for _ in range(b):
                    x = x * x % p
                m[d] = x
            elif op == ADD:
                m[d] = (m[a] + m[b]) % p
            elif op == SUB:
                m[d] = (m[a] - m[b]) % p
            elif op == HALF:
                x = m[a]
                m[d] = (x + p if x & 1 else x) >> 1
            elif op == MOVE:
                m[d] = m[a]
            elif op == TEST:
                if m[a] == 0:
                    return 1
            elif op == CALL:
                back, again, target = pc, d, a | b << 8
                pc = target
            elif op == RET:
                again -= 1
                pc = target if again else back
            else:
                assert op == END
                return 0
