"""Each kernel's machine code does what Python integers do, in the instructions it may take."""

from __future__ import annotations

import random

import pytest

from validator.crypto import sm3
from validator.crypto.curves import CURVES
from validator.crypto.program import (
    ADD,
    CALL,
    END,
    HALF,
    MOVE,
    MUL,
    RET,
    RR,
    SIZE,
    SQR,
    SUB,
    TEST,
    UNIT,
    line,
)

from . import reference
from .kernels import CPUS, kernel

K, L, M = 10, 11, 12
MODULI = {
    f"{name}.{part}": number
    for name, curve in CURVES.items()
    for part, number in (("p", curve.p), ("n", curve.n))
}


def edge_numbers(modulus: int, rnd: random.Random) -> list[int]:
    """Numbers at which carries and comparisons go wrong, and random ones."""
    r = 1 << 256
    found = {0, 1, 2, modulus - 1, modulus - 2, modulus // 2, modulus // 2 + 1}
    for bit in range(0, modulus.bit_length(), 32):
        found |= {1 << bit, (1 << bit) - 1, modulus - (1 << bit), (0xFFFFFFFF << bit) % modulus}
    # Numbers whose Montgomery form is extreme.
    found |= {x * pow(r, -1, modulus) for x in (1, 0xFFFFFFFF, modulus - 1, r - modulus)}
    numbers = [x % modulus for x in sorted(found)]
    return numbers + [rnd.randrange(modulus) for _ in range(len(numbers))]


@pytest.mark.parametrize("arch", CPUS)
@pytest.mark.parametrize("modulus", MODULI)
def test_operations_are_those_of_integers(arch: str, modulus: str) -> None:
    p = MODULI[modulus]
    rnd = random.Random(modulus)
    field = kernel(arch).field(p, SIZE)
    half = pow(2, -1, p)
    numbers = edge_numbers(p, rnd)
    for i in range(260):
        x, y = rnd.choice(numbers), rnd.choice(numbers)
        n = 1 + i % 3
        for step, want in (
            ((MUL, M, K, L), x * y),
            ((SQR, M, K, n), pow(x, 2**n, p)),
            ((ADD, M, K, L), x + y),
            ((SUB, M, K, L), x - y),
            ((HALF, M, K), x * half),
            ((MOVE, M, K), x),
            ((ADD, K, K, K), 2 * x),
            ((SUB, K, K, K), 0),
        ):
            field.put(K, x)
            field.put(L, y)
            into = (MUL, K, K, RR), (MUL, L, L, RR)
            out = step[1]
            assert field.run(line(*into, step, (MUL, out, out, UNIT), (END,))) == 0
            assert field.peek(out) == want % p, (step, hex(x), hex(y))


@pytest.mark.parametrize("arch", CPUS)
@pytest.mark.parametrize("modulus", MODULI)
def test_elements_at_their_limits_stay_below_the_modulus(arch: str, modulus: str) -> None:
    """Without conversion, so that the words themselves are extreme."""
    p = MODULI[modulus]
    field = kernel(arch).field(p, SIZE)
    inverse = pow(1 << 256, -1, p)
    top = [p - 1, p - 2, p - (1 << 64), p - (1 << 128) + 1, 0, 1, (1 << 160) - 1]
    for x in top:
        for y in top:
            field.put(K, x)
            field.put(L, y)
            steps = ((MUL, M, K, L), (SQR, M + 1, K, 1), (ADD, M + 2, K, L), (SUB, M + 3, K, L))
            field.run(line(*steps, (HALF, M + 4, K), (END,)))
            assert field.peek(M) == x * y * inverse % p
            assert field.peek(M + 1) == x * x * inverse % p
            assert field.peek(M + 2) == (x + y) % p
            assert field.peek(M + 3) == (x - y) % p
            assert field.peek(M + 4) * 2 % p == x


@pytest.mark.parametrize("arch", ["py", *CPUS])
def test_subroutines_tests_and_starts(arch: str) -> None:
    p = CURVES["sm2"].p
    field = kernel(arch).field(p, SIZE)
    field.put(K, 1)
    field.put(L, 0)
    sub = line((ADD, K, K, K), (RET,))
    far = bytes(4 * 70)  # so that the offset needs both bytes
    code = far + sub + line((CALL, 200, len(far) & 255, len(far) >> 8), (TEST, 0, K), (END,))
    assert field.run(code, len(far) + len(sub)) == 0
    assert field.peek(K) == pow(2, 200, p)
    assert field.run(line((TEST, 0, L), (ADD, K, L, L), (END,))) == 1
    assert field.peek(K) == pow(2, 200, p)  # nothing behind the TEST was done
    field.put(M, 1 << 255)  # only the highest bit
    assert field.run(line((TEST, 0, M), (END,))) == 0


@pytest.mark.parametrize("arch", CPUS)
def test_saved_elements_come_back(arch: str) -> None:
    field = kernel(arch).field(CURVES["p256"].p, SIZE)
    for k in range(3):
        field.put(K + k, 1000 + k)
    saved = field.save(K, 3)
    for k in range(3):
        field.put(K + k, 7)
    field.load(K + 1, saved)
    assert [field.peek(K + k) for k in range(4)] == [7, 1000, 1001, 1002]


def cost(arch: str, modulus: int, step: tuple[int, ...]) -> float:
    """Instructions of one operation, its fetching included, in the mean of 50."""
    made = kernel(arch)
    field = made.field(modulus, SIZE)
    rnd = random.Random(1)
    empty, full = line((END,)), line(step, (END,))
    total = 0
    for _ in range(50):
        field.put(K, rnd.randrange(modulus))
        field.put(L, rnd.randrange(modulus))
        before = made.cpu.instructions
        field.run(empty)
        between = made.cpu.instructions
        field.run(full)
        total += made.cpu.instructions - between - (between - before)
    return total / 50


@pytest.mark.parametrize("arch", CPUS)
@pytest.mark.parametrize("curve", ["sm2", "p256"])
def test_a_multiplication_takes_less_than_1000_instructions(arch: str, curve: str) -> None:
    p = CURVES[curve].p
    assert 300 < cost(arch, p, (MUL, M, K, L)) < 900
    assert 300 < cost(arch, p, (SQR, M, K, 1)) < 750
    assert cost(arch, p, (ADD, M, K, L)) < 120


@pytest.mark.parametrize("arch", CPUS)
def test_any_modulus_takes_less_than_twice_as_much(arch: str) -> None:
    assert cost(arch, CURVES["secp256k1"].p, (MUL, M, K, L)) < 1500


@pytest.mark.parametrize("arch", CPUS)
def test_sm3_in_machine_code(arch: str) -> None:
    made = kernel(arch)
    rnd = random.Random(3)
    words = bytearray(4 * 68) + bytearray.fromhex("1945cc79877a8a9d")
    for blocks in (0, 1, 2, 5):
        data = rnd.randbytes(64 * blocks)
        state = _iv()
        made.hash.call(state, words, b"xyz" + data, 3, blocks)
        # The reference pads, so let it do so in one more block of ours.
        tail = b"\x80" + bytes(55) + (8 * len(data)).to_bytes(8, "big")
        made.hash.call(state, words, tail, 0, 1)
        assert _big_endian(state) == reference.sm3(data)
    before = made.hash.instructions
    made.hash.call(_iv(), words, bytes(64), 0, 1)
    assert made.hash.instructions - before < 6000


@pytest.mark.parametrize("arch", CPUS)
def test_sm3_streams_through_machine_code(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm3, "_compress", kernel(arch).hash.call)
    data = random.Random(4).randbytes(400)
    for n in (0, 1, 55, 56, 63, 64, 65, 128, 399):
        view = memoryview(data)[:n]
        for cut in (0, n // 3, n):
            found = sm3.SM3(view[:cut]).update(view[cut:]).digest()
            assert found == reference.sm3(data[:n])


def _iv() -> bytearray:
    return bytearray(
        bytes.fromhex("6f168073b9b21449d742241700068ada" + "bc306fa9aa3831164dee8de34e0efbb0")
    )


def _big_endian(state: bytearray) -> bytes:
    return b"".join(state[i : i + 4][::-1] for i in range(0, 32, 4))
