"""One card on the desk, from waiting for it to the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .errors import CardLost, DeskError
from .examine import examine
from .reader import Reader
from .report import Report
from .trace import Recorder, Trace

# Cards expire at midnight in China, wherever the desk stands.
_BEIJING = timezone(timedelta(hours=8))


@dataclass
class DeskSession:
    """What was found out, and every APDU that it took. Either the report or the error is there;
    the trace is there with both."""

    trace: Trace
    report: Report | None = None
    error: DeskError | None = None


def read_card(reader: Reader, wait: float, now: datetime | None = None) -> DeskSession:
    """Wait `wait` seconds for a card and read it. NoCard and ReaderError before there is a card
    are raised; what goes wrong later is in the session, with the trace so far."""
    now = now or datetime.now(_BEIJING)
    radio = reader.wait_for_card(wait)
    trace = Trace(reader.name, now)
    trace.events.append(radio)
    session = DeskSession(trace)
    channel = Recorder(reader.transceive, reader.reset, trace)
    try:
        session.report = examine(channel, radio, now)
        trace.end = "complete"
    except CardLost:
        session.error = CardLost(trace.answers)
        trace.end = "card_lost"
    except DeskError as e:
        session.error = e
    return session
