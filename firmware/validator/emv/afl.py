"""The application file locator, tag 94: which records to read, and which are signed."""

from validator.emv.tlv import TlvError

MAX_RECORDS = 32


def records(afl):
    """[(sfi, record number, signed)] in the order to read; TlvError if the AFL is not sane.

    An entry is four bytes: SFI in the upper five bits, first record, last record, and how many
    from the first on are under the card's certificate (EMV Book 3, 10.2).
    """
    if len(afl) % 4:
        raise TlvError("AFL length")
    out = []
    for i in range(0, len(afl), 4):
        sfi = afl[i] >> 3
        first, last, signed = afl[i + 1], afl[i + 2], afl[i + 3]
        if afl[i] & 7 or not 1 <= sfi <= 30:
            raise TlvError("AFL file")
        if not 1 <= first <= last or signed > last - first + 1:
            raise TlvError("AFL entry")
        if len(out) + last - first >= MAX_RECORDS:
            raise TlvError("AFL too long")
        for number in range(first, last + 1):
            out.append((sfi, number, number - first < signed))
    return out
