"""Multiplication and squaring modulo p for machine.py: products by columns, then Montgomery.

A column is summed in three words. SM2 and P-256 are reduced by additions alone, because their p is
-1 modulo 2^64 or more, so that Montgomery's factor of a word is the word itself.

The code here is entered at the labels `multiply`, `square.first` and `square` and leaves to
`finish`, with the result in registers 0 to 7, its ninth word in register 8, and the memory pointer
in register 9.
"""

from __future__ import annotations

from collections.abc import Sequence

from faretap.kernel.assembler import Assembler

PRODUCT = 32
PRIVATE = 96  # words of element 3:
FACTOR, KIND, PC, CODE, BACK, AGAIN, TARGET = (PRIVATE + 4 * i for i in range(7))

# p = -1 + the sum of sign * 2^(32 * word)
SPECIAL = {
    "sm2": ((2, 1), (3, -1), (7, -1), (8, 1)),
    "p256": ((3, 1), (6, 1), (7, -1), (8, 1)),
}  # in the order of field_words._KINDS


def write(a: Assembler) -> None:
    _multiply(a)
    _square(a)
    _reduce_generic(a)
    for kind, terms in SPECIAL.items():
        _reduce_special(a, kind, terms)


def _multiply(a: Assembler) -> None:
    x = a.registers[:8]
    pointer = a.registers[10]
    sums = [a.registers[8], a.registers[11], a.registers[12]]
    low, high = a.registers[13], a.registers[14]
    # The pointer to a is register 9; the memory pointer takes its place.
    one, memory = a.registers[9], a.registers[9]
    a.label("multiply")
    for i in range(8):
        a.load(x[i], one, 4 * i)
    a.load(memory, a.stack, a.slots[0])
    for column in range(15):
        c0, c1, c2 = sums
        first = True
        for i in range(max(0, column - 7), min(7, column) + 1):
            j = column - i
            a.load(high, pointer, 4 * j)
            if column == 0:
                a.mul_low(c0, x[i], high)
                a.mul_high(c1, x[i], high)
                continue
            if first:
                a.constant(c2, 0)
                first = False
            a.mul_low(low, x[i], high)
            a.mul_high(high, x[i], high)
            a.add_carry(c0, low, high)
            a.add_carry(c1, high, c2)
        a.store(c0, memory, PRODUCT + 4 * column)
        if column == 0:
            a.constant(c2, 0)
        sums = [c1, c2, c0]
    a.store(sums[0], memory, PRODUCT + 4 * 15)
    _reduce(a, memory, low)


def _square(a: Assembler) -> None:
    x = a.registers[:8]
    one, count = a.registers[9], a.registers[11]
    sums = [a.registers[8], a.registers[9], a.registers[10]]
    carry = [a.registers[11], a.registers[12]]
    low, high = a.registers[13], a.registers[14]
    memory = low
    a.label("square.first")  # b is the number of squarings
    a.load_byte(count, a.registers[1], 3)
    a.store(count, a.stack, a.slots[2])
    a.label("square")  # of the element at `one`
    for i in range(8):
        a.load(x[i], one, 4 * i)
    for column in range(15):
        c0, c1, c2 = sums
        cross = [(i, column - i) for i in range(8) if i < column - i <= 7]
        for n, (i, j) in enumerate(cross):
            if n == 0:
                a.mul_low(c0, x[i], x[j])
                a.mul_high(c1, x[i], x[j])
                a.constant(c2, 0)
                continue
            a.mul_low(low, x[i], x[j])
            a.mul_high(high, x[i], x[j])
            a.add_carry(c0, low, high)
            a.add_carry(c1, high, c2)
        if cross:
            a.add(c2, c2, c2)
            a.double_carry(c1, c2)
            # The bit out of c0 lands in the 0 that doubling left in c1.
            a.double_carry(c0, c1)
            a.add_carry(c0, carry[0], carry[1])
            a.add_carry(c1, carry[1], c2)
        if column % 2 == 0:
            i = column // 2
            if column == 0:
                a.mul_low(c0, x[0], x[0])
                a.mul_high(carry[0], x[0], x[0])
                a.constant(carry[1], 0)
                a.load(memory, a.stack, a.slots[0])
                a.store(c0, memory, PRODUCT)
                continue
            a.mul_low(low, x[i], x[i])
            a.mul_high(high, x[i], x[i])
            if not cross:  # column 14: the carry is all there is
                c0, c1, c2 = carry[0], carry[1], sums[2]
                a.constant(c2, 0)
            a.add_carry(c0, low, high)
            a.add_carry(c1, high, c2)
        a.load(memory, a.stack, a.slots[0])
        a.store(c0, memory, PRODUCT + 4 * column)
        # c1, c2 are the next carry; what held the old one is free.
        old = carry
        carry = [c1, c2]
        if cross:
            sums = [c0, old[0], old[1]]
    a.store(carry[0], memory, PRODUCT + 4 * 15)
    _reduce(a, memory, high)


def _reduce(a: Assembler, memory: int, t: int) -> None:
    """Go to the reduction of this modulus, the memory pointer in `registers[9]`."""
    here = a.registers[9]
    if memory != here:
        a.move(here, memory)
    a.load(t, here, KIND)
    for kind in SPECIAL:
        other = a.unique("kind")
        a.add_constant(t, t, -1)
        a.if_not_zero(t, other)
        a.jump("reduce." + kind)
        a.label(other)
    a.jump("reduce.generic")


def _reduce_special(a: Assembler, kind: str, terms: Sequence[tuple[int, int]]) -> None:
    """Montgomery reduction where p = -1 + terms: word k of the product plus what the factors of
    lower words add to it is itself the factor m_k, and m_k times -1 clears it."""
    m = a.registers[:8]
    memory, word = a.registers[9], a.registers[8]
    plus, minus, plus_next, minus_next = a.registers[10:14]
    a.label("reduce." + kind)
    carried = False  # whether plus and minus can be anything but 0
    for column in range(16):
        adds = [column - at for at, sign in terms if sign > 0 and 0 <= column - at < 8]
        subs = [column - at for at, sign in terms if sign < 0 and 0 <= column - at < 8]
        if column < 8:
            d = m[column]
            a.load(d, memory, PRODUCT + 4 * column)
        else:
            # The result takes the place of the lowest factor, a term of this column and no more.
            d = m[column - 8]
            adds.remove(column - 8)
        if not (adds or subs or carried):
            continue
        a.constant(plus_next, 0)
        a.constant(minus_next, 0)
        if column >= 8:
            a.load(word, memory, PRODUCT + 4 * column)
            a.add_carry(d, word, plus_next)
        if carried:
            a.add_carry(d, plus, plus_next)
        for k in adds:
            a.add_carry(d, m[k], plus_next)
        if carried:
            a.sub_borrow(d, minus, minus_next)
        for k in subs:
            a.sub_borrow(d, m[k], minus_next)
        plus, plus_next = plus_next, plus
        minus, minus_next = minus_next, minus
        carried = True
    a.sub(a.registers[8], plus, minus)
    a.jump("finish")


def _reduce_generic(a: Assembler) -> None:
    p = a.registers[:8]
    pointer, memory = a.registers[8], a.registers[9]
    carry, low, high, t, m = a.registers[10:15]
    over = a.slots[0]  # the carry out of the last row; the memory pointer returns there in the end
    a.label("reduce.generic")
    for i in range(8):
        a.load(p[i], memory, 4 * i)
    a.add_constant(pointer, memory, PRODUCT)
    a.constant(t, 0)
    a.store(t, a.stack, over)
    a.label("row")
    a.load(m, pointer, 0)
    a.load(t, memory, FACTOR)
    a.mul_low(m, m, t)
    for i in range(8):
        a.mul_low(low, m, p[i])
        a.mul_high(high, m, p[i])
        if i:
            a.add_carry(low, carry, high)
        a.load(t, pointer, 4 * i)
        a.add_carry(low, t, high)
        if i:
            a.store(low, pointer, 4 * i)
        carry, high = high, carry
    a.load(low, pointer, 32)
    a.load(t, a.stack, over)
    a.constant(high, 0)
    a.add_carry(low, carry, high)
    a.add_carry(low, t, high)
    a.store(low, pointer, 32)
    a.store(high, a.stack, over)
    a.add_constant(pointer, pointer, 4)
    a.add_constant(t, memory, PRODUCT + 32)
    a.sub(t, t, pointer)
    a.if_not_zero(t, "row")
    for i in range(8):
        a.load(p[i], memory, PRODUCT + 32 + 4 * i)
    a.load(a.registers[8], a.stack, over)
    a.store(memory, a.stack, over)
    a.jump("finish")
