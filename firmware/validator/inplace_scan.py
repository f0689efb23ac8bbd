"""What has to be machine code: two loops over memory, of which a plain ESP32 has 320 KB to look
through, and the import statement."""

# mypy: ignore-errors

import micropython


@micropython.viper
def find(at: int, end: int, step: int, value: int) -> int:
    """The first address at, at + step, … below `end` where the 32-bit `value` is; 0 if nowhere."""
    while at < end:
        if int(ptr32(at)[0]) == value:  # noqa: F821
            return at
        at += step
    return 0


@micropython.viper
def same(one: int, other: int, n: int) -> int:
    """1 if the `n` bytes at the two addresses are equal, else 0."""
    a = ptr8(one)  # noqa: F821
    b = ptr8(other)  # noqa: F821
    for i in range(n):
        if a[i] != b[i]:
            return 0
    return 1


@micropython.native
def load(code, name, scope=None, local=None, names=None, level=0):
    """`__import__`, as a method of `inplace.Code`.

    A relative import looks at the globals of whoever runs it: bytecode would bring its own, and
    machine code that uses no global does not.
    """
    if name in code.modules:
        return code.original(name, scope, local, names, level)
    before = code.unfinished()
    module = code.original(name, scope, local, names, level)
    code.finished(before)
    return module
