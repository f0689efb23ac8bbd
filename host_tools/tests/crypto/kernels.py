"""The firmware's field machines under CPython: Python integers, and each chip's machine code.

The machine code is taken out of the .mpy that goes into the image, and run by cpu.py.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType
from typing import Any

from faretap.image.native import functions
from faretap.kernel import build
from validator.crypto import curves, field_py
from validator.crypto.curve import Curve

from .cpu import Cpu, Rv32, Xtensa

CPUS: dict[str, type[Cpu]] = {"xtensawin": Xtensa, "rv32imc": Rv32}
VIPER = 2  # the kind of function that stock images run


class Kernel:
    """`field` is the class, `curves` the four curves on it, `cpu` what counts instructions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.field: Any
        if name == "py":
            self.field = field_py.Field
        else:
            run, compress = (f.code for f in functions(build(name)) if f.kind == VIPER)
            self.cpu = CPUS[name](run)
            self.hash = CPUS[name](compress)
            self.field = _words(name, self.cpu)
        self.curves: dict[str, Any] = {
            name: Curve(
                name,
                curve.size,
                curve.p,
                curve.n,
                -3 if curve.a else 0,
                curve.b,
                *curve.g,
                machine=self.field,
            )
            for name, curve in curves.CURVES.items()
        }


@cache
def kernel(name: str) -> Kernel:
    return Kernel(name)


def _words(name: str, cpu: Cpu) -> Any:
    """validator.crypto.field_words with `cpu` for its machine code."""
    code = ModuleType("validator.crypto.field_kernel")
    vars(code).update(NAME=name, run=cpu.call)
    words = "validator.crypto.field_words"
    sys.modules[code.__name__] = code
    try:
        return importlib.import_module(words).Field
    finally:
        del sys.modules[code.__name__]
        sys.modules.pop(words, None)
