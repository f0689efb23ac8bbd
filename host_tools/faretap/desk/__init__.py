"""A USB reader on a technician's desk: which card lies on it, and what it says of itself.

with open_reader("tty:USB0:pn532") as reader:
    session = read_card(reader, wait=10.0)
    print(session.report.to_json())
"""

from __future__ import annotations

from .errors import CardLost, CardNonsense, DeskError, NoCard, ReaderError
from .reader import Reader, open_reader
from .report import Medium, Radio, Report
from .session import DeskSession, read_card

__all__ = [
    "CardLost",
    "CardNonsense",
    "DeskError",
    "DeskSession",
    "Medium",
    "NoCard",
    "Radio",
    "Reader",
    "ReaderError",
    "Report",
    "open_reader",
    "read_card",
]
