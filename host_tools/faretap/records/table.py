"""Records as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from faretap.records.model import Record
from validator.media.phases import PHASES

_STYLES = {"accepted": "green", "declined": "red", "retry": "yellow"}
_UNKNOWN = "–"


FULL_WIDTH = 132  # columns that the full table takes with usual content


def fitted(records: Sequence[Record], width: int, zone: tzinfo | None = None) -> RenderableType:
    """The table, or two lines a record where a terminal has less than `FULL_WIDTH` columns."""
    if width >= FULL_WIDTH:
        return table(records, zone)
    lines: list[RenderableType] = []
    for record in records:
        line = Text.assemble(
            f"{_number(record).plain:>6}  {_time(record, zone)}  {record.medium or _UNKNOWN:12} ",
            f"{record.token[:8] if record.token else _UNKNOWN:8}  ",
            (record.outcome, _STYLES.get(record.outcome, "")),
            f" {record.reason}",
        )
        known = [(name, ms) for name, ms in record.phases.items() if ms is not None]
        times = "  ".join(f"{name} {ms}" for name, ms in known if ms)
        total = sum(ms for _, ms in known)
        lines += [line, Text(f"        ms: {times}  total {total}".replace(":  ", ": "), "dim")]
    return Group(*lines)


def table(records: Sequence[Record], zone: tzinfo | None = None, title: str = "") -> Table:
    """Number, time, medium, token (first 8 digits), outcome, reason, phases in ms.

    Times are in `zone` (None: that of this machine); "~" marks a clock that nobody had set. A
    fare column is there if any record has one, and a mark on records of a chain that broke.
    """
    out = Table(title=title or None, title_justify="left", pad_edge=False)
    out.add_column("#", justify="right", no_wrap=True)
    out.add_column("time", no_wrap=True)
    out.add_column("medium", no_wrap=True)
    out.add_column("token", no_wrap=True)
    out.add_column("outcome", no_wrap=True)
    out.add_column("reason", no_wrap=True)
    fares = any(record.fare_fen for record in records)
    if fares:
        out.add_column("fare", justify="right", no_wrap=True)
    for name in PHASES:
        out.add_column(name, justify="right", no_wrap=True)
    out.add_column("total", justify="right", no_wrap=True)
    for record in records:
        cells: list[str | Text] = [
            _number(record),
            _time(record, zone),
            record.medium or _UNKNOWN,
            record.token[:8] if record.token else _UNKNOWN,
            Text(record.outcome, style=_STYLES.get(record.outcome, "")),
            record.reason,
        ]
        if fares:
            cells.append(f"{record.fare_fen / 100:.2f}")
        times = [record.phases[name] for name in PHASES]
        cells += [_UNKNOWN if ms is None else str(ms) for ms in times]
        cells.append(str(sum(ms for ms in times if ms is not None)))
        out.add_row(*cells)
    return out


def _number(record: Record) -> Text:
    text = Text(str(record.seq))
    if record.chain_ok is False:
        text.append(" !", style="bold red")
    return text


def _time(record: Record, zone: tzinfo | None) -> str:
    shown = record.time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return shown if record.clock_trusted else f"~{shown}"
