"""Records of taps as the host sees them: decoding, chain check, JSON, table (table.py), and
reading them over the link (pull.py)."""

from faretap.records.model import (
    ChainBreak,
    Listing,
    Record,
    RecordsError,
    check_chain,
    from_wire,
    read_listing,
)

__all__ = [
    "ChainBreak",
    "Listing",
    "Record",
    "RecordsError",
    "check_chain",
    "from_wire",
    "read_listing",
]
