"""Records as other programs want them: JSON Lines or CSV, with or without opened evidence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from faretap.errors import FaretapError
from faretap.records.evidence import EvidenceError, KeyBlocks, objects, unseal
from faretap.records.model import Record

_PURSE = 0x50  # first byte of a purse's evidence, which is laid out in docs/tunion.md
_PURSE_SIZE = 52
_PHASES = ("detect", "select", "read", "verify", "decide", "commit", "signal")


def rows(records: Iterable[Record], serial: str) -> Iterator[dict[str, Any]]:
    """Flat dicts, one a record: phases as `detect_ms` …, detail as JSON text."""
    for record in records:
        data = record.to_json()
        phases = data.pop("phases")
        for name in ("evidence", "other", "version", "chain", "chain_ok"):
            del data[name]
        data["detail"] = json.dumps(data["detail"], ensure_ascii=False) if data["detail"] else ""
        row = {"validator": serial, **data}
        row.update({f"{name}_ms": phases.get(name) for name in _PHASES})
        row["has_evidence"] = record.evidence is not None
        yield row


def as_csv(records: Iterable[Record], serial: str) -> str:
    """A header and a line a record, as RFC 4180 has it."""
    out = io.StringIO()
    writer = None
    for row in rows(records, serial):
        if writer is None:
            writer = csv.DictWriter(out, list(row))
            writer.writeheader()
        writer.writerow({k: _safe(v) for k, v in row.items()})
    return out.getvalue()


def _safe(value: Any) -> Any:
    # A spreadsheet takes a cell that begins so for a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def as_json_lines(records: Iterable[Record], serial: str) -> str:
    return "".join(
        json.dumps({"validator": serial, **r.to_json()}, ensure_ascii=False) + "\n"
        for r in records
    )


def opened(
    records: Iterable[Record], key: rsa.RSAPrivateKey, blocks: KeyBlocks
) -> Iterator[dict[str, Any]]:
    """Of every record with evidence: {"seq", "medium"}, and of a card {"objects": {tag hex: value
    hex}}, of a purse {"purse": hex as in docs/tunion.md, "issuer": hex, "number": digits}, of a
    ride code {"code": hex}, of what does not open {"problem": sentence}."""
    for record in records:
        evidence = record.evidence
        if evidence is None:
            continue
        out: dict[str, Any] = {"seq": record.seq, "medium": record.medium}
        if evidence[0] == _PURSE:
            out["purse"] = evidence[:_PURSE_SIZE].hex()
            evidence = evidence[_PURSE_SIZE:]
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
