"""Records as other programs want them: JSON Lines or CSV, with or without opened evidence."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from faretap.errors import FaretapError
from faretap.records.evidence import (
    PURSE,
    PURSE_SIZE,
    EvidenceError,
    KeyBlocks,
    objects,
    unseal,
)
from faretap.records.model import Record

_PHASES = ("detect", "select", "read", "verify", "decide", "commit", "signal")


def rows(numbered: Iterable[tuple[int, Record]], serial: str) -> Iterator[dict[str, Any]]:
    """Flat dicts, one a record: phases as `detect_ms` …, detail as JSON text. Of each, its epoch
    and the record."""
    for epoch, record in numbered:
        data = record.to_json()
        phases = data.pop("phases")
        for name in ("evidence", "other", "version", "chain", "chain_ok"):
            del data[name]
        data["detail"] = json.dumps(data["detail"], ensure_ascii=False) if data["detail"] else ""
        row = {"validator": serial, **data}
        row.update({f"{name}_ms": phases.get(name) for name in _PHASES})
        row["has_evidence"] = record.evidence is not None
        row["epoch"] = epoch
        yield row


def csv_lines(
    numbered: Iterable[tuple[int, Record]], serial: str, *, header: bool = True
) -> Iterator[str]:
    """A header and a line a record, as RFC 4180 has it."""
    for row in rows(numbered, serial):
        out = io.StringIO()
        writer = csv.DictWriter(out, list(row))
        if header:
            writer.writeheader()
            header = False
        writer.writerow({k: _safe(v) for k, v in row.items()})
        yield out.getvalue()


# With what a formula begins in a spreadsheet, in Chinese ones also at full width; some look behind
# blanks and controls.
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def _safe(value: Any) -> Any:
    if isinstance(value, str) and _FORMULA.match(value):
        return "'" + value
    return value


def json_lines(numbered: Iterable[tuple[int, Record]], serial: str) -> Iterator[str]:
    for epoch, record in numbered:
        entry = {"validator": serial, "epoch": epoch, **record.to_json()}
        yield json.dumps(entry, ensure_ascii=False) + "\n"


def opened(
    numbered: Iterable[tuple[int, Record]],
    serial: str,
    key: rsa.RSAPrivateKey,
    blocks: KeyBlocks,
) -> Iterator[dict[str, Any]]:
    """Of every record with evidence: {"validator", "epoch", "seq", "medium"}, and of a card
    {"objects": {tag hex: value hex}}, of a purse {"purse": hex as in docs/tunion.md, "issuer":
    hex, "number": digits}, of a ride code {"code": hex}, of what does not open {"problem":
    sentence}."""
    for epoch, record in numbered:
        evidence = record.evidence
        if not evidence:
            continue
        out: dict[str, Any] = {
            "validator": serial,
            "epoch": epoch,
            "seq": record.seq,
            "medium": record.medium,
        }
        if evidence[0] == PURSE:
            out["purse"] = evidence[:PURSE_SIZE].hex()
            evidence = evidence[PURSE_SIZE:]
        if evidence:
            try:
                plain = unseal(evidence, key, blocks)
                if "purse" in out:
                    # Issuer and number of file 15, with the two bytes between them or without.
                    out["issuer"] = plain[:8].hex()
                    out["number"] = plain[-10:].hex().lstrip("0").rstrip("f")
                elif record.medium == "quickpass":
                    found = objects(plain)
                    out["objects"] = {f"{tag:X}": value.hex() for tag, value in found.items()}
                else:
                    out["code"] = plain.hex()
            except (EvidenceError, FaretapError) as e:
                out["problem"] = str(e)
        yield out
