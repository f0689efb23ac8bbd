"""Tables that are read where they stand: DES, and curves, which share one working memory."""

from __future__ import annotations

import hashlib
import importlib.util
import random
import struct
from typing import Any

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

import validator
from faretap.kernel import constants
from validator.crypto import curve as device
from validator.crypto import ecdsa, sm2

from . import reference
from .kernels import CPUS, Kernel

R = 1 << 256
G_TABLE, Q_TABLE = 24, 88  # program.py
FILES = constants.files()  # before anything is read in place


class InPlace:
    """What stands in for inplace.Code: its files cannot be written."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def file(self, path: str) -> bytes | None:
        return self.files.get(f"validator/{path}")


@pytest.fixture(params=CPUS)
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(validator, "in_place", InPlace(FILES), raising=False)
    monkeypatch.setattr(device, "_shared", [])
    return Kernel(request.param)


def element(data: bytes, n: int) -> int:
    return int.from_bytes(data[32 * n : 32 * n + 32], "little")


@pytest.mark.parametrize("name", reference.CURVES)
def test_the_numbers_are_the_curves(name: str) -> None:
    """Montgomery form undone, against the textbook's points."""
    theirs = reference.CURVES[name]
    data = FILES[f"validator/crypto/{name}.bin"]
    division, at, end = struct.unpack("<3H", data[-6:])
    elements, divisor = data[at:end], data[end:-26]
    assert len(elements) == 32 * Q_TABLE and division < at
    back = pow(R, -1, theirs.p)
    assert element(elements, 0) == theirs.p and element(divisor, 0) == theirs.n
    for numbers, modulus in ((elements, theirs.p), (divisor, theirs.n)):
        assert element(numbers, 4) == 0  # zero, R squared, one
        assert element(numbers, 5) == R * R % modulus and element(numbers, 6) == 1
        assert element(numbers, 3) % (1 << 32) * modulus % (1 << 32) == (1 << 32) - 1
    one, a, b = (element(elements, n) * back % theirs.p for n in (7, 22, 23))
    assert (one, a, b) == (1, theirs.a % theirs.p, theirs.b)
    quarter = (theirs.n.bit_length() + 3) // 4
    n = G_TABLE
    for part in range(4):
        for odd in range(1, 16, 2):
            x, y = theirs.public((odd << part * quarter) % theirs.n)
            assert element(elements, n) * back % theirs.p == x
            assert element(elements, n + 1) * back % theirs.p == y
            n += 2
    assert n == Q_TABLE


def test_curves_take_turns_in_one_memory(shared: Kernel) -> None:
    """Keys new and prepared, signatures right and wrong, of all curves by turns."""
    rnd = random.Random(shared.name)
    riders: list[tuple[Any, Any, bytes, bytes]] = []
    for name, theirs in reference.CURVES.items():
        d, k = rnd.randrange(1, theirs.n - 1), rnd.randrange(1, theirs.n - 1)
        ours = shared.curves[name]
        x, y = theirs.public(d)
        key = ours.key(bytes([2 + y % 2]) + x.to_bytes(ours.size, "big"))
        assert (key.x, key.y) == (x, y)
        digest = hashlib.sha256(rnd.randbytes(9)).digest()
        e = int.from_bytes(digest[: ours.size], "big")
        if name == "sm2":
            r = (e + theirs.public(k)[0]) % theirs.n
            s = pow(1 + d, -1, theirs.n) * (k - r * d) % theirs.n
            check: Any = sm2.verify_digest
        else:
            r, s = reference.ecdsa_sign(theirs, d, k, e)
            check, digest = ecdsa.verify, digest[: ours.size]
        signature = r.to_bytes(ours.size, "big") + s.to_bytes(ours.size, "big")
        riders.append((check, key, digest, signature))
    assert len({id(ours._field) for ours in shared.curves.values()}) == 1
    for turn in range(3):
        rnd.shuffle(riders)
        for check, key, digest, signature in riders:
            if turn == 1:
                key.prepare()
            assert check(key, digest, signature), key.curve.name
            if turn == 1:
                bad = bytearray(signature)
                bad[rnd.randrange(len(bad))] ^= 1 << rnd.randrange(8)
                assert not check(key, digest, bytes(bad)), key.curve.name
                key.curve.release()  # it comes back by itself


def test_points_off_the_curve(shared: Kernel) -> None:
    for name, theirs in reference.CURVES.items():
        ours = shared.curves[name]
        x, y = theirs.public(7)
        assert ours.point(x, y).y == y
        with pytest.raises(device.KeyInvalid, match="off the curve"):
            ours.point(x, y ^ 1)


def test_a_curve_that_is_not_in_flash_computes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {path: data for path, data in FILES.items() if "sm2" in path}
    monkeypatch.setattr(validator, "in_place", InPlace(found), raising=False)
    monkeypatch.setattr(device, "_shared", [])
    curves = Kernel("xtensawin").curves
    for name in ("sm2", "p256", "sm2"):
        x, y = reference.CURVES[name].public(11)
        assert curves[name].point(x, y).x == x
    assert curves["sm2"]._field is not curves["p256"]._field


def test_the_table_of_des(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validator, "in_place", InPlace(FILES), raising=False)
    spec = importlib.util.find_spec("validator.crypto.des")
    assert spec and spec.loader
    des: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(des)
    assert des._SP is FILES["validator/crypto/des.bin"]
    rnd = random.Random(3)
    for _ in range(20):
        key, block = rnd.randbytes(16), rnd.randbytes(8)
        theirs = Cipher(TripleDES(key + key[:8]), modes.ECB())
        assert des.TripleDES(key).encrypt(block) == theirs.encryptor().update(block)
        assert des.TripleDES(key).decrypt(block) == theirs.decryptor().update(block)
