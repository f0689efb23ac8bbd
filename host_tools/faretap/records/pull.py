"""Reading records from a validator over the link."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from faretap.records.evidence import KeyBlocks
from faretap.records.model import Record, RecordsError, from_wire

_AT_ONCE = 50
MORE = 500  # records that riders may add while others are fetched
_MOST = 200_000  # records of one pull: ten times what the largest journal holds
_PATIENCE_S = 60.0
_EACH_S = 0.5  # of patience more for each record; at 115200 baud the largest takes as long


class Caller(Protocol):
    """What is needed of `faretap.link.client.Link`."""

    def call(self, method: str, params: dict[str, Any]) -> Any: ...


def pull(
    link: Caller,
    first: int = 0,
    *,
    at_once: int = _AT_ONCE,
    on_problem: Callable[[RecordsError], None] | None = None,
) -> list[Record]:
    """All records from number `first` on, oldest first, in as many calls as it takes.

    A record that cannot be read raises RecordsError; with `on_problem`, it is reported there, and
    the others are returned. Errors of the link are the link's.
    """
    records: list[Record] = []
    blocks = KeyBlocks()
    last = first - 1
    start: int | None = first
    began = time.monotonic()
    while start is not None:
        if time.monotonic() - began > _PATIENCE_S + _EACH_S * len(records):
            raise RecordsError(
                f"The validator gives its records too slowly: {len(records):,} came.",
                "Is the line that bad? `faretap records pull` goes on where it was.",
            )
        answer = link.call("records.read", {"from": start, "max": at_once})
        if not isinstance(answer, dict) or not isinstance(answer.get("records"), list):
            raise RecordsError("The validator's answer to records.read holds no records.")
        try:
            for context in answer.get("contexts", ()):
                blocks.add(bytes.fromhex(context))
        except (TypeError, ValueError) as e:
            raise RecordsError("The validator's answer to records.read has no contexts.") from e
        for wire in answer["records"]:
            seq = wire.get("seq") if isinstance(wire, dict) else None
            if isinstance(seq, int) and seq <= last:
                raise RecordsError(f"The validator goes back from record {last} to {seq}.")
            last = seq if isinstance(seq, int) else last
            try:
                records.append(from_wire(wire, blocks.find))
            except RecordsError as e:
                if on_problem is None:
                    raise
                on_problem(e)
        following = answer.get("next")
        if following is not None and (not answer["records"] or len(records) > _MOST):
            raise RecordsError(
                f"The validator says that more records come, and none do from {start} on."
                if not answer["records"]
                else f"The validator's records have no end: more than {_MOST:,} came."
            )
        if following is not None and (not isinstance(following, int) or following <= start):
            # Asked again it would answer the same for ever.
            raise RecordsError(f"The validator goes back from record {start} to {following!r}.")
        start = following
    return records
