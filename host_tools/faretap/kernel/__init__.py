"""The firmware's arithmetic in machine code, written by this package when an image is built.

`build(arch)` gives `field_kernel.mpy` for a chip family: the field machine (machine.py) and SM3
(sm3.py) where there is an assembler for it, else the field machine in viper (viper.py). See
docs/crypto.md.
"""

from __future__ import annotations

from faretap.image.compiler import compile_one
from faretap.image.native import asm_to_viper
from faretap.kernel import machine, sm3, viper
from faretap.kernel.assembler import Assembler
from faretap.kernel.rv32 import Rv32
from faretap.kernel.xtensa import Xtensa

NAME = "validator/crypto/field_kernel.py"
ASSEMBLERS: dict[str, type[Assembler]] = {a.name: a for a in (Xtensa, Rv32)}


def build(arch: str) -> bytes:
    """`field_kernel.mpy` for `arch`, one of mpy-cross's -march. Raises ImageError."""
    mpy = compile_one(NAME, source(arch).encode(), arch)
    return asm_to_viper(mpy) if arch in ASSEMBLERS else mpy


def source(arch: str) -> str:
    """The module as mpy-cross gets it."""
    if arch not in ASSEMBLERS:
        return viper.source()
    assembler = ASSEMBLERS[arch]
    run, compress = assembler(), assembler()
    parts = (
        f'NAME = "{arch}"\n',
        run.source("run", machine.write(run)),
        compress.source("compress", sm3.write(compress)),
    )
    return "\n\n".join(parts)


def unused(arch: str) -> frozenset[str]:
    """Modules of the application that an image with this kernel does without."""
    crypto = "validator/crypto/"
    names = ("field_viper", "sm3_viper") if arch in ASSEMBLERS else ("field_words",)
    return frozenset(f"{crypto}{name}.py" for name in (*names, "stand_in"))
