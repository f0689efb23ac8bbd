"""The field machine's code, the same for every chip: firmware/validator/crypto/program.py, run.

Memory is one bytearray of elements of 32 bytes, eight words, lowest first, each element less than
the modulus p < 2^256 and in Montgomery form (x * 2^256 mod p). Element 0 is p, elements 1 and 2
take the 512-bit product, element 3 holds what PRIVATE in montgomery.py names. Three words of the
stack hold the memory's address, that of the result, and how many squarings are left.

Between `_dispatch` and an operation's code, register 0 is the memory, 1 the program counter, 8 to
10 the addresses of d, a and b. The words of a number are in registers 0 to 7.
"""

from __future__ import annotations

from collections.abc import Callable

from faretap.kernel import montgomery
from faretap.kernel.assembler import Assembler
from faretap.kernel.montgomery import AGAIN, BACK, CODE, PC, TARGET
from validator.crypto import program


def write(a: Assembler) -> bytes:
    """The whole machine as one function `run(code, start, memory)`: 0 at END, 1 after a TEST."""
    _dispatch(a)
    montgomery.write(a)
    _finish(a)
    _add(a)
    _subtract(a)
    _halve(a)
    _move(a)
    _test(a)
    _calls(a)
    a.label("leave")
    a.leave(a.registers[0])
    return a.finish()


def _dispatch(a: Assembler) -> None:
    memory, pc, op, t = a.registers[0], a.registers[1], a.registers[2], a.registers[3]
    to, one, two = a.registers[8:11]
    slot_memory, slot_to, slot_count = a.slots
    a.enter(((pc, True), (op, False), (memory, True)))
    a.store(memory, a.stack, slot_memory)
    a.store(pc, memory, CODE)
    a.add(pc, pc, op)
    a.jump("fetch")

    a.label("next")
    a.load(memory, a.stack, slot_memory)
    a.load(pc, memory, PC)
    a.label("fetch")
    a.load_byte(op, pc, 0)
    a.load_byte(to, pc, 1)
    a.load_byte(one, pc, 2)
    a.load_byte(two, pc, 3)
    for register in (to, one, two):
        a.shift_left(register, register, 5)
        a.add(register, register, memory)
    a.add_constant(t, pc, 4)
    a.store(t, memory, PC)
    a.store(to, a.stack, slot_to)
    a.constant(t, 1)
    a.store(t, a.stack, slot_count)
    order = (
        (program.MUL, "multiply"),
        (program.ADD, "add"),
        (program.SUB, "subtract"),
        (program.SQR, "square.first"),
        (program.MOVE, "move"),
        (program.HALF, "halve"),
        (program.TEST, "test"),
        (program.CALL, "call"),
        (program.RET, "return"),
    )
    known = 0
    for number, name in order:
        a.add_constant(op, op, known - number)
        known = number
        other = a.unique("other")
        a.if_not_zero(op, other)
        a.jump(name)
        a.label(other)
    a.constant(memory, 1)  # END: the small integer 0
    a.jump("leave")


def _finish(a: Assembler) -> None:
    """d = registers 0 to 7 and, in register 8, one more word, which is 0 or 1; less p if that is
    not less than p. Then the next squaring or the next operation."""
    r = a.registers[:8]
    top, memory, to, x, y, count = a.registers[8:14]
    a.label("finish")
    a.load(to, a.stack, a.slots[1])
    a.if_not_zero(top, "finish.less")
    for i in range(7, -1, -1):
        a.load(y, memory, 4 * i)
        a.if_below(r[i], y, "finish.store")
        if i:
            a.sub(x, r[i], y)
            a.if_not_zero(x, "finish.less")
    a.jump("finish.less")

    a.label("finish.store")
    for i in range(8):
        a.store(r[i], to, 4 * i)
    a.label("finish.done")
    a.load(count, a.stack, a.slots[2])
    a.add_constant(count, count, -1)
    again = a.unique("again")
    a.if_not_zero(count, again)
    a.jump("next")
    a.label(again)
    a.store(count, a.stack, a.slots[2])
    a.move(a.registers[9], to)
    a.jump("square")

    def less_p(i: int, borrow: bool, other: str) -> None:
        a.load(y, memory, 4 * i)
        a.sub(x, r[i], y)
        if borrow:
            a.add_constant(x, x, -1)
        a.store(x, to, 4 * i)
        if borrow:
            a.if_below(y, r[i], other)
        else:
            a.if_below(r[i], y, other)

    a.label("finish.less")
    _chains(a, less_p, "finish.done", "finish.done")


def _chains(a: Assembler, step: Callable[[int, bool, str], None], clear: str, set_: str) -> None:
    """Eight words with a carry or borrow that is kept in the place of execution, not a register.

    `step(i, carry, other)` does word i, knowing the carry into it, and goes to `other` if the
    carry out of it is not the same. Continues at label `clear` or `set_`.
    """
    places = {(i, c): a.unique("word") for i in range(9) for c in (False, True)}
    for carry in (False, True):
        for i in range(1 if carry else 0, 8):
            a.label(places[i, carry])
            step(i, carry, places[i + 1, not carry])
        a.label(places[8, carry])
        a.jump(set_ if carry else clear)


def _add(a: Assembler) -> None:
    r = a.registers[:8]
    top, one, two, y = a.registers[8:12]

    def step(i: int, carry: bool, other: str) -> None:
        a.load(r[i], one, 4 * i)
        a.load(y, two, 4 * i)
        a.add(r[i], r[i], y)
        if carry:
            a.add_constant(r[i], r[i], 1)
            a.if_below(y, r[i], other)
        else:
            a.if_below(r[i], y, other)

    a.label("add")
    _chains(a, step, "add.clear", "add.carry")
    a.label("add.clear")
    a.constant(top, 0)
    a.label("add.end")
    a.load(a.registers[9], a.stack, a.slots[0])
    a.jump("finish")
    a.label("add.carry")
    a.constant(top, 1)
    a.jump("add.end")


def _subtract(a: Assembler) -> None:
    r = a.registers[:8]
    to, one, two, y, x = a.registers[8:13]
    memory = one

    def step(i: int, borrow: bool, other: str) -> None:
        a.load(x, one, 4 * i)
        a.load(y, two, 4 * i)
        a.sub(r[i], x, y)
        if borrow:
            a.add_constant(r[i], r[i], -1)
            a.if_below(y, x, other)
        else:
            a.if_below(x, y, other)

    def repair(i: int, carry: bool, other: str) -> None:
        a.load(y, memory, 4 * i)
        a.add(r[i], r[i], y)
        if carry:
            a.add_constant(r[i], r[i], 1)
        a.store(r[i], to, 4 * i)
        if carry:
            a.if_below(y, r[i], other)
        else:
            a.if_below(r[i], y, other)

    a.label("subtract")
    _chains(a, step, "subtract.clear", "subtract.borrow")
    a.label("subtract.clear")
    for i in range(8):
        a.store(r[i], to, 4 * i)
    a.jump("next")
    a.label("subtract.borrow")
    a.load(memory, a.stack, a.slots[0])
    _chains(a, repair, "next", "next")


def _halve(a: Assembler) -> None:
    r = list(a.registers[:8])
    to, one, memory, y = a.registers[8:12]
    top = y

    def step(i: int, carry: bool, other: str) -> None:
        a.load(y, memory, 4 * i)
        a.add(r[i], r[i], y)
        if carry:
            a.add_constant(r[i], r[i], 1)
            a.if_below(y, r[i], other)
        else:
            a.if_below(r[i], y, other)

    a.label("halve")
    a.move(memory, a.registers[0])
    for i in range(8):
        a.load(r[i], one, 4 * i)
    a.low_bit(y, r[0])
    a.if_zero(y, "halve.even")  # and y = 0 comes in from above
    _chains(a, step, "halve.clear", "halve.carry")
    a.label("halve.clear")
    a.constant(top, 0)
    a.label("halve.even")
    a.halves(r, top)
    for i in range(8):
        a.store(r[i], to, 4 * i)
    a.jump("next")
    a.label("halve.carry")
    a.constant(top, 1)
    a.jump("halve.even")


def _move(a: Assembler) -> None:
    r = a.registers[:8]
    to, one = a.registers[8:10]
    a.label("move")
    for i in range(8):
        a.load(r[i], one, 4 * i)
    for i in range(8):
        a.store(r[i], to, 4 * i)
    a.jump("next")


def _test(a: Assembler) -> None:
    x, y, one = a.registers[1], a.registers[2], a.registers[9]
    a.label("test")
    a.load(x, one, 0)
    for i in range(1, 8):
        a.load(y, one, 4 * i)
        a.or_(x, x, y)
    a.if_zero(x, "test.zero")
    a.jump("next")
    a.label("test.zero")
    a.constant(a.registers[0], 3)  # the small integer 1
    a.jump("leave")


def _calls(a: Assembler) -> None:
    memory, pc, t, target, code = a.registers[:5]
    a.label("call")
    a.load(t, memory, PC)
    a.store(t, memory, BACK)
    a.load_byte(t, pc, 1)
    a.store(t, memory, AGAIN)
    a.load_byte(target, pc, 2)
    a.load_byte(t, pc, 3)
    a.shift_left(t, t, 8)
    a.add(target, target, t)
    a.load(code, memory, CODE)
    a.add(target, target, code)
    a.store(target, memory, TARGET)
    a.store(target, memory, PC)
    a.jump("next")

    a.label("return")
    a.load(t, memory, AGAIN)
    a.load(target, memory, TARGET)
    a.add_constant(t, t, -1)
    a.store(t, memory, AGAIN)
    again = a.unique("again")
    a.if_not_zero(t, again)
    a.load(target, memory, BACK)
    a.label(again)
    a.store(target, memory, PC)
    a.jump("next")
