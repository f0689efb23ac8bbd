"""Debits that are still open on a validator: seen, and settled when the ledger has decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from faretap.records.model import RecordsError
from faretap.records.pull import Caller

_MOST = 20_000  # the largest memory of riders holds fewer


def open_debits(link: Caller) -> list[dict[str, Any]]:
    """All of them, by the number of their record: {"seq", "token" hex, "medium", "kind": "torn" or
    "unproven", "time": unix or None, "amount" fen or None, "counter" or None}."""
    found: list[dict[str, Any]] = []
    start: int | None = 0
    while start is not None:
        answer = link.call("debits.open", {"from": start})
        found += answer["debits"]
        following = answer["next"]
        if following is not None and following <= start:
            raise RecordsError(f"The validator goes back from place {start} to {following}.")
        if len(found) > _MOST:
            raise RecordsError(f"The validator's open debits have no end: over {_MOST:,} came.")
        start = following
    return sorted(found, key=lambda debit: (debit["seq"], debit["kind"]))


def settle(link: Caller, seq: int, token: str) -> int:
    """The validator forgets what is open of record `seq` and `token` (16 hex digits); how many
    entries that were."""
    if len(token) != 16 or not set(token.lower()) <= set("0123456789abcdef") or seq < 1:
        raise RecordsError(
            f"{seq} {token!r} is no open debit.",
            "Give record and token as `faretap records debits` shows them.",
        )
    answer = link.call("debits.settle", {"seq": seq, "token": token.lower()})
    return int(answer["settled"])


def line(debit: dict[str, Any]) -> str:
    """One of them in a sentence."""
    text = f"record {debit['seq']}  {debit['token']}  {debit['medium']}  {debit['kind']}"
    if debit["time"]:
        text += f"  {datetime.fromtimestamp(debit['time'], UTC):%Y-%m-%d %H:%M:%S} UTC"
    if debit["amount"] is not None:
        text += f"  {debit['amount'] / 100:.2f}  counter {debit['counter']}"
    return text
