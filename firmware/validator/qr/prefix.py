"""What a scan engine, or whoever made the code, puts before its content and is none of it.

    \\000026     an ECI header: which character set it is in (a backslash and 6 digits)
    ]Q1         AIM's symbology identifier: a QR code, and of what kind
    EF BB BF    UTF-8's byte order mark

No code of ours begins like any of these: with or without them it is the same code.
"""

_BOM = b"\xef\xbb\xbf"


def length(buf, n):
    """How many bytes of `buf[:n]` are such; -1 if that shows when more have come."""
    at = 0
    while at < n:
        first = buf[at]
        if first == 0x5C:
            size = 7
        elif first == 0x5D or first == 0xEF:
            size = 3
        else:
            break
        for i in range(1, size):
            if at + i >= n:
                return -1
            b = buf[at + i]
            if first == 0x5C:
                good = 0x30 <= b <= 0x39
            elif first == 0x5D:
                good = b == 0x51 if i == 1 else 0x30 <= b <= 0x36
            else:
                good = b == _BOM[i]
            if not good:
                return at
        at += size
    return at


def strip(code):
    """`code` without what stands before it, and text without blanks and line ends around it."""
    n = len(code)
    at = 0
    while True:
        while at < n and code[at] in b"\r\n\t ":
            at += 1
        k = length(memoryview(code)[at:], n - at)
        if k <= 0:
            break
        at += k
    # Raw codes have such bytes of their own at the end.
    if at < n and 0x20 < code[at] < 0x7F and (n < at + 2 or code[at + 1] >= 0x20):
        while code[n - 1] in b"\r\n\t ":
            n -= 1
    return code[at:n] if at or n < len(code) else code
