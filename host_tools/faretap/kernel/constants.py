"""Tables that an ESP32 reads where they stand in flash: curves for curve.py, DES for des.py.

validator/crypto/des.bin is what des_tables.py makes; validator/crypto/<curve>.bin is a curve as
the kernels in assembler have it in their memory:

    programs  the curve's fixed programs
    division  the program of a division modulo n
    elements  0 to Q_TABLE - 1 of the memory: the modulus p, the curve's constants, the table of G
    divisor   the first elements of the memory for numbers modulo n
    places    u16 each, little-endian: ten in the programs, as formulas.py gives them; where the
              division, the elements, and the divisor begin

Elements are 32 bytes, little-endian, in Montgomery form (machine.py).
"""

from __future__ import annotations

import struct
from functools import cache

from faretap.kernel.montgomery import FACTOR, KIND, SPECIAL
from validator.crypto import des_tables, formulas, program
from validator.crypto.curve import Curve
from validator.crypto.curves import CURVES
from validator.crypto.field_py import Field

_ELEMENT = 32
_R = 1 << 256
_AFFINE = 2
_PARTS = 4
# The reductions that suit one modulus each, as montgomery.py counts them.
_KINDS = {
    sum(sign << 32 * word for word, sign in terms) - 1: kind
    for kind, terms in enumerate(SPECIAL.values(), 1)
}


@cache
def files() -> dict[str, bytes]:
    """Path in the image -> content."""
    tables = {name: _file(curve) for name, curve in CURVES.items()}
    tables["des"] = bytes(des_tables.make())
    return {f"validator/crypto/{name}.bin": data for name, data in tables.items()}


def _file(curve: Curve) -> bytes:
    quarter = (curve.n.bit_length() + 3) // 4
    code, places = formulas.curve(curve.a != 0, curve.p, quarter)
    programs: bytes = code + formulas.division(curve.n)
    front = programs + _elements(curve)
    return (
        front
        + _first(curve.n)
        + struct.pack("<13H", *places, len(code), len(programs), len(front))
    )


def _first(modulus: int) -> bytes:
    """The elements up to UNIT of a memory modulo `modulus`."""
    memory = bytearray(_ELEMENT * program.ONE)
    memory[:_ELEMENT] = _number(modulus)
    struct.pack_into("<I", memory, FACTOR, pow(-modulus, -1, 1 << 32))
    struct.pack_into("<I", memory, KIND, _KINDS.get(modulus, 0))
    for k, number in ((program.RR, _R * _R % modulus), (program.UNIT, 1)):
        memory[_ELEMENT * k : _ELEMENT * (k + 1)] = _number(number)
    return bytes(memory)


def _elements(curve: Curve) -> bytes:
    p = curve.p
    memory = bytearray(_ELEMENT * program.Q_TABLE)
    first = _first(p)
    memory[: len(first)] = first
    for k, number in ((program.ONE, 1), (program.A, curve.a), (program.B, curve.b)):
        memory[_ELEMENT * k : _ELEMENT * (k + 1)] = _number(number * _R % p)
    # The firmware's own programs make the table, on Python's integers.
    plain = Curve(curve.name, curve.size, p, curve.n, curve.a, curve.b, *curve.g, machine=Field)
    table = plain.table_of(*curve.g)
    assert len(table) == _PARTS * _AFFINE * program.POINTS == program.Q_TABLE - program.G_TABLE
    memory[_ELEMENT * program.G_TABLE :] = b"".join(_number(x * _R % p) for x in table)
    return bytes(memory)


def _number(x: int) -> bytes:
    return x.to_bytes(_ELEMENT, "little")
