"""What a deny list is, byte by byte. No flash access here; docs/lists.md explains and draws it.

A token's first bytes choose one of `buckets` (a power of two), its last four a value below
`width`. A bucket's values are kept sorted, as differences: `cell` bytes of each, and what does not
fit them in unary.

    header  192   `Header`: 128 bytes, then r and s of the operator's signature over them
    body          index: for each bucket and once more, signed 16 bits: where behind the index its
                  block begins, less what `slope` foresees; blocks; exempt tokens, 8 bytes each

A full list is header and body. A list of changes is 24 bytes, the header of the list that comes
out, 5 bytes for each value that comes or goes (bucket 2, value 3, ascending), the exempt tokens.
Numbers are little endian, but for those of blocks, changes and tokens, which are compared.
"""

import struct

HEADER_SIZE = 192
SIGNED_SIZE = 128
MAX_BLOCK = 512  # bytes: what a lookup reads at once
MAX_EXEMPT = 250
LAYOUT = "<4sBBHIIIIIHHI32sI4s"  # of the header's fields, from its start


class ListError(ValueError):
    """A list that is not taken, or not there. `reason`: damaged, unsigned, foreign, old, base,
    too_large or invalid."""

    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason


class Header:
    """What a list says of itself.

    version, entries, issued (unix seconds)
    buckets, width, cell, slope (256ths of a byte), block_max: how it is laid out
    exempt      tokens that are let through whatever the blocks say
    size, digest  of the body, SHA-256
    key_check   4 bytes that tell the token key it was made with; zeros: not told
    """

    def __init__(self, data):
        """ListError("damaged") if `data` begins with no header that this software can use."""
        if len(data) < HEADER_SIZE or bytes(data[:4]) != b"FTLI":
            raise ListError("damaged", "this is no deny list")
        if data[4] != 1:
            raise ListError("invalid", "deny list format %d; this software knows 1" % data[4])
        (
            _,
            _,
            self.cell,
            _,
            self.version,
            self.entries,
            self.buckets,
            self.width,
            self.slope,
            self.block_max,
            self.exempt,
            self.size,
            self.digest,
            self.issued,
            self.key_check,
        ) = struct.unpack(LAYOUT, bytes(data[:76]))
        self.index_size = 2 * self.buckets + 2
        if (
            self.cell not in (2, 3)
            or not 16 <= self.buckets <= 65536
            or self.buckets & (self.buckets - 1)
            or not 0 < self.width <= 0xFFFFFF
            or not 0 < self.block_max <= MAX_BLOCK
            or self.slope * self.buckets >= 0x40000000
            or self.exempt > MAX_EXEMPT
            or self.index_size + 8 * self.exempt > self.size
        ):
            raise ListError("damaged", "the header of this deny list makes no sense")


def holds(buf, at, end, cell, value):
    """Whether the block `buf[at:end]` has `value`. Allocates nothing; False for damage.

    The differences' low bytes stand from the front on; how often each is to be taken with 1 more
    in the byte above stands from the end on, towards the front, in unary: zeros, and a one.
    """
    mask = 0x80
    end -= 1
    total = 0
    while at + cell <= end + 1:
        above = 0
        while not buf[end] & mask:
            above += 1
            mask >>= 1
            if not mask:
                mask = 0x80
                end -= 1
                if end < at:
                    return False
        mask >>= 1
        if not mask:
            mask = 0x80
            end -= 1
        if cell == 2:
            total += above << 16 | buf[at] << 8 | buf[at + 1]
        else:
            total += above << 24 | buf[at] << 16 | buf[at + 1] << 8 | buf[at + 2]
        if total >= value:
            return total == value
        at += cell
    return False
