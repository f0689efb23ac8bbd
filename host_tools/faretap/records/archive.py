"""What files of records hold, verified: numbers, chain, whose they are.

    archives = read_files([Path("a.records.jsonl"), Path("b.records.jsonl")])
    for archive in archives:            # one a validator
        archive.check()                 # CollectionError names the first bad record
        for record in archive.records():
            ...

Nothing that a file or a validator says of itself is believed: the chain is computed from the
records that are there. A record's value is SHA-256(value of the one before, body); so a number
that is missing was skipped by a power cut if the one behind it follows from the one before it, and
is a hole if not. Records may stand in any order (a pull fills holes at the end of the file), twice
if they are the same, and in several files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from faretap.reading import RECORD_LINE, open_regular
from faretap.records import lines
from faretap.records.evidence import KeyBlocks, key_block_name
from faretap.records.lines import CollectionError, Line
from faretap.records.model import Record, RecordsError, from_wire, link

_START = bytes(8)  # what the very first record follows
_SUFFIX = ".records.jsonl"

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """kind: "changed", "hole", "twice", "unreadable"; `seq` is the first record that is bad."""

    epoch: int
    seq: int
    kind: str
    sentence: str
    path: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "seq": self.seq,
            "kind": self.kind,
            "sentence": self.sentence,
            "file": None if self.path is None else str(self.path),
        }


@dataclass(slots=True)
class _Entry:
    """Where a record stands, and what tells whether it is the same as another."""

    chain: bytes
    path: Path
    at: int
    body: bytes | None
    """Kept until its link is checked: while the record before it has not come."""
    linked: bool | None = None


@dataclass
class Epoch:
    """Records whose numbers and chain go on from each other: since the journal was made."""

    number: int = 1
    entries: dict[int, _Entry] = field(default_factory=dict)
    noted: list[Range] = field(default_factory=list)
    """What the file says is lost for ever."""
    bad: list[Problem] = field(default_factory=list)

    # Of `settle`:
    skipped: list[Range] = field(default_factory=list)
    gone: list[Range] = field(default_factory=list)
    holes: list[Range] = field(default_factory=list)

    @property
    def first(self) -> int:
        return min(self.entries, default=0)

    @property
    def last(self) -> int:
        return max(self.entries, default=0)

    def take(self, seq: int, chain: bytes, body: bytes, path: Path, at: int) -> None:
        known = self.entries.get(seq)
        before = self.entries.get(seq - 1)
        follows = _START if seq == 1 else before.chain if before else None
        linked = None if follows is None else link(follows, body) == chain
        if known is not None:
            if known.chain != chain or linked is False or (known.body or body) != body:
                self._twice(seq, known.path, path)
            return
        if linked is False:
            self._changed(seq, path)
        self.entries[seq] = _Entry(chain, path, at, None if linked else body, linked)
        behind = self.entries.get(seq + 1)
        if behind is not None and behind.body is not None:
            behind.linked = link(chain, behind.body) == behind.chain
            if behind.linked:
                behind.body = None
            else:
                self._changed(seq + 1, behind.path)

    def shares(self, other: Epoch) -> bool:
        return any(
            seq in self.entries and self.entries[seq].chain == entry.chain
            for seq, entry in other.entries.items()
        )

    def overlaps(self, other: Epoch) -> bool:
        return any(seq in self.entries for seq in other.entries)

    def borders(self, other: Epoch) -> bool:
        """Whether the one goes on where the other ends."""
        return _follows(self, other) or _follows(other, self)

    def settle(self) -> None:
        """Say what is missing between the records that are there."""
        self.skipped, self.gone, self.holes = [], [], []
        before: int | None = None
        for seq in sorted(self.entries):
            if before is not None and seq > before + 1:
                self._gap(before, seq)
            before = seq

    def _gap(self, before: int, seq: int) -> None:
        entry = self.entries[seq]
        missing = (before + 1, seq - 1)
        if entry.body is not None and link(self.entries[before].chain, entry.body) == entry.chain:
            # Nothing was between them: numbers that a power cut kept from being used.
            entry.linked = True
            self.skipped.append(missing)
        elif _covered(missing, self.noted):
            self.gone.append(missing)
        else:
            self.holes.append(missing)

    def problems(self) -> list[Problem]:
        self.settle()
        found = list(self.bad)
        for first, last in self.holes:
            entry = self.entries[last + 1]
            found.append(
                Problem(self.number, first, "hole", f"{_named(first, last)} missing", entry.path)
            )
        return sorted(found, key=lambda p: p.seq)

    def safe(self) -> int:
        """The number up to which everything is here, from the first record on."""
        found = self.problems()
        if not found:
            return self.last
        return max((seq for seq in self.entries if seq < found[0].seq), default=0)

    def _changed(self, seq: int, path: Path) -> None:
        sentence = f"record {seq} does not follow from the one before it: one of them was changed"
        self.bad.append(Problem(self.number, seq, "changed", sentence, path))

    def _twice(self, seq: int, one: Path, other: Path) -> None:
        where = f"in {one}" if one == other else f"in {one} and in {other}"
        sentence = f"record {seq} is there twice, {where}, and not the same"
        self.bad.append(Problem(self.number, seq, "twice", sentence, other))


def _follows(later: Epoch, earlier: Epoch) -> bool:
    end = earlier.entries.get(later.first - 1)
    body = later.entries[later.first].body if end else None
    return (
        end is not None
        and body is not None
        and (link(end.chain, body) == later.entries[later.first].chain)
    )


def _covered(missing: Range, noted: Iterable[Range]) -> bool:
    at = missing[0]
    for first, last in sorted(noted):
        if first <= at:
            at = max(at, last + 1)
    return at > missing[1]


def _named(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


class Archive:
    """Of one validator, out of one file or several. `notes` are sentences for a person: what is
    worth knowing and stops nothing."""

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.paths: list[Path] = []
        self.epochs: list[Epoch] = []
        self.blocks = KeyBlocks()
        self.duplicates = 0
        self.named_only = False
        """A file of format 1 is among them: its name alone says whose it is."""
        self.notes: list[str] = []
        self._files: dict[Path, BinaryIO] = {}

    @property
    def count(self) -> int:
        return sum(len(epoch.entries) for epoch in self.epochs)

    @property
    def newest(self) -> Epoch:
        """That of the journal that the validator has now."""
        return self.epochs[-1] if self.epochs else Epoch()

    def add(self, read: _File) -> None:
        self.paths.append(read.path)
        self.named_only = self.named_only or not read.says
        self.notes += read.notes
        for block in read.blocks:
            self.blocks.add(block)
        self.duplicates += read.duplicates
        after = 0  # a file's epochs follow each other
        for segment in read.epochs:
            after = self._merge(segment, after) + 1
        for number, epoch in enumerate(self.epochs, 1):
            epoch.number = number
            epoch.bad = [replace(problem, epoch=number) for problem in epoch.bad]

    def _merge(self, segment: Epoch, after: int) -> int:
        """Put it to the epoch that it is part of; its index."""
        known = range(after, len(self.epochs))
        if not segment.entries and known:
            self.epochs[known[-1]].noted += segment.noted
            return known[-1]
        place = next((i for i in known if self.epochs[i].shares(segment)), None)
        apart = [i for i in known if not self.epochs[i].overlaps(segment)]
        if place is None:
            place = next((i for i in apart if self.epochs[i].borders(segment)), None)
        if place is None and apart:
            place = apart[-1]
        if place is None:
            self.epochs.append(segment)
            return len(self.epochs) - 1
        into = self.epochs[place]
        into.noted += segment.noted
        into.bad += segment.bad
        for seq, entry in segment.entries.items():
            known_entry = into.entries.get(seq)
            if known_entry is None:
                into.entries[seq] = entry
            elif known_entry.chain != entry.chain:
                into._twice(seq, known_entry.path, entry.path)
            else:
                self.duplicates += 1
        for seq in segment.entries:
            _link_again(into, seq)
            _link_again(into, seq + 1)
        return place

    def check(self, *, decode: bool = True) -> None:
        """CollectionError names the first record that is bad, and why."""
        problem = self.first_problem(decode=decode)
        if problem is not None:
            raise self.error(problem)

    def error(self, problem: Problem) -> CollectionError:
        steps = {
            "hole": "Pull again into this file, or give the file that has them as well; `faretap "
            "records pull --accept-gone` notes it where the validator has lost them.",
            "unreadable": "If the validator's firmware is newer than this faretap, update it.",
        }
        where = f"{problem.path}: " if problem.path else ""
        sentence = f"{where}{problem.sentence}."
        return CollectionError(
            sentence,
            steps.get(problem.kind, "Keep this file, and pull what the validator still has into "
                      "another folder."),
        )  # fmt: skip

    def first_problem(self, *, decode: bool = True) -> Problem | None:
        try:
            for epoch in self.epochs:
                found = epoch.problems()
                first = found[0] if found else None
                if decode:
                    unread = self._first_unreadable(epoch, first.seq if first else None)
                    first = unread or first
                if first:
                    return first
            return None
        finally:
            self.close()  # a fleet has more files than a process may have open

    def _first_unreadable(self, epoch: Epoch, before: int | None) -> Problem | None:
        for seq in sorted(epoch.entries):
            if before is not None and seq >= before:
                return None
            try:
                self._record(epoch, seq)
            except RecordsError as e:
                sentence = str(e.cause).rstrip(".")
                return Problem(epoch.number, seq, "unreadable", sentence[:1].lower()
                               + sentence[1:], epoch.entries[seq].path)  # fmt: skip
        return None

    def records(self) -> Iterator[tuple[int, Record]]:
        """(epoch, record), each once, in the order of their numbers. `chain_ok` is what was found
        here: None of one whose predecessor is not here."""
        try:
            for epoch in self.epochs:
                epoch.settle()
                for seq in sorted(epoch.entries):
                    yield epoch.number, self._record(epoch, seq)
        finally:
            self.close()

    def _record(self, epoch: Epoch, seq: int) -> Record:
        entry = epoch.entries[seq]
        value = self._line(entry, seq).value
        record = from_wire(value, self.blocks.find)
        return replace(record, chain_ok=entry.linked)

    def _line(self, entry: _Entry, seq: int) -> Line:
        file = self._files.get(entry.path)
        if file is None:
            file = self._files[entry.path] = open_regular(entry.path, CollectionError)
        try:
            file.seek(entry.at)
            line = lines.parse(file.readline(RECORD_LINE), 1 if entry.at == 0 else 2)
        except (OSError, ValueError):
            line = None
        if line is None or line.value.get("seq") != seq or _chain(line.value) != entry.chain:
            raise CollectionError(f"{entry.path} was changed while it was read.", "Try again.")
        return line

    def lacking(self) -> dict[str, Range]:
        """Blocks that records refer to and that are not here, by name: the first and the last
        record that needs one. Their evidence stays closed, or their place unknown."""
        found: dict[str, Range] = {}
        try:
            for epoch in self.epochs:
                for seq in sorted(epoch.entries):
                    for name in self._needs(epoch, seq):
                        if self.blocks.find(name) is None:
                            first, _ = found.get(name.hex(), (seq, seq))
                            found[name.hex()] = (first, seq)
        finally:
            self.close()
        return found

    def _needs(self, epoch: Epoch, seq: int) -> list[bytes]:
        asked: list[bytes] = []

        def find(name: bytes) -> bytes | None:
            asked.append(bytes(name))
            return self.blocks.find(name)

        value = self._line(epoch.entries[seq], seq).value
        record = from_wire(value, find)
        named = key_block_name(record.evidence)
        return [*asked, *([named] if named else [])]

    def close(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
        self._files.clear()

    def to_json(self) -> dict[str, Any]:
        return {
            "validator": self.serial,
            "files": [str(path) for path in self.paths],
            "records": self.count,
            "duplicates": self.duplicates,
            "epochs": [
                {
                    "epoch": epoch.number,
                    "first": epoch.first,
                    "last": epoch.last,
                    "records": len(epoch.entries),
                    "skipped": [list(r) for r in epoch.skipped],
                    "gone": [list(r) for r in epoch.gone],
                    "missing": [list(r) for r in epoch.holes],
                }
                for epoch in self.epochs
            ],
            "notes": list(self.notes),
        }


def _link_again(epoch: Epoch, seq: int) -> None:
    entry, before = epoch.entries.get(seq), epoch.entries.get(seq - 1)
    if entry is None or before is None or entry.body is None or entry.linked is False:
        return
    entry.linked = link(before.chain, entry.body) == entry.chain
    if entry.linked:
        entry.body = None
    else:
        epoch._changed(seq, entry.path)


def _chain(value: dict[str, Any]) -> bytes:
    return bytes.fromhex(value.get("chain", ""))


@dataclass
class _File:
    """One file as it is read: who says whose it is, its epochs, its blocks."""

    path: Path
    serial: str
    says: bool
    epochs: list[Epoch]
    blocks: list[bytes]
    duplicates: int
    notes: list[str]
    end: int
    """Bytes of whole lines."""
    ended: bool
    """The last of them has its newline."""
    unfinished: bool
    """Part of a line follows."""


def read_file(path: Path, serial: str = "") -> _File:
    """A file and what it holds. `serial`: whose it has to be, where that is known."""
    named = path.name.removesuffix(_SUFFIX) if path.name.endswith(_SUFFIX) else ""
    if not lines.SERIAL.fullmatch(named):
        named = ""
    says = ""
    epochs = [Epoch()]
    blocks: dict[bytes, None] = {}
    duplicates = end = 0
    ended = True
    for line in lines.read(path):
        value = line.value
        end, ended = line.at + line.size, line.ended
        if line.kind == "record":
            epoch, seq = epochs[-1], value["seq"]
            duplicates += seq in epoch.entries
            body = bytes.fromhex(value["body"])
            epoch.take(seq, _chain(value), body, path, line.at)
        elif line.kind == "key":
            blocks[bytes.fromhex(value["key"])] = None
        elif line.kind == "gone":
            which = value.get("epoch", len(epochs))
            if which > len(epochs):
                raise CollectionError(f"{path}, line {line.number}: there is no epoch {which}.")
            epochs[which - 1].noted.append((value["gone"][0], value["gone"][1]))
        elif line.kind == "epoch":
            if epochs[-1].entries:
                epochs.append(Epoch())
        elif says and value["validator"] != says:
            raise CollectionError(
                f"{path}, line {line.number}: records of validator {value['validator']} in a file "
                f"of {says}.",
                "A file is of one validator: give the files that it was made of.",
            )
        else:
            says = value["validator"]
    notes = []
    found = says or named or serial
    if not found:
        raise CollectionError(
            f"{path} does not say whose records it has.",
            f"A file of an older faretap is named by its validator: SERIAL{_SUFFIX}.",
        )
    if serial and found != serial:
        raise CollectionError(
            f"{path} has records of validator {found}, not of {serial}.",
            "Take another folder for them.",
        )
    if not says and any(epoch.entries for epoch in epochs):
        notes.append(
            f"{path} is of an older faretap: only its name says that it is of validator {found}."
        )
    elif says and named and named != says:
        notes.append(f"{path} has records of validator {says}, whatever its name says.")
    try:
        unfinished = path.stat().st_size > end
    except OSError as e:
        raise CollectionError(f"{path} cannot be read: {e.strerror}.") from e
    return _File(
        path, found, bool(says), epochs, list(blocks), duplicates, notes, end, ended, unfinished
    )


def read_files(paths: Sequence[Path]) -> list[Archive]:
    """What these files hold, by validator, in the order that they came in."""
    archives: dict[str, Archive] = {}
    for path in dict.fromkeys(paths):
        read = read_file(path)
        if read.unfinished:
            read.notes.append(f"{path} ends in the middle of a line: a pull was broken off there.")
        archives.setdefault(read.serial, Archive(read.serial)).add(read)
    return list(archives.values())
