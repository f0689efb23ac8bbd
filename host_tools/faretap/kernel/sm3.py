"""SM3's compression in machine code: firmware/validator/crypto/sm3_viper.py, run natively.

`words` of the caller holds the 68 expanded words, and behind them the constants T of the rounds:
the first, and the one of round 16 as it has been turned by then.
"""

from __future__ import annotations

from faretap.kernel.assembler import Assembler

_T0, _T16 = 4 * 68, 4 * 69


def write(a: Assembler) -> bytes:
    """One function `compress(state, words, data, at, count)`; its result means nothing."""
    t, w, x, y, z, end, state = a.registers[8:15]
    slot_words, slot_count, slot_data = a.slots
    first = a.registers[:5]
    a.enter(tuple(zip(first, (True, True, True, False, False), strict=True)))
    a.move(state, first[0])
    a.add(first[2], first[2], first[3])
    a.store(first[1], a.stack, slot_words)
    a.store(first[2], a.stack, slot_data)
    a.store(first[4], a.stack, slot_count)
    a.move(x, first[4])
    a.if_zero(x, "done")

    a.label("block")
    _read_words(a)
    _expand(a)
    _rounds(a)
    v = a.registers[:8]
    for i in range(8):
        a.load(x, state, 4 * i)
        a.xor(x, x, v[i])
        a.store(x, state, 4 * i)
    a.load(x, a.stack, slot_count)
    a.add_constant(x, x, -1)
    a.store(x, a.stack, slot_count)
    a.if_zero(x, "done")
    a.jump("block")
    a.label("done")
    a.constant(x, 1)
    a.leave(x)
    return a.finish()


def _read_words(a: Assembler) -> None:
    """Sixteen big-endian words of the block, and the data pointer moved behind it."""
    data, byte = a.registers[0], a.registers[1]
    w, x, end = a.registers[9], a.registers[10], a.registers[13]
    a.load(w, a.stack, a.slots[0])
    a.load(data, a.stack, a.slots[2])
    a.add_constant(end, w, 64)
    a.label("read")
    a.load_byte(x, data, 0)
    for i in range(1, 4):
        a.load_byte(byte, data, i)
        a.shift_left(x, x, 8)
        a.or_(x, x, byte)
    a.store(x, w, 0)
    a.add_constant(data, data, 4)
    a.add_constant(w, w, 4)
    a.if_below(w, end, "read")
    a.store(data, a.stack, a.slots[2])


def _expand(a: Assembler) -> None:
    """Words 16 to 67. `w` stands at word j - 16."""
    w, x, y, z, end = a.registers[9], *a.registers[10:14]
    a.load(w, a.stack, a.slots[0])
    a.add_constant(end, w, 104)
    a.add_constant(end, end, 104)
    a.label("expand")
    a.load(y, w, 4 * 13)
    a.load(x, w, 0)
    a.rotate_left(y, y, 15)
    a.load(z, w, 4 * 7)
    a.xor(x, x, y)
    a.xor(x, x, z)
    a.rotate_left(y, x, 15)
    a.rotate_left(z, x, 23)
    a.xor(x, x, y)
    a.xor(x, x, z)
    a.load(y, w, 4 * 3)
    a.load(z, w, 4 * 10)
    a.rotate_left(y, y, 7)
    a.xor(x, x, z)
    a.xor(x, x, y)
    a.store(x, w, 64)
    a.add_constant(w, w, 4)
    a.if_below(w, end, "expand")


def _rounds(a: Assembler) -> None:
    t, w, x, y, z, end, state = a.registers[8:15]
    v = list(a.registers[:8])
    for i in range(8):
        a.load(v[i], state, 4 * i)
    a.load(w, a.stack, a.slots[0])
    for start, stop, constant in ((0, 16, _T0), (16, 64, _T16)):
        a.load(x, a.stack, a.slots[0])
        a.load(t, x, constant)
        a.constant(end, stop)
        a.shift_left(end, end, 2)
        a.add(end, end, x)
        name = f"rounds.{start}"
        a.label(name)
        for i in range(4):  # four rounds bring every variable back to its register
            _round(a, v, start == 0, 4 * i)
        a.add_constant(w, w, 16)
        a.sub(x, end, w)
        stop_label = a.unique("stop")
        a.if_zero(x, stop_label)
        a.jump(name)
        a.label(stop_label)


def _round(a: Assembler, v: list[int], early: bool, at: int) -> None:
    """One round on the registers `v`, A to H, which it puts into their new order."""
    va, vb, vc, vd, ve, vf, vg, vh = v
    t, w, x, y, z = a.registers[8:13]
    a.rotate_left(x, va, 12)
    a.add(y, x, ve)
    a.add(y, y, t)
    a.rotate_left(y, y, 7)  # SS1
    a.rotate_left(t, t, 1)
    a.xor(x, x, y)  # SS2
    a.add(vd, vd, x)
    a.add(vh, vh, y)
    a.load(y, w, at)
    a.load(z, w, at + 16)
    a.add(vh, vh, y)
    a.xor(z, z, y)
    a.add(vd, vd, z)
    if early:
        a.xor(x, va, vb)
        a.xor(y, ve, vf)
        a.xor(x, x, vc)
        a.xor(y, y, vg)
    else:
        a.or_(x, vb, vc)
        a.and_(z, vb, vc)
        a.and_(x, x, va)
        a.xor(y, vf, vg)
        a.or_(x, x, z)
        a.and_(y, y, ve)
        a.xor(y, y, vg)
    a.add(vd, vd, x)  # TT1: the new A
    a.add(vh, vh, y)  # TT2
    a.rotate_left(vb, vb, 9)
    a.rotate_left(vf, vf, 19)
    a.rotate_left(x, vh, 9)
    a.rotate_left(y, vh, 17)
    a.xor(vh, vh, x)
    a.xor(vh, vh, y)  # the new E
    v[:] = [vd, va, vb, vc, vh, ve, vf, vg]
