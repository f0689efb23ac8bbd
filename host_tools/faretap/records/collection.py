"""Records brought home: one file a validator, each record in it once, its chain verified.

    collection = Collection.open(Path("records"), serial)
    report = collect(session, collection, progress)
    acked = acknowledge(session.link, collection.read())

The file is described in lines.py. It is only ever appended to, by one process at a time; what is
in it is verified before anything is added, and what comes is verified before it is written. A
line that a crash left unfinished is cut off, and its record is fetched again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faretap.errors import FaretapError
from faretap.link import transfer
from faretap.reading import RECORD_LINE, open_regular
from faretap.records import lines
from faretap.records.archive import Archive, Epoch, read_file
from faretap.records.evidence import KeyBlocks
from faretap.records.lines import FORMAT, LAST_SEQ, SERIAL, CollectionError, packed
from faretap.records.model import ChainBreak, Record, RecordsError, link
from faretap.writing import Appending, make_folder

_HEAD = ">IB5s8s"
_HEAD_SIZE = struct.calcsize(_HEAD)
_CHAIN_OK = 1
_KEY_BLOCK = 2
_SYNC_EVERY = 200  # records between two that are made durable
_LONGEST_BODY = 4096
_BLOCKS = 64  # of keys and contexts ahead of one record
_MEANWHILE = 10_000  # riders while a pull runs

_OTHER_FOLDER = "Keep this file, and pull what the validator still has into another folder."

Progress = Callable[[int, int], None]


@dataclass
class Report:
    """What a collecting brought."""

    serial: str
    first: int = 0
    last: int = 0
    new: int = 0
    filled: int = 0
    """Records that the file lacked between others, and has now."""
    breaks: list[ChainBreak] = field(default_factory=list)
    """Numbers that are missing in the file, and that the validator has not."""
    noted: list[tuple[int, int]] = field(default_factory=list)
    """Those that the file says now that they are gone."""
    epoch: int = 1
    began_again: bool = False
    """The validator's journal was erased since the last time: its numbers began again."""

    def to_json(self) -> dict[str, Any]:
        breaks = [{"seq": b.seq, "kind": b.kind, "missing": b.missing} for b in self.breaks]
        return {
            "serial": self.serial,
            "first": self.first,
            "last": self.last,
            "new": self.new,
            "filled": self.filled,
            "breaks": breaks,
            "gone": [list(r) for r in self.noted],
            "epoch": self.epoch,
            "began_again": self.began_again,
        }


class Collection:
    """The file `path` of the validator `serial`, which may not be there yet."""

    def __init__(self, path: Path, serial: str) -> None:
        self.path = path
        self.serial = serial

    @classmethod
    def open(cls, directory: Path, serial: str) -> Collection:
        """The file of that validator in `directory`, which is made if it is not there."""
        if not SERIAL.fullmatch(serial):
            # It becomes a file's name, and a validator said it.
            raise CollectionError(f"{serial!r} is no serial of a validator.")
        make_folder(directory, CollectionError)
        return cls(directory / f"{serial}.records.jsonl", serial)

    def read(self) -> Archive:
        """What is in the file; empty if there is none."""
        archive = Archive(self.serial)
        if self.path.exists():
            archive.add(read_file(self.path, self.serial))
        return archive

    @property
    def last(self) -> int:
        """The newest number; 0 if there is none."""
        return self.read().newest.last

    def records(self) -> list[Record]:
        """Every record, oldest first; CollectionError if one is bad."""
        archive = self.read()
        archive.check()
        return [record for _, record in archive.records()]

    def key_blocks(self) -> KeyBlocks:
        """What these records refer to."""
        return self.read().blocks


@dataclass(frozen=True)
class _Piece:
    seq: int  # 0: a block
    after: bytes
    chain: bytes
    body: bytes
    chain_ok: bool

    def line(self) -> bytes:
        if not self.seq:
            return packed({"key": self.body.hex()})
        return packed(
            {
                "seq": self.seq,
                "body": self.body.hex(),
                "after": self.after.hex(),
                "chain": self.chain.hex(),
                "chain_ok": self.chain_ok,
            }
        )


def collect(
    session: Any,
    collection: Collection,
    progress: Progress | None = None,
    *,
    accept_gone: bool = False,
) -> Report:
    """Append what the validator has and the file has not: what is new, and what fills holes. Each
    record is written once, however often this is done or broken off.

    CollectionError if the file is bad or another process pulls into it, RecordsError if the
    validator is another one than the file's, or sends what does not follow. `accept_gone`: write
    into the file that what the validator has lost is lost.
    """
    serial = session.link.call("info")["serial"]
    if serial != collection.serial:
        raise RecordsError(
            f"This is validator {serial!r}, the file is that of {collection.serial}."
        )
    journal = journal_of(session.link)
    with Appending(collection.path, CollectionError) as out:
        pull = _Pull(session, collection, out, progress, accept_gone)
        return pull.run(journal["first"], journal["next"] - 1)


class _Pull:
    def __init__(
        self,
        session: Any,
        collection: Collection,
        out: Appending,
        progress: Progress | None,
        accept_gone: bool,
    ) -> None:
        self._session = session
        self._path = collection.path
        self._out = out
        self._progress = progress
        self._accept = accept_gone
        read = read_file(collection.path, collection.serial)
        archive = Archive(collection.serial)
        archive.add(read)
        problem = archive.first_problem(decode=False)
        if problem is not None and problem.kind != "hole":
            raise archive.error(problem)
        out.cut(read.end, ended=read.ended)
        if not read.says:
            out.write(packed({"validator": collection.serial, "format": FORMAT}))
        self._blocks = set(read.blocks)
        self._epochs = archive.epochs or [Epoch()]
        self._report = Report(collection.serial, epoch=len(self._epochs))

    @property
    def _epoch(self) -> Epoch:
        return self._epochs[-1]

    def run(self, first: int, newest: int) -> Report:
        """`first` and `newest`: what the validator has."""
        epoch = self._epoch
        if epoch.entries and self._began_again(first, newest):
            self._report.began_again = True
            self._report.epoch += 1
            self._out.write(packed({"epoch": self._report.epoch}))
            epoch = Epoch(self._report.epoch)
            self._epochs.append(epoch)
        epoch.settle()
        for begin, end in (*epoch.holes, *epoch.gone):
            if first <= end and begin <= newest:
                self._fill(max(begin, first), end)
        self._report.first = epoch.last + 1
        self._new(newest)
        self._missing()
        return self._report

    def _began_again(self, first: int, newest: int) -> bool:
        """Whether the journal is another one than that of the newest record in the file."""
        last = self._epoch.last
        if newest < last:
            return True
        if first > last:
            return False
        piece = next((p for p in self._pieces(last, last) if p.seq), None)
        if piece is None or piece.seq != last:
            return False
        entry = self._epoch.entries[last]
        if piece.chain == entry.chain:
            return False
        if self._body(entry.at) == piece.body:
            raise RecordsError(
                f"Record {last} is the validator's as well, but what went before it is not.",
                f"One of the two was changed. {_OTHER_FOLDER}",
            )
        return True

    def _body(self, at: int) -> bytes:
        with open_regular(self._path, CollectionError) as file:
            file.seek(at)
            value = lines.parse(file.readline(RECORD_LINE), 1 if at == 0 else 2).value
            return bytes.fromhex(value["body"])

    def _fill(self, first: int, last: int) -> None:
        for piece in self._pieces(first, last):
            if self._take(piece) and piece.seq:
                self._report.filled += 1

    def _new(self, newest: int) -> None:
        wanted = newest - self._epoch.last
        for piece in self._pieces(self._epoch.last + 1, min(newest + _MEANWHILE, LAST_SEQ)):
            if not self._take(piece) or not piece.seq:
                continue
            self._report.new += 1
            self._report.last = piece.seq
            if self._progress:
                self._progress(self._report.new, max(wanted, self._report.new))
            if self._report.new % _SYNC_EVERY == 0:
                self._out.sync()

    def _take(self, piece: _Piece) -> bool:
        """Write it, if the file has it not; RecordsError if it does not follow."""
        if not piece.seq:
            if piece.body in self._blocks:
                return False
            self._blocks.add(piece.body)
            self._out.write(piece.line())
            return True
        entries = self._epoch.entries
        if piece.seq in entries:
            return False
        at = self._out.at
        line = piece.line()
        # It is judged before it is written: the file stays one that can be used.
        self._epoch.take(piece.seq, piece.chain, piece.body, self._path, at)
        if self._epoch.bad:
            raise RecordsError(
                f"The validator's {self._epoch.bad[-1].sentence.removesuffix('.')}.",
                "What came before it is in the file. Have this validator looked at: its journal "
                "was changed, or its flash is worn out.",
            )
        self._out.write(line)
        return True

    def _pieces(self, first: int, last: int) -> Iterator[_Piece]:
        """What the validator has of these, with the blocks ahead of them."""
        before, blocks = first - 1, 0
        for _, data in transfer.pull(self._session, "records", {"from": first}):
            piece = _piece(data)
            blocks = 0 if piece.seq else blocks + 1
            if blocks > _BLOCKS:
                raise RecordsError("The validator sends blocks of keys, and no records.")
            if piece.seq:
                if piece.seq > last:
                    return
                if piece.seq <= before:
                    continue  # sent again
                before = piece.seq
            yield piece
            if piece.seq == last:
                return

    def _missing(self) -> None:
        for number, epoch in enumerate(self._epochs, 1):
            epoch.settle()
            for first, last in epoch.holes:
                if self._accept:
                    self._out.write(packed({"gone": [first, last], "epoch": number}))
                    self._report.noted.append((first, last))
                else:
                    self._report.breaks.append(ChainBreak(last + 1, "gap", last - first + 1))


def _piece(data: bytes) -> _Piece:
    if not _HEAD_SIZE < len(data) <= _HEAD_SIZE + _LONGEST_BODY:
        raise RecordsError(f"A piece of {len(data)} bytes came for a record.")
    seq, flags, after, chain = struct.unpack_from(_HEAD, data)
    body = data[_HEAD_SIZE:]
    if bool(flags & _KEY_BLOCK) == bool(seq):
        raise RecordsError("A piece came that is neither a record nor a block.")
    return _Piece(seq, after, chain, body, bool(flags & _CHAIN_OK))


def journal_of(link: Any) -> dict[str, int]:
    """{"first", "next", "acked"} of the validator's journal; RecordsError if they make no sense.

    Those from `first` to `next` - 1 can be read.
    """
    answer = link.call("records.info")
    found = {}
    for name in ("first", "next", "acked"):
        value = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LAST_SEQ:
            raise RecordsError(f"The validator's answer to records.info has no {name}.")
        found[name] = value
    if not 1 <= found["first"] <= found["next"] or found["acked"] >= found["next"]:
        raise RecordsError("The validator's answer to records.info makes no sense.")
    return found


def acknowledge(link: Any, archive: Archive, to: int = 0) -> dict[str, Any]:
    """Tell the validator that the operator has its records, as far as these files have them: up to
    number `to`, or all. {"acked", "durable"}.

    The validator may erase what it is told. So nothing is acknowledged that is not in the files,
    verified, and the validator's own: CollectionError says which record stands in the way.
    """
    archive.check()
    serial = link.call("info")["serial"]
    if serial != archive.serial:
        raise RecordsError(
            f"This is validator {serial!r}; the records are those of {archive.serial}."
        )
    journal = journal_of(link)
    epoch = archive.newest
    last = to or epoch.last
    here = [seq for seq in epoch.entries if seq <= last]
    if not here or last > epoch.last:
        raise CollectionError(
            f"Record {last or 1} is not in the files.", "Pull first: faretap records pull."
        )
    if epoch.first > journal["acked"] + 1:
        raise CollectionError(
            f"Records {journal['acked'] + 1} to {epoch.first - 1} are not in the files, and not "
            "acknowledged.",
            "Give the file that has them as well.",
        )
    newest = max(here)
    if newest <= journal["acked"]:
        return {"acked": journal["acked"], "durable": True}
    _same(link, archive, epoch, newest, journal)
    answer = link.call("records.ack", {"to": newest})
    acked = answer.get("acked") if isinstance(answer, dict) else None
    if not isinstance(acked, int) or acked != newest:
        raise RecordsError(f"The validator acknowledged up to {acked!r}, not {newest}.")
    return {"acked": acked, "durable": bool(answer.get("durable"))}


def _same(link: Any, archive: Archive, epoch: Epoch, seq: int, journal: dict[str, int]) -> None:
    """RecordsError unless the validator's record of that number is the one in the files."""
    answer = link.call("records.read", {"from": seq, "max": 1})
    found = answer.get("records") if isinstance(answer, dict) else None
    wire = found[0] if isinstance(found, list) and found else None
    has = wire.get("chain") if isinstance(wire, dict) and wire.get("seq") == seq else None
    if has != epoch.entries[seq].chain.hex():
        raise RecordsError(
            f"The validator's record {seq} is another one than that in the files"
            + (" (its journal was erased since)." if seq >= journal["next"] else "."),
            "Pull first: faretap records pull.",
        )


__all__ = [
    "Collection",
    "CollectionError",
    "FaretapError",
    "Report",
    "acknowledge",
    "collect",
    "journal_of",
    "link",
]
