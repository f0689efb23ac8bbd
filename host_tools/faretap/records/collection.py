"""Records brought home: one file a validator, each record in it once, its chain verified.

    collection = Collection.open(Path("records"), serial)
    report = collect(session, collection, progress)

A file is JSON Lines: {"seq", "body", "after", "chain", "chain_ok"} as the validator has them, hex,
and {"key": hex} for the blocks of keys and contexts that records refer to. It is only ever
appended to. A line that a crash left unfinished is cut off at the next start, and its record is
fetched again.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faretap.errors import FaretapError
from faretap.link import transfer
from faretap.records.evidence import KeyBlocks
from faretap.records.model import ChainBreak, Record, RecordsError, from_wire, link

_HEAD = ">IB5s8s"
_HEAD_SIZE = struct.calcsize(_HEAD)
_CHAIN_OK = 1
_KEY_BLOCK = 2
_SYNC_EVERY = 200  # records between two that are made durable

Progress = Callable[[int, int], None]


class CollectionError(FaretapError):
    """The file of a validator's records cannot be used."""


@dataclass
class Report:
    """What a collecting brought."""

    serial: str
    first: int = 0
    last: int = 0
    new: int = 0
    breaks: list[ChainBreak] = field(default_factory=list)
    """Where the chain does not hold, or numbers are missing, among the new records."""

    def to_json(self) -> dict[str, Any]:
        breaks = [{"seq": b.seq, "kind": b.kind, "missing": b.missing} for b in self.breaks]
        return {
            "serial": self.serial,
            "first": self.first,
            "last": self.last,
            "new": self.new,
            "breaks": breaks,
        }


class Collection:
    """The file `path` of the validator `serial`."""

    def __init__(self, path: Path, serial: str) -> None:
        self.path = path
        self.serial = serial
        self.last = 0
        self.chain: bytes | None = None
        self.keys: set[str] = set()
        self._repair()

    @classmethod
    def open(cls, directory: Path, serial: str) -> Collection:
        """The file of that validator in `directory`, which is made if it is not there."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(directory / f"{serial}.records.jsonl", serial)

    def _repair(self) -> None:
        """Read what is there; cut off what a crash left of the last line."""
        if not self.path.exists():
            return
        good = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    self._note(json.loads(line))
                except (ValueError, KeyError, TypeError) as e:
                    raise CollectionError(
                        f"{self.path}, line {number} is no record ({e}).",
                        "Move the file away and collect again; nothing is lost that the "
                        "validator still has.",
                    ) from e
                good += len(line)
        if good < self.path.stat().st_size:
            with self.path.open("r+b") as file:
                file.truncate(good)

    def _note(self, line: dict[str, Any]) -> None:
        if "key" in line:
            self.keys.add(line["key"])
            return
        self.last = int(line["seq"])
        self.chain = bytes.fromhex(line["chain"])

    def lines(self) -> Iterator[dict[str, Any]]:
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    yield json.loads(line)

    def records(self) -> list[Record]:
        """Every record, oldest first."""
        find = self.key_blocks().find
        return [from_wire(line, find) for line in self.lines() if "seq" in line]

    def key_blocks(self) -> KeyBlocks:
        """What these records refer to."""
        blocks = KeyBlocks()
        for line in self.lines():
            if "key" in line:
                blocks.add(bytes.fromhex(line["key"]))
        return blocks


def collect(session: Any, collection: Collection, progress: Progress | None = None) -> Report:
    """Append what the validator has and the file has not. Each record is written once, however
    often this is done or broken off.

    RecordsError if the validator is another one than the file's.
    """
    info = session.link.call("info")
    if info["serial"] != collection.serial:
        raise RecordsError(
            f"This is validator {info['serial']}, the file is that of {collection.serial}."
        )
    journal = session.link.call("records.info")
    newest = int(journal["next"]) - 1
    if newest < collection.last:
        raise RecordsError(
            f"The validator's newest record is {newest}, the file's {collection.last}: its flash "
            "was erased.",
            f"Move {collection.path} away and collect again.",
        )
    report = Report(collection.serial, first=collection.last + 1)
    before, chain = collection.last, collection.chain
    with collection.path.open("ab") as file:
        for _, piece in transfer.pull(session, "records", {"from": collection.last + 1}):
            line = _line(piece)
            if "key" in line:
                if line["key"] in collection.keys:
                    continue
            else:
                seq = line["seq"]
                if seq <= before:
                    continue
                if before and seq > before + 1:
                    report.breaks.append(ChainBreak(seq, "gap", seq - before - 1))
                elif (
                    chain is not None
                    and link(chain, bytes.fromhex(line["body"])).hex() != (line["chain"])
                ):
                    report.breaks.append(ChainBreak(seq, "changed"))
                before, chain = seq, bytes.fromhex(line["chain"])
                report.new += 1
                report.last = seq
                if progress:
                    progress(report.new, newest - report.first + 1)
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            collection._note(line)
            if report.new % _SYNC_EVERY == 0:
                _sync(file)
        _sync(file)
    return report


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _line(piece: bytes) -> dict[str, Any]:
    if len(piece) < _HEAD_SIZE:
        raise RecordsError(f"A piece of {len(piece)} bytes came for a record.")
    seq, flags, after, chain = struct.unpack_from(_HEAD, piece)
    body = piece[_HEAD_SIZE:].hex()
    if flags & _KEY_BLOCK:
        return {"key": body}
    return {
        "seq": seq,
        "body": body,
        "after": after.hex(),
        "chain": chain.hex(),
        "chain_ok": bool(flags & _CHAIN_OK),
    }
