"""Data object lists (PDOL, CDOL, DDOL): what a card asks for, put together (EMV Book 3, 5.4)."""

from validator.emv.tlv import TlvError, parse_dol

MAX_SIZE = 250  # what a command can carry, with its 83 template

# Numeric objects are cut and filled at the left, all others at the right.
_NUMERIC = (0x9F02, 0x9F03, 0x9F1A, 0x5F2A, 0x9A, 0x9F21, 0x9C, 0x9F35, 0x9F41)


def build(names, values):
    """The bytes that `names`, [(tag, length)] as `tlv.parse_dol` returns, ask for.

    `values` is {tag: bytes}; what is not in it is zeros of the asked length. TlvError if it does
    not fit into a command.
    """
    out = bytearray()
    for tag, length in names:
        if len(out) + length > MAX_SIZE:
            raise TlvError("a list that asks for too much")
        value = values.get(tag, b"")
        have = len(value)
        if have == length:
            out += value
        elif tag in _NUMERIC:
            if have < length:
                out += bytes(length - have)
                out += value
            else:
                out += value[have - length :]
        else:
            out += value[:length]
            if have < length:
                out += bytes(length - have)
    return bytes(out)


def tags(names):
    """The tags of [(tag, length)]."""
    return [tag for tag, _ in names]


__all__ = ("MAX_SIZE", "build", "parse_dol", "tags")
