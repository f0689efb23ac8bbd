"""What a viper function needs to run as ordinary Python, where there is no viper.

A module that has viper functions begins with

    try:
        import micropython
    except ImportError:
        from validator.crypto import stand_in as micropython
        from validator.crypto.stand_in import ptr8, ptr32, uint

MicroPython's compiler knows these names itself and never imports them from here. Python integers
are unbounded where viper's are a machine word, so such code masks whatever may leave 32 bits.
"""


def viper(function):
    return function


def native(function):
    return function


def ptr8(buf):
    return memoryview(buf).cast("B")


def ptr16(buf):
    return memoryview(buf).cast("B").cast("H")


def ptr32(buf):
    return memoryview(buf).cast("B").cast("I")


def uint(x):
    return x
