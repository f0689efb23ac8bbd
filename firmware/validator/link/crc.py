"""CRC-16/X-25 (poly 0x1021 reflected, init and xorout 0xFFFF; check of "123456789" is 0x906E)."""

try:
    import micropython
except ImportError:  # CPython, where the host imports this file

    class micropython:
        viper = staticmethod(lambda function: function)

    ptr8 = uint = int


@micropython.viper
def _update(data: ptr8, n: int, crc: int) -> int:
    # No table: RAM is scarce, and four shifts are as quick as a load on both targets.
    for i in range(n):
        x = (int(data[i]) ^ crc) & 0xFF
        x = (x ^ (x << 4)) & 0xFF
        crc = ((crc >> 8) ^ (x << 8) ^ (x << 3) ^ (x >> 4)) & 0xFFFF
    return crc


def crc16(data, crc=0):
    """CRC of a bytes-like object; `crc` is the result for what came before it."""
    return _update(data, len(data), crc ^ 0xFFFF) ^ 0xFFFF
